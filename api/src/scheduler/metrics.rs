//! What the scheduler counts, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{ClassName, ControlMessage, OwnerId};
use clearfleet_common::schedule::{Destination, Input, Note};
use clearfleet_common::storage::Digest;
use clearfleet_common::telemetry::Families;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use sha2::{Digest as _, Sha256};

use super::SchedulerView;

/// Owners that are shown: those with the most work to be done.
const OWNERS: usize = 10;

clearfleet_common::metrics! {
    /// The metrics of the scheduler of one process. Those of classes, lanes and owners are told by the active one alone.
    #[derive(Debug)]
    pub struct SchedulerMetrics {
        /// Whether the scheduler of this process is the active one.
        active: IntGauge = "clearfleet_scheduler_active" [],
        /// How often the scheduler of this process became the active one.
        activations: IntCounter = "clearfleet_scheduler_activations_total" [],
        /// Messages of the control queue that were taken in, by kind.
        messages: IntCounterVec = "clearfleet_scheduler_messages_total" ["kind"],
        /// Seconds of work of one worker that all jobs of a class still are, those not yet planned included.
        backlog_seconds: GaugeVec = "clearfleet_backlog_seconds" ["class"],
        /// Jobs of a class that have not ended.
        backlog_jobs: IntGaugeVec = "clearfleet_backlog_jobs" ["class"],
        /// Tasks of planning and putting together that are out, and jobs that wait for a place among them.
        media_backlog: IntGauge = "clearfleet_media_backlog_tasks" [],
        /// Workers that take tasks of a class for their engine.
        workers: IntGaugeVec = "clearfleet_workers" ["class"],
        /// Pixels of results that the workers of a class make in a second, together.
        rate: GaugeVec = "clearfleet_workers_pixels_per_second" ["class"],
        /// How long that task has waited for a worker which has waited longest, by lane; 0 where none waits.
        oldest_wait: GaugeVec = "clearfleet_oldest_wait_seconds" ["lane"],
        /// How long tasks waited for a worker, their time in line included, by lane; told when their worker reports.
        lane_wait: HistogramVec = "clearfleet_lane_wait_seconds" ["lane"],
        /// Seconds of work of one worker that the jobs of an owner still are: of the ten with the most, by a digest.
        owner_backlog: GaugeVec = "clearfleet_owner_backlog_seconds" ["owner"],
        /// Share of an owner of all tasks that are out now.
        owner_share: GaugeVec = "clearfleet_owner_share_ratio" ["owner"],
        /// Owners that have a turn before an owner.
        owner_place: IntGaugeVec = "clearfleet_owner_place" ["owner"],
        /// Parts of jobs that failed and were tried again, by why.
        retries: IntCounterVec = "clearfleet_retries_total" ["code"],
        /// Tasks whose workers died of them as often as the broker delivers one.
        dead_letters: IntCounter = "clearfleet_dead_letters_total" [],
        /// Generations of jobs that were raised: what was published before counts no more.
        generations: IntCounter = "clearfleet_generations_total" [],
        /// Audits that ended, by class of the job and by what came of them: a batch was computed again by another worker.
        audits: IntCounterVec = "clearfleet_audits_total" ["class", "outcome"],
        /// Live workers that were told to stop, since audits have shown that they make wrong pictures.
        distrusted: IntGauge = "clearfleet_workers_distrusted" [],
        /// Batches that were finished, by class.
        batches_done: IntCounterVec = "clearfleet_batches_done_total" ["class"],
        /// Jobs that ended, by how, and why where they failed.
        jobs_ended: IntCounterVec = "clearfleet_jobs_ended_total" ["state", "code"],
    }
}

impl SchedulerMetrics {
    pub(super) fn takes_in(&self, input: &Input) {
        match input {
            Input::Activated => self.activations.inc(),
            Input::Control(message) => self.messages.with_label_values(&[kind(message)]).inc(),
            _ => {}
        }
    }

