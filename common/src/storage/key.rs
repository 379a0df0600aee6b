use std::fmt;

use uuid::Uuid;

use crate::job::{ClassName, JobId, OwnerId};

/// Which plan of which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanKey {
    /// The job.
    pub job: JobId,
    /// Its plan, counted from 0.
    pub plan: u32,
}

/// A SHA-256 digest, in keys as 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest that these 64 lower-case hex digits name.
    fn from_hex(text: &str) -> Option<Self> {
        let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let mut digest = [0; 32];
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)).filter(|_| fits) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        fits.then_some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key of everything that is stored; nobody formats a key by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// A job's record.
    Record(OwnerId, JobId),
    /// Says that a scheduler must look at the job; its content is the owner.
    Active(JobId),
    /// The upload, byte for byte.
    Source(JobId),
    /// A small picture of the source.
    Thumbnail(JobId),
    /// A plan.
    Plan(PlanKey),
    /// The times of a batch's frames.
    Ledger(PlanKey, u64),
    /// An encoded batch; several may exist, its marker names the one that counts.
    Segment(PlanKey, u64, Uuid),
    /// The marker of a finished batch.
    Marker(PlanKey, u64),
    /// One frame of a batch before and after.
    Pair(PlanKey, u64),
    /// What every part of a rendition of a stream's sound is read with: which track, of those of the plan below which it is
    /// stored.
    SoundHeader(PlanKey, u32),
    /// A part of a rendition.
    SoundPart(PlanKey, u32, u64),
    /// The marker of sound of which all parts are there.
    SoundMarker(PlanKey),
    /// Why a plan's stream has no sound, though the source has.
    SoundFailure(PlanKey),
    /// Why a batch failed last.
    Failure(JobId, u64),
    /// A finished picture or video; the record names the one that counts.
    Result(JobId, Uuid),
    /// A preview.
    Preview(JobId, Uuid),
    /// An upload of a job's source that may go on in another request.
    Upload(JobId),
    /// What came of it beyond its last whole part.
    UploadTail(JobId),
    /// An API key, by the digest of its secret.
    ApiKey(Digest),
    /// Which job a request with this `Idempotency-Key` made, by the key's digest.
    Idempotency(OwnerId, Digest),
    /// Weights, by their digest.
    Model(Digest),
    /// Which models new jobs get.
    CurrentModels,
    /// The rate that a class announced last.
    Class(ClassName),
    /// Says that somebody is to be told when the job ends, and how far that is.
    Hook(JobId),
    /// What a process tries the store with when it starts; gone a moment later.
    Trial(Uuid),
}

/// What keys begin with, for listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPrefix {
    /// Everything.
    All,
    /// All records.
    Records,
    /// One owner's records.
    RecordsOf(OwnerId),
    /// All active jobs.
    Active,
    /// Everything of every job but records and activity.
    Jobs,
    /// Everything of a job but its record and its activity.
    Job(JobId),
    /// Everything of one plan.
    Plan(PlanKey),
    /// The markers of a plan.
    Markers(PlanKey),
    /// The segments of a plan.
    Segments(PlanKey),
    /// The sound of a plan's stream.
    Sound(PlanKey),
    /// All uploads that may go on.
    Uploads,
    /// All API keys.
    ApiKeys,
    /// All idempotency keys.
    Idempotency,
    /// All models.
    Models,
    /// All classes.
    Classes,
    /// All jobs whose end somebody is to be told.
    Hooks,
}

