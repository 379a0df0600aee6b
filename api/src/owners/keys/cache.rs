//! Keys that were read lately.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearfleet_common::storage::Digest;
use subtle::ConstantTimeEq;

use super::KeyRecord;

/// Secrets remembered that open nothing: enough for every client whose key was revoked, and no memory for whoever tries
/// out others.
const REFUSED: usize = 1024;

/// A key as it was read, or that there is none.
type Found = Option<Arc<KeyRecord>>;

#[derive(Debug, Default)]
pub(super) struct Cache {
    known: HashMap<Digest, Known>,
    refused: usize,
    /// Raised by every change that this process makes: what was read before is not remembered after.
    epoch: u64,
}

#[derive(Debug)]
struct Known {
    digest: Digest,
    found: Found,
    read: Instant,
}

impl Cache {
    /// What was read of this digest no longer than `age` ago.
    pub(super) fn get(&self, digest: Digest, age: Duration, now: Instant) -> Option<Found> {
        let known = self.known.get(&digest)?;
        // The table finds by a hash that nobody outside can compute; what decides takes the same time for every digest.
        let same = bool::from(known.digest.0.ct_eq(&digest.0));
        (same && now.saturating_duration_since(known.read) < age).then(|| known.found.clone())
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Remembers what was read at `read`, unless this process changed something since `epoch`; says whether it does.
    pub(super) fn remember(&mut self, digest: Digest, found: Found, read: Instant, epoch: u64) -> bool {
        if epoch != self.epoch {
            return false;
        }
        if found.is_none() && self.refused >= REFUSED {
            self.known.retain(|_, known| known.found.is_some());
            self.refused = 0;
        }
        let is_refused = usize::from(found.is_none());
        let known = Known { digest, found, read };
        let before = self.known.insert(digest, known);
        self.refused += is_refused;
        self.refused -= usize::from(before.is_some_and(|known| known.found.is_none()));
        true
    }

    /// Forgets what it knows of a key that this process changed.
    pub(super) fn forget(&mut self, digest: Digest) {
        self.epoch += 1;
        let before = self.known.remove(&digest);
        self.refused -= usize::from(before.is_some_and(|known| known.found.is_none()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: Digest = Digest([7; 32]);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_old_is_read_again() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        assert!(cache.remember(DIGEST, None, start, 0));
        assert_eq!(cache.get(DIGEST, SECOND, start), Some(None));
        assert_eq!(cache.get(DIGEST, SECOND, start + SECOND), None);
        assert_eq!(cache.get(Digest([8; 32]), SECOND, start), None);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        let epoch = cache.epoch();
        cache.forget(DIGEST);
        assert!(!cache.remember(DIGEST, None, start, epoch));
        assert_eq!(cache.get(DIGEST, SECOND, start), None);
    }

    #[test]
    fn whoever_tries_out_secrets_fills_no_memory() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        for n in 0..5_000_u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_le_bytes());
            cache.remember(Digest(digest), None, start, 0);
            assert!(cache.known.len() <= REFUSED, "{n}");
        }
    }
}
