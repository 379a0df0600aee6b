use std::time::Duration;

use super::{ObjectKey, Storage, StorageError};

impl Storage {
    /// Takes back writes that were begun at least `older_than` ago and never finished, but for uploads that may still go
    /// on; says how many.
    ///
    /// MinIO does not list them for a whole bucket; there it finds none, and MinIO itself removes them after a day.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    pub async fn abort_stale_writes(&self, older_than: Duration) -> Result<u64, StorageError> {
        let mut aborted = 0;
        let mut after: Option<(String, String)> = None;
        loop {
            let (key, id) = after.unzip();
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(&*self.bucket)
                .set_key_marker(key)
                .set_upload_id_marker(id)
                .send()
                .await
                .map_err(|error| StorageError::of("list unfinished writes in", &self.bucket, error))?;
            for upload in page.uploads() {
                let age = upload.initiated().and_then(|begun| begun.to_millis().ok()).map(age_of);
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                    continue;
                };
                if age.is_some_and(|age| age >= older_than) && !self.may_go_on(key, id).await? {
                    self.abort_upload(key, id).await?;
                    aborted += 1;
                }
            }
            after = page.next_key_marker.zip(page.next_upload_id_marker);
            if page.is_truncated != Some(true) || after.is_none() {
                return Ok(aborted);
            }
        }
    }

    /// Whether an unfinished write is that of an upload whose client may come back.
    async fn may_go_on(&self, key: &str, id: &str) -> Result<bool, StorageError> {
        let upload = match ObjectKey::owning_job(key) {
            Some(job) => self.upload(job).await?,
            None => None,
        };
        Ok(upload.is_some_and(|upload| upload.is_made_of(id)))
    }
}

/// How long ago it is since `millis` after the epoch.
fn age_of(millis: i64) -> Duration {
    let age = jiff::Timestamp::now().as_millisecond() - millis;
    Duration::from_millis(age.max(0) as u64)
}
