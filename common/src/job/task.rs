use serde::{Deserialize, Serialize};

use super::{Announcement, FORMAT_VERSION, Failure, JobId, JobResult, OwnerId, PlanSummary, TraceParent, WorkerId};

/// One step of one job, for one worker: what work queues carry. Ids and ranges, never pixels.
///
/// It may arrive twice, late, or when it does not count any more: a worker first compares it with the record and the
/// markers (the design's "A worker, on a delivery").
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// [`FORMAT_VERSION`] of the build that wrote it.
    pub version: u32,
    /// Which job.
    pub job: JobId,
    /// Whose: with the job it names the record.
    pub owner: OwnerId,
    /// The record's generation when it was published; it counts only as long as they are equal.
    pub generation: u64,
    /// What to do.
    pub step: Step,
    /// Whether its worker takes nothing beside it, since others died of it.
    #[serde(default)]
    pub alone: bool,
    /// Workers that must not do it: of an audit, those that did it already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<WorkerId>,
    /// The record's [`trace`](super::Record::trace).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Look at the source, find every frame, cut the work into batches, write plan `plan`.
    Plan {
        /// Number of the plan to write.
        plan: u32,
        /// Whether to decode the whole stream rather than trust its packets.
        exact: bool,
    },
    /// Upscale one batch of a plan.
    Upscale {
        /// Number of the plan.
        plan: u32,
        /// Which batch.
        batch: u64,
    },
    /// Put the result together and check it.
    Assemble {
        /// Number of the plan.
        plan: u32,
    },
    /// Everything for a still picture at once.
    Picture {
        /// Number under which its result is kept, as a plan's.
        plan: u32,
    },
    /// Compute a finished batch again and compare. It is no part of its job: nothing waits for it, it counts in every
    /// generation and state, and nothing is stored.
    Audit {
        /// Number of the plan.
        plan: u32,
        /// Which batch.
        batch: u64,
        /// Which time it is published: a report of an earlier one does not count.
        attempt: u32,
    },
    /// Write the sound of the plan's stream. It is no part of its job: nothing waits for it, and it counts in every
    /// generation, as long as the job follows the plan and was not given up.
    Sound {
        /// Number of the plan.
        plan: u32,
    },
}

/// Who comes first at a worker's engine.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Lane {
    /// Somebody waits for it: a photo, a preview, the batch under a viewer's playhead.
    Interactive,
    /// Films.
    Bulk,
}

/// A task from another build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of version {found} cannot be read by this build, which knows up to {known}", known = FORMAT_VERSION)]
pub struct NewerVersion {
    /// The version that it says.
    pub found: u32,
}

impl Task {
    /// A task that counts at `generation`.
    pub fn new(job: JobId, owner: OwnerId, generation: u64, step: Step) -> Self {
        Self {
            version: FORMAT_VERSION,
            job,
            owner,
            generation,
            step,
            alone: false,
            except: Vec::new(),
            trace: None,
        }
    }
}

impl Step {
    /// The plan that it belongs to.
    pub fn plan(self) -> u32 {
        match self {
            Self::Plan { plan, .. }
            | Self::Upscale { plan, .. }
            | Self::Assemble { plan }
            | Self::Picture { plan }
            | Self::Audit { plan, .. }
            | Self::Sound { plan } => plan,
        }
    }

    /// The batch that it is about.
    pub fn batch(self) -> Option<u64> {
        match self {
            Self::Upscale { batch, .. } | Self::Audit { batch, .. } => Some(batch),
            _ => None,
        }
    }

    /// Whether it needs an engine; if not, it is for the queues of media and sound, which any worker serves.
    pub fn needs_engine(self) -> bool {
        matches!(self, Self::Upscale { .. } | Self::Picture { .. } | Self::Audit { .. })
    }

    /// Whether it is a part of its job.
    pub fn is_of_job(self) -> bool {
        !self.is_audit() && !self.is_sound()
    }

    /// Whether it is an audit, which is no part of its job.
    pub fn is_audit(self) -> bool {
        matches!(self, Self::Audit { .. })
    }

    /// Whether it is a stream's sound, which is no part of its job.
    pub fn is_sound(self) -> bool {
        matches!(self, Self::Sound { .. })
    }
}

/// What the control queue carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "message")]
#[allow(clippy::large_enum_variant, reason = "one is held at a time, and most are reports")]
pub enum ControlMessage {
    /// Look at the record: the job is new, or somebody wants something. Only a hint; the record says what.
    Look {
        /// Which job.
        job: JobId,
        /// Whose.
        owner: OwnerId,
    },
    /// Somebody looks at an unfinished film and waits for this batch, and then for the one after it. Only a hint: it may
    /// get lost or come twice, one of another batch replaces it, and it is forgotten when it is not said again for a
    /// minute. A scheduler of a build that does not know it takes it for unreadable: it logs and drops it.
    Watch {
        /// Which job.
        job: JobId,
        /// Whose.
        owner: OwnerId,
        /// The plan whose batches are counted.
        plan: u32,
        /// The batch under the playhead.
        batch: u64,
    },
    /// What became of a task.
    Report(Report),
    /// Says nothing. Of the processes that consume the control queue only the active one gets messages: each sends this
    /// from time to time, so that the one that became active hears of it where nothing else is said.
    Wake,
}