    pub(super) fn note(&self, note: &Note) {
        match note {
            Note::Started { queue, waited } => {
                let lane = self.lane_wait.with_label_values(&[lane(*queue)]);
                lane.observe(waited.as_secs_f64());
            }
            Note::BatchDone { class } => self.batches_done.with_label_values(&[class.as_str()]).inc(),
            Note::Retried { code } => self.retries.with_label_values(&[<&str>::from(*code)]).inc(),
            Note::DeadLetter => self.dead_letters.inc(),
            Note::Raised => self.generations.inc(),
            Note::Ended { state, code } => {
                let code = code.map_or("", <&str>::from);
                self.jobs_ended.with_label_values(&[<&str>::from(*state), code]).inc();
            }
            Note::Audited { class, outcome } => {
                let audits = self.audits.with_label_values(&[class.as_str(), (*outcome).into()]);
                audits.inc();
            }
            Note::Differs {
                job,
                plan,
                batch,
                made_by,
                audited_by,
                wrong,
            } => match wrong {
                Some(wrong) => tracing::error!(
                    %job, plan, batch, %made_by, %audited_by, %wrong,
                    "workers made different frames of batch {batch} of job {job}: a third one contradicts {wrong}"
                ),
                None => tracing::error!(
                    %job, plan, batch, %made_by, %audited_by,
                    "workers made different frames of batch {batch} of job {job}, and none could decide who is wrong"
                ),
            },
        }
    }
}

/// What the scheduler of a process shows: what was counted, and how things are at the moment.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) metrics: Arc<SchedulerMetrics>,
    pub(super) view: SchedulerView,
    /// Classes that are there whether or not anything is to be done in them: what scales workers from none looks at them.
    pub(super) classes: Vec<ClassName>,
}

impl Families for Shown {
    fn families(&self) -> Vec<MetricFamily> {
        let Self { metrics, view, classes } = self;
        let is_active = view.is_active();
        metrics.active.set(i64::from(is_active));
        metrics.backlog_seconds.reset();
        metrics.backlog_jobs.reset();
        metrics.workers.reset();
        metrics.rate.reset();
        metrics.oldest_wait.reset();
        metrics.owner_backlog.reset();
        metrics.owner_share.reset();
        metrics.owner_place.reset();
        metrics.media_backlog.set(0);
        metrics.distrusted.set(0);
        if is_active {
            metrics.distrusted.set(whole(view.distrusted() as u64));
            self.show_classes(classes);
            self.show_lanes();
            self.show_owners();
        }
        metrics.registry.gather()
    }
}

impl Shown {
    fn show_classes(&self, classes: &[ClassName]) {
        let Self { metrics, view, .. } = self;
        for class in classes {
            metrics.backlog_seconds.with_label_values(&[class.as_str()]).set(0.0);
            metrics.backlog_jobs.with_label_values(&[class.as_str()]).set(0);
            metrics.workers.with_label_values(&[class.as_str()]).set(0);
            metrics.rate.with_label_values(&[class.as_str()]).set(0.0);
        }
        for seen in view.classes() {
            let class = &[seen.class.as_str()];
            metrics
                .backlog_seconds
                .with_label_values(class)
                .set(seen.backlog_seconds);
            metrics.backlog_jobs.with_label_values(class).set(whole(seen.jobs));
            metrics.workers.with_label_values(class).set(i64::from(seen.workers));
            metrics.rate.with_label_values(class).set(seen.pixels_per_second);
        }
    }

    fn show_lanes(&self) {
        let mut oldest = [
            ("media", Duration::ZERO),
            ("interactive", Duration::ZERO),
            ("bulk", Duration::ZERO),
        ];
        for seen in self.view.lanes() {
            if seen.queue == Destination::Media {
                self.metrics.media_backlog.set(whole(seen.tasks));
            }
            for (name, age) in &mut oldest {
                if *name == lane(seen.queue) {
                    *age = seen.oldest.max(*age);
                }
            }
        }
        for (name, age) in oldest {
            self.metrics
                .oldest_wait
                .with_label_values(&[name])
                .set(age.as_secs_f64());
        }
    }

