use serde::{Deserialize, Serialize};

use super::Plan;

/// The source's sound, for whoever watches a film while it is made: every stream of it as a rendition of its own, beside the
/// stream's video and on its clock, from the video's first frame to the end of its last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSound {
    /// The plan below which it is stored: its own, or an earlier one with the same sound.
    pub plan: u32,
    /// Length of a part in seconds, at least 1. What is left at the end belongs to the last part, or is a part of its own.
    pub part_seconds: u32,
    /// The streams, at least one.
    pub tracks: Vec<SoundTrack>,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundTrack {
    /// ffmpeg's index of the source's stream.
    pub stream: u32,
    /// What it becomes, as RFC 6381 names codecs.
    pub codec: String,
    /// How it is encoded as AAC; nothing where the source's own packets are copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<SoundEncoding>,
    /// Its channels, at least 1.
    pub channels: u32,
    /// Its language, as the source states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What the source calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether a player takes it unless it is told otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
}

/// How sound is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundEncoding {
    /// Samples a second.
    pub sample_rate: u32,
    /// Bits a second.
    pub bit_rate: u32,
}

impl PlannedSound {
    /// Where each part begins, in seconds from the first, and where the last ends; `seconds` is the length of all.
    pub fn parts(&self, seconds: f64) -> Vec<f64> {
        let part = f64::from(self.part_seconds);
        let parts = (seconds / part).round().max(1.0) as u64;
        let starts = (0..parts).map(|n| n as f64 * part);
        starts.chain([seconds]).collect()
    }
}

impl Plan {
    /// When the video begins and when it ends, in seconds on the clock of its segments; nothing in plans of older builds.
    pub fn shown(&self) -> Option<(f64, f64)> {
        let seconds = |ticks: &i64| self.video.time_base.seconds(ticks.saturating_add(self.video.shift));
        self.times.first().map(seconds).zip(self.times.last().map(seconds))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sound(part_seconds: u32) -> PlannedSound {
        PlannedSound {
            plan: 0,
            part_seconds,
            tracks: Vec::new(),
        }
    }

    #[test]
    fn what_has_no_sound_is_written_as_by_builds_that_know_none() {
        let track = SoundTrack {
            stream: 1,
            codec: "opus".to_owned(),
            encoding: None,
            channels: 2,
            language: None,
            title: None,
            default: false,
        };
        let written = serde_json::to_string(&track).unwrap();
        assert_eq!(written, r#"{"stream":1,"codec":"opus","channels":2}"#);
        assert_eq!(serde_json::from_str::<SoundTrack>(&written).unwrap(), track);
    }

    proptest! {
        #[test]
        fn parts_follow_each_other_and_none_is_much_longer_or_shorter(
            part in 1_u32..30,
            seconds in 0.04_f64..20_000.0,
        ) {
            let parts = sound(part).parts(seconds);
            let lengths: Vec<f64> = parts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (last, others) = lengths.split_last().unwrap();
            let part = f64::from(part);
            prop_assert_eq!((parts[0], parts[parts.len() - 1]), (0.0, seconds));
            prop_assert!(others.iter().all(|length| *length == part));
            prop_assert!(*last <= 1.5 * part && (others.is_empty() || *last >= 0.5 * part - 1e-6), "{}", last);
        }
    }
}
