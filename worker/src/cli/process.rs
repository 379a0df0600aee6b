//! What programs that run the pipeline do first, and how they hear that they shall end.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// A token that Ctrl-C or SIGTERM cancels; the second of them ends the process, with this exit code. Called on a tokio
/// runtime.
///
/// # Errors
/// `Internal` if signals cannot be handled.
pub fn stop_on_signals(code: u8) -> Result<CancellationToken> {
    let cannot = |e| Error::internal("signals cannot be handled").because(e);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(code.into());
            }
            token.cancel();
        }
    });
    Ok(stop)
}

/// Keeps glibc from giving every thread a heap of its own: batches come and go with their threads, and what those heaps
/// keep would grow with the length of a video. To be called before any other thread is started.
pub fn few_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only sets a number that later allocations look at.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
