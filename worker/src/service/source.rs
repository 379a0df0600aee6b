//! A job's source in S3: the version that the job was made with, in ranges, read ahead.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use clearfleet_common::job::{Source, SourceLocation};
use clearfleet_common::storage::{ObjectKey, Storage, StorageError, Version};
use futures::FutureExt;
use futures::TryStreamExt;
use futures::future::{BoxFuture, Shared};
use tokio::runtime::Handle;

use super::metrics::WorkerMetrics;
use crate::media::serve::SourceBytes;
use crate::steps::{Meter, Stage};

/// What is asked for where somebody begins to read: enough for the headers of most files.
const FIRST_BLOCK: u64 = 1 << 20;
/// What a block grows to while it is read in order.
const LARGEST_BLOCK: u64 = 8 << 20;
/// Blocks that are kept: a demuxer reads at two places or three, and a decoder runs beside. 64 MiB at most.
const BLOCKS: usize = 8;

/// Why a source cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The object is another than the job was made with, or gone.
    #[error("the source was replaced or deleted since the job was made")]
    Changed,
    /// The store failed.
    #[error("the store does not give the source's bytes {} to {}", range.start, range.end)]
    Store {
        /// Which bytes.
        range: Range<u64>,
        /// Whether it may work another time.
        transient: bool,
        /// Why.
        #[source]
        cause: Arc<io::Error>,
    },
}

impl SourceError {
    /// Whether the same read may succeed later without anybody changing anything.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Store { transient: true, .. })
    }
}

type Fetched = Result<Bytes, SourceError>;

/// The bytes of one object, each read of the pinned version. Reads wait for the store: they are for threads that may block.
pub struct ObjectSource {
    storage: Storage,
    key: Arc<str>,
    version: Version,
    len: u64,
    runtime: Handle,
    metrics: Option<Arc<WorkerMetrics>>,
    meter: Option<Arc<dyn Meter>>,
    /// The ones used last at the end.
    blocks: Mutex<VecDeque<Block>>,
}

/// Bytes that are here or on their way.
#[derive(Clone)]
struct Block {
    range: Range<u64>,
    fetched: Shared<BoxFuture<'static, Fetched>>,
}

impl ObjectSource {
    /// The source that a record names.
    pub fn new(storage: &Storage, runtime: Handle, source: &Source) -> Self {
        let (storage, key) = match &source.location {
            SourceLocation::Job(job) => (storage.clone(), ObjectKey::Source(*job).to_string()),
            SourceLocation::External { bucket, key } => (storage.in_bucket(bucket), key.clone()),
        };
        Self::of(storage, runtime, &key, source.etag.clone().into(), source.bytes)
    }

    /// Version `version` of an object, `len` bytes long.
    pub fn of(storage: Storage, runtime: Handle, key: &str, version: Version, len: u64) -> Self {
        Self {
            storage,
            key: key.into(),
            version,
            len,
            runtime,
            metrics: None,
            meter: None,
            blocks: Mutex::default(),
        }
    }

    /// The same, whose reads count, and are told of to whom it may concern.
    #[must_use]
    pub(super) fn counted(mut self, metrics: Arc<WorkerMetrics>, meter: Option<Arc<dyn Meter>>) -> Self {
        self.metrics = Some(metrics);
        self.meter = meter;
        self
    }

    /// The block with the byte at `offset`. Where it continues one that is here, it is twice as large.
    fn block(&self, offset: u64) -> Block {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = blocks.iter().position(|block| block.range.contains(&offset)) {
            let found = blocks.remove(at);
            blocks.extend(found.clone());
            if let Some(found) = found {
                return found;
            }
        }
        let before = blocks.iter().find(|block| block.range.end == offset);
        let length = before.map_or(FIRST_BLOCK, |b| (2 * (b.range.end - b.range.start)).min(LARGEST_BLOCK));
        let range = offset..self.len.min(offset + length);
        let block = Block {
            fetched: self.fetch(range.clone()),
            range,
        };
        if blocks.len() == BLOCKS {
            blocks.pop_front();
        }
        blocks.push_back(block.clone());
        block
    }

    /// Starts a read of these bytes, which goes on whoever waits for it.
    fn fetch(&self, range: Range<u64>) -> Shared<BoxFuture<'static, Fetched>> {
        let (storage, key, version) = (self.storage.clone(), Arc::clone(&self.key), self.version.clone());
        let (metrics, meter) = (self.metrics.clone(), self.meter.clone());
        let wanted = range.clone();
        let reading = self.runtime.spawn(async move {
            let since = Instant::now();
            if let Some(metrics) = &metrics {
                metrics.read(wanted.end - wanted.start);
            }
            let fetched = read(storage, key, version, wanted).await;
            if let Some(metrics) = &metrics {
                metrics.once(Stage::Fetch, since.elapsed());
            }
            if let Some(meter) = &meter {
                meter.worked(None, Stage::Fetch, since, since.elapsed());
            }
            fetched
        });
        async move {
            reading.await.unwrap_or_else(|e| {
                Err(SourceError::Store {
                    range,
                    transient: true,
                    cause: Arc::new(io::Error::other(e)),
                })
            })
        }
        .boxed()
        .shared()
    }

    /// Forgets a block that could not be had, so that the next read asks again.
    fn forget(&self, range: &Range<u64>) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.retain(|block| block.range != *range);
    }
}

async fn read(storage: Storage, key: Arc<str>, version: Version, range: Range<u64>) -> Fetched {
    let failed = |transient, cause| SourceError::Store {
        range: range.clone(),
        transient,
        cause: Arc::new(cause),
    };
    let refused = |e: StorageError| match e {
        StorageError::Changed { .. } | StorageError::Missing { .. } => SourceError::Changed,
        e => failed(e.is_transient(), io::Error::other(e)),
    };
    let object = storage.read(&key, Some(range.clone()), Some(&version)).await;
    let mut object = object.map_err(refused)?;
    let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
    // What breaks off midway may come whole another time, unless the version is gone by then.
    let broken = |e: io::Error| match e.get_ref().and_then(|cause| cause.downcast_ref::<StorageError>()) {
        Some(StorageError::Changed { .. } | StorageError::Missing { .. }) => SourceError::Changed,
        _ => failed(true, e),
    };
    while let Some(piece) = object.try_next().await.map_err(broken)? {
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() as u64 != range.end - range.start {
        return Err(failed(true, io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes.freeze())
}

impl SourceBytes for ObjectSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.len || buffer.is_empty() {
            return Ok(0);
        }
        let Block { range, fetched } = self.block(offset);
        let bytes = self.runtime.block_on(fetched).map_err(|error| {
            self.forget(&range);
            io::Error::other(error)
        })?;
        let at = (offset - range.start) as usize;
        let read = buffer.len().min(bytes.len() - at);
        buffer[..read].copy_from_slice(&bytes[at..at + read]);
        Ok(read)
    }
}