    fn show_owners(&self) {
        let Self { metrics, view, .. } = self;
        for seen in view.owners(OWNERS) {
            let owner = &[&*digest(seen.owner)];
            metrics.owner_backlog.with_label_values(owner).set(seen.backlog_seconds);
            metrics.owner_share.with_label_values(owner).set(seen.share);
            metrics.owner_place.with_label_values(owner).set(whole(seen.place));
        }
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Owners' names are their business; an operator finds a digest again with `printf %s NAME | sha256sum`.
fn digest(owner: OwnerId) -> String {
    let digest = Digest(Sha256::digest(owner.as_str()).into());
    digest.to_string()[..8].to_owned()
}

fn lane(queue: Destination) -> &'static str {
    match queue {
        Destination::Media => "media",
        Destination::Sound => "sound",
        Destination::Work(lane, _) => lane.into(),
    }
}

fn kind(message: &ControlMessage) -> &'static str {
    match message {
        ControlMessage::Look { .. } => "look",
        ControlMessage::Watch { .. } => "watch",
        ControlMessage::Report(_) => "report",
        ControlMessage::Wake => "wake",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use clearfleet_common::job::{Announcement, Record, Serves, WorkerId};
    use clearfleet_common::schedule::{Effect, Millis, RecordVersion, Rules, Scheduler};
    use clearfleet_common::telemetry;

    use super::super::tests::film;
    use super::*;

    fn read(scheduler: &mut Scheduler, record: &Record) {
        let look = ControlMessage::Look {
            job: record.id,
            owner: record.owner,
        };
        for effect in scheduler.handle(Input::Control(look), Millis(1000)) {
            if let Effect::Read { job, ticket, .. } = effect {
                let found = Some((Box::new(record.clone()), RecordVersion("1".to_owned())));
                scheduler.handle(Input::Read { job, ticket, found }, Millis(1000));
            }
        }
    }

    #[test]
    fn the_active_scheduler_shows_its_classes_lanes_and_owners_and_no_other_does() {
        let scheduler = Arc::new(Mutex::new(Scheduler::new(Rules::default())));
        let idle: ClassName = "idle".parse().unwrap();
        let shown = Shown {
            metrics: Arc::default(),
            view: SchedulerView::new(Arc::clone(&scheduler)),
            classes: vec![ClassName::default(), idle],
        };
        let lines = || {
            let text = String::from_utf8(telemetry::text([&shown as &dyn Families]).unwrap()).unwrap();
            let told = text.lines().filter(|line| !line.starts_with('#'));
            told.map(str::to_owned).collect::<Vec<_>>()
        };
        let has = |lines: &[String], line: &str| assert!(lines.iter().any(|told| told == line), "{line} in {lines:#?}");
        let silent = |lines: &[String]| {
            has(lines, "clearfleet_scheduler_active 0");
            let of_others =
                |line: &String| line.contains("{class=") || line.contains("{lane=") || line.contains("{owner=");
            assert!(!lines.iter().any(of_others), "{lines:#?}");
        };
        silent(&lines());
        {
            let mut scheduler = scheduler.lock().unwrap();
            scheduler.handle(Input::Activated, Millis(1000));
            let announcement = Announcement {
                worker: WorkerId::new("w"),
                class: ClassName::default(),
                fingerprint: "f".to_owned(),
                device: "cpu".to_owned(),
                pixels_per_second: 1e6,
                holds: Vec::new(),
                draining: false,
                serves: Serves::default(),
                audits: true,
                distrusted: false,
            };
            scheduler.handle(Input::Announced(announcement), Millis(1000));
            read(&mut scheduler, &film());
            scheduler.handle(Input::Tick, Millis(8000));
        }
        let active = lines();
        for line in [
            "clearfleet_scheduler_active 1",
            "clearfleet_backlog_seconds{class=\"idle\"} 0",
            "clearfleet_backlog_jobs{class=\"default\"} 1",
            "clearfleet_backlog_jobs{class=\"idle\"} 0",
            "clearfleet_workers{class=\"default\"} 1",
            "clearfleet_workers_pixels_per_second{class=\"default\"} 1000000",
            "clearfleet_media_backlog_tasks 1",
            "clearfleet_oldest_wait_seconds{lane=\"media\"} 7",
            "clearfleet_oldest_wait_seconds{lane=\"bulk\"} 0",
            // printf %s local | sha256sum
            "clearfleet_owner_place{owner=\"25bf8e1a\"} 0",
        ] {
            has(&active, line);
        }
        let is_left = |line: &&String| line.starts_with("clearfleet_backlog_seconds{class=\"default\"}");
        let left = active
            .iter()
            .find(is_left)
            .and_then(|line| line.split(' ').next_back()?.parse::<f64>().ok());
        assert!(left.is_some_and(|left| left > 0.0), "{active:#?}");
        scheduler.lock().unwrap().handle(Input::Deactivated, Millis(9000));
        silent(&lines());
    }
}
