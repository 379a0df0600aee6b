use std::collections::HashSet;

use redb::{ReadableTable, WriteTransaction};
use uuid::Uuid;

use super::entry::{Content, Object, PARTS, Part, UPLOADS, Upload, decode, encode, now};
use super::objects::{Condition, Refusal, has_bucket};
use crate::storage::embedded::blobs::{BlobId, Garbage};

/// The least that a part before the last may have, as S3 says: 5 MiB.
const LEAST_PART: u64 = 5 << 20;

/// A part as whoever completes an upload names it.
#[derive(Clone, Debug)]
pub(in crate::storage::embedded) struct PartClaim {
    pub(in crate::storage::embedded) number: u32,
    /// Without quotes; nothing for whatever was sent.
    pub(in crate::storage::embedded) etag: Option<String>,
}

impl super::Index {
    /// Begins an upload.
    pub(in crate::storage::embedded) fn begin_upload(
        change: &WriteTransaction,
        (bucket, key, id): (&str, &str, Uuid),
        upload: &Upload,
    ) -> Result<Result<(), Refusal>, redb::Error> {
        if !has_bucket(change, bucket)? {
            return Ok(Err(Refusal::NoSuchBucket));
        }
        let encoded = encode(upload)?;
        let mut uploads = change.open_table(UPLOADS)?;
        uploads.insert((bucket, key.as_bytes(), id.as_u128()), encoded.as_slice())?;
        Ok(Ok(()))
    }

    /// Adds a part to an upload or replaces it; where there is no such upload, its content is garbage.
    pub(in crate::storage::embedded) fn put_part(
        change: &WriteTransaction,
        (bucket, key, id): (&str, &str, Uuid),
        number: u32,
        part: &Part,
        garbage: &mut Vec<Garbage>,
    ) -> Result<Result<(), Refusal>, redb::Error> {
        let uploads = change.open_table(UPLOADS)?;
        if uploads.get((bucket, key.as_bytes(), id.as_u128()))?.is_none() {
            garbage.push(Garbage::single(part.blob));
            return Ok(Err(Refusal::NoSuchUpload));
        }
        let encoded = encode(part)?;
        let mut parts = change.open_table(PARTS)?;
        let replaced = parts.insert((id.as_u128(), number), encoded.as_slice())?;
        if let Some(replaced) = replaced {
            garbage.push(Garbage::single(decode::<Part>(replaced.value())?.blob));
        }
        Ok(Ok(()))
    }

    /// Puts the object that the claimed parts are together in place of whatever is there, if it may be.
    ///
    /// Nothing is copied: the parts become the object's extents. A refused upload stays as it is.
    pub(in crate::storage::embedded) fn complete_upload(
        change: &WriteTransaction,
        (bucket, key, id): (&str, &str, Uuid),
        claims: &[PartClaim],
        condition: &Condition,
        garbage: &mut Vec<Garbage>,
    ) -> Result<Result<Object, Refusal>, redb::Error> {
        let upload: Upload = {
            let uploads = change.open_table(UPLOADS)?;
            let Some(upload) = uploads.get((bucket, key.as_bytes(), id.as_u128()))? else {
                return Ok(Err(Refusal::NoSuchUpload));
            };
            decode(upload.value())?
        };
        let parts = match claimed(change, id, claims)? {
            Ok(parts) => parts,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = Self::allowed(change, (bucket, key), condition)? {
            return Ok(Err(refusal));
        }
        let content = Uuid::now_v7();
        let filled = parts.iter().filter(|part| part.bytes > 0);
        let extents: Vec<(BlobId, u64)> = filled.map(|part| (part.blob, part.bytes)).collect();
        Self::add_extents(change, Content::Extents(content), &extents)?;
        let object = Object {
            bytes: extents.iter().map(|(_, bytes)| bytes).sum(),
            etag: format!("{}-{}", content.simple(), parts.len()),
            modified: now(),
            content: Content::Extents(content),
            described: upload.described,
        };
        Self::replace(change, (bucket, key), &object, garbage)?;
        let used: HashSet<BlobId> = extents.into_iter().map(|(blob, _)| blob).collect();
        forget(change, (bucket, key, id), |part| used.contains(&part.blob), garbage)?;
        Ok(Ok(object))
    }

    /// Forgets an upload and removes its parts.
    pub(in crate::storage::embedded) fn abort_upload(
        change: &WriteTransaction,
        upload: (&str, &str, Uuid),
        garbage: &mut Vec<Garbage>,
    ) -> Result<Result<(), Refusal>, redb::Error> {
        let forgotten = forget(change, upload, |_| false, garbage)?;
        Ok(if forgotten { Ok(()) } else { Err(Refusal::NoSuchUpload) })
    }
}

/// The parts that were claimed, if they were sent so.
fn claimed(
    change: &WriteTransaction,
    id: Uuid,
    claims: &[PartClaim],
) -> Result<Result<Vec<Part>, Refusal>, redb::Error> {
    let table = change.open_table(PARTS)?;
    let mut parts: Vec<Part> = Vec::with_capacity(claims.len());
    for claim in claims {
        let Some(part) = table.get((id.as_u128(), claim.number))? else {
            return Ok(Err(Refusal::InvalidPart));
        };
        let part: Part = decode(part.value())?;
        if claim.etag.as_ref().is_some_and(|etag| *etag != part.etag) {
            return Ok(Err(Refusal::InvalidPart));
        }
        if parts.last().is_some_and(|before| before.bytes < LEAST_PART) {
            return Ok(Err(Refusal::PartTooSmall));
        }
        parts.push(part);
    }
    Ok(Ok(parts))
}

/// Forgets an upload; parts that are not `used` are garbage. Says whether there was such an upload.
fn forget(
    change: &WriteTransaction,
    (bucket, key, id): (&str, &str, Uuid),
    used: impl Fn(&Part) -> bool,
    garbage: &mut Vec<Garbage>,
) -> Result<bool, redb::Error> {
    let mut uploads = change.open_table(UPLOADS)?;
    if uploads.remove((bucket, key.as_bytes(), id.as_u128()))?.is_none() {
        return Ok(false);
    }
    let mut parts = change.open_table(PARTS)?;
    let all = (id.as_u128(), 0)..=(id.as_u128(), u32::MAX);
    let mut unreadable = None;
    parts.retain_in(all, |_, part| {
        match decode::<Part>(part) {
            Ok(part) if !used(&part) => garbage.push(Garbage::single(part.blob)),
            Ok(_) => {}
            Err(error) => unreadable = Some(error),
        }
        false
    })?;
    unreadable.map_or(Ok(true), Err)
}
