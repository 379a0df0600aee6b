//! Ctrl-C and SIGTERM: asks the work to stop, and ends the process itself where the work does not hear soon enough.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clearfleet_common::{ErrorCode, Stop};
use clearfleet_worker::Error;

use super::exit::exit_code;

/// How long the work has to stop by itself; a tile of the network takes longer than a person waits.
const GRACE: Duration = Duration::from_millis(400);

/// What is left behind if the process ends now.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    stop: Stop,
    leftover: Arc<Mutex<Option<Leftover>>>,
}

#[derive(Debug)]
struct Leftover {
    folder: PathBuf,
    keep: bool,
}

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    /// `Internal` if the process has a handler already.
    pub(super) fn listen() -> Result<Self, Error> {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        ctrlc::set_handler(move || handler.fire())
            .map_err(|e| Error::new(ErrorCode::Internal, "signals cannot be handled").because(e))?;
        Ok(interrupt)
    }

    /// What the work looks at.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Says that work goes on in `folder`, and whether it is kept for `--resume` if the process ends.
    pub(super) fn working_in(&self, folder: &Path, keep: bool) {
        self.set(Some(Leftover {
            folder: folder.to_owned(),
            keep,
        }));
    }

    /// Says that nothing is left behind any more.
    pub(super) fn tidy(&self) {
        self.set(None);
    }

    fn set(&self, leftover: Option<Leftover>) {
        *self.leftover.lock().unwrap_or_else(PoisonError::into_inner) = leftover;
    }

    fn fire(&self) {
        if self.stop.is_stopped() {
            return;
        }
        self.stop.stop();
        // Ends with the process if that is sooner.
        std::thread::sleep(GRACE);
        let leftover = self.leftover.lock().unwrap_or_else(PoisonError::into_inner).take();
        match leftover {
            Some(Leftover { folder, keep: true }) => {
                eprintln!(
                    "stopped; finished batches are kept in {}, and --resume goes on",
                    folder.display()
                );
            }
            Some(Leftover { folder, keep: false }) => {
                // Nothing better can be done about a failure at this point than to say so.
                if let Err(e) = std::fs::remove_dir_all(&folder) {
                    eprintln!("stopped; {} is left behind: {e}", folder.display());
                }
            }
            None => {}
        }
        std::process::exit(exit_code(ErrorCode::Stopped).into());
    }
}
