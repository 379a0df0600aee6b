use std::collections::BTreeMap;

use crate::job::{JobId, OwnerId, Priority};

/// Who has its turn next: owners one after the other, within an owner the most urgent jobs one after the other.
///
/// Only jobs that have something to give out are here. Whoever comes new, or had its turn, stands behind the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    owners: BTreeMap<u64, OwnerId>,
    jobs: BTreeMap<OwnerId, OwnerTurns>,
    next: u64,
}

#[derive(Clone, Debug)]
struct OwnerTurns {
    place: u64,
    jobs: BTreeMap<Place, JobId>,
}

/// A job's place among its owner's: what is least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    urgency: std::cmp::Reverse<Priority>,
    number: u64,
}

impl Place {
    /// The priority it was made with.
    pub(super) fn priority(self) -> Priority {
        self.urgency.0
    }
}

impl Turns {
    /// Puts a job behind all of its owner that are as urgent.
    pub(super) fn join(&mut self, owner: OwnerId, job: JobId, priority: Priority) -> Place {
        let place = Place {
            urgency: std::cmp::Reverse(priority),
            number: self.number(),
        };
        let number = self.number();
        let owners = &mut self.owners;
        let of_owner = self.jobs.entry(owner).or_insert_with(|| {
            owners.insert(number, owner);
            OwnerTurns {
                place: number,
                jobs: BTreeMap::new(),
            }
        });
        of_owner.jobs.insert(place, job);
        place
    }

    /// Takes a job out.
    pub(super) fn leave(&mut self, owner: OwnerId, place: Place) {
        if let Some(of_owner) = self.jobs.get_mut(&owner) {
            of_owner.jobs.remove(&place);
            if of_owner.jobs.is_empty() {
                self.owners.remove(&of_owner.place);
                self.jobs.remove(&owner);
            }
        }
    }

    /// The job whose turn it is. Its owner stands behind the other owners now; the job stays where it is until it leaves
    /// and joins again.
    pub(super) fn next(&mut self) -> Option<JobId> {
        let (_, owner) = self.owners.pop_first()?;
        let number = self.number();
        let of_owner = self.jobs.get_mut(&owner)?;
        of_owner.place = number;
        self.owners.insert(number, owner);
        of_owner.jobs.first_key_value().map(|(_, job)| *job)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// All that wait, in the order of their next turns: each with how many turns of its owner come before its own and how
    /// many owners are served before its owner in a round.
    pub(super) fn in_line(&self) -> impl Iterator<Item = (JobId, OwnerId, usize, usize)> {
        self.owners.values().enumerate().flat_map(|(before, owner)| {
            let jobs = self.jobs.get(owner).map(|of_owner| of_owner.jobs.values());
            let jobs = jobs.into_iter().flatten().enumerate();
            jobs.map(move |(position, job)| (*job, *owner, position, before))
        })
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> OwnerId {
        name.parse().unwrap()
    }

    /// Takes `turns` turns, as the scheduler does: who had its turn joins again.
    fn served(turns: &mut Turns, jobs: &mut BTreeMap<JobId, (OwnerId, Place)>, count: usize) -> Vec<u128> {
        let mut order = Vec::new();
        for _ in 0..count {
            let job = turns.next().unwrap();
            let (owner, place) = jobs[&job];
            turns.leave(owner, place);
            jobs.insert(job, (owner, turns.join(owner, job, place.priority())));
            order.push(job.as_u128());
        }
        order
    }

    #[test]
    fn owners_come_in_turn_and_their_urgent_jobs_first() {
        let mut turns = Turns::default();
        let mut jobs = BTreeMap::new();
        for (name, id, priority) in [
            ("ann", 1, Priority::Normal),
            ("ann", 2, Priority::Normal),
            ("ann", 3, Priority::Normal),
            ("bob", 4, Priority::Low),
            ("cat", 5, Priority::Normal),
            ("cat", 6, Priority::High),
        ] {
            let job = JobId::from_u128(id);
            jobs.insert(job, (owner(name), turns.join(owner(name), job, priority)));
        }
        assert_eq!(
            served(&mut turns, &mut jobs, 9),
            [1, 4, 6, 2, 4, 6, 3, 4, 6],
            "bob's low priority is among his own"
        );
        let (cat, place) = jobs[&JobId::from_u128(6)];
        turns.leave(cat, place);
        assert_eq!(served(&mut turns, &mut jobs, 4), [1, 4, 5, 2]);
    }

    #[test]
    fn a_newcomer_waits_for_one_turn_of_each_other_owner() {
        let mut turns = Turns::default();
        let mut jobs = BTreeMap::new();
        for id in 1..=50 {
            let job = JobId::from_u128(id);
            jobs.insert(job, (owner("ann"), turns.join(owner("ann"), job, Priority::High)));
        }
        served(&mut turns, &mut jobs, 7);
        let job = JobId::from_u128(99);
        jobs.insert(job, (owner("bob"), turns.join(owner("bob"), job, Priority::Low)));
        assert_eq!(served(&mut turns, &mut jobs, 4)[1], 99);
    }

    #[test]
    fn who_leaves_is_gone() {
        let mut turns = Turns::default();
        let job = JobId::from_u128(1);
        let place = turns.join(owner("ann"), job, Priority::Normal);
        turns.leave(owner("ann"), place);
        turns.leave(owner("ann"), place);
        assert!(turns.is_empty());
        assert_eq!(turns.next(), None);
    }
}
