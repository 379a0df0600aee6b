use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobId(Uuid);

impl JobId {
    /// The only job of a command that works on local files.
    pub const LOCAL: Self = Self(Uuid::nil());
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which plan of which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanKey {
    /// The job.
    pub job: JobId,
    /// Its plan, counted from 0.
    pub plan: u32,
}

/// The key of everything stored for a plan; nobody formats a key by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// The plan itself.
    Plan(PlanKey),
    /// The times of a batch's frames.
    Ledger(PlanKey, u64),
    /// An encoded batch; several may exist, its marker names the one that counts.
    Segment(PlanKey, u64, Uuid),
    /// The marker of a finished batch.
    Marker(PlanKey, u64),
}

impl ObjectKey {
    /// Media type of what is stored there.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Plan(_) | Self::Ledger(..) | Self::Marker(..) => "application/json",
            Self::Segment(..) => "application/octet-stream",
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Plan(of) | Self::Ledger(of, _) | Self::Segment(of, ..) | Self::Marker(of, _)) = self;
        write!(f, "jobs/{}/plans/{}/", of.job, of.plan)?;
        match self {
            Self::Plan(_) => write!(f, "plan.json"),
            Self::Ledger(_, batch) => write!(f, "ledger/{batch:08}"),
            Self::Segment(_, batch, id) => write!(f, "segments/{batch:08}-{id}"),
            Self::Marker(_, batch) => write!(f, "batches/{batch:08}.json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_design() {
        let of = PlanKey {
            job: JobId::LOCAL,
            plan: 3,
        };
        let home = "jobs/00000000-0000-0000-0000-000000000000/plans/3";
        assert_eq!(ObjectKey::Plan(of).to_string(), format!("{home}/plan.json"));
        assert_eq!(ObjectKey::Ledger(of, 7).to_string(), format!("{home}/ledger/00000007"));
        assert_eq!(
            ObjectKey::Marker(of, 12).to_string(),
            format!("{home}/batches/00000012.json")
        );
        let id = Uuid::from_u128(1);
        assert_eq!(
            ObjectKey::Segment(of, 0, id).to_string(),
            format!("{home}/segments/00000000-{id}")
        );
    }
}
