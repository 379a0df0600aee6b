use serde::{Deserialize, Serialize};

use super::{ClassName, Task, WorkerId};

/// Who a worker is and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Who.
    pub worker: WorkerId,
    /// Its pool.
    pub class: ClassName,
    /// Engine, model and encoder: equal fingerprints give equal bits.
    pub fingerprint: String,
    /// The device its engine runs on, for people.
    pub device: String,
    /// Pixels of results that its engine makes in a second, as measured.
    pub pixels_per_second: f64,
    /// The tasks that it has and has not settled.
    #[serde(flatten, with = "held")]
    pub holds: Vec<Task>,
    /// Whether it takes no more, since it ends.
    pub draining: bool,
    /// From which queues it takes.
    #[serde(default)]
    pub serves: Serves,
    /// Whether its build knows [`Step::Audit`](super::Step::Audit).
    #[serde(default)]
    pub audits: bool,
    /// Whether it was told that it makes wrong pictures: it takes no more, and lives on to be looked at.
    #[serde(default)]
    pub distrusted: bool,
}

/// Audits are written apart from other tasks: a build that does not know [`Step::Audit`](super::Step::Audit) could read nothing of an announcement
/// with one among the rest, and would take the worker for dead while it audits. Sound is, for the same reason.
mod held {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Task;

    #[derive(Serialize, Deserialize)]
    struct Written {
        holds: Vec<Task>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        auditing: Vec<Task>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sounding: Vec<Task>,
    }

    pub(super) fn serialize<S: Serializer>(tasks: &[Task], serializer: S) -> Result<S::Ok, S::Error> {
        let (holds, others): (Vec<_>, Vec<_>) = tasks.iter().cloned().partition(|task| task.step.is_of_job());
        let (auditing, sounding) = others.into_iter().partition(|task| task.step.is_audit());
        Written {
            holds,
            auditing,
            sounding,
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Task>, D::Error> {
        let Written {
            mut holds,
            auditing,
            sounding,
        } = Written::deserialize(deserializer)?;
        holds.extend(auditing.into_iter().chain(sounding));
        Ok(holds)
    }
}

/// The queues that a worker takes from. A build that does not tell takes from all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    /// The media queue, and that of streams' sound.
    pub media: bool,
    /// The interactive lane of its class.
    pub interactive: bool,
    /// The bulk lane of its class.
    pub bulk: bool,
}

impl Serves {
    /// Whether it takes anything that needs its engine.
    pub fn uses_engine(self) -> bool {
        self.interactive || self.bulk
    }
}

impl Default for Serves {
    fn default() -> Self {
        Self {
            media: true,
            interactive: true,
            bulk: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Event, JobId, OwnerId, Step};

    /// What a build that knows no audits reads of a worker's announcement.
    #[derive(Debug, Deserialize)]
    struct Older {
        holds: Vec<OlderTask>,
    }

    #[derive(Debug, Deserialize)]
    struct OlderTask {
        step: OlderStep,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum OlderStep {
        Upscale { plan: u32, batch: u64 },
    }

    #[test]
    fn a_worker_is_understood_by_builds_that_know_no_audits_and_no_sound() {
        let of = |step| Task::new(JobId::from_u128(1), OwnerId::default(), 3, step);
        let audit = of(Step::Audit {
            plan: 0,
            batch: 4,
            attempt: 1,
        });
        let sound = of(Step::Sound { plan: 2 });
        let batch = of(Step::Upscale { plan: 2, batch: 40 });
        let announcement = Announcement {
            worker: WorkerId::new("w"),
            class: ClassName::default(),
            fingerprint: "f".to_owned(),
            device: "cpu".to_owned(),
            pixels_per_second: 1.0,
            holds: vec![sound.clone(), audit.clone(), batch.clone()],
            draining: false,
            serves: Serves::default(),
            audits: true,
            distrusted: false,
        };
        let written = serde_json::to_string(&Event::Announced(announcement)).unwrap();
        let older: Older = serde_json::from_str(&written).unwrap();
        let steps: Vec<OlderStep> = older.holds.into_iter().map(|task| task.step).collect();
        assert_eq!(steps, [OlderStep::Upscale { plan: 2, batch: 40 }]);
        let Event::Announced(read) = serde_json::from_str(&written).unwrap() else {
            panic!("{written}")
        };
        assert_eq!(read.holds, [batch, audit, sound]);
    }
}
