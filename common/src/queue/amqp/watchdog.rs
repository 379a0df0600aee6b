//! Closes a connection that makes no progress.
//!
//! What a consumer holds comes again when its connection is gone. A process that hangs, or a network that swallows
//! everything, keeps it open: heartbeats find that out after 20 to 30 s, and not at all while the library's own thread goes
//! on sending them. So a task on the process's runtime asks the broker something every two seconds; each answer shows that
//! runtime, library, network and broker turn. A thread of its own, which none of them can hold up, cuts the connection when
//! there was no answer for as long as it may take.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use lapin::options::BasicQosOptions;

use super::connection::{Live, within};
use crate::queue::QueueError;

const ASK_EVERY: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Watches a connection until its end.
pub(super) async fn watch(live: &Arc<Live>, limit: Duration) -> Result<(), QueueError> {
    let channel = live.channel().await?;
    let answered = Arc::new(Mutex::new(Instant::now()));
    let look = {
        let (live, answered) = (Arc::downgrade(live), Arc::clone(&answered));
        move || guard(&live, &answered, limit)
    };
    let thread = thread::Builder::new().name("amqp-watchdog".to_owned());
    thread
        .spawn(look)
        .map_err(|e| QueueError::Unavailable(format!("no thread for the watchdog: {e}")))?;
    let live = Arc::downgrade(live);
    tokio::spawn(async move {
        while live.upgrade().is_some_and(|live| live.is_up()) {
            // It changes nothing: no one consumes on this channel.
            let asked = within(limit, "asking", channel.basic_qos(1, BasicQosOptions::default())).await;
            if asked.is_err() {
                // Cut now, or by the thread.
                return;
            }
            *answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            tokio::time::sleep(ASK_EVERY).await;
        }
    });
    Ok(())
}

/// The thread.
fn guard(live: &Weak<Live>, answered: &Mutex<Instant>, limit: Duration) {
    loop {
        thread::sleep(LOOK_EVERY);
        let Some(live) = live.upgrade().filter(|live| live.is_up()) else {
            return;
        };
        let silent = answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if silent > limit {
            tracing::error!(
                silent_seconds = silent.as_secs(),
                "a connection to the broker makes no progress and is closed: others get what it holds"
            );
            live.cut();
            return;
        }
    }
}
