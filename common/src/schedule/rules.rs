use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::job::{ClassName, OutputFormat, Request, SourceKind, Target};

/// A moment: milliseconds since the Unix epoch. The shell's clock never goes back while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The moment `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long `earlier` is ago; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The same moment for people and records.
    pub fn timestamp(self) -> Timestamp {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }
}

impl From<Timestamp> for Millis {
    fn from(timestamp: Timestamp) -> Self {
        Self(u64::try_from(timestamp.as_millisecond()).unwrap_or(0))
    }
}

/// How long the scheduler waits for what, and how often it tries. The defaults are the design's; tests shorten them.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How long announcements are listened to before a generation is raised: two of them and some.
    pub listen: Duration,
    /// A worker that has not announced itself for this long counts as dead.
    pub silence: Duration,
    /// What was published and is held by nobody for this long, while a worker that could take it has nothing, is lost.
    pub stall: Duration,
    /// How often `active/` is listed anew.
    pub relist: Duration,
    /// How long a plan waits for a worker of its fingerprint before it is made anew for another.
    pub other_fingerprint: Duration,
    /// How long an answer of storage is waited for before the question is asked again.
    pub answer: Duration,
    /// A key below `active/` whose job has no record after this long is deleted.
    pub orphan: Duration,
    /// Attempts of a step that fails for reasons that may pass, the first included.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles from one to the next.
    pub backoff: Duration,
    /// The longest wait between attempts.
    pub longest_backoff: Duration,
    /// Deliveries after which the broker gives a task up: what a dead letter stands for.
    pub delivery_limit: u32,
    /// How long a playhead counts that nobody names again.
    pub watched: Duration,
    /// Tasks in a queue for each worker that takes from it: the one that it does, and the one that it does next.
    pub per_worker: u32,
    /// Tasks in a queue beside these, so that there is something for the next worker to come.
    pub spare: u32,
    /// Share of finished batches that another worker computes again, from 0 to 1.
    pub audit_share: f64,
    /// How long an audit lets the batches of jobs go first while these stand in line.
    pub audit_yields: Duration,
    /// How long an audit is waited for that was published.
    pub audit_patience: Duration,
    /// How often an audit is published until a worker takes it that may.
    pub audit_tries: u32,
    /// Differences that a worker is to blame for until it is told to stop.
    pub disagreements: u32,
    /// How long the sound of a stream is waited for that was published.
    pub sound_patience: Duration,
    /// Seconds of work above which a picture is no task for the interactive lane.
    pub interactive_seconds: f64,
    /// Pixels of results a second of classes of which no worker was ever heard.
    pub fallback_rates: BTreeMap<ClassName, f64>,
    /// The same for classes that are not named.
    pub fallback_rate: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            listen: Duration::from_secs(11),
            silence: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            relist: Duration::from_secs(60),
            other_fingerprint: Duration::from_secs(600),
            answer: Duration::from_secs(120),
            orphan: Duration::from_secs(3600),
            attempts: 5,
            backoff: Duration::from_secs(2),
            longest_backoff: Duration::from_secs(300),
            delivery_limit: 5,
            watched: Duration::from_secs(60),
            per_worker: 2,
            spare: 2,
            audit_share: 0.001,
            audit_yields: Duration::from_secs(300),
            audit_patience: Duration::from_secs(3600),
            audit_tries: 8,
            disagreements: 2,
            sound_patience: Duration::from_secs(3 * 3600),
            interactive_seconds: 60.0,
            fallback_rates: BTreeMap::new(),
            fallback_rate: 1e6,
        }
    }
}

impl Rules {
    /// Pixels a second to expect of a class that nobody has heard of.
    pub(super) fn fallback(&self, class: ClassName) -> f64 {
        let rate = self.fallback_rates.get(&class).copied();
        rate.unwrap_or(self.fallback_rate).max(1.0)
    }

    /// The wait after `failures` failures in a row, at least one: doubling, and from half to one and a half times as
    /// long by `seed`, so that what failed together does not come back together.
    pub(super) fn wait_after(&self, failures: u32, seed: u64) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let share = 0.5 + unit(scatter(seed ^ u64::from(failures)));
        doubled.min(self.longest_backoff).mul_f64(share)
    }

    /// Whether the batch with this seed is one of those that are computed again.
    pub(super) fn audits(&self, seed: u64) -> bool {
        unit(scatter(seed)) < self.audit_share
    }

    /// Seconds of work of one engine that a job nobody has opened yet is expected to be, at `rate` pixels a second.
    ///
    /// From the length of the source alone this is a guess: a photo has some 3 bits a pixel, a film some 0.1.
    pub(super) fn guess_seconds(&self, request: &Request, bytes: u64, rate: f64) -> f64 {
        if request.preview.is_some() {
            // Whoever makes it sees to it that it takes no longer.
            return self.interactive_seconds;
        }
        let bits = 8.0 * bytes as f64;
        let picture = bits / 3.0;
        let pixels = match (request.kind, request.settings.target) {
            (SourceKind::Picture, Target::Exact(width, height)) => f64::from(width) * f64::from(height),
            (SourceKind::Picture, Target::Factor(scale)) => picture * scale.get().powi(2),
            (SourceKind::Video, Target::Factor(scale)) => bits / 0.1 * scale.get().powi(2),
            // Twice as wide and high, as most ask for.
            (SourceKind::Video, Target::Exact(..)) => bits / 0.1 * 4.0,
        };
        pixels / rate
    }

    /// Whether a picture is a job of batches, as far as can be told before anybody has opened it: a size that is asked
    /// for tells its pixels, an animation as the result tells that it moves.
    pub(super) fn picture_is_large(&self, request: &Request, rate: f64) -> bool {
        if request.preview.is_some() {
            return false;
        }
        let moves = matches!(request.settings.format, Some(OutputFormat::Apng));
        match request.settings.target {
            _ if moves => true,
            Target::Exact(width, height) => f64::from(width) * f64::from(height) / rate > self.interactive_seconds,
            Target::Factor(_) => false,
        }
    }
}

/// Bits as a number of `[0, 1)`.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Bits that look random and follow from `seed` (splitmix64's finaliser).
pub(super) fn scatter(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_double_up_to_the_longest_and_are_scattered(failures in 1_u32..60, seed: u64) {
            let rules = Rules::default();
            let doubled = 2.0 * 2_f64.powi(failures as i32 - 1);
            let expected = doubled.min(300.0);
            let wait = rules.wait_after(failures, seed).as_secs_f64();
            prop_assert!((0.5 * expected..=1.5 * expected).contains(&wait), "{wait} of {expected}");
        }
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let rules = Rules::default();
        let waits: Vec<_> = (0..100).map(|seed| rules.wait_after(3, seed)).collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(
            *least < Duration::from_secs(5) && *most > Duration::from_secs(11),
            "{least:?} to {most:?}"
        );
    }
}
