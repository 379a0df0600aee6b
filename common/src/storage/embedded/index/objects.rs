use std::ops::Range;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use uuid::Uuid;

use super::entry::{BUCKETS, Content, EXTENTS, OBJECTS, Object, decode, encode, now};
use crate::storage::embedded::blobs::{BlobId, Garbage};

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::embedded) enum Refusal {
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    /// A condition does not hold.
    Unmet,
    /// A part that is claimed was not sent, or not so.
    InvalidPart,
    /// A part before the last is below 5 MiB.
    PartTooSmall,
}

/// What must be so for a change.
#[derive(Clone, Debug, Default)]
pub(in crate::storage::embedded) struct Condition {
    /// ETag that the object must have.
    pub(in crate::storage::embedded) is: Option<String>,
    /// There must be an object.
    pub(in crate::storage::embedded) exists: bool,
    /// ETag that the object must not have.
    pub(in crate::storage::embedded) is_not: Option<String>,
    /// There must be no object.
    pub(in crate::storage::embedded) is_new: bool,
}

impl Condition {
    /// Compares it with what is there.
    pub(in crate::storage::embedded) fn check(&self, there: Option<&Object>) -> Result<(), Refusal> {
        let Some(object) = there else {
            let wants_one = self.exists || self.is.is_some();
            return if wants_one { Err(Refusal::NoSuchKey) } else { Ok(()) };
        };
        let is_other = self.is.as_ref().is_some_and(|etag| *etag != object.etag);
        let is_that = self.is_not.as_ref().is_some_and(|etag| *etag == object.etag);
        if is_other || is_that || self.is_new {
            return Err(Refusal::Unmet);
        }
        Ok(())
    }
}

/// A piece of a content: a blob and the bytes of it that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage::embedded) struct Extent {
    pub(in crate::storage::embedded) blob: BlobId,
    pub(in crate::storage::embedded) range: Range<u64>,
}

pub(in crate::storage::embedded) fn has_bucket(change: &WriteTransaction, bucket: &str) -> Result<bool, redb::Error> {
    Ok(change.open_table(BUCKETS)?.get(bucket)?.is_some())
}

impl super::Index {
    /// The object at a key.
    pub(in crate::storage::embedded) fn object(
        snapshot: &ReadTransaction,
        bucket: &str,
        key: &str,
    ) -> Result<Result<Object, Refusal>, redb::Error> {
        if let Some(object) = snapshot.open_table(OBJECTS)?.get((bucket, key.as_bytes()))? {
            return decode(object.value()).map(Ok);
        }
        let refusal = match snapshot.open_table(BUCKETS)?.get(bucket)? {
            Some(_) => Refusal::NoSuchKey,
            None => Refusal::NoSuchBucket,
        };
        Ok(Err(refusal))
    }

    /// Where a range of an object's bytes lies.
    pub(in crate::storage::embedded) fn extents(
        snapshot: &ReadTransaction,
        object: &Object,
        range: &Range<u64>,
    ) -> Result<Vec<Extent>, redb::Error> {
        let content = match object.content {
            Content::Blob(blob) => {
                let range = range.clone();
                return Ok(vec![Extent { blob, range }]);
            }
            Content::Extents(content) => content.as_u128(),
        };
        let table = snapshot.open_table(EXTENTS)?;
        // The last one that begins at or before the range.
        let first = table.range((content, 0)..=(content, range.start))?.next_back();
        let first = first.transpose()?.map_or(range.start, |(at, _)| at.value().1);
        let mut extents = Vec::new();
        for extent in table.range((content, first)..(content, range.end.max(first)))? {
            let (at, extent) = extent?;
            let (at, (blob, bytes)) = (at.value().1, extent.value());
            extents.push(Extent {
                blob: Uuid::from_u128(blob),
                range: range.start.saturating_sub(at)..bytes.min(range.end - at),
            });
        }
        Ok(extents)
    }

