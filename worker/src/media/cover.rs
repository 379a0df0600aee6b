//! Cover pictures. MP4 has them as streams and Matroska as attached files, which ffmpeg 5.1 makes only of files.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::{ErrorCode, Stop};

use super::input;
use super::probe::StreamInfo;
use super::process::{Confinement, Launch, Program};
use super::serve::{ServedSource, SourceBytes, SourceServer};
use crate::{Error, Result};

/// The largest cover that is taken, in bytes.
const LARGEST: u64 = 64 << 20;

/// A cover picture as a file that ffmpeg can attach.
pub(crate) struct Cover {
    file: ServedSource,
    name: String,
    media_type: &'static str,
}

impl Cover {
    /// Takes the cover that `stream` of a source is.
    ///
    /// # Errors
    /// `InputDamaged` if it cannot be read or is over 64 MiB, `DeadlineExceeded`, `Stopped`.
    pub(crate) fn take(
        source: &ServedSource,
        demuxer: &str,
        stream: &StreamInfo,
        server: &Arc<SourceServer>,
        stop: &Stop,
        deadline: Duration,
    ) -> Result<Self> {
        let mut child = Launch::new(Program::Ffmpeg, &Confinement::reading(source))?
            .args(input::source_arguments(source, demuxer))
            .args(["-map", &format!("0:{}", stream.index), "-frames:v", "1"])
            .args(["-c", "copy", "-f", "image2pipe", "pipe:1"])
            .piped_stdout()
            .spawn(stop, deadline)?;
        let mut bytes = Vec::new();
        let unreadable = |e| Error::new(ErrorCode::InputDamaged, "the cover picture cannot be read").because(e);
        if let Some(stdout) = child.take_stdout() {
            stdout.take(LARGEST).read_to_end(&mut bytes).map_err(unreadable)?;
        }
        child.finish(ErrorCode::InputDamaged, "reading the cover picture")?;
        let (media_type, name) = match stream.codec.as_str() {
            "png" => ("image/png", "cover.png"),
            _ => ("image/jpeg", "cover.jpg"),
        };
        Ok(Self {
            file: server.register(Arc::new(Bytes(bytes))),
            name: stream.tags.get("filename").cloned().unwrap_or_else(|| name.to_owned()),
            media_type,
        })
    }

    /// ffmpeg's output options that attach it as the attachment of that number.
    pub(crate) fn arguments(&self, number: usize) -> [String; 6] {
        let metadata = format!("-metadata:s:t:{number}");
        [
            "-attach".to_owned(),
            self.file.url().to_owned(),
            metadata.clone(),
            format!("filename={}", self.name),
            metadata,
            format!("mimetype={}", self.media_type),
        ]
    }
}

/// A file in memory.
struct Bytes(Vec<u8>);

impl SourceBytes for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.0.get(offset as usize..).unwrap_or_default();
        rest.read(buffer)
    }
}
