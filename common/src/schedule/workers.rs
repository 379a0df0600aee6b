use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::job::{Announcement, ClassName, JobId, Lane, Serves, Step, Task, WorkerId};

use super::{Destination, KnownClass, Millis};

/// Who is alive and what it holds, from announcements alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Workers {
    workers: BTreeMap<WorkerId, Worker>,
    /// When each fingerprint of a class was announced last.
    seen: BTreeMap<(ClassName, String), Millis>,
    /// What is known of classes that nobody announces.
    known: BTreeMap<ClassName, KnownClass>,
    /// Who makes wrong pictures, whether or not it heard of it.
    distrusted: BTreeSet<WorkerId>,
}

/// One worker as it announced itself last.
#[derive(Clone, Debug)]
struct Worker {
    class: ClassName,
    fingerprint: String,
    device: String,
    rate: f64,
    holds: Vec<Task>,
    draining: bool,
    serves: Serves,
    audits: bool,
    distrusted: bool,
    seen: Millis,
    /// Since when it holds nothing of the media queue, of the interactive and of the bulk lane.
    idle: [Option<Millis>; 3],
}

/// A live worker, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveWorker {
    /// Who.
    pub worker: WorkerId,
    /// Its pool.
    pub class: ClassName,
    /// Engine, model and encoder.
    pub fingerprint: String,
    /// The device its engine runs on.
    pub device: String,
    /// Pixels of results that its engine makes in a second.
    pub pixels_per_second: f64,
    /// The tasks that it holds.
    pub holds: Vec<Task>,
    /// Whether it takes no more, since it ends or is distrusted.
    pub draining: bool,
    /// Whether audits have shown that it makes wrong pictures.
    pub distrusted: bool,
}

impl Workers {
    /// Takes an announcement in. `from` says from which queue a task came, where that is known.
    pub(super) fn announce(
        &mut self,
        announcement: Announcement,
        now: Millis,
        from: impl Fn(&Task) -> Option<Destination>,
    ) {
        let Announcement {
            worker,
            class,
            fingerprint,
            device,
            pixels_per_second: rate,
            holds,
            draining,
            serves,
            audits,
            distrusted,
        } = announcement;
        let key = (class, fingerprint);
        let distrusted = distrusted || self.distrusted.contains(&worker);
        if !distrusted {
            self.seen.insert(key.clone(), now);
        }
        let before = self.workers.get(&worker).map_or([None; 3], |known| known.idle);
        let queue_of = |task: &Task| from(task).unwrap_or_else(|| queue_of(task, class));
        let mut idle = [None; 3];
        for (since, (then, to)) in idle.iter_mut().zip(before.into_iter().zip(queues(class))) {
            let has_room = holds.iter().all(|task| !task.alone && queue_of(task) != to);
            *since = has_room.then(|| then.unwrap_or(now));
        }
        let known = Worker {
            class,
            fingerprint: key.1,
            device,
            // A worker that has measured nothing yet says zero.
            rate: if rate.is_finite() { rate.max(0.0) } else { 0.0 },
            holds,
            draining: draining || distrusted,
            serves,
            audits,
            distrusted,
            seen: now,
            idle,
        };
        self.workers.insert(worker, known);
    }

    /// Forgets who has been silent for `silence`; tells whether there was any.
    pub(super) fn expire(&mut self, now: Millis, silence: Duration) -> bool {
        let before = self.workers.len();
        self.workers.retain(|_, worker| now < worker.seen.after(silence));
        before != self.workers.len()
    }

    /// When the next one expires unless it announces itself.
    pub(super) fn next_expiry(&self, silence: Duration) -> Option<Millis> {
        self.workers.values().map(|worker| worker.seen.after(silence)).min()
    }

    /// Workers that take tasks from a queue.
    pub(super) fn live(&self, to: Destination) -> u32 {
        let takes = |worker: &&Worker| !worker.draining && worker.serves(to);
        self.workers.values().filter(takes).count() as u32
    }

    /// What is held of a job, by whom, and when that was said last.
    pub(super) fn holding(&self, job: JobId) -> impl Iterator<Item = (&WorkerId, &Task, Millis)> {
        self.workers.iter().flat_map(move |(id, worker)| {
            let held = worker.holds.iter().filter(move |task| task.job == job);
            held.map(move |task| (id, task, worker.seen))
        })
    }

    /// Whether a worker that may do work of `fingerprint` has had nothing of a queue for `wait`.
    pub(super) fn is_idle(&self, to: Destination, fingerprint: Option<&str>, now: Millis, wait: Duration) -> bool {
        self.workers.values().any(|worker| {
            let index = queues(worker.class).iter().position(|queue| *queue == to);
            let since = index.and_then(|index| worker.idle[index]);
            !worker.draining
                && worker.serves(to)
                && fingerprint.is_none_or(|fingerprint| worker.fingerprint == fingerprint)
                && since.is_some_and(|since| now >= since.after(wait))
        })
    }

