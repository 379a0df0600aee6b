//! The thread that starts every child.
//!
//! A child asks to be killed with its parent (`PR_SET_PDEATHSIG`), and the kernel means the parent's thread. So one
//! thread that lives as long as the process is the parent of all.

use std::io;
use std::process::Child;
use std::sync::{LazyLock, mpsc};
use std::thread;

use ffmpeg_sidecar::command::FfmpegCommand;

struct Order {
    command: FfmpegCommand,
    reply: mpsc::Sender<io::Result<Child>>,
}

static LAUNCHER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel::<Order>();
    let launcher = thread::Builder::new().name("launcher".to_owned()).spawn(move || {
        for mut order in inbox {
            // A waiter that went away drops its child; nobody does, `spawn` below waits.
            let _ = order.reply.send(order.command.as_inner_mut().spawn());
        }
    });
    if let Err(error) = launcher {
        tracing::error!(%error, "the thread that starts ffmpeg cannot be started");
    }
    orders
});

/// Starts the command on the launcher thread.
pub(super) fn spawn(command: FfmpegCommand) -> io::Result<Child> {
    let (reply, answer) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts ffmpeg is gone");
    LAUNCHER.send(Order { command, reply }).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}
