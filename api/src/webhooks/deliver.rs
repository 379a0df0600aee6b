//! Sends what is to be told, and again what did not arrive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{Hook, JobId, OwnerId};
use clearfleet_common::queue::Queue;
use clearfleet_common::storage::{Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::address::System;
use super::intake::{self, Known};
use super::ledger::{self, Entry, Telling};
use super::send::{DEADLINE, SendError, Sender};
use super::{HookCounts, HookSecrets, Reach};
use crate::http::JobView;
use crate::records::Records;

/// Attempts at once, of all owners.
const AT_ONCE: usize = 32;
/// Attempts at once of one owner: whoever has slow receivers holds up nobody else.
const AT_ONCE_OF_ONE: usize = 4;
/// The longest that is slept, whatever is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// When webhooks are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookTimes {
    /// How often at most.
    pub attempts: u32,
    /// Between the first attempt and the second; between others it doubles. Longer than an attempt may take.
    pub first: Duration,
    /// And is no longer than this.
    pub longest: Duration,
    /// How often the store is looked at for what other processes left.
    pub refresh: Duration,
    /// How long the message of an end may be on its way before the record counts.
    pub grace: Duration,
}

impl Default for HookTimes {
    /// Twelve attempts in about six hours.
    fn default() -> Self {
        Self {
            attempts: 12,
            first: 2 * DEADLINE,
            longest: Duration::from_secs(3600),
            refresh: Duration::from_secs(60),
            grace: Duration::from_secs(30),
        }
    }
}

impl HookTimes {
    /// How long after attempt `attempt` (from 1) the next one is due: up to a fifth more than the doubled time, so that
    /// many that failed together do not come back together.
    fn backoff(&self, attempt: u32) -> SignedDuration {
        let doubled = self
            .first
            .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        let base = doubled.min(self.longest);
        // Without randomness they come back together, which is no error.
        let jitter = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX) / 5.0;
        SignedDuration::try_from(base.mul_f64(1.0 + jitter)).unwrap_or(SignedDuration::MAX)
    }
}

/// Takes webhooks from the queue and sends them, in every API process.
#[derive(Debug)]
pub struct Webhooks {
    pub(super) storage: Storage,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) records: Arc<Records>,
    pub(super) sender: Sender,
    pub(super) times: HookTimes,
    pub(super) counts: HookCounts,
}

/// What a receiver gets.
#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    at: Timestamp,
    job: &'a JobView,
}

/// What became of an attempt.
struct Attempt {
    job: JobId,
    /// What is known of the entry after it; nothing where another process has it.
    entry: Option<Entry>,
}

