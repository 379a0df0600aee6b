//! The order itself, on a clock that is handed in.

use std::collections::VecDeque;
use std::time::Duration;

use clearfleet_common::job::{Lane, OwnerId};

/// The time over which shares are counted, to the second.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// What interactive work may have while bulk waits before shares are looked at: a photo now and then never waits.
pub(super) const BURST: Duration = Duration::from_secs(6);
/// How many times bulk's time interactive work may have: 80% to 20%.
pub(super) const TIMES: u32 = 4;

/// One wait for the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Who waits, who has the engine, and who had it over the last minute while the other lane waited.
#[derive(Debug, Default)]
pub(super) struct Order {
    tickets: u64,
    /// Owners in turn; none without a ticket.
    interactive: VecDeque<(OwnerId, VecDeque<Ticket>)>,
    bulk: VecDeque<Ticket>,
    running: Option<Running>,
    /// The last minute's seconds in which a lane had the engine while the other waited, oldest first.
    spent: VecDeque<Spent>,
}

#[derive(Debug)]
struct Running {
    ticket: Ticket,
    lane: Lane,
    since: Duration,
    /// Whether the other lane waited when it began.
    contended: bool,
}

/// One second on the clock, and what each lane had of it.
#[derive(Debug)]
struct Spent {
    second: u64,
    interactive: Duration,
    bulk: Duration,
}

impl Order {
    /// Starts to wait.
    pub(super) fn join(&mut self, lane: Lane, owner: OwnerId) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        match lane {
            Lane::Bulk => self.bulk.push_back(ticket),
            Lane::Interactive => match self.interactive.iter_mut().find(|(who, _)| *who == owner) {
                Some((_, waiting)) => waiting.push_back(ticket),
                None => self.interactive.push_back((owner, VecDeque::from([ticket]))),
            },
        }
        ticket
    }

    /// Waits no more.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.bulk.retain(|t| *t != ticket);
        for (_, waiting) in &mut self.interactive {
            waiting.retain(|t| *t != ticket);
        }
        self.interactive.retain(|(_, waiting)| !waiting.is_empty());
    }

    /// Whose turn it is; where the engine is free, a turn begins for whoever waits and is next.
    pub(super) fn grant(&mut self, now: Duration) -> Option<Ticket> {
        if self.running.is_none() {
            let lane = if !self.interactive.is_empty() && self.interactive_may(now) {
                Lane::Interactive
            } else {
                Lane::Bulk
            };
            let contended = match lane {
                Lane::Interactive => !self.bulk.is_empty(),
                Lane::Bulk => !self.interactive.is_empty(),
            };
            let ticket = self.next(lane)?;
            self.running = Some(Running {
                ticket,
                lane,
                since: now,
                contended,
            });
        }
        self.running.as_ref().map(|running| running.ticket)
    }

    /// The turn with this ticket is over; one that never began, or ended, changes nothing.
    pub(super) fn end(&mut self, ticket: Ticket, now: Duration) {
        let Some(ended) = self.running.take_if(|running| running.ticket == ticket) else {
            return;
        };
        let contended = match ended.lane {
            // Films that came meanwhile waited too; an interactive task that came meanwhile waited for one frame, which is
            // nothing that bulk was owed.
            Lane::Interactive => ended.contended || !self.bulk.is_empty(),
            Lane::Bulk => ended.contended,
        };
        if contended {
            self.spend(ended.lane, ended.since, now);
        }
    }

    /// Counts a turn in the seconds over which it went.
    fn spend(&mut self, lane: Lane, since: Duration, until: Duration) {
        let mut from = since.max(until.saturating_sub(WINDOW));
        while from < until {
            let second = from.as_secs();
            let end = until.min(Duration::from_secs(second + 1));
            if self.spent.back().is_none_or(|last| last.second < second) {
                self.spent.push_back(Spent {
                    second,
                    interactive: Duration::ZERO,
                    bulk: Duration::ZERO,
                });
            }
            if let Some(last) = self.spent.back_mut() {
                *last.of(lane) += end - from;
            }
            from = end;
        }
        while self
            .spent
            .front()
            .is_some_and(|spent| spent.second < first_counted(until))
        {
            self.spent.pop_front();
        }
    }

    /// Whether the running turn should end at its next tile, since others come first.
    pub(super) fn must_yield(&self, now: Duration) -> bool {
        match self.running.as_ref().map(|running| running.lane) {
            Some(Lane::Bulk) => !self.interactive.is_empty() && self.interactive_may(now),
            Some(Lane::Interactive) => !self.interactive_may(now),
            None => false,
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.bulk.len() + self.interactive.iter().map(|(_, waiting)| waiting.len()).sum::<usize>()
    }

    fn next(&mut self, lane: Lane) -> Option<Ticket> {
        if lane == Lane::Bulk {
            return self.bulk.pop_front();
        }
        let (owner, mut waiting) = self.interactive.pop_front()?;
        let ticket = waiting.pop_front();
        if !waiting.is_empty() {
            self.interactive.push_back((owner, waiting));
        }
        ticket
    }

    /// Whether interactive work may begin: always where no film waits; else as long as it has its share at most.
    fn interactive_may(&self, now: Duration) -> bool {
        if self.bulk.is_empty() {
            return true;
        }
        let interactive = self.had(Lane::Interactive, now);
        interactive < BURST || interactive <= self.had(Lane::Bulk, now) * TIMES
    }

    /// Time that a lane had within the last minute while the other waited, the running turn included.
    fn had(&self, lane: Lane, now: Duration) -> Duration {
        let first = first_counted(now);
        let counted = self.spent.iter().filter(|spent| spent.second >= first);
        let spent = counted.map(|spent| match lane {
            Lane::Interactive => spent.interactive,
            Lane::Bulk => spent.bulk,
        });
        let running = self.running.as_ref().filter(|running| {
            // It waits for an interactive turn that runs, or it would not be asked.
            running.lane == lane && (running.contended || lane == Lane::Interactive)
        });
        spent.sum::<Duration>() + running.map_or(Duration::ZERO, |r| now.saturating_sub(r.since).min(WINDOW))
    }
}

impl Spent {
    fn of(&mut self, lane: Lane) -> &mut Duration {
        match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

/// The first second on the clock that counts.
fn first_counted(now: Duration) -> u64 {
    (now.as_secs() + 1).saturating_sub(WINDOW.as_secs())
}
