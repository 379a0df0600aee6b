//! Telling everybody that this worker lives, and what it holds.

use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{Announcement, Event};

use super::core::{Core, Phase};

/// How often a worker tells at least that it is there.
const EVERY: Duration = Duration::from_secs(5);
/// How long after one announcement the next comes at the earliest: what changes meanwhile is told together.
const PAUSE: Duration = Duration::from_millis(100);

/// Announces the worker every 5 s and soon after what it holds has changed, until it ends; then once more, holding nothing.
pub(super) async fn announce(core: Arc<Core>) {
    let mut holdings = core.holdings.subscribe();
    let mut phase = core.phase.subscribe();
    let mut told = true;
    loop {
        let ended = *phase.borrow_and_update() == Phase::Ended;
        holdings.mark_unchanged();
        let emitted = core.emit(&Event::Announced(core.announcement())).await;
        match (&emitted, told) {
            (Err(error), true) => tracing::warn!(%error, "nobody hears that this worker is there"),
            (Ok(()), false) => tracing::info!("this worker is heard again"),
            _ => {}
        }
        told = emitted.is_ok();
        if ended {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = phase.changed() => continue,
        }
        tokio::select! {
            // Both senders are the worker's own.
            _ = holdings.changed() => {}
            _ = phase.changed() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

impl Core {
    fn announcement(&self) -> Announcement {
        self.metrics.holds(self.holdings.all().len());
        self.metrics.runs_at(self.engine.pixels_per_second());
        Announcement {
            worker: self.id.clone(),
            class: self.class,
            fingerprint: self.fingerprint.clone(),
            device: self.device.clone(),
            pixels_per_second: self.engine.pixels_per_second(),
            holds: self.holdings.all().iter().map(|held| held.task.clone()).collect(),
            draining: !self.is_open(),
            serves: self.serves,
            audits: true,
            distrusted: *self.phase.borrow() == Phase::Distrusted,
        }
    }

    /// Tells everybody who listens.
    pub(super) async fn emit(&self, event: &Event) -> Result<(), crate::Error> {
        let body =
            serde_json::to_vec(event).map_err(|e| crate::Error::internal("an event cannot be written").because(e))?;
        let emitted = self.queue.emit(event.topic(), body.into()).await;
        emitted.map_err(|e| crate::Error::internal("an event cannot be sent").because(e))
    }
}
