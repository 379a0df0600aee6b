//! How much of an installation an owner may use, and how much there is: refused before a byte is stored.
//!
//! What is stored and lives is counted from the records in memory; uploads under way hold [`Reservation`]s beside them.
//! Reservations and request rates are each process's own: of several behind one address each grants what it knows to be
//! free, so that together they may grant more by what is under way at that moment.

mod args;
mod error;
mod rate;
mod space;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clearfleet_common::job::OwnerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::Caller;

pub use args::QuotaArgs;
pub use error::QuotaError;
pub use space::Space;

use rate::Rates;

/// An upload of unknown length reserves this much at a time, in bytes.
const STEP: u64 = 64 << 20;

/// Limits of one owner; what is left out is not limited, or, in a key, is as the installation limits it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Bytes of sources and results that are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// Jobs that have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_jobs: Option<u64>,
    /// Requests in a minute; as many may come at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub requests_a_minute: Option<NonZeroU32>,
}

impl Quota {
    /// Whether it limits nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These limits, and where there is none, that of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            stored_bytes: self.stored_bytes.or(other.stored_bytes),
            live_jobs: self.live_jobs.or(other.live_jobs),
            requests_a_minute: self.requests_a_minute.or(other.requests_a_minute),
        }
    }
}

/// What is used already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes of sources and results.
    pub bytes: u64,
    /// Of these, what is still on its way.
    pub coming: u64,
    /// Jobs that have not ended.
    pub jobs: u64,
}

/// Knows what is used, uploads under way aside.
pub trait Usage: Send + Sync + fmt::Debug {
    /// By one owner.
    fn of(&self, owner: OwnerId) -> Used;

    /// By everybody.
    fn total(&self) -> Used;
}

/// What uploads under way have reserved.
#[derive(Debug, Default)]
struct Open {
    owners: HashMap<OwnerId, Used>,
    bytes: u64,
    /// Of these, what is stored already.
    written: u64,
}

/// The limits of an installation, and what is under way.
#[derive(Debug)]
pub struct Quotas {
    defaults: Quota,
    space: Space,
    usage: Arc<dyn Usage>,
    open: Mutex<Open>,
    rates: Mutex<Rates>,
}

impl Quotas {
    /// Limits for owners whose keys say nothing else, and the room that there is for all.
    pub fn new(defaults: Quota, space: Space, usage: Arc<dyn Usage>) -> Arc<Self> {
        Arc::new(Self {
            defaults,
            space,
            usage,
            open: Mutex::default(),
            rates: Mutex::default(),
        })
    }

    /// Counts a request.
    ///
    /// # Errors
    /// [`QuotaError::Requests`].
    pub fn count_request(&self, caller: &Caller) -> Result<(), QuotaError> {
        let Some(limit) = caller.quota.or(self.defaults).requests_a_minute else {
            return Ok(());
        };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = rates.take(caller.owner, limit, Instant::now());
        taken.map_err(|retry_after| QuotaError::Requests { limit, retry_after })
    }

    /// Reserves room for a job and the `bytes` of its source: the announced length of an upload, or 0 where nobody
    /// announces it or there is none. To be dropped when the job's record is known, or when there will be no job.
    ///
    /// # Errors
    /// [`QuotaError`], all but [`Requests`](QuotaError::Requests).
    pub fn reserve(self: &Arc<Self>, caller: &Caller, bytes: u64) -> Result<Reservation, QuotaError> {
        let quota = caller.quota.or(self.defaults);
        let used = self.usage.of(caller.owner);
        let mut open = self.open();
        let found = used.jobs + open.owners.get(&caller.owner).map_or(0, |used| used.jobs);
        if let Some(limit) = quota.live_jobs.filter(|limit| found >= *limit) {
            return Err(QuotaError::LiveJobs { limit, found });
        }
        self.check_bytes(&open, caller.owner, quota, bytes)?;
        let mine = open.owners.entry(caller.owner).or_default();
        mine.jobs += 1;
        mine.bytes += bytes;
        open.bytes += bytes;
        Ok(Reservation {
            quotas: Arc::clone(self),
            owner: caller.owner,
            quota,
            bytes,
            written: 0,
        })
    }

    /// Whether `more` bytes have room beside all that is stored and reserved.
    fn check_bytes(&self, open: &Open, owner: OwnerId, quota: Quota, more: u64) -> Result<(), QuotaError> {
        if let Some(limit) = quota.stored_bytes {
            let reserved = open.owners.get(&owner).map_or(0, |used| used.bytes);
            let found = sum([self.usage.of(owner).bytes, reserved, more]);
            if found > limit {
                return Err(QuotaError::StoredBytes { limit, found });
            }
        }
        if let Some(limit) = self.space.budget {
            let found = sum([self.usage.total().bytes, open.bytes, more]);
            if found > limit {
                return Err(QuotaError::Budget { limit, found });
            }
        }
        if let Some(free) = self.space.free() {
            let found = free.map_err(QuotaError::Unknown)?;
            // What uploads have written already is missing from the free space.
            let unwritten = open.bytes.saturating_sub(open.written);
            let limit = sum([unwritten, self.usage.total().coming, more, self.space.spare]);
            if limit > found {
                return Err(QuotaError::FreeSpace { limit, found });
            }
        }
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sum<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

/// Room for a job and its source. Dropped, it is given back, however the upload ended.
#[derive(Debug)]
pub struct Reservation {
    quotas: Arc<Quotas>,
    owner: OwnerId,
    quota: Quota,
    bytes: u64,
    written: u64,
}

impl Reservation {
    /// Says that `written` bytes of the source have come; reserves more where they are more than was announced.
    ///
    /// # Errors
    /// As [`Quotas::reserve`], for the bytes.
    pub fn came(&mut self, written: u64) -> Result<(), QuotaError> {
        let mut open = self.quotas.open();
        if written > self.bytes {
            let missing = written - self.bytes;
            let fits = |more: u64| self.quotas.check_bytes(&open, self.owner, self.quota, more);
            let more = if fits(missing.max(STEP)).is_ok() {
                missing.max(STEP)
            } else {
                fits(missing)?;
                missing
            };
            open.bytes += more;
            open.owners.entry(self.owner).or_default().bytes += more;
            self.bytes += more;
        }
        open.written += written.saturating_sub(self.written);
        self.written = self.written.max(written);
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut open = self.quotas.open();
        open.bytes -= self.bytes;
        open.written -= self.written;
        if let Some(mine) = open.owners.get_mut(&self.owner) {
            mine.bytes -= self.bytes;
            mine.jobs -= 1;
            if mine.jobs == 0 {
                open.owners.remove(&self.owner);
            }
        }
    }
}