    /// The fingerprint of a class that makes the most pixels a second now, and what one of its workers makes.
    pub(super) fn best(&self, class: ClassName) -> Option<KnownClass> {
        let mut rates: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
        for worker in self.workers.values().filter(|worker| worker.makes(class)) {
            let (rate, count) = rates.entry(&worker.fingerprint).or_default();
            *rate += worker.rate;
            *count += 1;
        }
        let best = rates
            .into_iter()
            .max_by(|(_, one), (_, other)| one.0.total_cmp(&other.0));
        best.map(|(fingerprint, (rate, count))| KnownClass {
            class,
            fingerprint: fingerprint.to_owned(),
            pixels_per_second: rate / f64::from(count),
        })
    }

    /// The same where workers live; else as it was at an earlier time.
    pub(super) fn best_ever(&self, class: ClassName) -> Option<KnownClass> {
        self.best(class).or_else(|| self.known.get(&class).cloned())
    }

    /// Remembers a class as it was at an earlier time.
    pub(super) fn remember(&mut self, known: KnownClass) {
        self.known.insert(known.class, known);
    }

    /// Whether a live worker has a fingerprint, and makes what it should.
    pub(super) fn has(&self, class: ClassName, fingerprint: &str) -> bool {
        let mut workers = self.workers.values().filter(|worker| !worker.distrusted);
        workers.any(|worker| worker.class == class && worker.fingerprint == fingerprint)
    }

    /// Workers beside these that may compute a batch of a fingerprint again; none while the class has workers of a build
    /// that does not know audits, which might get them.
    pub(super) fn auditors(&self, class: ClassName, fingerprint: &str, beside: &[&WorkerId]) -> usize {
        let bulk = Destination::Work(Lane::Bulk, class);
        let serving = self.workers.iter().filter(|(_, worker)| worker.serves(bulk));
        if serving.clone().any(|(_, worker)| !worker.audits) {
            return 0;
        }
        let may = |(id, worker): &(&WorkerId, &Worker)| {
            !worker.draining && worker.fingerprint == fingerprint && !beside.contains(id)
        };
        serving.filter(may).count()
    }

    /// From now on a worker counts as one that takes nothing.
    pub(super) fn distrust(&mut self, id: &WorkerId) {
        self.distrusted.insert(id.clone());
        if let Some(worker) = self.workers.get_mut(id) {
            worker.distrusted = true;
            worker.draining = true;
        }
    }

    /// Whether a worker makes wrong pictures.
    pub(super) fn distrusts(&self, id: &WorkerId) -> bool {
        let known = self.workers.get(id);
        self.distrusted.contains(id) || known.is_some_and(|worker| worker.distrusted)
    }

    /// When a worker of a class announced a fingerprint last.
    pub(super) fn last_seen(&self, class: ClassName, fingerprint: &str) -> Option<Millis> {
        self.seen.get(&(class, fingerprint.to_owned())).copied()
    }

    /// Pixels a second that all live workers of a class make together.
    pub(super) fn total_rate(&self, class: ClassName) -> f64 {
        let of_class = self.workers.values().filter(|worker| worker.makes(class));
        of_class.map(|worker| worker.rate).sum()
    }

    /// All live workers.
    pub(super) fn all(&self) -> Vec<LiveWorker> {
        let told = |(id, worker): (&WorkerId, &Worker)| LiveWorker {
            worker: id.clone(),
            class: worker.class,
            fingerprint: worker.fingerprint.clone(),
            device: worker.device.clone(),
            pixels_per_second: worker.rate,
            holds: worker.holds.clone(),
            draining: worker.draining,
            distrusted: worker.distrusted,
        };
        self.workers.iter().map(told).collect()
    }
}

#[cfg(test)]
impl Workers {
    /// All tasks that are held.
    pub(super) fn held(&self) -> impl Iterator<Item = &Task> {
        self.workers.values().flat_map(|worker| &worker.holds)
    }

    /// When fingerprints were seen.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&(ClassName, String), Millis)> {
        self.seen.iter().map(|(key, seen)| (key, *seen))
    }

    /// When workers were seen, and since when they are idle.
    pub(super) fn ages(&self) -> impl Iterator<Item = (&WorkerId, Millis, [Option<Millis>; 3])> {
        self.workers.iter().map(|(id, worker)| (id, worker.seen, worker.idle))
    }
}

impl Worker {
    fn serves(&self, to: Destination) -> bool {
        match to {
            Destination::Media | Destination::Sound => self.serves.media,
            Destination::Work(Lane::Interactive, class) => self.serves.interactive && self.class == class,
            Destination::Work(Lane::Bulk, class) => self.serves.bulk && self.class == class,
        }
    }

    /// Whether it takes work of a class for its engine.
    fn makes(&self, class: ClassName) -> bool {
        self.class == class && self.serves.uses_engine() && !self.draining
    }
}

/// The queues that a worker of a class takes from.
fn queues(class: ClassName) -> [Destination; 3] {
    [
        Destination::Media,
        Destination::Work(Lane::Interactive, class),
        Destination::Work(Lane::Bulk, class),
    ]
}

