use std::ops::Bound;

use redb::ReadTransaction;
use uuid::Uuid;

use super::entry::{BUCKETS, OBJECTS, Object, PARTS, Part, UPLOADS, Upload, decode};
use super::objects::Refusal;

/// Which objects of a bucket.
#[derive(Clone, Debug, Default)]
pub(in crate::storage::embedded) struct ListQuery {
    pub(in crate::storage::embedded) prefix: String,
    /// Empty for none.
    pub(in crate::storage::embedded) delimiter: String,
    /// The first key that is listed, if it is there.
    pub(in crate::storage::embedded) from: Vec<u8>,
    pub(in crate::storage::embedded) limit: usize,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage::embedded) enum Item {
    Object(String, Object),
    /// All keys that begin so, up to and with the delimiter.
    Prefix(String),
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::storage::embedded) struct ListPage {
    pub(in crate::storage::embedded) items: Vec<Item>,
    /// Where the next page begins; nothing where this is the last.
    pub(in crate::storage::embedded) next: Option<Vec<u8>>,
}

/// The first key after all that begin with `prefix`, which is not empty text.
fn after_all(prefix: &str) -> Vec<u8> {
    let mut key = prefix.as_bytes().to_vec();
    // No byte of UTF-8 is the last one there is.
    if let Some(last) = key.last_mut() {
        *last += 1;
    }
    key
}

/// The first key after `key`.
pub(in crate::storage::embedded) fn after(key: &str) -> Vec<u8> {
    let mut key = key.as_bytes().to_vec();
    key.push(0);
    key
}

/// Which uploads of a bucket: those whose key begins so and that come after a key and, for that key, after an id.
#[derive(Clone, Debug, Default)]
pub(in crate::storage::embedded) struct UploadQuery {
    pub(in crate::storage::embedded) prefix: String,
    pub(in crate::storage::embedded) after: Option<(String, Option<Uuid>)>,
    pub(in crate::storage::embedded) limit: usize,
}

/// A page of uploads, and whether there are more.
pub(in crate::storage::embedded) type UploadList = (Vec<(String, Uuid, Upload)>, bool);

/// A page of parts, and whether there are more.
pub(in crate::storage::embedded) type PartList = (Vec<(u32, Part)>, bool);

impl super::Index {
    /// Objects in the order of their keys.
    pub(in crate::storage::embedded) fn list(
        snapshot: &ReadTransaction,
        bucket: &str,
        query: &ListQuery,
    ) -> Result<Result<ListPage, Refusal>, redb::Error> {
        if snapshot.open_table(BUCKETS)?.get(bucket)?.is_none() {
            return Ok(Err(Refusal::NoSuchBucket));
        }
        let objects = snapshot.open_table(OBJECTS)?;
        let mut page = ListPage::default();
        let mut from = query.from.clone().max(query.prefix.clone().into_bytes());
        // Each round begins after a prefix that stands for many keys.
        'skip: loop {
            let range = (bucket, from.as_slice())..;
            for object in objects.range(range)? {
                let (place, object) = object?;
                let (in_bucket, key) = place.value();
                if in_bucket != bucket || !key.starts_with(query.prefix.as_bytes()) {
                    return Ok(Ok(page));
                }
                if page.items.len() == query.limit {
                    page.next = Some(key.to_vec());
                    return Ok(Ok(page));
                }
                let key = text(key)?;
                if let Some(prefix) = common_prefix(&key, query) {
                    from = after_all(&prefix);
                    page.items.push(Item::Prefix(prefix));
                    continue 'skip;
                }
                page.items.push(Item::Object(key, decode(object.value())?));
            }
            return Ok(Ok(page));
        }
    }

    /// Uploads in the order of their keys and of their beginning.
    pub(in crate::storage::embedded) fn uploads(
        snapshot: &ReadTransaction,
        bucket: &str,
        query: &UploadQuery,
    ) -> Result<Result<UploadList, Refusal>, redb::Error> {
        if snapshot.open_table(BUCKETS)?.get(bucket)?.is_none() {
            return Ok(Err(Refusal::NoSuchBucket));
        }
        let table = snapshot.open_table(UPLOADS)?;
        let prefix = query.prefix.as_bytes();
        let (key, id) = match &query.after {
            Some((key, Some(id))) => (key.as_bytes().to_vec(), Bound::Excluded(id.as_u128())),
            Some((key, None)) => (after(key), Bound::Included(0)),
            None => (Vec::new(), Bound::Included(0)),
        };
        let start = if key.as_slice() < prefix {
            Bound::Included((bucket, prefix, 0))
        } else {
            id.map(|id| (bucket, key.as_slice(), id))
        };
        let mut uploads = Vec::new();
        for upload in table.range::<(&str, &[u8], u128)>((start, Bound::Unbounded))? {
            let (place, upload) = upload?;
            let (in_bucket, key, id) = place.value();
            if in_bucket != bucket || !key.starts_with(prefix) {
                break;
            }
            if uploads.len() == query.limit {
                return Ok(Ok((uploads, true)));
            }
            uploads.push((text(key)?, Uuid::from_u128(id), decode(upload.value())?));
        }
        Ok(Ok((uploads, false)))
    }

    /// Parts of an upload with numbers above `after`.
    pub(in crate::storage::embedded) fn parts(
        snapshot: &ReadTransaction,
        (bucket, key, id): (&str, &str, Uuid),
        after: u32,
        limit: usize,
    ) -> Result<Result<PartList, Refusal>, redb::Error> {
        let uploads = snapshot.open_table(UPLOADS)?;
        if uploads.get((bucket, key.as_bytes(), id.as_u128()))?.is_none() {
            return Ok(Err(Refusal::NoSuchUpload));
        }
        let table = snapshot.open_table(PARTS)?;
        let from = (id.as_u128(), after.saturating_add(1));
        let mut parts = Vec::new();
        for part in table.range(from..=(id.as_u128(), u32::MAX))? {
            let (place, part) = part?;
            if parts.len() == limit {
                return Ok(Ok((parts, true)));
            }
            parts.push((place.value().1, decode(part.value())?));
        }
        Ok(Ok((parts, false)))
    }
}

/// The part of a key up to the first delimiter after the prefix.
fn common_prefix(key: &str, query: &ListQuery) -> Option<String> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.get(query.prefix.len()..)?;
    let end = query.prefix.len() + rest.find(&query.delimiter)? + query.delimiter.len();
    key.get(..end).map(str::to_owned)
}

fn text(key: &[u8]) -> Result<String, redb::Error> {
    String::from_utf8(key.to_vec()).map_err(|error| redb::Error::Corrupted(error.to_string()))
}
