//! Which of a source's other streams a container holds: those are copied, the rest is named.

use clearfleet_common::job::Container;

use super::probe::{Probe, StreamInfo, StreamKind};

/// Sound that ffmpeg 5.1 writes into Matroska: what that has names for, and what Windows has.
const MKV_AUDIO: [&str; 44] = [
    "aac",
    "ac3",
    "adpcm_g722",
    "adpcm_ima_wav",
    "adpcm_ms",
    "adpcm_yamaha",
    "alac",
    "amr_nb",
    "amr_wb",
    "atrac3",
    "cook",
    "dts",
    "eac3",
    "flac",
    "gsm_ms",
    "mlp",
    "mp1",
    "mp2",
    "mp3",
    "opus",
    "pcm_alaw",
    "pcm_f32le",
    "pcm_f64le",
    "pcm_mulaw",
    "pcm_s16be",
    "pcm_s16le",
    "pcm_s24be",
    "pcm_s24le",
    "pcm_s32be",
    "pcm_s32le",
    "pcm_u8",
    "qdm2",
    "qdmc",
    "ra_144",
    "ra_288",
    "speex",
    "truehd",
    "tta",
    "vorbis",
    "wavpack",
    "wmapro",
    "wmav1",
    "wmav2",
    "wmavoice",
];
/// Sound that it writes into MP4, FLAC and TrueHD among what it calls experimental.
const MP4_AUDIO: [&str; 10] = [
    "aac", "ac3", "alac", "dts", "eac3", "flac", "mp2", "mp3", "opus", "truehd",
];
/// Sound that it writes into QuickTime.
const MOV_AUDIO: [&str; 22] = [
    "aac",
    "ac3",
    "adpcm_ima_qt",
    "alac",
    "amr_nb",
    "amr_wb",
    "eac3",
    "mp3",
    "pcm_alaw",
    "pcm_f32be",
    "pcm_f32le",
    "pcm_f64be",
    "pcm_f64le",
    "pcm_mulaw",
    "pcm_s16be",
    "pcm_s16le",
    "pcm_s24be",
    "pcm_s24le",
    "pcm_s32be",
    "pcm_s32le",
    "pcm_s8",
    "pcm_u8",
];

/// What becomes of the streams beside the video that is upscaled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtherStreams {
    /// Indices of streams that are copied.
    pub(crate) kept: Vec<usize>,
    /// Indices of cover pictures that are attached as files.
    pub(crate) attached: Vec<usize>,
    /// One sentence for each stream that is left out.
    pub(crate) left_out: Vec<String>,
}

impl OtherStreams {
    /// Whether the stream of that index is in the result.
    pub(crate) fn hold(&self, index: usize) -> bool {
        self.kept.contains(&index) || self.attached.contains(&index)
    }
}

/// Sorts the streams of `probe` other than `video` into those that `container` holds and the rest.
pub(crate) fn other_streams(probe: &Probe, video: usize, container: Container) -> OtherStreams {
    let mut others = OtherStreams::default();
    for stream in probe.streams.iter().filter(|s| s.index != video) {
        if holds(container, stream) {
            let as_file = container == Container::Mkv && stream.attached_picture;
            let list = if as_file {
                &mut others.attached
            } else {
                &mut others.kept
            };
            list.push(stream.index);
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

/// Whether an attachment says its name and what kind of file it is, as Matroska has to: ffmpeg knows the codec of few.
fn is_named_file(stream: &StreamInfo) -> bool {
    let is_known = !matches!(stream.codec.as_str(), "none" | "unknown");
    stream.tags.contains_key("filename") && (is_known || stream.tags.contains_key("mimetype"))
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
        (Container::Mkv, StreamKind::Video) => !stream.attached_picture || one_of(&["mjpeg", "png"]),
        (Container::Mkv, StreamKind::Audio) => one_of(&MKV_AUDIO),
        (Container::Mkv, StreamKind::Attachment) => is_named_file(stream),
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
        (Container::Mp4, StreamKind::Audio) => one_of(&MP4_AUDIO),
        (Container::Mov, StreamKind::Audio) => one_of(&MOV_AUDIO),
        (Container::Mp4 | Container::Mov, StreamKind::Subtitle) => codec == "mov_text",
        (Container::Mp4 | Container::Mov | Container::Webm, StreamKind::Attachment) => false,
    }
}