/// The queue that a held task most likely came from. A large picture of the bulk lane, or a batch of the interactive one,
/// lets a worker count as idle there a moment longer than it is.
fn queue_of(task: &Task, class: ClassName) -> Destination {
    match task.step {
        Step::Plan { .. } | Step::Assemble { .. } => Destination::Media,
        Step::Sound { .. } => Destination::Sound,
        Step::Picture { .. } => Destination::Work(Lane::Interactive, class),
        Step::Upscale { .. } | Step::Audit { .. } => Destination::Work(Lane::Bulk, class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::OwnerId;

    const BULK: Lane = Lane::Bulk;

    fn announcement(worker: &str, fingerprint: &str, rate: f64, holds: Vec<Task>) -> Announcement {
        Announcement {
            worker: WorkerId::new(worker),
            class: ClassName::default(),
            fingerprint: fingerprint.to_owned(),
            device: "cpu".to_owned(),
            pixels_per_second: rate,
            holds,
            draining: false,
            serves: Serves::default(),
            audits: true,
            distrusted: false,
        }
    }

    fn batch(batch: u64) -> Task {
        let step = Step::Upscale { plan: 0, batch };
        Task::new(JobId::LOCAL, OwnerId::default(), 1, step)
    }

    #[test]
    fn who_is_silent_is_forgotten_and_so_is_what_it_held() {
        let mut workers = Workers::default();
        let bulk = Destination::Work(BULK, ClassName::default());
        workers.announce(announcement("a", "f", 1.0, vec![batch(3)]), Millis(0), |_| None);
        workers.announce(announcement("b", "f", 1.0, vec![]), Millis(9_000), |_| None);
        assert_eq!((workers.live(bulk), workers.holding(JobId::LOCAL).count()), (2, 1));
        let silence = Duration::from_secs(15);
        assert_eq!(workers.next_expiry(silence), Some(Millis(15_000)));
        assert!(!workers.expire(Millis(14_999), silence));
        assert!(workers.expire(Millis(15_000), silence));
        assert_eq!((workers.live(bulk), workers.holding(JobId::LOCAL).count()), (1, 0));
    }

    #[test]
    fn one_is_idle_where_it_holds_nothing_for_a_while() {
        let mut workers = Workers::default();
        let class = ClassName::default();
        let bulk = Destination::Work(BULK, class);
        let wait = Duration::from_secs(10);
        workers.announce(announcement("a", "f", 1.0, vec![batch(3)]), Millis(0), |_| None);
        workers.announce(announcement("a", "f", 1.0, vec![batch(3)]), Millis(20_000), |_| None);
        let idle = |workers: &Workers, to, now| workers.is_idle(to, Some("f"), Millis(now), wait);
        assert!(!idle(&workers, bulk, 20_000));
        assert!(idle(&workers, Destination::Media, 20_000));
        workers.announce(announcement("a", "f", 1.0, vec![]), Millis(25_000), |_| None);
        assert!(!idle(&workers, bulk, 34_999));
        assert!(idle(&workers, bulk, 35_000));
        assert!(!workers.is_idle(bulk, Some("other"), Millis(35_000), wait));
        let alone = Task {
            alone: true,
            ..batch(4)
        };
        workers.announce(announcement("a", "f", 1.0, vec![alone]), Millis(40_000), |_| None);
        assert!(!idle(&workers, Destination::Media, 60_000), "it takes nothing beside");
    }

    #[test]
    fn one_that_only_plans_counts_for_no_lane() {
        let mut workers = Workers::default();
        let class = ClassName::default();
        let planner = Announcement {
            serves: Serves {
                interactive: false,
                bulk: false,
                media: true,
            },
            ..announcement("planner", "slow", 100.0, vec![])
        };
        workers.announce(planner, Millis(0), |_| None);
        assert_eq!((workers.best(class), workers.total_rate(class)), (None, 0.0));
        workers.announce(announcement("a", "fast", 10.0, vec![]), Millis(0), |_| None);
        let bulk = Destination::Work(BULK, class);
        assert_eq!((workers.live(bulk), workers.live(Destination::Media)), (1, 2));
        let wait = Duration::from_secs(10);
        assert!(!workers.is_idle(bulk, Some("slow"), Millis(60_000), wait));
        assert!(workers.is_idle(Destination::Media, Some("slow"), Millis(60_000), wait));
        assert_eq!(workers.best(class).unwrap().fingerprint, "fast");
        assert_eq!(workers.total_rate(class), 10.0);
    }

    #[test]
    fn the_fingerprint_that_makes_most_is_the_best() {
        let mut workers = Workers::default();
        let class = ClassName::default();
        let earlier = |fingerprint: &str, rate| KnownClass {
            class,
            fingerprint: fingerprint.to_owned(),
            pixels_per_second: rate,
        };
        workers.remember(earlier("old", 5.0));
        assert_eq!(workers.best_ever(class), Some(earlier("old", 5.0)));
        workers.announce(announcement("a", "one", 10.0, vec![]), Millis(0), |_| None);
        workers.announce(announcement("b", "two", 7.0, vec![]), Millis(0), |_| None);
        workers.announce(announcement("c", "two", 7.0, vec![]), Millis(0), |_| None);
        assert_eq!(workers.best(class), Some(earlier("two", 7.0)));
        assert_eq!(workers.total_rate(class), 24.0);
    }
}
