use std::collections::VecDeque;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{Delete, Object, ObjectIdentifier};
use futures::stream::{Stream, TryStreamExt};

use super::client::{invalid, length, timestamp, version};
use super::{KeyPrefix, Listed, Storage, StorageError};

/// Where a list is.
#[derive(Default)]
struct Place {
    /// Of the page that was read.
    objects: VecDeque<Object>,
    /// What the store takes for the next page.
    next: Option<String>,
    /// Whether there is none.
    last: bool,
}

impl Storage {
    /// All objects whose keys begin so, in the order of their keys; read page by page, as they are asked for.
    ///
    /// Objects that are written or deleted meanwhile may be among them or not. An error ends the list.
    pub fn list(&self, prefix: KeyPrefix) -> impl Stream<Item = Result<Listed, StorageError>> + Send + '_ {
        self.list_keys(prefix.to_string())
    }

    /// As [`list`](Self::list), of the keys that begin with any text.
    pub fn list_keys(&self, prefix: String) -> impl Stream<Item = Result<Listed, StorageError>> + Send + '_ {
        futures::stream::try_unfold((prefix, Place::default()), move |(prefix, mut place)| async move {
            while place.objects.is_empty() && !place.last {
                let page = self.page(&prefix, place.next.take()).await?;
                place.last = page.is_truncated != Some(true) || page.next_continuation_token.is_none();
                place.next = page.next_continuation_token;
                place.objects = page.contents.unwrap_or_default().into();
            }
            match place.objects.pop_front() {
                Some(object) => Ok(Some((listed(object)?, (prefix, place)))),
                None => Ok(None),
            }
        })
    }

    /// Deletes all objects whose keys begin so; says how many.
    ///
    /// # Errors
    /// If the store does not answer or refuses; some may be deleted then.
    pub async fn delete_all(&self, prefix: KeyPrefix) -> Result<u64, StorageError> {
        let prefix = prefix.to_string();
        let pages = self.list_keys(prefix.clone()).try_ready_chunks(1000);
        let mut pages = std::pin::pin!(pages);
        let mut deleted = 0;
        loop {
            let page = match pages.try_next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(deleted),
                Err(error) => return Err(error.1),
            };
            deleted += page.len() as u64;
            self.delete_page(&prefix, page).await?;
        }
    }

    async fn page(&self, prefix: &str, token: Option<String>) -> Result<ListObjectsV2Output, StorageError> {
        self.client
            .list_objects_v2()
            .bucket(&*self.bucket)
            .prefix(prefix)
            .set_continuation_token(token)
            .send()
            .await
            .map_err(|error| StorageError::of("list", prefix, error))
    }

    async fn delete_page(&self, prefix: &str, page: Vec<Listed>) -> Result<(), StorageError> {
        let mut delete = Delete::builder().quiet(true);
        for Listed { key, .. } in page {
            let key = ObjectIdentifier::builder().key(&key).build();
            delete = delete.objects(key.map_err(|error| invalid(prefix, error.to_string()))?);
        }
        let delete = delete.build().map_err(|error| invalid(prefix, error.to_string()))?;
        let answer = self
            .client
            .delete_objects()
            .bucket(&*self.bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|error| StorageError::of("delete", prefix, error))?;
        match answer.errors().first() {
            None => Ok(()),
            Some(error) => Err(StorageError::of_one("delete", error.key().unwrap_or(prefix), error)),
        }
    }
}

fn listed(object: Object) -> Result<Listed, StorageError> {
    let key = object.key.unwrap_or_default();
    Ok(Listed {
        version: version(&key, object.e_tag)?,
        bytes: length(&key, object.size)?,
        modified: timestamp(object.last_modified),
        key,
    })
}
