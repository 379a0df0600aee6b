use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, Stream, StreamExt};
use tokio_util::io::StreamReader;

use super::client::{invalid, length, version};
use super::error::Answer;
use super::{ObjectKey, Storage, StorageError, Stored, Version};

/// The largest object that is read into memory as a whole: 64 MiB.
const SMALL: u64 = 64 << 20;

/// How often a body may break off without anything having arrived in between.
const RESUMPTIONS: u32 = 3;

/// The content of an object or of a range of it, as it arrives.
///
/// Holds no more than the piece that was just read. When the connection breaks, reading goes on where it stopped, on
/// the same version of the object; if that is gone by then, or the connection keeps breaking, or nothing arrives for
/// [`StorageTimeouts::idle`](super::StorageTimeouts::idle), it ends with an error whose inner error is a
/// [`StorageError`]. It never ends early without one.
pub struct ObjectReader {
    bytes: u64,
    version: Version,
    pieces: BoxStream<'static, io::Result<Bytes>>,
}

impl ObjectReader {
    /// How many bytes it yields in all: the length of the range, as far as the object reaches.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Which version it reads.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The same as something to read from.
    pub fn into_async_read(self) -> StreamReader<Self, Bytes> {
        StreamReader::new(self)
    }
}

impl Stream for ObjectReader {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader")
            .field("bytes", &self.bytes)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Storage {
    /// Reads a small object; nothing where there is none.
    ///
    /// # Errors
    /// If the store does not answer or refuses, or the object is larger than 64 MiB.
    pub async fn get(&self, key: ObjectKey) -> Result<Option<Stored>, StorageError> {
        self.get_within(key, SMALL).await
    }

    /// As [`get`](Self::get), with another limit, in bytes.
    pub(super) async fn get_within(&self, key: ObjectKey, most: u64) -> Result<Option<Stored>, StorageError> {
        let name = key.to_string();
        let mut reader = match self.read(&name, None, None).await {
            Ok(reader) => reader,
            Err(StorageError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if reader.bytes() > most {
            return Err(StorageError::TooLarge {
                key: name,
                limit: Some(most),
            });
        }
        let mut body = BytesMut::with_capacity(reader.bytes() as usize);
        while let Some(piece) = reader.next().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                // Replaced while it broke off: the new one is as good.
                Err(error) if matches!(cause(&error), Some(StorageError::Changed { .. })) => {
                    return Err(StorageError::unavailable(format!("read {name}"), error));
                }
                Err(error) => return Err(storage_error(&name, error)),
            }
        }
        Ok(Some(Stored {
            body: body.freeze(),
            version: reader.version,
        }))
    }

    /// Reads an object or a range of it, of the version given or of the current one.
    ///
    /// A range that reaches beyond the end stops there; an empty range yields nothing.
    ///
    /// # Errors
    /// [`Missing`](StorageError::Missing) where there is no object, [`Changed`](StorageError::Changed) where it is
    /// another version, [`Invalid`](StorageError::Invalid) where it ends before the range; or if the store does not
    /// answer or refuses.
    pub async fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        version: Option<&Version>,
    ) -> Result<ObjectReader, StorageError> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return self.read_nothing(key, version).await;
        }
        let start = range.as_ref().map_or(0, |range| range.start);
        let (body, bytes, version) = self.open(key, range, version).await?;
        let rest = Rest {
            storage: self.clone(),
            key: key.to_owned(),
            version: version.clone(),
            range: start..start + bytes,
            body: Some(body),
            resumptions: 0,
        };
        let pieces = futures::stream::try_unfold(rest, async |mut rest| match rest.piece().await {
            Ok(Some(piece)) => Ok(Some((piece, rest))),
            Ok(None) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        });
        Ok(ObjectReader {
            bytes,
            version,
            pieces: pieces.boxed(),
        })
    }

    async fn read_nothing(&self, key: &str, version: Option<&Version>) -> Result<ObjectReader, StorageError> {
        let key = || key.to_owned();
        let stat = self
            .stat(&key())
            .await?
            .ok_or_else(|| StorageError::Missing { key: key() })?;
        if version.is_some_and(|version| *version != stat.version) {
            return Err(StorageError::Changed { key: key() });
        }
        Ok(ObjectReader {
            bytes: 0,
            version: stat.version,
            pieces: futures::stream::empty().boxed(),
        })
    }

    /// The body of what was asked for, its length and its version.
    async fn open(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        pinned: Option<&Version>,
    ) -> Result<(ByteStream, u64, Version), StorageError> {
        let got = self
            .client
            .get_object()
            .bucket(&*self.bucket)
            .key(key)
            .set_if_match(pinned.map(|version| version.as_str().to_owned()))
            .set_range(range.map(|range| format!("bytes={}-{}", range.start, range.end - 1)))
            .send()
            .await;
        let GetObjectOutput {
            body,
            content_length,
            e_tag,
            ..
        } = match (got, pinned) {
            (Ok(got), _) => got,
            // MinIO looks at the range before it looks at the version.
            (Err(error), Some(pinned)) if Answer::of(&error) == Some(Answer::NoSuchRange) => {
                self.read_nothing(key, Some(pinned)).await?;
                return Err(StorageError::of("read", key, error));
            }
            (Err(error), _) => return Err(StorageError::of("read", key, error)),
        };
        Ok((body, length(key, content_length)?, version(key, e_tag)?))
    }
}

/// What is still to be read.
struct Rest {
    storage: Storage,
    key: String,
    version: Version,
    range: Range<u64>,
    /// Where it comes from; nothing after the connection broke.
    body: Option<ByteStream>,
    resumptions: u32,
}

impl Rest {
    /// The next piece; nothing at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>, StorageError> {
        while !self.range.is_empty() {
            let Some(body) = &mut self.body else {
                let range = Some(self.range.clone());
                let (body, ..) = self.storage.open(&self.key, range, Some(&self.version)).await?;
                self.body = Some(body);
                continue;
            };
            let broke = match tokio::time::timeout(self.storage.timeouts.idle, body.next()).await {
                Ok(Some(Ok(piece))) if piece.is_empty() => continue,
                Ok(Some(Ok(piece))) => return self.took(piece).map(Some),
                Ok(Some(Err(error))) => io::Error::other(error),
                Ok(None) => io::ErrorKind::UnexpectedEof.into(),
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if self.resumptions >= RESUMPTIONS {
                return Err(StorageError::unavailable(format!("read {}", self.key), broke));
            }
            tracing::debug!(key = self.key, at = self.range.start, error = %broke, "goes on reading after a break");
            self.body = None;
            self.resumptions += 1;
        }
        Ok(None)
    }

    fn took(&mut self, piece: Bytes) -> Result<Bytes, StorageError> {
        let bytes = piece.len() as u64;
        if bytes > self.range.end - self.range.start {
            return Err(invalid(&self.key, "the store sent more than it announced"));
        }
        self.range.start += bytes;
        self.resumptions = 0;
        Ok(piece)
    }
}

/// The error of the store that made reading end.
fn cause(error: &io::Error) -> Option<&StorageError> {
    error.get_ref()?.downcast_ref()
}

fn storage_error(key: &str, error: io::Error) -> StorageError {
    match error.downcast() {
        Ok(error) => error,
        Err(error) => StorageError::unavailable(format!("read {key}"), error),
    }
}
