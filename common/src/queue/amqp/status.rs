//! How the connections are, for Prometheus.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounter, IntGauge};

use super::connection::Role;

/// How a queue's connections to its broker are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Status {
    publishes: Line,
    consumes: Line,
}

/// One connection and those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Line {
    made: u64,
    /// The number of the one that is there.
    up: Option<u64>,
}

impl Status {
    /// Whether all is connected that was ever needed. There is one connection to publish and one to consume, each made when
    /// it is first used: what never published needs none for it. False before the first.
    fn connected(self) -> bool {
        let lines = [self.publishes, self.consumes];
        self.connections() > 0 && lines.iter().all(|line| line.made == 0 || line.up.is_some())
    }

    /// How many connections were made so far.
    fn connections(self) -> u64 {
        self.publishes.made + self.consumes.made
    }

    fn line(&mut self, role: Role) -> &mut Line {
        match role {
            Role::Publish => &mut self.publishes,
            Role::Consume => &mut self.consumes,
        }
    }
}

crate::metrics! {
    /// What Prometheus is told of a process's connections to its broker.
    #[derive(Debug)]
    pub struct BrokerMetrics {
        /// Whether the broker is connected: 1 if it is, 0 if not.
        connected: IntGauge = "clearfleet_broker_connected" [],
        /// Connections to the broker that were made.
        connections: IntCounter = "clearfleet_broker_connections_total" [],
    }
}

/// Where connections report.
#[derive(Debug, Default)]
pub(super) struct Board {
    status: Mutex<Status>,
    metrics: Arc<BrokerMetrics>,
}

impl Board {
    pub(super) fn metrics(&self) -> Arc<BrokerMetrics> {
        Arc::clone(&self.metrics)
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let before = status.connections();
        change(&mut status);
        // While nobody else can change them.
        self.metrics.connected.set(status.connected().into());
        self.metrics.connections.inc_by(status.connections() - before);
    }
}

/// What a connection reports: that it is there, and that it is gone, both once.
#[derive(Debug)]
pub(super) struct Presence {
    board: Arc<Board>,
    role: Role,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Coming,
    There(u64),
    Gone,
}

impl Presence {
    pub(super) fn new(board: Arc<Board>, role: Role) -> Self {
        let state = Mutex::new(State::Coming);
        Self { board, role, state }
    }

    /// It is made; it may be gone already.
    pub(super) fn begins(&self) {
        let mut state = self.lock();
        self.board.change(|status| {
            let line = status.line(self.role);
            line.made += 1;
            if *state == State::Coming {
                line.up = Some(line.made);
                *state = State::There(line.made);
            }
        });
    }

    pub(super) fn ends(&self) {
        let was = std::mem::replace(&mut *self.lock(), State::Gone);
        if let State::There(number) = was {
            self.board.change(|status| {
                let line = status.line(self.role);
                // The next may be there already.
                line.up = line.up.filter(|up| *up != number);
            });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{self, Families};

    #[test]
    fn what_is_told_is_what_is_there() {
        let board = Arc::new(Board::default());
        let told = || {
            let metrics = board.metrics();
            (metrics.connected.get() == 1, metrics.connections.get())
        };
        let new = |role| Presence::new(Arc::clone(&board), role);
        assert_eq!(told(), (false, 0));
        let first = new(Role::Consume);
        first.begins();
        assert_eq!(told(), (true, 1));
        let publishes = new(Role::Publish);
        assert_eq!(told(), (true, 1));
        publishes.begins();
        assert_eq!(told(), (true, 2));
        first.ends();
        first.ends();
        assert_eq!(told(), (false, 2));
        // One that ends before it is made was made all the same.
        let stillborn = new(Role::Consume);
        stillborn.ends();
        stillborn.begins();
        assert_eq!(told(), (false, 3));
        let second = new(Role::Consume);
        second.begins();
        assert_eq!(told(), (true, 4));
        // The end of one is heard after the next was made.
        let third = new(Role::Consume);
        third.begins();
        second.ends();
        assert_eq!(told(), (true, 5));
        publishes.ends();
        assert_eq!(told(), (false, 5));
        let text = telemetry::text([&*board.metrics() as &dyn Families]).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("\nclearfleet_broker_connected 0\n"), "{text}");
        assert!(text.contains("\nclearfleet_broker_connections_total 5\n"), "{text}");
    }
}
