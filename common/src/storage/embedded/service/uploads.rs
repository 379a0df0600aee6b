use s3s::dto::{
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Part, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Result, s3_error};
use uuid::Uuid;

use super::list::limit;
use super::receive::check_key;
use super::{Service, condition, described, etag, timestamp};
use crate::storage::embedded::index::{Index, Part as StoredPart, PartClaim, Refusal, Upload, UploadQuery, now};

/// The highest number of a part, as S3 says.
const MOST_PARTS: u32 = 10_000;

/// The upload that an id names.
pub(super) fn parse(id: &str) -> S3Result<Uuid> {
    Uuid::try_parse(id).map_err(|_| Refusal::NoSuchUpload.into())
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=MOST_PARTS).contains(number))
        .ok_or_else(|| s3_error!(InvalidArgument, "parts are numbered from 1 to 10000"))
}

impl Service {
    pub(super) async fn begin_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        check_key(&input.key)?;
        self.blobs.has_room(0)?;
        let id = Uuid::now_v7();
        let upload = Upload {
            begun: now(),
            described: described(input.content_type, input.metadata),
        };
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        self.change(move |change, _| Index::begin_upload(change, (&bucket, &key, id), &upload))
            .await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id.to_string()),
            ..Default::default()
        })
    }

    pub(super) async fn take_part(&self, input: UploadPartInput) -> S3Result<UploadPartOutput> {
        let number = part_number(input.part_number)?;
        let id = parse(&input.upload_id)?;
        // No MD5: it takes longer than the disk.
        let received = self
            .receive(input.body, input.content_length, input.content_md5.as_deref(), false)
            .await?;
        let part = StoredPart {
            bytes: received.bytes,
            etag: received.etag(),
            modified: now(),
            blob: received.blob(),
        };
        let tag = etag(&part.etag);
        self.change(move |change, garbage| {
            received.hand_over();
            Index::put_part(change, (&input.bucket, &input.key, id), number, &part, garbage)
        })
        .await?;
        Ok(UploadPartOutput {
            e_tag: Some(tag),
            ..Default::default()
        })
    }

    pub(super) async fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let id = parse(&input.upload_id)?;
        let claims = claims(&input)?;
        let condition = condition(input.if_match, input.if_none_match);
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let object = self
            .change(move |change, garbage| {
                Index::complete_upload(change, (&bucket, &key, id), &claims, &condition, garbage)
            })
            .await?;
        Ok(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(etag(&object.etag)),
            ..Default::default()
        })
    }

    pub(super) async fn parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let id = parse(&input.upload_id)?;
        let limit = limit(input.max_parts)?;
        let after = u32::try_from(input.part_number_marker.unwrap_or(0)).unwrap_or(0);
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let (parts, more) = self
            .look(move |snapshot| Index::parts(snapshot, (&bucket, &key, id), after, limit))
            .await??;
        let next = parts.last().map(|(number, _)| *number as i32);
        let parts = parts.into_iter().map(|(number, part)| Part {
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(timestamp(part.modified)),
            part_number: Some(number as i32),
            size: Some(part.bytes as i64),
            ..Default::default()
        });
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            parts: Some(parts.collect()),
            part_number_marker: input.part_number_marker,
            max_parts: Some(limit as i32),
            is_truncated: Some(more && next.is_some()),
            next_part_number_marker: next,
            ..Default::default()
        })
    }

    pub(super) async fn uploads(&self, input: ListMultipartUploadsInput) -> S3Result<ListMultipartUploadsOutput> {
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented, "uploads are listed without a delimiter"));
        }
        let limit = limit(input.max_uploads)?;
        let id = input.upload_id_marker.as_deref().filter(|id| !id.is_empty());
        let query = UploadQuery {
            prefix: input.prefix.clone().unwrap_or_default(),
            after: match input.key_marker.clone().filter(|key| !key.is_empty()) {
                Some(key) => Some((key, id.map(parse).transpose()?)),
                None => None,
            },
            limit,
        };
        let bucket = input.bucket.clone();
        let (uploads, more) = self
            .look(move |snapshot| Index::uploads(snapshot, &bucket, &query))
            .await??;
        let next = uploads.last().map(|(key, id, _)| (key.clone(), id.to_string()));
        let (next_key, next_id) = next.filter(|_| more).unzip();
        let uploads = uploads.into_iter().map(|(key, id, upload)| MultipartUpload {
            initiated: Some(timestamp(upload.begun)),
            key: Some(key),
            upload_id: Some(id.to_string()),
            ..Default::default()
        });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            max_uploads: Some(limit as i32),
            is_truncated: Some(next_key.is_some()),
            next_key_marker: next_key,
            next_upload_id_marker: next_id,
            uploads: Some(uploads.collect()),
            ..Default::default()
        })
    }
}

/// The parts that are claimed, in ascending order.
fn claims(input: &CompleteMultipartUploadInput) -> S3Result<Vec<PartClaim>> {
    let parts = input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_ref());
    let parts = parts.filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| s3_error!(MalformedXML, "an object has at least one part"))?;
    let mut claims: Vec<PartClaim> = Vec::with_capacity(parts.len());
    for part in parts {
        let number = part_number(part.part_number.unwrap_or(0))?;
        if claims.last().is_some_and(|before| before.number >= number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let etag = part.e_tag.as_ref().map(|etag| etag.value().to_owned());
        claims.push(PartClaim { number, etag });
    }
    Ok(claims)
}
