//! Measures the scheduler alone: messages a second on one core, and the memory of a long film.
//!
//! `cargo run --release -p clearfleet-common --example schedule` prints one JSON object a line for each figure, as
//! `make bench` does. Goals: at least 20,000 messages a second, less than 1 MiB for a job of 100,000 batches.

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant};

use clearfleet_common::job::{
    Announcement, ClassName, ControlMessage, FORMAT_VERSION, JobId, Outcome, OutputFormat, OwnerId, PlanSummary,
    Priority, Record, Report, Request, Serves, Settings, Source, SourceKind, SourceLocation, Step, Stretch, Task,
    WorkerId,
};
use clearfleet_common::schedule::{BatchSet, Effect, Input, Millis, RecordVersion, Rules, Scheduler};
use jiff::Timestamp;
use serde_json::json;

/// Batches of the long film.
const BATCHES: u64 = 100_000;
/// Long films at once for the memory of one: what the allocator rounds up is shared out.
const FILMS: u128 = 32;
/// Workers of the fleet that works the films off.
const WORKERS: u64 = 200;
/// Owners and their jobs beside it.
const OWNERS: u128 = 20;

/// A scheduler whose storage answers at once, and what it has published.
struct World {
    scheduler: Scheduler,
    now: Millis,
    versions: u64,
    /// What was published and is not reported.
    out: VecDeque<Task>,
    /// Inputs that the scheduler has taken in.
    inputs: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            scheduler: Scheduler::new(Rules::default()),
            now: Millis(1_000_000),
            versions: 0,
            out: VecDeque::new(),
            inputs: 0,
        };
        world.say(Input::Activated);
        world.now = world.now.after(Duration::from_secs(20));
        world
    }

    fn say(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.inputs += 1;
            let effects = self.scheduler.handle(input, self.now);
            inputs.extend(effects.into_iter().filter_map(|effect| self.carry_out(effect)));
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::ListActive => Some(Input::ListFailed),
            Effect::Replace { ticket, record, .. } => Some(Input::Replaced {
                job: record.id,
                ticket,
                version: self.version(),
            }),
            Effect::ListMarkers { job, ticket, .. } => Some(Input::Markers {
                job,
                ticket,
                done: BatchSet::new(),
            }),
            Effect::Read { job, owner, ticket } => Some(Input::Read {
                job,
                ticket,
                found: Some((Box::new(record(job, owner)), self.version())),
            }),
            Effect::Publish { task, .. } => {
                self.out.push_back(task);
                None
            }
            _ => None,
        }
    }

    fn version(&mut self) -> RecordVersion {
        self.versions += 1;
        RecordVersion(self.versions.to_string())
    }

    /// Makes a film and has it planned.
    fn film(&mut self, job: u128, owner: &str, batches: u64) -> Result<(), Box<dyn Error>> {
        let owner = owner.parse()?;
        let job = JobId::from_u128(job);
        self.say(Input::Control(ControlMessage::Look { job, owner }));
        let is_planned = |task: &Task| matches!(task.step, Step::Plan { .. });
        while let Some(index) = self.out.iter().position(is_planned) {
            let task = self.out.remove(index).ok_or("a task that was there")?;
            let plan = plan(task.step.plan(), batches);
            self.report(task, Outcome::Planned(plan));
        }
        Ok(())
    }

    fn report(&mut self, task: Task, outcome: Outcome) {
        let worker = WorkerId::new("worker");
        let version = FORMAT_VERSION;
        self.say(Input::Control(ControlMessage::Report(Report {
            version,
            worker,
            task,
            outcome,
            held_seconds: None,
        })));
    }

    fn announce(&mut self, worker: u64) {
        let holds = self.out.get(worker as usize).cloned();
        self.say(Input::Announced(Announcement {
            worker: WorkerId::new(format!("worker-{worker}")),
            class: ClassName::default(),
            fingerprint: "f".to_owned(),
            device: "cpu".to_owned(),
            pixels_per_second: 1e6,
            holds: holds.into_iter().collect(),
            draining: false,
            serves: Serves::default(),
            audits: true,
            distrusted: false,
        }));
    }
}

fn record(id: JobId, owner: OwnerId) -> Record {
    let request = Request {
        name: "film.mp4".to_owned(),
        kind: SourceKind::Video,
        settings: Settings::default(),
        stretch: Stretch::default(),
        retouches: Vec::new(),
        class: ClassName::default(),
        priority: Priority::Normal,
        webhook: None,
        destination: None,
        preview: None,
    };
    let source = Source {
        location: SourceLocation::Job(id),
        bytes: 1 << 30,
        etag: "\"0123456789abcdef0123456789abcdef\"".to_owned(),
        content_type: "video/mp4".to_owned(),
    };
    Record::new(id, owner, request, source, Timestamp::UNIX_EPOCH)
}

fn plan(number: u32, batches: u64) -> PlanSummary {
    PlanSummary {
        number,
        kind: SourceKind::Video,
        class: ClassName::default(),
        pipeline: "0123456789abcdef".repeat(4),
        batches,
        frames: 100 * batches,
        batch_seconds: 30.0,
        source_size: (1920, 1080),
        target_size: (3840, 2160),
        seconds: 4.0 * batches as f64,
        format: OutputFormat::Mp4,
        notes: Vec::new(),
        exact: false,
        has_sound: false,
        fingerprint: None,
    }
}

/// Bytes of memory that this process has.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = line.ok_or("no VmRSS")?.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// Bytes that a film of [`BATCHES`] batches costs, every second one of them finished.
fn memory() -> Result<f64, Box<dyn Error>> {
    let mut world = World::new();
    world.film(1, "first", 4)?;
    let before = resident()?;
    for film in 0..FILMS {
        world.film(100 + film, "ann", BATCHES)?;
    }
    for film in 0..FILMS {
        for batch in (0..BATCHES).step_by(2) {
            let step = Step::Upscale { plan: 0, batch };
            let task = Task::new(JobId::from_u128(100 + film), "ann".parse()?, 1, step);
            world.report(task, Outcome::BatchDone);
        }
    }
    let after = resident()?;
    Ok(after.saturating_sub(before) as f64 / FILMS as f64)
}

/// Inputs a second of a fleet that works off films of several owners, announcements and clock included.
fn messages() -> Result<f64, Box<dyn Error>> {
    let mut world = World::new();
    (0..WORKERS).for_each(|worker| world.announce(worker));
    for job in 0..5 * OWNERS {
        let owner = format!("owner-{}", job % OWNERS);
        world.film(1000 + job, &owner, BATCHES / 10)?;
    }
    let (began, before) = (Instant::now(), world.inputs);
    for round in 0..300_000 {
        let task = world.out.pop_front().ok_or("nothing is published")?;
        world.report(task, Outcome::BatchDone);
        // A fleet that does 40 batches a second: each worker announces itself every 5 s, the clock ticks every 250 ms.
        if round % 10 == 0 {
            world.now = world.now.after(Duration::from_millis(250));
            world.say(Input::Tick);
        }
        world.announce(round % WORKERS);
    }
    Ok((world.inputs - before) as f64 / began.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let bytes = memory()?;
    let figure = json!({"figure": "scheduler_memory_100000_batches", "value": bytes, "unit": "bytes", "goal": "< 1048576",
        "ok": bytes < 1_048_576.0});
    println!("{figure}");
    let rate = messages()?;
    let figure = json!({"figure": "scheduler_messages_per_second", "value": rate, "unit": "1/s", "goal": ">= 20000",
        "ok": rate >= 20_000.0});
    println!("{figure}");
    Ok(())
}
