use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use uuid::Uuid;

use super::Service;
use crate::storage::embedded::blobs::{BlobId, Blobs, Garbage, Incoming, Kept};
use crate::storage::embedded::error::Fault;

/// How much of a body is gathered before it is written: 2 MiB, so that threads wait for each other seldom.
const GATHERED: usize = 2 << 20;

/// How long a body may keep us waiting for its next piece.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest key in bytes, as S3 says.
const LONGEST_KEY: usize = 1024;

/// A body that is in a file; dropped before it is handed over to a key, the file is removed.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: u64,
    md5: Option<[u8; 16]>,
    blob: BlobId,
    /// Who removes it; nothing once it is handed over.
    blobs: Option<Arc<Blobs>>,
}

impl Received {
    fn new(kept: Kept, blobs: Arc<Blobs>) -> Self {
        Self {
            bytes: kept.bytes,
            md5: kept.md5,
            blob: kept.blob,
            blobs: Some(blobs),
        }
    }

    pub(super) fn blob(&self) -> BlobId {
        self.blob
    }

    /// The MD5 of the content where it is known, as S3 has it, otherwise a name of its own.
    pub(super) fn etag(&self) -> String {
        let tag = self.md5.map_or(self.blob, Uuid::from_bytes);
        tag.simple().to_string()
    }

    /// From now on the transaction answers for the file.
    pub(super) fn hand_over(mut self) {
        self.blobs = None;
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(blobs) = &self.blobs {
            blobs.discard(vec![Garbage::single(self.blob)]);
        }
    }
}

/// What runs on threads that may wait for the disk.
type Blocking = tokio::task::JoinHandle<Result<Incoming, Fault>>;

impl Service {
    /// Writes a body into a file. While a piece is written the next is gathered: twice [`GATHERED`] is in memory.
    pub(super) async fn receive(
        &self,
        body: Option<StreamingBlob>,
        length: Option<i64>,
        content_md5: Option<&str>,
        with_md5: bool,
    ) -> S3Result<Received> {
        // Whether all of it has come is for HTTP and the signature to say: this is only a guess of what will.
        let expected = length.and_then(|length| u64::try_from(length).ok());
        self.blobs.has_room(expected.unwrap_or(0))?;
        let with_md5 = with_md5 || content_md5.is_some();
        let mut writing: Option<Blocking> = None;
        let mut body = body;
        let (last, begun) = loop {
            let (pieces, ended) = gather(&mut body).await?;
            let begun = match writing.take() {
                Some(writing) => Some(writing.await.map_err(Fault::from)??),
                None => None,
            };
            if ended {
                break (pieces, begun);
            }
            let blobs = Arc::clone(&self.blobs);
            writing = Some(tokio::task::spawn_blocking(move || {
                blobs.has_room(0)?;
                write(&blobs, begun, &pieces, with_md5)
            }));
        };
        let blobs = Arc::clone(&self.blobs);
        let received = tokio::task::spawn_blocking(move || {
            let incoming = write(&blobs, begun, &last, with_md5)?;
            let kept = blobs.keep(incoming)?;
            Ok::<_, Fault>(Received::new(kept, blobs))
        });
        let received = received.await.map_err(Fault::from)??;
        check_md5(content_md5, &received)?;
        Ok(received)
    }
}

fn write(blobs: &Blobs, begun: Option<Incoming>, pieces: &[Bytes], with_md5: bool) -> Result<Incoming, Fault> {
    let mut incoming = match begun {
        Some(incoming) => incoming,
        None => blobs.create(with_md5)?,
    };
    incoming.write(pieces)?;
    Ok(incoming)
}

/// The next pieces of a body, and whether they are the last.
async fn gather(body: &mut Option<StreamingBlob>) -> S3Result<(Vec<Bytes>, bool)> {
    let mut pieces = Vec::new();
    let mut bytes = 0;
    let Some(body) = body else {
        return Ok((pieces, true));
    };
    while bytes < GATHERED {
        let piece = tokio::time::timeout(PATIENCE, body.next())
            .await
            .map_err(|_| s3_error!(RequestTimeout))?;
        match piece {
            Some(Ok(piece)) => {
                bytes += piece.len();
                pieces.push(piece);
            }
            Some(Err(error)) => return Err(broken(error)),
            None => return Ok((pieces, true)),
        }
    }
    Ok((pieces, false))
}

/// What a body that cannot be read to its end means.
fn broken(error: s3s::StdError) -> S3Error {
    match error.downcast::<S3Error>() {
        Ok(error) => *error,
        Err(error) => S3Error::with_source(S3ErrorCode::IncompleteBody, error),
    }
}

fn check_md5(claimed: Option<&str>, received: &Received) -> S3Result<()> {
    let (Some(claimed), Some(found)) = (claimed, received.md5) else {
        return Ok(());
    };
    if aws_smithy_types::base64::encode(found) == claimed {
        Ok(())
    } else {
        Err(s3_error!(BadDigest))
    }
}

/// Refuses keys that S3 refuses.
pub(super) fn check_key(key: &str) -> S3Result<()> {
    if key.len() > LONGEST_KEY {
        return Err(s3_error!(KeyTooLongError));
    }
    Ok(())
}
