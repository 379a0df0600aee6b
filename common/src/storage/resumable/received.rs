use aws_sdk_s3::types::{CompletedPart, Part};
use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;

use super::ResumableUpload;
use crate::storage::client::timestamp;
use crate::storage::{ObjectKey, Storage, StorageError, Version};

/// Before its bytes a tail names their place in the whole, in this many bytes, the most significant first.
const PLACE: usize = 8;

/// How much of an upload has come.
#[derive(Debug)]
pub enum Arrival {
    /// All of it, and the source is in place.
    Whole(Version),
    /// This much, which may be all of it.
    Partial(Received),
}

/// What has come of an upload that is not in place: whole parts from the first on, and the tail after them.
#[derive(Debug)]
pub struct Received {
    parts: Vec<CompletedPart>,
    /// Bytes of these parts.
    whole: u64,
    tail: Option<Tail>,
    last_part: Option<Timestamp>,
}

/// What came beyond the last whole part.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) version: Version,
    /// Place of its first byte.
    pub(super) start: u64,
    pub(super) content: Bytes,
}

impl Received {
    /// Bytes that have come: where the upload goes on.
    pub fn bytes(&self) -> u64 {
        self.whole + self.beyond().len() as u64
    }

    /// When its last whole part came.
    pub fn last_part(&self) -> Option<Timestamp> {
        self.last_part
    }

    pub(super) fn parts(&self) -> &[CompletedPart] {
        &self.parts
    }

    /// The version of the tail that is stored, whatever it is of.
    pub(super) fn tail_version(&self) -> Option<Version> {
        self.tail.as_ref().map(|tail| tail.version.clone())
    }

    /// What came after the whole parts. A tail from before some of these came says nothing.
    pub fn beyond(&self) -> Bytes {
        let tail = self.tail.as_ref().filter(|tail| tail.start == self.whole);
        tail.map_or_else(Bytes::new, |tail| tail.content.clone())
    }
}

impl Tail {
    /// Place of the byte after its last.
    pub(super) fn end(&self) -> u64 {
        self.start + self.content.len() as u64
    }

    /// The object that holds bytes from `start` on.
    pub(super) fn written(start: u64, content: &[u8]) -> Bytes {
        let mut written = BytesMut::with_capacity(PLACE + content.len());
        written.put_u64(start);
        written.extend_from_slice(content);
        written.freeze()
    }

    fn read(mut body: Bytes, version: Version) -> Option<Self> {
        let content = (body.len() >= PLACE).then(|| body.split_off(PLACE))?;
        let start = u64::from_be_bytes(body[..].try_into().ok()?);
        Some(Self {
            version,
            start,
            content,
        })
    }
}

impl Storage {
    /// How much of an upload has come.
    ///
    /// # Errors
    /// [`Missing`](StorageError::Missing) where the upload was taken back; or if the store does not answer or refuses.
    pub async fn received(&self, upload: &ResumableUpload) -> Result<Arrival, StorageError> {
        let source = upload.source();
        let mut received = match self.whole_parts(upload).await {
            Ok(received) => received,
            // Put together or taken back: only then there are no parts.
            Err(missing @ StorageError::Missing { .. }) => {
                let placed = self.stat(&source).await?;
                return placed.map(|stat| Arrival::Whole(stat.version)).ok_or(missing);
            }
            Err(error) => return Err(error),
        };
        received.tail = self.upload_tail(upload).await?;
        Ok(Arrival::Partial(received))
    }

    /// What is stored beyond whole parts.
    pub(super) async fn upload_tail(&self, upload: &ResumableUpload) -> Result<Option<Tail>, StorageError> {
        let most = upload.part_bytes + PLACE as u64;
        let stored = self.get_within(ObjectKey::UploadTail(upload.job), most).await?;
        Ok(stored.and_then(|stored| Tail::read(stored.body, stored.version)))
    }

    /// The parts from the first on that are there as they should be.
    async fn whole_parts(&self, upload: &ResumableUpload) -> Result<Received, StorageError> {
        let mut received = Received {
            parts: Vec::new(),
            whole: 0,
            tail: None,
            last_part: None,
        };
        let mut after = None;
        loop {
            let page = self
                .client
                .list_parts()
                .bucket(&*self.bucket)
                .key(upload.source())
                .upload_id(&upload.multipart)
                .set_part_number_marker(after)
                .send()
                .await
                .map_err(|error| StorageError::of("list the parts of", &upload.source(), error))?;
            let all_follow = page.parts().iter().all(|part| received.follows(part, upload));
            after = page.next_part_number_marker;
            if !all_follow || page.is_truncated != Some(true) || after.is_none() {
                return Ok(received);
            }
        }
    }
}

impl Received {
    /// Takes in a part if it is the next one, and whole.
    fn follows(&mut self, part: &Part, upload: &ResumableUpload) -> bool {
        let next = self.parts.len() as u64;
        let length = (next < upload.part_count()).then(|| upload.part_length(next));
        let bytes = part.size().and_then(|bytes| u64::try_from(bytes).ok());
        let is_next = part.part_number() == Some(next as i32 + 1);
        let (Some(length), true) = (length, is_next && bytes == length) else {
            return false;
        };
        self.whole += length;
        self.last_part = self
            .last_part
            .max(part.last_modified().map(|time| timestamp(Some(*time))));
        let named = CompletedPart::builder().part_number(next as i32 + 1);
        self.parts.push(named.set_e_tag(part.e_tag.clone()).build());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_read_as_it_was_written() {
        let version = || Version::from("\"1\"".to_owned());
        for (start, content) in [(0, &b"abc"[..]), (1 << 40, b""), (u64::MAX, b"\0")] {
            let tail = Tail::read(Tail::written(start, content), version()).unwrap();
            assert_eq!((tail.start, &*tail.content), (start, content));
        }
        assert!(Tail::read(Bytes::from_static(b"short"), version()).is_none());
    }
}
