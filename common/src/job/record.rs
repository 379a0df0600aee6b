use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ClassName, Command, FORMAT_VERSION, Failure, IllegalCommand, JobId, ObjectAddress, OutputFormat, OwnerId, Request,
    SourceKind, State, TraceParent,
};

/// Everything that is known of a job: the one object that says what counts.
///
/// It is changed by compare-and-swap only. The API writes it once, when the job is made, and afterwards only what a person
/// may change: [`wanted`](Self::wanted) and, within their limits, [`request`](Self::request). Of a job that is still
/// [`Uploading`](State::Uploading) it also writes what the source looks like and, once that is there, the next state. All
/// else is the scheduler's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT_VERSION`] of the build that wrote it last.
    pub version: u32,
    /// Which job.
    pub id: JobId,
    /// Whose.
    pub owner: OwnerId,
    /// When it was made.
    pub created: Timestamp,
    /// When the state changed last.
    pub changed: Timestamp,
    /// What was asked.
    pub request: Request,
    /// Where the source lies.
    pub source: Source,
    /// What a person asked since, not yet or already carried out: see [`heard`](Self::heard).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// [`Wanted::serial`] of the last command that the scheduler carried out.
    #[serde(default)]
    pub heard: u64,
    /// Where it is.
    pub state: State,
    /// Raised whenever tasks published before shall not count any more.
    #[serde(default)]
    pub generation: u64,
    /// The plan that tasks follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSummary>,
    /// Number that the next plan gets.
    #[serde(default)]
    pub next_plan: u32,
    /// What the scheduler decided before it had the source planned; whoever plans and whoever works keeps to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_for: Option<PlannedFor>,
    /// The newest result that was verified; after a redo, the one before until the new one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// Of plans below this number, segments and markers are deleted or about to be: nothing may be built on them any
    /// more. The sweep writes it while the job is done, before it deletes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments_gone: Option<u32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When work on it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What happened on the way that a person should know, oldest first: [`NOTES`](Self::NOTES) at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The span of the request that the work is done for: that which made the job, or brought it back last. With
    /// [`wanted`](Self::wanted) it is what the API writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// Fields of newer builds, kept as they are.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

/// Where a source lies, and which version of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where.
    pub location: SourceLocation,
    /// Its length.
    pub bytes: u64,
    /// Its ETag, pinned: every read asks for this version. Empty until all of it is there.
    pub etag: String,
    /// Its media type, for whoever downloads it again.
    pub content_type: String,
}

impl Source {
    /// Whether all of it is there.
    pub fn has_come(&self) -> bool {
        !self.etag.is_empty()
    }
}

/// Where a source lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceLocation {
    /// Uploaded for a job, this one or another.
    Job(JobId),
    /// An operator's object, used where it lies.
    External {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
    },
}

/// What a person wants of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Counts the commands of a job from 1.
    pub serial: u64,
    /// The last one.
    pub command: Command,
    /// A retry or a redo before it that was not heard yet: without it the last one might not go with the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Command>,
}

/// What a plan is made for. It is in the record, and not what a planner finds at itself, so that two workers that plan
/// the same number make the same plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedFor {
    /// As what the source is treated: what the request says, or the other where a worker that opened it knew better.
    pub kind: SourceKind,
    /// How often workers found it to be of the other kind; after a few times nobody believes them.
    #[serde(default)]
    pub turns: u32,
    /// Whether a picture takes so long that it is done on the bulk lane, where nobody waits behind it.
    #[serde(default)]
    pub bulk: bool,
    /// Whether every frame is to be found by decoding.
    #[serde(default)]
    pub exact: bool,
    /// [`Announcement::fingerprint`](super::Announcement::fingerprint) of the workers that do its batches; nothing as long
    /// as no worker of the class was ever heard of. Any worker of the class does a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Pixels of the result that one of them makes in a second: batches are cut by it.
    pub pixels_per_second: f64,
}

