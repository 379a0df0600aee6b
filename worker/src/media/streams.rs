//! Which of a source's other streams a container holds: those are copied, the rest is named.

use clearfleet_common::job::Container;

use super::probe::{Probe, StreamInfo, StreamKind};

/// What becomes of the streams beside the video that is upscaled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtherStreams {
    /// Indices of streams that are copied.
    pub(crate) kept: Vec<usize>,
    /// One sentence for each stream that is left out.
    pub(crate) left_out: Vec<String>,
}

/// Sorts the streams of `probe` other than `video` into those that `container` holds and the rest.
pub(crate) fn other_streams(probe: &Probe, video: usize, container: Container) -> OtherStreams {
    let mut others = OtherStreams::default();
    for stream in probe.streams.iter().filter(|s| s.index != video) {
        if holds(container, stream) {
            others.kept.push(stream.index);
        } else {
            let what = kind_name(stream);
            others.left_out.push(format!(
                "{what} stream {} ({}) is left out: {container} does not hold it",
                stream.index, stream.codec
            ));
        }
    }
    others
}

fn kind_name(stream: &StreamInfo) -> &'static str {
    match stream.kind {
        StreamKind::Video if stream.attached_picture => "picture",
        StreamKind::Video => "video",
        StreamKind::Audio => "audio",
        StreamKind::Subtitle => "subtitle",
        StreamKind::Attachment => "attachment",
        StreamKind::Data | StreamKind::Unknown => "data",
    }
}

fn holds(container: Container, stream: &StreamInfo) -> bool {
    let codec = stream.codec.as_str();
    let one_of = |codecs: &[&str]| codecs.contains(&codec);
    match (container, stream.kind) {
        (Container::Gif | Container::Apng | Container::Webp, _) => false,
        (_, StreamKind::Data | StreamKind::Unknown) => false,
        (Container::Mkv, StreamKind::Video) => !stream.attached_picture,
        (Container::Mkv, StreamKind::Audio | StreamKind::Attachment) => codec != "none" && codec != "unknown",
        (Container::Mkv, StreamKind::Subtitle) => one_of(&[
            "subrip",
            "ass",
            "ssa",
            "webvtt",
            "hdmv_pgs_subtitle",
            "dvd_subtitle",
            "dvb_subtitle",
            "text",
        ]),
        (Container::Webm, StreamKind::Video) => !stream.attached_picture && one_of(&["vp8", "vp9", "av1"]),
        (Container::Webm, StreamKind::Audio) => one_of(&["opus", "vorbis"]),
        (Container::Webm, StreamKind::Subtitle) => codec == "webvtt",
        (Container::Mp4 | Container::Mov, StreamKind::Video) if stream.attached_picture => {
            container == Container::Mp4 && one_of(&["mjpeg", "png"])
        }
        (Container::Mp4, StreamKind::Video) => one_of(&["h264", "hevc", "av1", "vp9", "mpeg4"]),
        (Container::Mov, StreamKind::Video) => one_of(&["h264", "hevc", "mpeg4", "prores", "mjpeg"]),
        (Container::Mp4, StreamKind::Audio) => {
            one_of(&["aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac", "dts"])
        }
        (Container::Mov, StreamKind::Audio) => {
            one_of(&["aac", "mp3", "ac3", "eac3", "alac"]) || codec.starts_with("pcm_")
        }
        (Container::Mp4 | Container::Mov, StreamKind::Subtitle) => codec == "mov_text",
        (Container::Mp4 | Container::Mov | Container::Webm, StreamKind::Attachment) => false,
    }
}
