use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3s::{S3Error, S3ErrorCode};

/// Why a data folder cannot be used, saved or restored.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Another process has it open.
    #[error("the data folder {} is in use by another process", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A newer build wrote it.
    #[error("the data folder {} is of version {found}, and this build knows up to {known}", folder.display())]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that this build reads.
        known: u64,
    },
    /// What is to be written exists.
    #[error("{} is not empty", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// It holds something else, or only a part.
    #[error("{} is not a data folder: {why}", folder.display())]
    NotADataFolder {
        /// The folder.
        folder: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was to be done.
        doing: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database of keys cannot be read or written.
    #[error("the database of the data folder {} cannot be used", folder.display())]
    Database {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: Box<redb::Error>,
    },
}

impl EmbeddedError {
    /// Makes the error of something that was to be done with a file.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// Makes the error of a folder's database.
    pub(super) fn database<E: Into<redb::Error>>(folder: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Database {
            folder: folder.to_owned(),
            source: Box::new(source.into()),
        }
    }
}

/// Why a request was not carried out, though nothing was wrong with it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("a file cannot be used")]
    File(#[source] Arc<io::Error>),
    #[error("the database cannot be used")]
    Database(#[source] Arc<redb::Error>),
    #[error("less than {reserve} bytes would be left on the disk")]
    LowSpace { reserve: u64 },
    #[error("the store is being closed")]
    Closed,
}

impl Fault {
    /// Whether the disk or a quota is full.
    fn is_full(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        match self {
            Self::File(error) => full(error),
            Self::Database(error) => matches!(&**error, redb::Error::Io(error) if full(error)),
            Self::LowSpace { .. } => true,
            Self::Closed => false,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(Arc::new(error))
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<tokio::task::JoinError> for Fault {
    fn from(error: tokio::task::JoinError) -> Self {
        io::Error::other(error).into()
    }
}

impl From<Fault> for S3Error {
    fn from(fault: Fault) -> Self {
        if fault.is_full() {
            let mut error = S3Error::with_message(S3ErrorCode::Custom("InsufficientStorage".into()), fault.to_string());
            error.set_status_code(hyper::StatusCode::INSUFFICIENT_STORAGE);
            return error;
        }
        match fault {
            Fault::Closed => S3Error::with_message(S3ErrorCode::ServiceUnavailable, fault.to_string()),
            fault => S3Error::internal_error(fault),
        }
    }
}