/// What the record says of its plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// Its number.
    pub number: u32,
    /// Whether it is a picture, which is one step, or batches.
    pub kind: SourceKind,
    /// The workers it is for.
    pub class: ClassName,
    /// Engine, model and encoder: see [`Plan::pipeline`](super::Plan::pipeline).
    pub pipeline: String,
    /// Batches.
    pub batches: u64,
    /// Frames.
    pub frames: u64,
    /// Estimated seconds of work in a batch.
    pub batch_seconds: f64,
    /// Width and height of the source.
    pub source_size: (u32, u32),
    /// Width and height of the result.
    pub target_size: (u32, u32),
    /// Length of the part that is upscaled, in seconds; 0 for a picture.
    pub seconds: f64,
    /// File format of the result.
    pub format: OutputFormat,
    /// What the result will not hold as the source did, for a person to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether every frame was found by decoding, since packets told others.
    #[serde(default)]
    pub exact: bool,
    /// Whether its stream has sound: see [`Plan::sound`](super::Plan::sound).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_sound: bool,
    /// Fingerprint of the worker that planned it, if its batches are for workers of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A finished result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// Key of the object.
    pub key: String,
    /// Which plan made it.
    pub plan: u32,
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Its file format.
    pub format: OutputFormat,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Frames; 1 for a picture.
    pub frames: u64,
    /// What it does not hold as the source did, for a person to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Where it was written beside, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<ObjectAddress>,
}

impl Record {
    /// Notes that a record holds at most.
    pub const NOTES: usize = 20;

    /// The record of a new job, in the state `Queued`.
    pub fn new(id: JobId, owner: OwnerId, request: Request, source: Source, now: Timestamp) -> Self {
        Self {
            version: FORMAT_VERSION,
            id,
            owner,
            created: now,
            changed: now,
            request,
            source,
            wanted: None,
            heard: 0,
            state: State::Queued,
            generation: 0,
            plan: None,
            next_plan: 0,
            planned_for: None,
            result: None,
            segments_gone: None,
            failure: None,
            started: None,
            ended: None,
            notes: Vec::new(),
            trace: None,
            unknown: serde_json::Map::new(),
        }
    }

    /// Whether the plan's segments may be watched: those of a video, as long as they are kept. Some codecs no player shows in
    /// segments; the plan tells.
    pub fn is_streamed(&self) -> bool {
        let is_film = |plan: &PlanSummary| {
            let container = plan.format.container();
            container.is_some_and(|container| !container.is_animation())
        };
        let is_kept = |plan: &PlanSummary| self.segments_gone.is_none_or(|gone| gone <= plan.number);
        let plan = self.plan.as_ref().filter(|_| self.request.preview.is_none());
        plan.is_some_and(|plan| is_film(plan) && is_kept(plan))
    }

    /// The command that the scheduler has not carried out yet.
    pub fn pending(&self) -> Option<Command> {
        self.unheard().map(|wanted| wanted.command)
    }

    /// The commands that the scheduler has not carried out yet, in their order, as far as they matter: one that does not
    /// go with the state that those before it lead to is passed over.
    pub fn pending_commands(&self) -> impl Iterator<Item = Command> + use<> {
        let unheard = self.unheard();
        let first = unheard.and_then(|wanted| wanted.first);
        first.into_iter().chain(unheard.map(|wanted| wanted.command))
    }

    fn unheard(&self) -> Option<Wanted> {
        self.wanted.filter(|wanted| wanted.serial > self.heard)
    }

