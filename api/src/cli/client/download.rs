use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::ErrorCode;
use reqwest::{Response, StatusCode, header};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::name::{harmless, proposed};
use super::{Backoff, CONNECT, Client, ClientError, IDLE, JobView, Result};

/// How long attempts are made while nothing comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A result that is whole on this machine and has no name yet; dropped, it is deleted.
#[derive(Debug)]
pub(in crate::cli) struct Download {
    file: NamedTempFile,
    /// The name that the server proposes, harmless; not a path.
    pub(in crate::cli) name: String,
    /// Its length.
    pub(in crate::cli) bytes: u64,
}

impl Download {
    /// Gives it its name, in one step. Where `replace` is false, nothing that exists is touched.
    ///
    /// # Errors
    /// `OutputExists`, `OutputUnwritable`, `DiskFull`, `OutputName`.
    pub(in crate::cli) fn keep(self, path: &Path, replace: bool) -> Result<()> {
        let cannot = |e: &io::Error| ClientError::write(path.display(), e);
        self.file.as_file().sync_all().map_err(|e| cannot(&e))?;
        let kept = match replace {
            true => self.file.persist(path),
            false => self.file.persist_noclobber(path),
        };
        match kept {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
                let message = format!("{} exists; --overwrite replaces it", path.display());
                Err(ClientError::new(ErrorCode::OutputExists, message))
            }
            Err(e) => Err(cannot(&e.error)),
        }
    }
}

/// A download on its way.
struct Part {
    file: File,
    path: PathBuf,
    digest: Sha256,
    have: u64,
    /// The version that `have` bytes are of.
    etag: Option<String>,
    name: Option<String>,
}

impl Client {
    /// Downloads a job's result into `folder`, under a temporary name. What breaks off is taken up again where it ended.
    ///
    /// # Errors
    /// What the server refuses; `Unavailable`; `VerifyMismatch` where other bytes came than the server's digest says;
    /// `OutputUnwritable`, `DiskFull`.
    pub(in crate::cli) async fn download(&self, job: &JobView, folder: &Path) -> Result<Download> {
        let cannot = |e: io::Error| ClientError::write(format_args!("into {}", folder.display()), &e);
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(".clearfleet-")
            .permissions(Permissions::from_mode(0o666));
        let temporary = builder.tempfile_in(folder).map_err(cannot)?;
        let mut part = Part {
            file: File::from_std(temporary.as_file().try_clone().map_err(cannot)?),
            path: folder.to_owned(),
            digest: Sha256::new(),
            have: 0,
            etag: None,
            name: None,
        };
        let mut backoff = Backoff::for_at_most(PATIENCE);
        loop {
            let before = part.have;
            match self.receive(job, &mut part).await {
                Ok(()) => break,
                Err(e) => {
                    if part.have > before {
                        backoff.progressed();
                    }
                    backoff.wait_after(e).await?;
                }
            }
        }
        part.file.flush().await.map_err(cannot)?;
        part.check(job)?;
        let known = job.result.as_ref().and_then(|result| harmless(&result.name));
        Ok(Download {
            file: temporary,
            name: part.name.or(known).unwrap_or_else(|| job.id.to_string()),
            bytes: part.have,
        })
    }

    /// Receives what is missing, as far as one connection goes.
    async fn receive(&self, job: &JobView, part: &mut Part) -> Result<()> {
        let mut request = self.http.get(self.job_route(job.id, "/result"));
        if let (Some(etag), 1..) = (&part.etag, part.have) {
            // Another version comes whole, from its beginning.
            request = request
                .header(header::RANGE, format!("bytes={}-", part.have))
                .header(header::IF_RANGE, etag);
        }
        let late = || ClientError::new(ErrorCode::Timeout, "the result stopped coming").transient();
        let response = tokio::time::timeout(CONNECT + IDLE, request.send()).await;
        let mut response = response.map_err(|_| late())?.map_err(ClientError::unreachable)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if continues_at(&response, part.have) => {}
            StatusCode::OK => part.restart(&response).await?,
            StatusCode::PARTIAL_CONTENT => {
                part.forget();
                return Err(
                    ClientError::new(ErrorCode::Unavailable, "the server sent another part than asked").transient(),
                );
            }
            _ => return Err(ClientError::refused(response).await),
        }
        loop {
            let piece = tokio::time::timeout(IDLE, response.chunk()).await.map_err(|_| late())?;
            match piece.map_err(ClientError::unreachable)? {
                Some(piece) => part.take(&piece).await?,
                None => return Ok(()),
            }
        }
    }
}

fn continues_at(response: &Response, have: u64) -> bool {
    let range = response
        .headers()
        .get(header::CONTENT_RANGE)
        .and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

impl Part {
    /// Begins with the version that a response brings.
    async fn restart(&mut self, response: &Response) -> Result<()> {
        let text = |name| {
            response
                .headers()
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        // A weak tag does not say that bytes are equal.
        self.etag = text(header::ETAG)
            .filter(|etag| !etag.starts_with("W/"))
            .map(Into::into);
        self.name = text(header::CONTENT_DISPOSITION).and_then(|disposition| proposed(&disposition));
        (self.digest, self.have) = (Sha256::new(), 0);
        let emptied = async {
            self.file.set_len(0).await?;
            self.file.rewind().await.map(drop)
        };
        emptied.await.map_err(|e| self.unwritable(&e))
    }

    /// The next attempt begins anew.
    fn forget(&mut self) {
        self.etag = None;
    }

    async fn take(&mut self, piece: &Bytes) -> Result<()> {
        self.file.write_all(piece).await.map_err(|e| self.unwritable(&e))?;
        self.digest.update(piece);
        self.have += piece.len() as u64;
        Ok(())
    }

    fn check(&self, job: &JobView) -> Result<()> {
        let expected = job.result.as_ref().and_then(|result| result.sha256.as_deref());
        let digest = self.digest.clone().finalize();
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        match expected.filter(|expected| !expected.eq_ignore_ascii_case(&found)) {
            Some(expected) => {
                let message = format!("the result's SHA-256 is {found}, where the server says {expected}");
                Err(ClientError::new(ErrorCode::VerifyMismatch, message))
            }
            None => Ok(()),
        }
    }

    fn unwritable(&self, error: &io::Error) -> ClientError {
        ClientError::write(format_args!("into {}", self.path.display()), error)
    }
}
