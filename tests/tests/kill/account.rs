//! What was begun and what ended, by the program's own log of several runs.

use std::collections::{BTreeMap, BTreeSet};

use clearfleet_tests::Ended;

/// A step of a job, as the log writes it.
type Task = (String, String);

/// Runs after one another.
#[derive(Debug, Default)]
pub(super) struct Account {
    runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Default)]
struct Run {
    /// How often each task was begun.
    begun: BTreeMap<Task, u32>,
    /// Tasks that were reported as done.
    done: BTreeSet<Task>,
    /// Tasks that ended without being done: they had no use any more, failed, or were given back.
    undone: BTreeSet<Task>,
}

impl Account {
    /// The account of one run.
    pub(super) fn of(ended: &Ended) -> Self {
        let mut account = Self::default();
        account.run(ended);
        account
    }

    /// Takes in the next run.
    ///
    /// # Panics
    /// If a batch is begun that was finished before.
    pub(super) fn run(&mut self, ended: &Ended) {
        let mut run = Run::default();
        for line in ended.stderr.lines() {
            if let Some(task) = task(line, "a task begins ") {
                assert!(
                    !run.done.contains(&task),
                    "{task:?} is finished and begun again in one run"
                );
                *run.begun.entry(task).or_default() += 1;
            } else if let Some(task) = task(line, "a task ends ") {
                let done = ["BatchDone", "Planned", "Finished"];
                let done = done
                    .iter()
                    .any(|outcome| line.contains(&format!("end=Report({outcome}")));
                if done { &mut run.done } else { &mut run.undone }.insert(task);
            }
        }
        self.runs.push(run);
    }

    /// How many batches of a job were begun.
    pub(super) fn begun_of(&self, job: &str) -> u32 {
        let begun = self.runs.iter().flat_map(|run| &run.begun);
        begun.filter(|((of, _), _)| of == job).map(|(_, count)| count).sum()
    }

    /// Tasks that were begun, and how often in all runs.
    fn begun(&self) -> BTreeMap<&Task, u32> {
        let mut sum: BTreeMap<&Task, u32> = BTreeMap::new();
        for (task, count) in self.runs.iter().flat_map(|run| &run.begun) {
            *sum.entry(task).or_default() += count;
        }
        sum
    }

    /// Batches that were begun.
    pub(super) fn batches(&self) -> usize {
        self.begun().keys().filter(|(_, step)| is_batch(step)).count()
    }

    /// Batches and pictures that were done.
    pub(super) fn finished(&self) -> usize {
        let done = self.runs.iter().flat_map(|run| &run.done);
        // A picture that is done again is another task of the same job.
        let counted = done.filter_map(|(job, step)| match step.split(' ').next() {
            Some("Upscale") => Some((job, step.as_str())),
            Some("Picture") => Some((job, "")),
            _ => None,
        });
        counted.collect::<BTreeSet<_>>().len()
    }

    /// Batches that were begun again, each time counted.
    pub(super) fn again(&self) -> u32 {
        let begun = self.begun();
        let batches = begun.iter().filter(|((_, step), _)| is_batch(step));
        batches.map(|(_, count)| count - 1).sum()
    }

    /// No batch is begun once it was finished, and none more often than it was cut off.
    ///
    /// # Panics
    /// If one is.
    pub(super) fn assert_no_finished_batch_again(&self) {
        let mut finished: BTreeSet<&Task> = BTreeSet::new();
        for run in &self.runs {
            for task in run.begun.keys().filter(|(_, step)| is_batch(step)) {
                assert!(
                    !finished.contains(task),
                    "{task:?} was finished in an earlier run and is begun again"
                );
            }
            finished.extend(&run.done);
        }
        for (task, count) in self.begun().into_iter().filter(|((_, step), _)| is_batch(step)) {
            let cut_off = self
                .runs
                .iter()
                .filter(|run| run.was_in_flight(task) || run.undone.contains(task));
            let cut_off = u32::try_from(cut_off.count()).expect("a few runs");
            assert!(
                count <= cut_off + 1,
                "{task:?} was begun {count} times and cut off {cut_off} times"
            );
        }
    }

    /// Jobs of which something was cut off so often, and did not end since.
    pub(super) fn cut_off(&self, times: usize) -> BTreeSet<&str> {
        let ended = |task: &Task| {
            self.runs
                .iter()
                .any(|run| run.done.contains(task) || run.undone.contains(task))
        };
        let cut_off = |task: &Task| self.runs.iter().filter(|run| run.was_in_flight(task)).count();
        let tasks = self.begun().into_keys();
        let often = tasks.filter(|task| !ended(task) && cut_off(task) >= times);
        often.map(|(job, _)| job.as_str()).collect()
    }

    /// The most batches that were in flight when a run ended.
    pub(super) fn most_in_flight(&self) -> usize {
        let in_flight = |run: &Run| {
            let batches = run.begun.keys().filter(|(_, step)| is_batch(step));
            batches.filter(|task| run.was_in_flight(task)).count()
        };
        self.runs.iter().map(in_flight).max().unwrap_or_default()
    }
}

impl Run {
    fn was_in_flight(&self, task: &Task) -> bool {
        self.begun.contains_key(task) && !self.done.contains(task) && !self.undone.contains(task)
    }
}

fn is_batch(step: &str) -> bool {
    step.starts_with("Upscale")
}

/// The task of a line of the log that says this.
fn task(line: &str, said: &str) -> Option<Task> {
    let fields = line.split_once(said)?.1;
    let job = fields.strip_prefix("job=")?.split(' ').next()?;
    let step = fields.split_once("step=")?.1;
    // Of a step with values, up to the brace.
    let end = step.find('}').map_or(step.len(), |brace| brace + 1);
    Some((job.to_owned(), step[..end].to_owned()))
}