    /// Adds to [`notes`](Self::notes); of too many the oldest go.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
        let surplus = self.notes.len().saturating_sub(Self::NOTES);
        self.notes.drain(..surplus);
    }

    /// The state that the job is in as far as a person is concerned: a command that was accepted is taken as carried
    /// out. Nothing where the job is to be deleted.
    pub fn apparent_state(&self) -> Option<State> {
        let carry_out = |state: Option<State>, command| {
            let state = state?;
            // What the work made of the job meanwhile may leave nothing to do: then it is what it became.
            state.after(command).unwrap_or(Some(state))
        };
        self.pending_commands().fold(Some(self.state), carry_out)
    }

    /// Writes down what a person wants.
    ///
    /// # Errors
    /// If it does not go with the state, accepted commands taken as carried out; or is to retry what has no source.
    pub fn want(&mut self, command: Command) -> Result<(), IllegalCommand> {
        let state = self.apparent_state().unwrap_or(State::Expired);
        state.after(command)?;
        if command == Command::Retry && !self.source.has_come() {
            return Err(IllegalCommand { command, state });
        }
        let serial = self.wanted.map_or(0, |wanted| wanted.serial).max(self.heard) + 1;
        // What brings an ended job back is remembered: a pause after it would else be one of a job that is done.
        let first = self
            .pending_commands()
            .find(|before| matches!(before, Command::Retry | Command::Redo));
        self.wanted = Some(Wanted { serial, command, first });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Priority, Settings, Stretch};

    fn record() -> Record {
        let request = Request {
            name: "a.mp4".to_owned(),
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
        let id = JobId::from_u128(7);
        let source = Source {
            location: SourceLocation::Job(id),
            bytes: 3,
            etag: "\"1\"".to_owned(),
            content_type: "video/mp4".to_owned(),
        };
        Record::new(id, OwnerId::default(), request, source, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn fields_of_newer_builds_are_kept() {
        let mut written = serde_json::to_value(record()).unwrap();
        written["colour_of_tomorrow"] = "blue".into();
        let read: Record = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), written);
    }

    /// Builds from before traces keep the field with those that they do not know; what they wrote is read without.
    #[test]
    fn a_trace_passes_through_builds_that_know_none() {
        let mut traced = record();
        traced.trace = Some(TraceParent::new(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ));
        let written = serde_json::to_value(&traced).unwrap();
        assert_eq!(serde_json::from_value::<Record>(written).unwrap(), traced);
        let untraced = serde_json::to_value(record()).unwrap();
        assert!(untraced.get("trace").is_none(), "{untraced}");
        assert_eq!(serde_json::from_value::<Record>(untraced).unwrap(), record());
    }

    #[test]
    fn a_command_is_judged_by_those_before_it() {
        let mut record = record();
        record.want(Command::Cancel).unwrap();
        assert_eq!(record.apparent_state(), Some(State::Cancelled));
        let refused = record.want(Command::Pause).unwrap_err();
        assert_eq!(refused.state, State::Cancelled);
        record.want(Command::Retry).unwrap();
        assert_eq!(record.wanted.unwrap().serial, 2);
        assert_eq!(record.pending(), Some(Command::Retry));
        record.heard = 2;
        assert_eq!(record.pending(), None);
        record.want(Command::Delete).unwrap();
        assert_eq!(record.wanted.unwrap().serial, 3);
        assert_eq!(record.apparent_state(), None);
    }

    #[test]
    fn what_has_no_source_is_not_tried_again() {
        let mut record = record();
        (record.state, record.source.etag) = (State::Uploading, String::new());
        record.want(Command::Cancel).unwrap();
        let refused = record.want(Command::Retry).unwrap_err();
        assert_eq!(refused.to_string(), "a job that is cancelled cannot retry");
        record.source.etag = "\"1\"".to_owned();
        record.want(Command::Retry).unwrap();
    }

    #[test]
    fn what_brought_a_job_back_is_not_forgotten_by_the_next_command() {
        let mut record = record();
        record.state = State::Done;
        record.want(Command::Redo).unwrap();
        record.want(Command::Pause).unwrap();
        record.want(Command::Resume).unwrap();
        assert_eq!(
            record.pending_commands().collect::<Vec<_>>(),
            [Command::Redo, Command::Resume]
        );
        assert_eq!(record.apparent_state(), Some(State::Queued));
        record.want(Command::Cancel).unwrap();
        assert_eq!(record.apparent_state(), Some(State::Cancelled));
        record.heard = 4;
        assert_eq!(record.pending_commands().count(), 0);
    }

    #[test]
    fn the_latest_notes_are_kept() {
        let mut record = record();
        (0..30).for_each(|n| record.note(n.to_string()));
        assert_eq!(record.notes.len(), Record::NOTES);
        assert_eq!(record.notes.last().unwrap(), "29");
    }

    #[test]
    fn a_command_that_came_too_late_changes_nothing() {
        let mut record = record();
        record.state = State::Running;
        record.want(Command::Cancel).unwrap();
        record.state = State::Done;
        assert_eq!(record.apparent_state(), Some(State::Done));
    }
}
