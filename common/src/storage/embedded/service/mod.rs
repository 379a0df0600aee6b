//! S3's operations on the store: what clients of this workspace use, and what comes with it.
//!
//! Where the signature of a request covers its body, it is checked, as is Content-MD5; other checksums are not looked at.

mod copy;
mod list;
mod read;
mod receive;
mod uploads;

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{ReadTransaction, WriteTransaction};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::blobs::{Blobs, Garbage};
use super::error::Fault;
use super::folder::Folder;
use super::index::{Condition, Content, Described, Index, Object as Entry, Refusal, now};
use receive::Received;

/// The database, the files, and what may be done with them.
///
/// Each clone lets go of the folder last: so the database is closed before the lock on the folder is given back.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) index: Arc<Index>,
    pub(super) blobs: Arc<Blobs>,
    pub(super) folder: Arc<Folder>,
}

impl Service {
    /// Looks at the database, off the threads that serve connections.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Fault> {
        let service = self.clone();
        tokio::task::spawn_blocking(move || Ok(look(&service.index.snapshot()?)?)).await?
    }

    /// Changes the database.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&WriteTransaction, &mut Vec<Garbage>) -> Result<Result<T, Refusal>, redb::Error>
        + Send
        + 'static,
    ) -> S3Result<T> {
        Ok(self.index.change(change).await??)
    }

    /// Puts what was received at a key.
    async fn put(
        &self,
        place: (String, String),
        received: Received,
        described: Described,
        condition: Condition,
    ) -> S3Result<Entry> {
        let object = Entry {
            bytes: received.bytes,
            etag: received.etag(),
            modified: now(),
            content: Content::Blob(received.blob()),
            described,
        };
        self.change(move |change, garbage| {
            received.hand_over();
            let (bucket, key) = (place.0.as_str(), place.1.as_str());
            let put = Index::put(change, (bucket, key), &object, &condition, garbage)?;
            Ok(put.map(|()| object))
        })
        .await
    }
}

impl From<Refusal> for s3s::S3Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchBucket => s3_error!(NoSuchBucket),
            Refusal::NoSuchKey => s3_error!(NoSuchKey),
            Refusal::NoSuchUpload => s3_error!(NoSuchUpload),
            Refusal::Unmet => s3_error!(PreconditionFailed),
            Refusal::InvalidPart => s3_error!(InvalidPart),
            Refusal::PartTooSmall => s3_error!(EntityTooSmall),
        }
    }
}

/// The condition that the headers `If-Match` and `If-None-Match` are.
fn condition(matches: Option<ETagCondition>, matches_not: Option<ETagCondition>) -> Condition {
    let mut condition = Condition::default();
    match matches {
        Some(ETagCondition::Any) => condition.exists = true,
        Some(ETagCondition::ETag(etag)) => condition.is = Some(etag.into_value()),
        None => {}
    }
    match matches_not {
        Some(ETagCondition::Any) => condition.is_new = true,
        Some(ETagCondition::ETag(etag)) => condition.is_not = Some(etag.into_value()),
        None => {}
    }
    condition
}

fn described(content_type: Option<String>, metadata: Option<Metadata>) -> Described {
    Described {
        content_type,
        metadata: metadata.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// A time as s3s has it.
fn timestamp(millis: i64) -> Timestamp {
    let since = std::time::Duration::from_millis(millis.max(0) as u64);
    Timestamp::from(std::time::UNIX_EPOCH + since)
}

fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = req.input.bucket;
        let location = format!("/{bucket}");
        let made = self
            .change(move |change, _| Index::make_bucket(change, &bucket).map(Ok))
            .await?;
        if !made {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(location),
        }))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.require_bucket(req.input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.require_bucket(req.input.bucket).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        self.all_buckets().await.map(S3Response::new)
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(NotImplemented, "objects are written whole"));
        }
        receive::check_key(&input.key)?;
        let received = self
            .receive(input.body, input.content_length, input.content_md5.as_deref(), true)
            .await?;
        let described = described(input.content_type, input.metadata);
        let condition = condition(input.if_match, input.if_none_match);
        let object = self
            .put((input.bucket, input.key), received, described, condition)
            .await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(etag(&object.etag)),
            ..Default::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(req.input).await.map(S3Response::new)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(req.input).await.map(S3Response::new)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(req.input).await.map(S3Response::new)
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput {
            bucket, key, if_match, ..
        } = req.input;
        let condition = condition(if_match, None);
        self.change(move |change, garbage| Index::delete(change, (&bucket, &key), &condition, garbage))
            .await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let quiet = delete.quiet == Some(true);
        let keys: Vec<String> = delete.objects.into_iter().map(|object| object.key).collect();
        let deleted = keys.clone();
        self.change(move |change, garbage| {
            for key in &keys {
                if let Err(refusal) = Index::delete(change, (&bucket, key), &Condition::default(), garbage)? {
                    return Ok(Err(refusal));
                }
            }
            Ok(Ok(()))
        })
        .await?;
        let deleted = deleted.into_iter().map(|key| DeletedObject {
            key: Some(key),
            ..Default::default()
        });
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then(|| deleted.collect()),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list_page(req.input).await.map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin_upload(req.input).await.map(S3Response::new)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.take_part(req.input).await.map(S3Response::new)
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.parts(req.input).await.map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.uploads(req.input).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(req.input).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput {
            bucket, key, upload_id, ..
        } = req.input;
        let id = uploads::parse(&upload_id)?;
        self.change(move |change, garbage| Index::abort_upload(change, (&bucket, &key, id), garbage))
            .await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
