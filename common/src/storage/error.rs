use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

type Cause = Box<dyn Error + Send + Sync>;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// It did not answer, not in time, or with an error of its own: trying again may help. Whether a write took place is
    /// not known.
    #[error("storage failed to {doing}")]
    Unavailable {
        /// What was asked.
        doing: String,
        /// Why not.
        #[source]
        cause: Cause,
    },
    /// It has no space left, or the quota is used up.
    #[error("storage is full: it could not {doing}")]
    Full {
        /// What was asked.
        doing: String,
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// It refuses: the credentials, what they may do, or the call itself.
    #[error("storage refused to {doing}")]
    Denied {
        /// What was asked.
        doing: String,
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// An object is larger than what is read into memory, or than what the store takes.
    #[error("{key} is too large{}", limit.map(|limit| format!(": more than {limit} bytes")).unwrap_or_default())]
    TooLarge {
        /// Key of the object.
        key: String,
        /// The most there may be in bytes, where it is known.
        limit: Option<u64>,
    },
    /// An object is not the version any more that was asked for.
    #[error("{key} was replaced since")]
    Changed {
        /// Key of the object.
        key: String,
    },
    /// There is no such object.
    #[error("there is no {key}")]
    Missing {
        /// Key of the object.
        key: String,
    },
    /// An object cannot be understood.
    #[error("{key} cannot be used: {why}")]
    Invalid {
        /// Key of the object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Codes of a store without space: of S3's own set there is none.
const FULL: [&str; 5] = [
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "InsufficientStorage",
    "QuotaExceeded",
    "NoSpace",
];

impl StorageError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// That something without an answer of the store's own went wrong.
    pub(super) fn unavailable(doing: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self::Unavailable {
            doing: doing.into(),
            cause: cause.into(),
        }
    }

    /// What `error` means for a call that was to `verb` the object at `key`.
    pub(super) fn of<E>(verb: &str, key: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let doing = format!("{verb} {key}");
        let Some(answer) = Answer::of(&error) else {
            return match error {
                // Built from nothing but our own arguments: another attempt would be the same.
                SdkError::ConstructionFailure(_) => Self::Denied {
                    doing,
                    cause: error.into(),
                },
                _ => Self::unavailable(doing, error),
            };
        };
        Self::answered(answer, doing, key, error.into())
    }

    /// What an answer means for the object at `key`.
    fn answered(answer: Answer, doing: String, key: &str, cause: Cause) -> Self {
        let key = key.to_owned();
        match answer {
            Answer::Full => Self::Full { doing, cause },
            Answer::Missing => Self::Missing { key },
            Answer::Unmet => Self::Changed { key },
            Answer::TooLarge => Self::TooLarge { key, limit: None },
            Answer::NoSuchRange => Self::Invalid {
                key,
                why: "it ends before the range that was asked for".to_owned(),
            },
            Answer::Conflict | Answer::TryAgain => Self::Unavailable { doing, cause },
            Answer::Refused => Self::Denied { doing, cause },
        }
    }

    /// What one error means in the answer to a call about several objects, which as a whole succeeded.
    pub(super) fn of_one(verb: &str, key: &str, error: &aws_sdk_s3::types::Error) -> Self {
        let code = error.code().unwrap_or("no code");
        let cause = format!("{code}: {}", error.message().unwrap_or("no message"));
        let answer = Answer::from(200, error.code());
        Self::answered(answer, format!("{verb} {key}"), key, cause.into())
    }
}

/// What the status and the code of an answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Full,
    /// No such key, bucket or upload.
    Missing,
    /// A condition did not hold.
    Unmet,
    /// Another write was under way; this one did not take place.
    Conflict,
    TooLarge,
    NoSuchRange,
    TryAgain,
    Refused,
}

impl Answer {
    /// What the store answered; nothing where it did not.
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Self> {
        let SdkError::ServiceError(service) = error else {
            return None;
        };
        Some(Self::from(service.raw().status().as_u16(), service.err().code()))
    }

    fn from(status: u16, code: Option<&str>) -> Self {
        if code.is_some_and(|code| FULL.contains(&code)) {
            return Self::Full;
        }
        match status {
            507 => Self::Full,
            404 => Self::Missing,
            412 => Self::Unmet,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            416 => Self::NoSuchRange,
            408 | 429 | 500.. => Self::TryAgain,
            // Also 200: completing an upload may fail after the status was sent.
            _ => match code {
                Some("PreconditionFailed") => Self::Unmet,
                Some("NoSuchUpload" | "NoSuchKey" | "NoSuchBucket") => Self::Missing,
                Some("ConditionalRequestConflict") => Self::Conflict,
                Some("EntityTooLarge") => Self::TooLarge,
                Some("InternalError" | "RequestTimeout" | "ServiceUnavailable" | "SlowDown") => Self::TryAgain,
                _ => Self::Refused,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        for (status, code, expected) in [
            (507, None, Answer::Full),
            (507, Some("InternalError"), Answer::Full),
            (500, Some("XMinioStorageFull"), Answer::Full),
            (400, Some("QuotaExceeded"), Answer::Full),
            (404, Some("NoSuchKey"), Answer::Missing),
            (412, Some("PreconditionFailed"), Answer::Unmet),
            (409, Some("ConditionalRequestConflict"), Answer::Conflict),
            (400, Some("EntityTooLarge"), Answer::TooLarge),
            (416, Some("InvalidRange"), Answer::NoSuchRange),
            (503, Some("SlowDown"), Answer::TryAgain),
            (500, Some("InternalError"), Answer::TryAgain),
            (400, Some("RequestTimeout"), Answer::TryAgain),
            (200, Some("InternalError"), Answer::TryAgain),
            (200, Some("PreconditionFailed"), Answer::Unmet),
            (403, Some("AccessDenied"), Answer::Refused),
            (400, Some("InvalidArgument"), Answer::Refused),
            (301, None, Answer::Refused),
        ] {
            assert_eq!(Answer::from(status, code), expected, "{status} {code:?}");
        }
    }
}
