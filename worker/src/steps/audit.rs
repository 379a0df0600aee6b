use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::config::Deadlines;
use clearfleet_common::job::{Audited, Marker, Plan, WorkerId};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use sha2::{Digest, Sha256};
use vdsr::Engine;

use super::store::hex;
use super::upscale::{read_json, upscale};
use super::{Created, FolderStore, JobContext, ObjectWriter, Progress, Store};
use crate::media::hashes::frame_hashes;
use crate::{Error, Result};

/// Computes a finished batch again and compares its frames with those that are stored; nothing is stored. What is made is
/// kept in `scratch` meanwhile.
///
/// # Errors
/// As [`upscale`]; `DecodeFailed` if a segment cannot be decoded.
pub fn audit(job: &JobContext, plan: &Arc<Plan>, engine: &dyn Engine, batch: u64, scratch: &Path) -> Result<Audited> {
    let key = ObjectKey::Marker(job.key, batch);
    let Some(bytes) = job.store.get(key)? else {
        return Ok(Audited::Gone);
    };
    let stored: Marker = read_json(&bytes, "marker")?;
    if stored.worker == job.worker {
        return Ok(Audited::Own);
    }
    let folder = tempfile::Builder::new().prefix("audit-").tempdir_in(scratch);
    let folder = folder.map_err(|e| Error::write("a batch that is computed again", e))?;
    let overlay = Arc::new(Overlay {
        below: Arc::clone(&job.store),
        above: FolderStore::open(folder.path().to_owned())?,
        hidden: key,
    });
    let again = JobContext {
        store: Arc::clone(&overlay) as Arc<dyn Store>,
        ..job.clone()
    };
    let progress: Arc<dyn Progress> = Arc::new(());
    upscale(&again, plan, engine, &mut std::iter::once(batch), &progress)?;
    let missing = || Error::internal(format!("batch {batch} was computed again without a marker"));
    let found: Marker = read_json(&overlay.get(key)?.ok_or_else(missing)?, "marker")?;
    if found.sha256 == stored.sha256 {
        return Ok(Audited::Equal);
    }
    let hashes = |segment| frame_hashes(plan, segment, &job.stop, deadline(plan));
    let (ours, theirs) = (
        hashes(overlay.above.read(&found.segment)?)?,
        hashes(job.store.read(&stored.segment)?)?,
    );
    if ours == theirs {
        return Ok(Audited::Equal);
    }
    let first = ours.iter().zip(&theirs).position(|(one, other)| one != other);
    tracing::error!(
        job = %job.key.job, plan = job.key.plan, batch, made_by = stored.worker, first_frame = ?first,
        "batch {batch} of job {} has other frames than this worker makes of it", job.key.job
    );
    Ok(Audited::Different {
        made_by: WorkerId::new(stored.worker),
        stored: digest(&theirs),
        found: digest(&ours),
    })
}

/// How long decoding a segment may take.
fn deadline(plan: &Plan) -> Duration {
    Deadlines::batch(plan.batch_seconds)
}

fn digest(hashes: &[String]) -> String {
    hex(&Sha256::digest(hashes.join("\n")))
}

/// A job's store in which one batch is not done; what is written goes to a folder and is seen from here alone.
struct Overlay {
    below: Arc<dyn Store>,
    above: FolderStore,
    /// The batch's marker.
    hidden: ObjectKey,
}

impl Store for Overlay {
    fn put(&self, key: ObjectKey, bytes: &[u8]) -> Result<()> {
        self.above.put(key, bytes)
    }

    fn create(&self, key: ObjectKey, bytes: &[u8]) -> Result<Created> {
        self.above.create(key, bytes)
    }

    fn get(&self, key: ObjectKey) -> Result<Option<Vec<u8>>> {
        match self.above.get(key)? {
            None if key != self.hidden => self.below.get(key),
            found => Ok(found),
        }
    }

    fn write(&self, key: ObjectKey) -> Result<Box<dyn ObjectWriter>> {
        self.above.write(key)
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>> {
        self.above.read(key)
    }

    fn delete(&self, key: ObjectKey) -> Result<()> {
        self.above.delete(key)
    }

    fn finished(&self, plan: PlanKey) -> Result<Vec<u64>> {
        self.above.finished(plan)
    }
}