impl Webhooks {
    /// Webhooks to whatever is within `reach`.
    ///
    /// # Errors
    /// If the client cannot be made, as without any certificates of the system's.
    pub fn new(
        storage: Storage,
        queue: Arc<dyn Queue>,
        records: Arc<Records>,
        secrets: HookSecrets,
        reach: Reach,
        counts: HookCounts,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            storage,
            queue,
            records,
            sender: Sender::new(secrets, reach, Arc::new(System))?,
            times: HookTimes::default(),
            counts,
        })
    }

    /// Works until `stop`; attempts that are under way end first.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let (accepted, mut incoming) = mpsc::channel(64);
        let listening = intake::listen(this.storage.clone(), Arc::clone(&this.queue), accepted);
        let listening = tokio::spawn(stop.clone().run_until_cancelled_owned(listening));
        let mut waiting = Waiting::default();
        let mut known = Known::default();
        let mut refresh = tokio::time::interval(this.times.refresh);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let sleep = waiting.start_due(&this);
            this.counts
                .waiting
                .set(i64::try_from(waiting.entries.len()).unwrap_or(i64::MAX));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(sleep) => {}
                Some((job, entry)) = incoming.recv() => {
                    known.note(job, entry.clone());
                    waiting.take(job, entry);
                }
                Some(ended) = waiting.running.join_next_with_id() => {
                    if let Some((job, entry)) = waiting.ended(ended) {
                        known.note(job, entry);
                    }
                }
                _ = refresh.tick() => match known.refresh(&this.storage, &this.records, this.times.grace).await {
                    Ok(news) => news.into_iter().for_each(|(job, entry)| waiting.take(job, entry)),
                    Err(e) => tracing::warn!(error = &e as &dyn std::error::Error, "webhooks cannot be looked for now"),
                },
            }
        }
        // Each ends by its own deadline.
        while waiting.running.join_next().await.is_some() {}
        // Stopped by the same token.
        let _ = listening.await;
    }

    /// Tries once, if this process may.
    async fn attempt(&self, hook: Hook, entry: Entry) -> Attempt {
        let (job, owner) = (hook.job, hook.owner);
        let entry = match self.tried(&hook, entry).await {
            Ok(entry) => entry,
            Err(e) => {
                tracing::warn!(
                    error = &e as &dyn std::error::Error,
                    %owner,
                    %job,
                    "the store does not say how far the webhook of job {job} is"
                );
                None
            }
        };
        Attempt { job, entry }
    }

    async fn tried(&self, hook: &Hook, entry: Entry) -> Result<Option<Entry>, StorageError> {
        let mut telling = entry.telling;
        telling.attempts += 1;
        // The backoff is longer than the attempt: until it is over, nobody else tries.
        telling.due = Timestamp::now()
            .saturating_add(self.times.backoff(telling.attempts))
            .unwrap_or(Timestamp::MAX);
        let Some(claimed) = ledger::replace(&self.storage, hook.job, &telling, &entry.version).await? else {
            return Ok(None);
        };
        let settled = match self.body(hook).await? {
            None => true,
            Some(body) => {
                let sent = self.sender.send(hook, body).await;
                self.tell(hook, telling.attempts, &sent)
            }
        };
        let telling = if settled {
            Telling {
                settled: Some(hook.at),
                hook: None,
                ..telling
            }
        } else {
            return Ok(Some(Entry {
                telling,
                version: claimed,
            }));
        };
        let version = ledger::replace(&self.storage, hook.job, &telling, &claimed).await?;
        Ok(version.map(|version| Entry { telling, version }))
    }

    /// What the receiver gets; nothing where the job is not there any more.
    async fn body(&self, hook: &Hook) -> Result<Option<Vec<u8>>, StorageError> {
        let found = self.storage.record(hook.owner, hook.job).await?;
        let snapshot = found.map(|(record, version)| self.records.note(record, version));
        let Some(job) = snapshot.and_then(|snapshot| JobView::new(&snapshot, None)) else {
            return Ok(None);
        };
        let told = Told {
            event: hook.event.into(),
            at: hook.at,
            job: &job,
        };
        // A view is plain data, and always JSON.
        Ok(serde_json::to_vec(&told).ok())
    }

    /// Counts and logs what became of an attempt; says whether it was the last.
    fn tell(&self, hook: &Hook, attempt: u32, sent: &Result<(), SendError>) -> bool {
        let (owner, job, event) = (hook.owner, hook.job, hook.event);
        let Err(error) = sent else {
            self.counts.delivered.inc();
            tracing::info!(%owner, %job, %event, attempt, "the webhook of job {job} is delivered");
            return true;
        };
        self.counts.failed.inc();
        let error: &dyn std::error::Error = error;
        if attempt < self.times.attempts {
            tracing::info!(%owner, %job, %event, attempt, error, "the webhook of job {job} is tried again later");
            return false;
        }
        self.counts.given_up.inc();
        tracing::warn!(%owner, %job, %event, attempt, error, "the webhook of job {job} is given up");
        true
    }
}

/// What this process knows is to be told.
#[derive(Default)]
struct Waiting {
    entries: HashMap<JobId, Entry>,
    in_flight: HashMap<tokio::task::Id, (OwnerId, JobId)>,
    running: JoinSet<Attempt>,
}

impl Waiting {
    fn take(&mut self, job: JobId, entry: Entry) {
        // What an attempt makes of it is newer.
        if self.in_flight.values().any(|(_, in_flight)| *in_flight == job) {
            return;
        }
        match &entry.telling.hook {
            Some(_) => self.entries.insert(job, entry),
            None => self.entries.remove(&job),
        };
    }

    /// Starts what is due, as far as there is room; says how long to sleep for the rest.
    fn start_due(&mut self, webhooks: &Arc<Webhooks>) -> Duration {
        let now = Timestamp::now();
        let mut due: Vec<(Timestamp, JobId)> = self.entries.iter().map(|(job, e)| (e.telling.due, *job)).collect();
        due.sort_unstable();
        for (at, job) in due {
            if at > now {
                let sleep = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                return sleep.clamp(Duration::from_millis(1), LONGEST_SLEEP);
            }
            if self.running.len() >= AT_ONCE {
                break;
            }
            self.start(webhooks, job);
        }
        LONGEST_SLEEP
    }

    fn start(&mut self, webhooks: &Arc<Webhooks>, job: JobId) {
        let hook = self.entries.get(&job).and_then(|entry| entry.telling.hook.clone());
        let Some(hook) = hook else { return };
        let owner = hook.owner;
        let of_owner = self.in_flight.values().filter(|(of, _)| *of == owner).count();
        if of_owner >= AT_ONCE_OF_ONE {
            return;
        }
        let Some(entry) = self.entries.remove(&job) else { return };
        let webhooks = Arc::clone(webhooks);
        let task = self.running.spawn(async move { webhooks.attempt(hook, entry).await });
        self.in_flight.insert(task.id(), (owner, job));
    }

    /// Takes what an attempt left.
    fn ended(&mut self, ended: Result<(tokio::task::Id, Attempt), tokio::task::JoinError>) -> Option<(JobId, Entry)> {
        match ended {
            Ok((task, Attempt { job, entry })) => {
                self.in_flight.remove(&task);
                let entry = entry?;
                self.take(job, entry.clone());
                Some((job, entry))
            }
            Err(e) => {
                self.in_flight.remove(&e.id());
                let error: &dyn std::error::Error = &e;
                tracing::error!(error, "an attempt to send a webhook died");
                None
            }
        }
    }
}