impl ObjectKey {
    /// Media type of what is stored there. Sources and results have their own, which whoever writes them knows.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Record(..)
            | Self::Plan(_)
            | Self::Ledger(..)
            | Self::Marker(..)
            | Self::Failure(..)
            | Self::SoundMarker(_)
            | Self::SoundFailure(_)
            | Self::Upload(_)
            | Self::ApiKey(_)
            | Self::Idempotency(..)
            | Self::CurrentModels
            | Self::Class(_)
            | Self::Hook(_) => "application/json",
            Self::Active(_) | Self::Trial(_) => "text/plain",
            Self::Thumbnail(_) | Self::Pair(..) => "image/webp",
            Self::SoundHeader(..) | Self::SoundPart(..) => "audio/mp4",
            Self::Source(_)
            | Self::Segment(..)
            | Self::Result(..)
            | Self::Preview(..)
            | Self::UploadTail(_)
            | Self::Model(_) => "application/octet-stream",
        }
    }

    /// The batch whose marker a listed key is.
    pub fn marked_batch(key: &str) -> Option<u64> {
        let (folder, name) = key.rsplit_once('/')?;
        let digits = name.strip_suffix(".json").filter(|_| folder.ends_with("/batches"))?;
        digits.parse().ok()
    }

    /// The owner and the job whose record a listed key is.
    pub fn recorded_job(key: &str) -> Option<(OwnerId, JobId)> {
        let (owner, name) = key.strip_prefix("records/")?.split_once('/')?;
        Some((owner.parse().ok()?, name.strip_suffix(".json")?.parse().ok()?))
    }

    /// The job that a listed key below `active/` names.
    pub fn active_job(key: &str) -> Option<JobId> {
        key.strip_prefix("active/")?.parse().ok()
    }

    /// The job that a listed key below `hooks/` names.
    pub fn hooked_job(key: &str) -> Option<JobId> {
        key.strip_prefix("hooks/")?.strip_suffix(".json")?.parse().ok()
    }

    /// The job whose upload a listed key below `uploads/` is of.
    pub fn uploading_job(key: &str) -> Option<JobId> {
        let (job, _) = key.strip_prefix("uploads/")?.split_once('.')?;
        job.parse().ok()
    }

    /// The digest of the secret whose API key is stored at a listed key.
    pub fn key_digest(key: &str) -> Option<Digest> {
        Digest::from_hex(key.strip_prefix("keys/")?)
    }

    /// The class that a listed key below `classes/` describes.
    pub fn class(key: &str) -> Option<ClassName> {
        key.strip_prefix("classes/")?.strip_suffix(".json")?.parse().ok()
    }

    /// The job that a listed key below `jobs/` belongs to.
    pub fn owning_job(key: &str) -> Option<JobId> {
        key.strip_prefix("jobs/")?.split_once('/')?.0.parse().ok()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(owner, job) => write!(f, "{}{job}.json", KeyPrefix::RecordsOf(*owner)),
            Self::Active(job) => write!(f, "{}{job}", KeyPrefix::Active),
            Self::Source(job) => write!(f, "{}source", KeyPrefix::Job(*job)),
            Self::Thumbnail(job) => write!(f, "{}thumbnail", KeyPrefix::Job(*job)),
            Self::Plan(plan) => write!(f, "{}plan.json", KeyPrefix::Plan(*plan)),
            Self::Ledger(plan, batch) => write!(f, "{}ledger/{batch:08}", KeyPrefix::Plan(*plan)),
            Self::Segment(plan, batch, id) => write!(f, "{}{batch:08}-{id}", KeyPrefix::Segments(*plan)),
            Self::Marker(plan, batch) => write!(f, "{}{batch:08}.json", KeyPrefix::Markers(*plan)),
            Self::Pair(plan, batch) => write!(f, "{}pairs/{batch:08}", KeyPrefix::Plan(*plan)),
            Self::SoundHeader(plan, track) => write!(f, "{}{track}/init.mp4", KeyPrefix::Sound(*plan)),
            Self::SoundPart(plan, track, part) => write!(f, "{}{track}/{part:08}", KeyPrefix::Sound(*plan)),
            Self::SoundMarker(plan) => write!(f, "{}done.json", KeyPrefix::Sound(*plan)),
            Self::SoundFailure(plan) => write!(f, "{}failure.json", KeyPrefix::Sound(*plan)),
            Self::Failure(job, batch) => write!(f, "{}failures/{batch:08}", KeyPrefix::Job(*job)),
            Self::Result(job, id) => write!(f, "{}results/{id}", KeyPrefix::Job(*job)),
            Self::Preview(job, id) => write!(f, "{}previews/{id}", KeyPrefix::Job(*job)),
            Self::Upload(job) => write!(f, "{}{job}.json", KeyPrefix::Uploads),
            Self::UploadTail(job) => write!(f, "{}{job}.tail", KeyPrefix::Uploads),
            Self::ApiKey(digest) => write!(f, "{}{digest}", KeyPrefix::ApiKeys),
            Self::Idempotency(owner, digest) => write!(f, "{}{owner}/{digest}", KeyPrefix::Idempotency),
            Self::Model(digest) => write!(f, "{}{digest}", KeyPrefix::Models),
            Self::CurrentModels => write!(f, "{}current.json", KeyPrefix::Models),
            Self::Class(class) => write!(f, "{}{class}.json", KeyPrefix::Classes),
            Self::Hook(job) => write!(f, "{}{job}.json", KeyPrefix::Hooks),
            Self::Trial(id) => write!(f, "trials/{id}"),
        }
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Records => f.write_str("records/"),
            Self::RecordsOf(owner) => write!(f, "records/{owner}/"),
            Self::Active => f.write_str("active/"),
            Self::Jobs => f.write_str("jobs/"),
            Self::Job(job) => write!(f, "jobs/{job}/"),
            Self::Plan(PlanKey { job, plan }) => write!(f, "jobs/{job}/plans/{plan}/"),
            Self::Markers(plan) => write!(f, "{}batches/", Self::Plan(*plan)),
            Self::Segments(plan) => write!(f, "{}segments/", Self::Plan(*plan)),
            Self::Sound(PlanKey { job, plan }) => write!(f, "jobs/{job}/hls/audio/{plan}/"),
            Self::Uploads => f.write_str("uploads/"),
            Self::ApiKeys => f.write_str("keys/"),
            Self::Idempotency => f.write_str("idempotency/"),
            Self::Models => f.write_str("models/"),
            Self::Classes => f.write_str("classes/"),
            Self::Hooks => f.write_str("hooks/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: PlanKey = PlanKey {
        job: JobId::LOCAL,
        plan: 3,
    };

    #[test]
    fn keys_are_those_of_the_design() {
        let job = "00000000-0000-0000-0000-000000000000";
        let id = Uuid::from_u128(1);
        let owner = OwnerId::default();
        let digest = Digest([0xa0; 32]);
        let hex = "a0".repeat(32);
        for (key, expected) in [
            (
                ObjectKey::Record(owner, JobId::LOCAL),
                format!("records/local/{job}.json"),
            ),
            (ObjectKey::Active(JobId::LOCAL), format!("active/{job}")),
            (ObjectKey::Source(JobId::LOCAL), format!("jobs/{job}/source")),
            (ObjectKey::Thumbnail(JobId::LOCAL), format!("jobs/{job}/thumbnail")),
            (ObjectKey::Plan(OF), format!("jobs/{job}/plans/3/plan.json")),
            (ObjectKey::Ledger(OF, 7), format!("jobs/{job}/plans/3/ledger/00000007")),
            (
                ObjectKey::Segment(OF, 0, id),
                format!("jobs/{job}/plans/3/segments/00000000-{id}"),
            ),
            (
                ObjectKey::Marker(OF, 12),
                format!("jobs/{job}/plans/3/batches/00000012.json"),
            ),
            (ObjectKey::Pair(OF, 12), format!("jobs/{job}/plans/3/pairs/00000012")),
            (
                ObjectKey::SoundHeader(OF, 1),
                format!("jobs/{job}/hls/audio/3/1/init.mp4"),
            ),
            (
                ObjectKey::SoundPart(OF, 1, 40),
                format!("jobs/{job}/hls/audio/3/1/00000040"),
            ),
            (ObjectKey::SoundMarker(OF), format!("jobs/{job}/hls/audio/3/done.json")),
            (
                ObjectKey::SoundFailure(OF),
                format!("jobs/{job}/hls/audio/3/failure.json"),
            ),
            (
                ObjectKey::Failure(JobId::LOCAL, 2),
                format!("jobs/{job}/failures/00000002"),
            ),
            (ObjectKey::Result(JobId::LOCAL, id), format!("jobs/{job}/results/{id}")),
            (
                ObjectKey::Preview(JobId::LOCAL, id),
                format!("jobs/{job}/previews/{id}"),
            ),
            (ObjectKey::Upload(JobId::LOCAL), format!("uploads/{job}.json")),
            (ObjectKey::UploadTail(JobId::LOCAL), format!("uploads/{job}.tail")),
            (ObjectKey::ApiKey(digest), format!("keys/{hex}")),
            (
                ObjectKey::Idempotency(owner, digest),
                format!("idempotency/local/{hex}"),
            ),
            (ObjectKey::Model(digest), format!("models/{hex}")),
            (ObjectKey::CurrentModels, "models/current.json".to_owned()),
            (
                ObjectKey::Class(ClassName::default()),
                "classes/default.json".to_owned(),
            ),
            (ObjectKey::Hook(JobId::LOCAL), format!("hooks/{job}.json")),
            (ObjectKey::Trial(id), format!("trials/{id}")),
        ] {
            assert_eq!(key.to_string(), expected);
        }
    }

    #[test]
    fn listed_keys_are_read_back() {
        assert_eq!(
            ObjectKey::marked_batch(&ObjectKey::Marker(OF, 123_456_789).to_string()),
            Some(123_456_789)
        );
        assert_eq!(ObjectKey::marked_batch(&ObjectKey::Plan(OF).to_string()), None);
        let job = JobId::new();
        let record = ObjectKey::Record(OwnerId::default(), job).to_string();
        assert_eq!(ObjectKey::recorded_job(&record), Some((OwnerId::default(), job)));
        assert_eq!(ObjectKey::active_job(&ObjectKey::Active(job).to_string()), Some(job));
        assert_eq!(ObjectKey::owning_job(&ObjectKey::Source(job).to_string()), Some(job));
        assert_eq!(ObjectKey::owning_job("records/local/x.json"), None);
        assert_eq!(ObjectKey::hooked_job(&ObjectKey::Hook(job).to_string()), Some(job));
        for key in [ObjectKey::Upload(job), ObjectKey::UploadTail(job)] {
            assert_eq!(ObjectKey::uploading_job(&key.to_string()), Some(job));
        }
        let digest = Digest(std::array::from_fn(|n| n as u8 * 7));
        assert_eq!(
            ObjectKey::key_digest(&ObjectKey::ApiKey(digest).to_string()),
            Some(digest)
        );
        let hex = "a0".repeat(32);
        for none in [
            "keys/",
            "keys/a0",
            &format!("keys/{}", hex.to_uppercase()),
            &format!("keys/{hex}a"),
            &hex,
        ] {
            assert_eq!(ObjectKey::key_digest(none), None, "{none}");
        }
    }
}
