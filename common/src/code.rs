use serde::{Deserialize, Serialize};

/// The stable name of what went wrong: printed by the CLI, returned by the API, kept in records.
///
/// A code is never renamed and never given a second meaning; scripts match on it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ErrorCode {
    /// The input does not exist.
    InputNotFound,
    /// The input exists and cannot be read.
    InputUnreadable,
    /// The input is a folder or another thing that is not a regular file.
    InputNotAFile,
    /// The input has no bytes.
    InputEmpty,
    /// The input has more bytes than the limit.
    InputTooLarge,
    /// The name promises a picture or a video, and the content is something else.
    InputMislabelled,
    /// The content is of no kind that Clearfleet takes.
    InputUnsupported,
    /// A playlist, a script or a manifest: a file whose content names other files.
    InputPlaylist,
    /// The content starts like a known format and is damaged or cut off.
    InputDamaged,
    /// There is no video stream and no picture.
    InputNoVideo,
    /// There is a video stream and not one frame of it can be decoded.
    InputNoFrames,
    /// Width or height is zero or not to be had.
    InputDimensions,
    /// More pixels than the limit, in the source or in the result.
    InputTooManyPixels,
    /// More frames than the limit.
    InputTooManyFrames,
    /// Longer than the limit.
    InputTooLong,
    /// The stretch asked for holds no frame.
    StretchEmpty,
    /// A factor or a size that Clearfleet does not offer for this source.
    TargetInvalid,
    /// Settings that do not go together, such as a codec and a container.
    SettingsInvalid,
    /// The output exists and `--overwrite` was not given.
    OutputExists,
    /// The output is the input.
    OutputIsInput,
    /// The output is a folder where a file is meant, or a file where a folder is meant.
    OutputNotAFile,
    /// The folder of the output does not exist.
    OutputNoFolder,
    /// The output's extension names no format that can be written.
    OutputUnsupported,
    /// The output's name cannot be used, for instance because it is too long.
    OutputName,
    /// The output cannot be written: no permission, a read-only or failing disk.
    OutputUnwritable,
    /// An interrupted run left its state beside the output; `--resume` or `--overwrite` says what to do with it.
    StateExists,
    /// No space is left where the result or its state is written.
    DiskFull,
    /// ffmpeg or ffprobe is missing or too old.
    FfmpegMissing,
    /// The weights cannot be read or are of another shape.
    WeightsInvalid,
    /// The engine failed.
    EngineFailed,
    /// Decoding failed midway.
    DecodeFailed,
    /// Encoding failed.
    EncodeFailed,
    /// Decoded frames and the ledger disagree after every way to cut was tried.
    FramesMismatch,
    /// A step took longer than its deadline.
    DeadlineExceeded,
    /// Every worker that took the step ended without a word, also one that did nothing beside it.
    WorkerDied,
    /// A result does not hold what its source does.
    VerifyMismatch,
    /// Somebody stopped the work.
    Stopped,
    /// There is no such job, object or route, or it belongs to somebody else.
    NotFound,
    /// It is not there yet: the job has not come so far.
    NotReady,
    /// It was there and is deleted after its time.
    Gone,
    /// What is asked does not go with the job's state.
    StateConflict,
    /// The idempotency key was used for another request.
    IdempotencyConflict,
    /// An upload goes on at another place than the request says.
    OffsetConflict,
    /// What came of an upload is not what its checksum says.
    ChecksumMismatch,
    /// The request's body cannot be understood.
    BodyInvalid,
    /// The request's body ended before it was whole.
    BodyIncomplete,
    /// The request has a field, a part or a parameter that does not exist.
    FieldUnknown,
    /// The request's address has a parameter that cannot be understood.
    QueryInvalid,
    /// The request is larger than the limit.
    TooLarge,
    /// With it, the owner would have more stored than it may.
    QuotaExceeded,
    /// The route has no such method.
    MethodNotAllowed,
    /// A body of this media type is not taken.
    MediaTypeUnsupported,
    /// The object has no such bytes.
    RangeUnsatisfiable,
    /// The object is not the version that the request names.
    PreconditionFailed,
    /// Too many requests, or too much at once.
    RateLimited,
    /// A key is needed, and none or none that counts was given.
    Unauthorized,
    /// The key does not allow it.
    Forbidden,
    /// This build or this installation does not do it.
    NotOffered,
    /// The store has no room.
    InsufficientStorage,
    /// It took too long: the request to arrive, or the answer to be made.
    Timeout,
    /// What is needed for it cannot be reached now; trying again may help.
    Unavailable,
    /// A fault of Clearfleet itself.
    Internal,
}

/// Who has to act on an error; decides the exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The input is refused.
    Input,
    /// The request or the output is refused.
    Request,
    /// The work failed.
    Work,
    /// A result does not match its source.
    Mismatch,
    /// Somebody stopped the work.
    Stopped,
    /// A fault of Clearfleet itself.
    Internal,
}

impl ErrorCode {
    /// The code as it is printed and stored.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Who has to act.
    pub fn class(self) -> ErrorClass {
        use ErrorClass as C;
        match self {
            Self::InputNotFound
            | Self::InputUnreadable
            | Self::InputNotAFile
            | Self::InputEmpty
            | Self::InputTooLarge
            | Self::InputMislabelled
            | Self::InputUnsupported
            | Self::InputPlaylist
            | Self::InputDamaged
            | Self::InputNoVideo
            | Self::InputNoFrames
            | Self::InputDimensions
            | Self::InputTooManyPixels
            | Self::InputTooManyFrames
            | Self::InputTooLong => C::Input,
            Self::StretchEmpty
            | Self::TargetInvalid
            | Self::SettingsInvalid
            | Self::OutputExists
            | Self::OutputIsInput
            | Self::OutputNotAFile
            | Self::OutputNoFolder
            | Self::OutputUnsupported
            | Self::OutputName
            | Self::OutputUnwritable
            | Self::StateExists
            | Self::WeightsInvalid
            | Self::NotFound
            | Self::NotReady
            | Self::Gone
            | Self::StateConflict
            | Self::IdempotencyConflict
            | Self::OffsetConflict
            | Self::ChecksumMismatch
            | Self::BodyInvalid
            | Self::BodyIncomplete
            | Self::FieldUnknown
            | Self::QueryInvalid
            | Self::TooLarge
            | Self::QuotaExceeded
            | Self::MethodNotAllowed
            | Self::MediaTypeUnsupported
            | Self::RangeUnsatisfiable
            | Self::PreconditionFailed
            | Self::RateLimited
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotOffered => C::Request,
            Self::DiskFull
            | Self::FfmpegMissing
            | Self::EngineFailed
            | Self::DecodeFailed
            | Self::EncodeFailed
            | Self::FramesMismatch
            | Self::DeadlineExceeded
            | Self::InsufficientStorage
            | Self::Timeout
            | Self::Unavailable
            | Self::WorkerDied => C::Work,
            Self::VerifyMismatch => C::Mismatch,
            Self::Stopped => C::Stopped,
            Self::Internal => C::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn the_printed_name_is_the_serialised_name() {
        for code in ErrorCode::VARIANTS {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
    }
}
