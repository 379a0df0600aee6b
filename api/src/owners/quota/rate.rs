//! Requests in a minute.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use clearfleet_common::job::OwnerId;

/// What may come at once is what may come in this time.
const WINDOW: Duration = Duration::from_secs(60);
/// Owners remembered before those that may ask as they like are forgotten.
const REMEMBERED: usize = 1024;

/// Each owner's bucket, as the time at which it is full again (the generic cell rate algorithm): requests push that time
/// on, and none is taken that would push it further ahead than the window.
#[derive(Debug, Default)]
pub(super) struct Rates {
    full: HashMap<OwnerId, Instant>,
}

impl Rates {
    /// Takes a request of this owner, or says how long to wait for the next.
    pub(super) fn take(&mut self, owner: OwnerId, a_minute: NonZeroU32, now: Instant) -> Result<(), Duration> {
        if self.full.len() >= REMEMBERED {
            self.full.retain(|_, full| *full > now);
        }
        let full = self.full.get(&owner).map_or(now, |full| (*full).max(now));
        let next = full + WINDOW / a_minute.get();
        let ahead = next - now;
        if ahead > WINDOW {
            return Err(ahead - WINDOW);
        }
        self.full.insert(owner, next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever their order in time, of each minute at most twice the limit is taken: a full bucket and what comes in.
        #[test]
        fn no_minute_has_more_than_the_bucket_and_what_flows_in(
            a_minute in 1_u32..200,
            pauses in proptest::collection::vec(0_u64..5_000, 1..400),
        ) {
            let a_minute = NonZeroU32::new(a_minute).unwrap();
            let (mut rates, start) = (Rates::default(), Instant::now());
            let (mut now, mut taken) = (start, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                match rates.take(OwnerId::default(), a_minute, now) {
                    Ok(()) => taken.push(now),
                    Err(wait) => prop_assert!(wait <= WINDOW / a_minute.get()),
                }
            }
            for (n, first) in taken.iter().enumerate() {
                let within = taken[n..].iter().filter(|at| **at < *first + WINDOW).count();
                prop_assert!(within <= 2 * a_minute.get() as usize, "{within}");
            }
        }
    }

    #[test]
    fn a_minutes_requests_may_come_at_once_and_then_one_by_one() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let a_minute = NonZeroU32::new(3).unwrap();
        let other: OwnerId = "other".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(rates.take(OwnerId::default(), a_minute, start), Ok(()));
        }
        let wait = Duration::from_secs(20);
        assert_eq!(rates.take(OwnerId::default(), a_minute, start), Err(wait));
        assert_eq!(rates.take(other, a_minute, start), Ok(()));
        assert_eq!(rates.take(OwnerId::default(), a_minute, start + wait), Ok(()));
        assert!(rates.take(OwnerId::default(), a_minute, start + wait).is_err());
    }

    #[test]
    fn owners_who_may_ask_as_they_like_are_forgotten() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let a_minute = NonZeroU32::new(60).unwrap();
        for n in 0..5_000_u64 {
            let owner = format!("owner-{n}").parse().unwrap();
            rates.take(owner, a_minute, start + Duration::from_secs(n)).unwrap();
        }
        assert!(rates.full.len() <= REMEMBERED);
    }
}