/// What became of a task. It may arrive twice, late, or about a generation that does not count any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT_VERSION`] of the build that wrote it.
    pub version: u32,
    /// Who had it.
    pub worker: WorkerId,
    /// The task, as it was delivered.
    pub task: Task,
    /// What became of it.
    pub outcome: Outcome,
    /// Seconds that the worker had it; nothing from a build that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_seconds: Option<f64>,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The plan is written.
    Planned(PlanSummary),
    /// The source is a picture and no video, or the other way round: it wants other steps.
    IsPicture,
    /// As [`IsPicture`](Self::IsPicture): a video, an animation that is to be upscaled as one, or a still so large that
    /// it is no task for the interactive lane.
    IsVideo,
    /// The batch's marker is there, made by this worker or another.
    BatchDone,
    /// The result is there and verified. For a picture this is all there is to report, and its plan comes along.
    Finished {
        /// The result.
        result: JobResult,
        /// A picture's plan.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<PlanSummary>,
    },
    /// It did not work.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether it may work another time without anybody changing anything.
        transient: bool,
    },
    /// The decoded frames are not those of the ledger: the job wants a plan made by decoding.
    LedgerMismatch(Failure),
    /// Given back unfinished, since the worker ends.
    Returned,
    /// Not begun, since the worker's fingerprint is not the plan's.
    OtherFingerprint,
    /// An audit came to this.
    Audited(Audited),
    /// The sound is there, written by this worker or another.
    SoundDone,
}

/// What computing a batch again showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audited {
    /// Nothing: this worker made the batch, or audited it before.
    Own,
    /// Nothing: the job, its source or the batch is there no more.
    Gone,
    /// The frames are the same.
    Equal,
    /// They are not.
    Different {
        /// Who made the batch.
        made_by: WorkerId,
        /// Digest of the frames that are stored.
        stored: String,
        /// Digest of the frames that were computed now.
        found: String,
    },
}

/// What workers and schedulers tell everybody at once; nothing of it is kept, and whoever is not there misses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A worker is alive: every 5 s, and soon after what it holds has changed.
    Announced(Announcement),
    /// Frames of a task are done.
    Progress(Progress),
    /// Bytes of an upload have come: at most once a second.
    Received {
        /// The job whose source it is.
        job: JobId,
        /// Whose.
        owner: OwnerId,
        /// Bytes that have come.
        bytes: u64,
    },
    /// A record was changed.
    Changed {
        /// Which job.
        job: JobId,
        /// Whose.
        owner: OwnerId,
    },
    /// Audits have shown that a worker makes wrong pictures: it takes nothing more. Said again until it is heard.
    Distrusted {
        /// Who.
        worker: WorkerId,
    },
}

/// What an event is about: whoever listens says what they want to hear, since every event costs each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Topic {
    /// Who is there, and what they hold.
    Workers,
    /// How far tasks and uploads are.
    Progress,
    /// Records that were changed.
    Records,
    /// Who is trusted no more.
    Trust,
}

impl Event {
    /// What it is about.
    pub fn topic(&self) -> Topic {
        match self {
            Self::Announced(_) => Topic::Workers,
            Self::Progress(_) | Self::Received { .. } => Topic::Progress,
            Self::Changed { .. } => Topic::Records,
            Self::Distrusted { .. } => Topic::Trust,
        }
    }
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which job.
    pub job: JobId,
    /// Whose.
    pub owner: OwnerId,
    /// The step.
    pub step: Step,
    /// Frames done; of a still, its tiles.
    pub done: u64,
    /// Frames there are.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_they_were_written() {
        let task = Task::new(
            JobId::from_u128(1),
            OwnerId::default(),
            3,
            Step::Upscale { plan: 2, batch: 40 },
        );
        assert_eq!(
            serde_json::to_string(&task).unwrap(),
            "{\"version\":1,\"job\":\"00000000-0000-0000-0000-000000000001\",\"owner\":\"local\",\"generation\":3,\
             \"step\":{\"upscale\":{\"plan\":2,\"batch\":40}},\"alone\":false}"
        );
        let message = ControlMessage::Report(Report {
            version: FORMAT_VERSION,
            worker: WorkerId::new("w"),
            task,
            outcome: Outcome::BatchDone,
            held_seconds: None,
        });
        let written = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<ControlMessage>(&written).unwrap(), message);
        assert_eq!((Step::Plan { plan: 1, exact: true }).plan(), 1);
    }

    #[test]
    fn a_trace_is_no_concern_of_builds_that_know_none() {
        let untraced = Task::new(JobId::from_u128(1), OwnerId::default(), 3, Step::Assemble { plan: 0 });
        let traced = Task {
            trace: Some(TraceParent::new(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )),
            ..untraced.clone()
        };
        let written = serde_json::to_value(&traced).unwrap();
        assert_eq!(serde_json::from_value::<Task>(written.clone()).unwrap(), traced);
        // What an older build writes is what a newer one writes of a job without a trace.
        let mut older = written;
        assert_eq!(
            older.as_object_mut().unwrap().remove("trace").unwrap(),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        );
        assert_eq!(older, serde_json::to_value(&untraced).unwrap());
        assert_eq!(serde_json::from_value::<Task>(older).unwrap(), untraced);
    }
}
