//! Who has the engine next: interactive work before films, at every frame and between tiles.

mod order;
#[cfg(test)]
mod tests;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clearfleet_common::Stop;
use clearfleet_common::job::{Lane, OwnerId};

use order::{Order, Ticket};

/// How often a waiting thread looks at its stop where nobody wakes it: turns end far more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One engine's turns. Threads wait here; each is woken when a turn ends.
///
/// Interactive work goes first, its owners in turn. While bulk waits, interactive work has at most 80% of the engine's time
/// over a sliding minute.
#[derive(Debug)]
pub(super) struct Turns {
    order: Mutex<Order>,
    changed: Condvar,
    since: Instant,
}

/// The engine, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    lane: Lane,
    owner: OwnerId,
    ticket: Ticket,
}

impl Turns {
    /// Turns of an engine that nobody uses yet.
    pub(super) fn new() -> Self {
        Self {
            order: Mutex::default(),
            changed: Condvar::new(),
            since: Instant::now(),
        }
    }

    /// Waits for a turn; nothing if `stop` is set first.
    pub(super) fn take(&self, lane: Lane, owner: OwnerId, stop: &Stop) -> Option<Turn<'_>> {
        let ticket = self.lock().join(lane, owner);
        self.wait_for(ticket, stop).then_some(Turn {
            turns: self,
            lane,
            owner,
            ticket,
        })
    }

    /// Makes waiting threads look at their stops.
    pub(super) fn wake(&self) {
        // Under the lock: a thread that looked just before is waiting by then.
        let _order = self.lock();
        self.changed.notify_all();
    }

    fn wait_for(&self, ticket: Ticket, stop: &Stop) -> bool {
        let mut order = self.lock();
        loop {
            if order.grant(self.now()) == Some(ticket) {
                return true;
            }
            if stop.is_stopped() {
                order.leave(ticket);
                return false;
            }
            let waited = self.changed.wait_timeout(order, LOOK_EVERY);
            (order, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, ticket: Ticket) {
        self.lock().end(ticket, self.now());
        self.changed.notify_all();
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Between two tiles: lets others go first where it is their turn, and waits for the next one. False if `stop` was set
    /// meanwhile; the turn is over then.
    pub(super) fn pause(&mut self, stop: &Stop) -> bool {
        let ticket = {
            let mut order = self.turns.lock();
            if !order.must_yield(self.turns.now()) {
                return true;
            }
            order.end(self.ticket, self.turns.now());
            order.join(self.lane, self.owner)
        };
        self.turns.changed.notify_all();
        self.ticket = ticket;
        self.turns.wait_for(ticket, stop)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.end(self.ticket);
    }
}
