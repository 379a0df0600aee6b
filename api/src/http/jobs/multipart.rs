//! The parts of an upload, in their order.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use clearfleet_common::ErrorCode;
use multer::{Field, Multipart};

use super::request::NewJob;
use super::upload::{Upload, Uploaded};
use crate::http::Problem;
use crate::http::body::{Control, PacedBody, field_unknown, from_json};

/// What may come before a part's content, in bytes. The reader keeps it in memory, with as much of the content as came
/// in one piece with it.
const BETWEEN: usize = 1 << 20;

/// `multipart/form-data`: `request`, if there is anything to say, then `file`, and nothing else.
pub(super) struct Parts {
    multipart: Multipart<'static>,
    control: Control,
    /// The file, where it came first.
    file: Option<Field<'static>>,
}

impl Parts {
    /// Begins to read a body.
    ///
    /// # Errors
    /// If it has no boundary.
    pub(super) fn new(headers: &HeaderMap, body: PacedBody) -> Result<Self, Problem> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = multer::parse_boundary(content_type.unwrap_or_default());
        let boundary = boundary.map_err(|e| Problem::new(ErrorCode::BodyInvalid, e.to_string()))?;
        let (stream, control) = body.into_stream();
        Ok(Self {
            multipart: Multipart::new(stream, boundary),
            control,
            file: None,
        })
    }

    /// What is wanted: the first part, or the default where that is the file already.
    ///
    /// # Errors
    /// If it is another, too large, or cannot be understood.
    pub(super) async fn request(&mut self, limit: usize) -> Result<NewJob, Problem> {
        let mut field = match self.next().await? {
            Some(field) if field.name() == Some("file") => {
                self.file = Some(field);
                return Ok(NewJob::default());
            }
            other => named(other, "request")?,
        };
        let mut whole = Vec::new();
        while let Some(piece) = self.piece(&mut field).await? {
            whole.extend_from_slice(&piece);
            if whole.len() > limit {
                let detail = format!("the part \"request\" is larger than {limit} bytes");
                return Err(Problem::new(ErrorCode::TooLarge, detail).with("limit", limit));
            }
        }
        from_json(&whole)
    }

    /// The source: the second part, and the last.
    ///
    /// # Errors
    /// If it is another, breaks off, or is refused; if more follows.
    pub(super) async fn file(
        mut self,
        upload: impl Future<Output = Result<Upload, Problem>>,
        name: Option<&str>,
    ) -> Result<Uploaded, Problem> {
        let mut field = match self.file.take() {
            Some(field) => field,
            None => named(self.next().await?, "file")?,
        };
        let file_name = field.file_name().map(str::to_owned);
        let name = name.or(file_name.as_deref()).unwrap_or_default().to_owned();
        let mut upload = upload.await?;
        self.control.limit(None);
        while let Some(piece) = self.piece(&mut field).await? {
            upload.take(piece, &name).await?;
        }
        drop(field);
        if let Some(field) = self.next().await? {
            return Err(field_unknown(field.name().unwrap_or_default()));
        }
        let uploaded = upload.finish(&name).await?;
        Ok(Uploaded {
            name: file_name,
            ..uploaded
        })
    }

    async fn next(&mut self) -> Result<Option<Field<'static>>, Problem> {
        self.control.limit(Some(BETWEEN));
        let field = self.multipart.next_field().await;
        field.map_err(|e| self.unreadable(e))
    }

    async fn piece(&self, field: &mut Field<'static>) -> Result<Option<Bytes>, Problem> {
        field.chunk().await.map_err(|e| self.unreadable(e))
    }

    /// What a failed read means: what the body itself was refused for, or else that it is no multipart.
    fn unreadable(&self, error: multer::Error) -> Problem {
        self.control.take().unwrap_or_else(|| {
            // A body that ends within a part ended too early, whatever its framing said.
            let code = match &error {
                multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteStream => {
                    ErrorCode::BodyIncomplete
                }
                _ => ErrorCode::BodyInvalid,
            };
            Problem::new(code, format!("the multipart body cannot be read: {error}")).because(error)
        })
    }
}

/// A part that must have this name.
fn named(part: Option<Field<'static>>, name: &str) -> Result<Field<'static>, Problem> {
    match part {
        Some(field) if field.name() == Some(name) => Ok(field),
        Some(field) if !matches!(field.name(), Some("request" | "file")) => {
            Err(field_unknown(field.name().unwrap_or_default()))
        }
        _ => {
            let detail = "the parts are \"request\", if there is anything to say, then \"file\"";
            Err(Problem::new(ErrorCode::BodyInvalid, detail).with("expected", name))
        }
    }
}
