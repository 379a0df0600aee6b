use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, MetadataDirective};
use s3s::{S3Result, s3_error};
use uuid::Uuid;

use super::receive::check_key;
use super::{Service, condition, described, etag, timestamp};
use crate::storage::embedded::blobs::{BlobId, Garbage};
use crate::storage::embedded::error::Fault;
use crate::storage::embedded::index::{Condition, Content, Described, Index, Object as Entry, now};

/// What a copy is made of: the original's files under names of their own, so that nothing is copied.
struct Copied {
    object: Entry,
    /// Of a content of several: each blob and its length.
    extents: Vec<(BlobId, u64)>,
}

impl Service {
    pub(super) async fn copy(&self, input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "copies are made of objects in buckets"));
        };
        check_key(&input.key)?;
        let wanted = condition(input.copy_source_if_match, input.copy_source_if_none_match);
        let replaces = input.metadata_directive.as_ref().map(MetadataDirective::as_str);
        let described =
            (replaces == Some(MetadataDirective::REPLACE)).then(|| described(input.content_type, input.metadata));
        let (bucket, key, service) = (bucket.clone(), key.clone(), self.clone());
        let copied = tokio::task::spawn_blocking(move || service.link(&bucket, &key, &wanted, described));
        let copied = copied.await.map_err(Fault::from)??;
        let condition = Condition::default();
        let object = self
            .change(move |change, garbage| {
                Index::add_extents(change, copied.object.content, &copied.extents)?;
                let place = (input.bucket.as_str(), input.key.as_str());
                let put = Index::put(change, place, &copied.object, &condition, garbage)?;
                Ok(put.map(|()| copied.object))
            })
            .await?;
        Ok(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(etag(&object.etag)),
                last_modified: Some(timestamp(object.modified)),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    /// Links all files of an object.
    fn link(&self, bucket: &str, key: &str, wanted: &Condition, described: Option<Described>) -> S3Result<Copied> {
        let (original, extents, _pin) = self.open_whole(bucket, key, wanted)?;
        let mut links = Vec::with_capacity(extents.len());
        for extent in extents {
            match self.blobs.link(extent.blob) {
                Ok(link) => links.push((link, extent.range.end - extent.range.start)),
                Err(fault) => {
                    let made = links.iter().map(|(link, _)| Garbage::single(*link)).collect();
                    self.blobs.discard(made);
                    return Err(fault.into());
                }
            }
        }
        let content = match (original.content, links.as_slice()) {
            (Content::Blob(_), [(link, _)]) => Content::Blob(*link),
            _ => Content::Extents(Uuid::now_v7()),
        };
        Ok(Copied {
            object: Entry {
                modified: now(),
                content,
                described: described.unwrap_or(original.described),
                ..original
            },
            extents: if matches!(content, Content::Blob(_)) {
                Vec::new()
            } else {
                links
            },
        })
    }
}
