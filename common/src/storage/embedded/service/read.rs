use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use s3s::dto::{
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, Range as RangeHeader, StreamingBlob,
};
use s3s::{S3Error, S3Result, s3_error};
use tokio::sync::mpsc;

use super::{Service, condition, etag, timestamp};
use crate::storage::embedded::blobs::{Blobs, Pin};
use crate::storage::embedded::error::Fault;
use crate::storage::embedded::index::{Condition, Extent, Index, Object as Entry, Refusal};

/// How much of a file is read at a time.
const PIECE: usize = 512 << 10;

/// How often an object may be replaced while we try to get hold of it.
const ATTEMPTS: u32 = 100;

/// An object that stays readable though it may be replaced.
struct Opened {
    object: Entry,
    range: Range<u64>,
    extents: Vec<Extent>,
    pin: Pin,
}

impl Service {
    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        if input.part_number.is_some() || input.version_id.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "there are no versions, and parts are not kept apart"
            ));
        }
        let wanted = condition(input.if_match, input.if_none_match);
        let (bucket, key, range) = (input.bucket, input.key, input.range);
        let service = self.clone();
        let opened = tokio::task::spawn_blocking(move || service.open(&bucket, &key, &wanted, range));
        let Opened {
            object,
            range: part,
            extents,
            pin,
        } = opened.await.map_err(Fault::from)??;
        let content_range = range.map(|_| {
            let last = part.end.saturating_sub(1);
            format!("bytes {}-{last}/{}", part.start, object.bytes)
        });
        Ok(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(stream(Arc::clone(&self.blobs), extents, pin)),
            content_length: Some((part.end - part.start) as i64),
            content_range,
            content_type: object.described.content_type,
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(object.described.metadata.into_iter().collect()),
            ..Default::default()
        })
    }

    pub(super) async fn head(&self, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        let wanted = condition(input.if_match, input.if_none_match);
        let object = self
            .look(move |snapshot| Index::object(snapshot, &input.bucket, &input.key))
            .await??;
        check(&wanted, &object)?;
        Ok(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(object.bytes as i64),
            content_type: object.described.content_type,
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(object.described.metadata.into_iter().collect()),
            ..Default::default()
        })
    }

    /// Finds an object and keeps its files.
    fn open(&self, bucket: &str, key: &str, wanted: &Condition, range: Option<RangeHeader>) -> S3Result<Opened> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.index.snapshot()?;
            let object = Index::object(&snapshot, bucket, key).map_err(Fault::from)??;
            check(wanted, &object)?;
            let part = match range {
                Some(range) => range.check(object.bytes)?,
                None => 0..object.bytes,
            };
            let extents = Index::extents(&snapshot, &object, &part).map_err(Fault::from)?;
            let pin = self.blobs.pin(object.content.id());
            // What is still there with the pin set stays.
            let now = Index::object(&self.index.snapshot()?, bucket, key).map_err(Fault::from)?;
            if now.is_ok_and(|now| now.content == object.content) {
                return Ok(Opened {
                    object,
                    range: part,
                    extents,
                    pin,
                });
            }
        }
        Err(s3_error!(SlowDown, "the object is replaced all the time"))
    }

    /// The same for a copy: all files of an object.
    pub(super) fn open_whole(
        &self,
        bucket: &str,
        key: &str,
        wanted: &Condition,
    ) -> S3Result<(Entry, Vec<Extent>, Pin)> {
        let opened = self.open(bucket, key, wanted, None)?;
        Ok((opened.object, opened.extents, opened.pin))
    }
}

/// Whether an object is what somebody wants to read.
fn check(wanted: &Condition, object: &Entry) -> S3Result<()> {
    match wanted.check(Some(object)) {
        Ok(()) => Ok(()),
        Err(Refusal::Unmet) if wanted.is_not.as_ref() == Some(&object.etag) && wanted.is.is_none() => {
            let mut error = S3Error::with_message(s3s::S3ErrorCode::NotModified, "the object is the one you have");
            error.set_status_code(hyper::StatusCode::NOT_MODIFIED);
            Err(error)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// What the extents hold, one after the other; one piece is read ahead.
fn stream(blobs: Arc<Blobs>, extents: Vec<Extent>, pin: Pin) -> StreamingBlob {
    let (pieces, mut received) = mpsc::channel(1);
    // It ends when all is sent or nobody receives any more.
    tokio::spawn(async move {
        let _pin = pin;
        if let Err(error) = send_all(blobs, extents, &pieces).await {
            // If nobody receives it, nobody wants to know.
            let _ = pieces.send(Err(error)).await;
        }
    });
    StreamingBlob::wrap(futures::stream::poll_fn(move |context| received.poll_recv(context)))
}

async fn send_all(
    blobs: Arc<Blobs>,
    extents: Vec<Extent>,
    pieces: &mpsc::Sender<Result<Bytes, Fault>>,
) -> Result<(), Fault> {
    for Extent { blob, range } in extents {
        let blobs = Arc::clone(&blobs);
        let mut file: Arc<File> = Arc::new(tokio::task::spawn_blocking(move || blobs.open(blob)).await??);
        let mut at = range.start;
        while at < range.end {
            let length = PIECE.min((range.end - at) as usize);
            let (piece, back) = tokio::task::spawn_blocking(move || read(file, at, length)).await??;
            file = back;
            at += length as u64;
            if pieces.send(Ok(piece)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read(file: Arc<File>, at: u64, length: usize) -> Result<(Bytes, Arc<File>), Fault> {
    let mut piece = BytesMut::zeroed(length);
    file.read_exact_at(&mut piece, at)?;
    Ok((piece.freeze(), file))
}