    /// Writes down which blobs a content of several is.
    pub(in crate::storage::embedded) fn add_extents(
        change: &WriteTransaction,
        content: Content,
        blobs: &[(BlobId, u64)],
    ) -> Result<(), redb::Error> {
        let Content::Extents(content) = content else {
            return Ok(());
        };
        let mut extents = change.open_table(EXTENTS)?;
        let mut at = 0;
        for (blob, bytes) in blobs {
            extents.insert((content.as_u128(), at), (blob.as_u128(), *bytes))?;
            at += bytes;
        }
        Ok(())
    }

    /// Makes a bucket; says whether it was not there.
    pub(in crate::storage::embedded) fn make_bucket(
        change: &WriteTransaction,
        bucket: &str,
    ) -> Result<bool, redb::Error> {
        let mut buckets = change.open_table(BUCKETS)?;
        if buckets.get(bucket)?.is_some() {
            return Ok(false);
        }
        buckets.insert(bucket, now())?;
        Ok(true)
    }

    /// Puts an object at a key if it may be; where it may not, its content is garbage.
    pub(in crate::storage::embedded) fn put(
        change: &WriteTransaction,
        (bucket, key): (&str, &str),
        object: &Object,
        condition: &Condition,
        garbage: &mut Vec<Garbage>,
    ) -> Result<Result<(), Refusal>, redb::Error> {
        let allowed = Self::allowed(change, (bucket, key), condition)?;
        if allowed.is_err() {
            garbage.push(of_content(change, object.content)?);
            return Ok(allowed);
        }
        Self::replace(change, (bucket, key), object, garbage)?;
        Ok(Ok(()))
    }

    /// Whether something may be put at a key.
    pub(super) fn allowed(
        change: &WriteTransaction,
        (bucket, key): (&str, &str),
        condition: &Condition,
    ) -> Result<Result<(), Refusal>, redb::Error> {
        if !has_bucket(change, bucket)? {
            return Ok(Err(Refusal::NoSuchBucket));
        }
        let objects = change.open_table(OBJECTS)?;
        let there = objects.get((bucket, key.as_bytes()))?;
        let there = there.map(|object| decode(object.value())).transpose()?;
        Ok(condition.check(there.as_ref()))
    }

    /// Puts an object at a key.
    pub(super) fn replace(
        change: &WriteTransaction,
        (bucket, key): (&str, &str),
        object: &Object,
        garbage: &mut Vec<Garbage>,
    ) -> Result<(), redb::Error> {
        let encoded = encode(object)?;
        let replaced = {
            let mut objects = change.open_table(OBJECTS)?;
            let replaced = objects.insert((bucket, key.as_bytes()), encoded.as_slice())?;
            replaced.map(|object| decode::<Object>(object.value())).transpose()?
        };
        if let Some(replaced) = replaced {
            garbage.push(of_content(change, replaced.content)?);
        }
        Ok(())
    }

    /// Deletes an object. That there is none is fine, unless the condition wants one.
    pub(in crate::storage::embedded) fn delete(
        change: &WriteTransaction,
        (bucket, key): (&str, &str),
        condition: &Condition,
        garbage: &mut Vec<Garbage>,
    ) -> Result<Result<(), Refusal>, redb::Error> {
        let allowed = Self::allowed(change, (bucket, key), condition)?;
        if allowed.is_err() {
            return Ok(allowed);
        }
        let deleted = {
            let mut objects = change.open_table(OBJECTS)?;
            let deleted = objects.remove((bucket, key.as_bytes()))?;
            deleted.map(|object| decode::<Object>(object.value())).transpose()?
        };
        if let Some(deleted) = deleted {
            garbage.push(of_content(change, deleted.content)?);
        }
        Ok(Ok(()))
    }
}

/// All blobs of a content, which nothing names afterwards.
fn of_content(change: &WriteTransaction, content: Content) -> Result<Garbage, redb::Error> {
    let id = match content {
        Content::Blob(blob) => return Ok(Garbage::single(blob)),
        Content::Extents(id) => id,
    };
    let mut table = change.open_table(EXTENTS)?;
    let mut blobs = Vec::new();
    let all = (id.as_u128(), 0)..=(id.as_u128(), u64::MAX);
    table.retain_in(all, |_, (blob, _)| {
        blobs.push(Uuid::from_u128(blob));
        false
    })?;
    Ok(Garbage { content: id, blobs })
}
