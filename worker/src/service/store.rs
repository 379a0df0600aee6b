//! The pipeline's store over S3.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use clearfleet_common::ErrorCode;
use clearfleet_common::storage::{KeyPrefix, ObjectKey, ObjectReader, PlanKey, Storage, StorageError};
use futures::TryStreamExt;
use tokio::runtime::Handle;

use super::metrics::WorkerMetrics;
use crate::steps::{Created, Meter, ObjectWriter, Stage, Store};
use crate::{Error, Result};

/// What is gathered before it is handed to the runtime: an encoder writes in much smaller pieces.
const PIECE: usize = 256 << 10;

/// The store that workers of the fleet share. Its calls wait for the runtime, so they come from threads of our own.
#[derive(Clone)]
pub(super) struct ObjectStore {
    storage: Storage,
    runtime: Handle,
    metrics: Arc<WorkerMetrics>,
    meter: Option<Arc<dyn Meter>>,
}

impl ObjectStore {
    /// The store behind `storage`, driven by `runtime`. How long large objects take to be written is counted.
    pub(super) fn new(storage: Storage, runtime: Handle, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            storage,
            runtime,
            metrics,
            meter: None,
        }
    }

    /// The same, which tells this meter too how long segments take to be written.
    pub(super) fn metered(&self, meter: Option<Arc<dyn Meter>>) -> Self {
        Self { meter, ..self.clone() }
    }

    /// Starts a large object of this media type.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) fn write_as(&self, key: ObjectKey, content_type: &str) -> Result<Box<dyn ObjectWriter>> {
        self.write_at(&key.to_string(), content_type)
    }

    /// Starts a large object of this media type in a place of an operator's own.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) fn write_at(&self, key: &str, content_type: &str) -> Result<Box<dyn ObjectWriter>> {
        self.begin(key, content_type, None)
    }

    fn begin(&self, key: &str, content_type: &str, batch: Option<u64>) -> Result<Box<dyn ObjectWriter>> {
        let since = Instant::now();
        let started = self.runtime.block_on(self.storage.write_at(key, content_type));
        Ok(Box::new(Writer {
            object: started.map_err(failed)?,
            piece: BytesMut::with_capacity(PIECE),
            runtime: self.runtime.clone(),
            metrics: Arc::clone(&self.metrics),
            meter: self.meter.clone(),
            batch,
            since,
            busy: since.elapsed(),
        }))
    }
}

/// What an error of the store is for a job.
pub(super) fn failed(error: StorageError) -> Error {
    let code = match &error {
        StorageError::Full { .. } => ErrorCode::DiskFull,
        StorageError::Changed { .. } | StorageError::Missing { .. } | StorageError::Invalid { .. } => {
            ErrorCode::Internal
        }
        StorageError::Unavailable { .. } | StorageError::Denied { .. } | StorageError::TooLarge { .. } => {
            ErrorCode::OutputUnwritable
        }
    };
    Error::new(code, "the job's store does not do what was asked").because(error)
}

/// An error of the store as what reads and writes pass on: a full store says so by its kind.
pub(super) fn io_error(error: StorageError) -> io::Error {
    let kind = match &error {
        StorageError::Full { .. } => io::ErrorKind::StorageFull,
        StorageError::Missing { .. } => io::ErrorKind::NotFound,
        StorageError::Denied { .. } => io::ErrorKind::PermissionDenied,
        StorageError::Unavailable { .. } => io::ErrorKind::ConnectionAborted,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl Store for ObjectStore {
    fn put(&self, key: ObjectKey, bytes: &[u8]) -> Result<()> {
        let put = self.storage.put(key, Bytes::copy_from_slice(bytes));
        self.runtime.block_on(put).map(drop).map_err(failed)
    }

    fn create(&self, key: ObjectKey, bytes: &[u8]) -> Result<Created> {
        let create = self.storage.create(key, Bytes::copy_from_slice(bytes));
        match self.runtime.block_on(create).map_err(failed)? {
            Some(_) => Ok(Created::New),
            None => Ok(Created::Existed),
        }
    }

    fn get(&self, key: ObjectKey) -> Result<Option<Vec<u8>>> {
        let got = self.runtime.block_on(self.storage.get(key)).map_err(failed)?;
        Ok(got.map(|stored| stored.body.into()))
    }

    fn write(&self, key: ObjectKey) -> Result<Box<dyn ObjectWriter>> {
        let batch = match key {
            ObjectKey::Segment(_, batch, _) => Some(batch),
            _ => None,
        };
        self.begin(&key.to_string(), key.content_type(), batch)
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>> {
        let object = self.runtime.block_on(self.storage.read(key, None, None));
        Ok(Box::new(Reader {
            object: object.map_err(failed)?,
            piece: Bytes::new(),
            runtime: self.runtime.clone(),
        }))
    }

    fn delete(&self, key: ObjectKey) -> Result<()> {
        let deleted = self.runtime.block_on(self.storage.delete(&key.to_string()));
        deleted.map_err(failed)
    }

    fn finished(&self, plan: PlanKey) -> Result<Vec<u64>> {
        let marked = self.storage.list(KeyPrefix::Markers(plan));
        let batches = marked.try_filter_map(|listed| async move { Ok(ObjectKey::marked_batch(&listed.key)) });
        // Keys come in order, and numbers of up to eight digits do too.
        let mut batches: Vec<u64> = self.runtime.block_on(batches.try_collect()).map_err(failed)?;
        batches.sort_unstable();
        Ok(batches)
    }
}

struct Writer {
    object: clearfleet_common::storage::ObjectWriter,
    piece: BytesMut,
    runtime: Handle,
    metrics: Arc<WorkerMetrics>,
    meter: Option<Arc<dyn Meter>>,
    /// The batch whose segment it is.
    batch: Option<u64>,
    since: Instant,
    /// How long whoever writes has waited for the store.
    busy: Duration,
}

impl Writer {
    fn hand_on(&mut self) -> Result<(), StorageError> {
        let since = Instant::now();
        let piece = self.piece.split().freeze();
        let written = self.runtime.block_on(self.object.write(piece));
        self.busy += since.elapsed();
        written
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.hand_on().map_err(io_error)?;
        }
        Ok(taken)
    }

    /// What is written is seen only when it is finished, so there is nothing that a flush could bring forward.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ObjectWriter for Writer {
    fn finish(mut self: Box<Self>) -> Result<(u64, String)> {
        self.hand_on().map_err(failed)?;
        let finishing = Instant::now();
        let Self {
            object,
            runtime,
            metrics,
            meter,
            batch,
            since,
            busy,
            ..
        } = *self;
        let written = runtime.block_on(object.finish()).map_err(failed)?;
        let busy = busy + finishing.elapsed();
        metrics.once(Stage::Upload, busy);
        if let Some(meter) = &meter {
            meter.worked(batch, Stage::Upload, since, busy);
        }
        Ok((written.bytes, written.sha256))
    }
}

struct Reader {
    object: ObjectReader,
    piece: Bytes,
    runtime: Handle,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.piece.has_remaining() {
            match self.runtime.block_on(self.object.try_next())? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
