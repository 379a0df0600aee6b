use std::collections::BTreeMap;
use std::fmt;

use clearfleet_common::ErrorCode;

/// What went wrong in the worker: a stable code to match on, a sentence for a person, the values it is about, ffmpeg's
/// last lines where ffmpeg spoke, and the cause.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    message: String,
    details: BTreeMap<&'static str, String>,
    ffmpeg: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The worker's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with its code and what a person should read.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            details: BTreeMap::new(),
            ffmpeg: Vec::new(),
            source: None,
        }))
    }

    /// A fault of Clearfleet itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Somebody asked for the work to stop.
    pub fn stopped() -> Self {
        Self::new(ErrorCode::Stopped, "stopped before the end")
    }

    /// A failed write of a result or of what leads to one: a full disk has a code of its own.
    pub fn write(what: impl fmt::Display, source: std::io::Error) -> Self {
        let code = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
            std::io::ErrorKind::InvalidFilename => ErrorCode::OutputName,
            _ => ErrorCode::OutputUnwritable,
        };
        Self::new(code, format!("cannot write {what}")).because(source)
    }

    /// A source that could not be read, unless the failure says better what it is.
    pub fn unreadable(failure: std::io::Error) -> Self {
        failure
            .downcast::<Self>()
            .unwrap_or_else(|e| Self::new(ErrorCode::InputUnreadable, "the source cannot be read").because(e))
    }

    /// The same error with another code.
    #[must_use]
    pub fn recoded(mut self, code: ErrorCode) -> Self {
        self.0.code = code;
        self
    }

    /// Adds its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a value that the error is about, such as `expected`, `found`, `limit`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.details.insert(name, value.to_string());
        self
    }

    /// Adds what ffmpeg said last.
    #[must_use]
    pub fn with_ffmpeg(mut self, lines: Vec<String>) -> Self {
        self.0.ffmpeg = lines;
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The sentence for a person, without causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The values it is about.
    pub fn details(&self) -> &BTreeMap<&'static str, String> {
        &self.0.details
    }

    /// ffmpeg's last lines, oldest first; empty where ffmpeg did not speak.
    pub fn ffmpeg(&self) -> &[String] {
        &self.0.ffmpeg
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
