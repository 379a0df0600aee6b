use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::media::{Frames, decoded, probe};

/// What a source's tag may become where the result's codec has no field for it: nothing.
const TAGS: [&str; 5] = [
    "color_range",
    "color_space",
    "color_transfer",
    "color_primaries",
    "chroma_location",
];
/// What stands for a tag that says nothing.
const UNSTATED: [&str; 4] = ["unknown", "unspecified", "reserved", "gbr"];
/// Metadata of a stream's colours that lies beside it.
const SIDE_DATA: [&str; 2] = ["Mastering display metadata", "Content light level metadata"];

/// A media file as ffprobe sees it.
pub(super) struct File {
    path: PathBuf,
    streams: Vec<Value>,
    chapters: usize,
    /// Streams whose packets have something beside them.
    with_additions: BTreeSet<u64>,
    /// Packets of each stream: times in seconds, where they have one, and sizes.
    packets: BTreeMap<u64, Vec<(Option<f64>, u64)>>,
}

/// A stream of sound: its packets, against the video's first frame.
pub(super) struct Sound(Vec<f64>);

impl Sound {
    /// The largest difference in time, over all packets where they are cut alike, else of the first.
    pub(super) fn difference(&self, other: &Self) -> f64 {
        let count = if self.0.len() == other.0.len() { self.0.len() } else { 1 };
        let pairs = self.0.iter().zip(&other.0).take(count);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }
}

impl File {
    pub(super) fn read(path: &Path) -> Self {
        let said = probe(path, &["-show_streams", "-show_chapters", "-show_packets"]);
        let list = |name: &str| said[name].as_array().cloned().unwrap_or_default();
        let mut packets: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        let mut with_additions = BTreeSet::new();
        for packet in list("packets") {
            let index = packet["stream_index"].as_u64().unwrap_or_default();
            let mut beside = packet["side_data_list"].as_array().into_iter().flatten();
            if beside.any(|data| data["side_data_type"] == "Matroska BlockAdditional") {
                with_additions.insert(index);
            }
            packets.entry(index).or_default().push((
                number(&packet, "pts_time"),
                number(&packet, "size").unwrap_or_default() as u64,
            ));
        }
        Self {
            path: path.to_owned(),
            streams: list("streams"),
            chapters: list("chapters").len(),
            with_additions,
            packets,
        }
    }

    /// The video that a player would take: the default one, then the largest, then the first; no cover picture.
    pub(super) fn video(&self) -> &Value {
        let whole = |stream: &Value, name: &str| stream[name].as_i64().unwrap_or(0);
        let rank = |s: &&Value| {
            let area = whole(s, "width") * whole(s, "height");
            (s["disposition"]["default"] == 1, area, -whole(s, "index"))
        };
        let videos = self
            .streams
            .iter()
            .filter(|s| is(s, "video") && s["disposition"]["attached_pic"] == 0);
        videos.max_by_key(rank).expect("every clip has a video")
    }

    /// The video that is put first.
    pub(super) fn first_video(&self) -> &Value {
        self.streams
            .iter()
            .find(|s| is(s, "video"))
            .expect("a result has a video")
    }

    pub(super) fn decoded(&self, stream: &Value) -> Frames {
        decoded(&self.path, usize::try_from(index(stream)).expect("an index"))
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether a stream has transparent parts: by its samples or, as WebM has it, beside them.
    pub(super) fn is_transparent(&self, stream: &Value) -> bool {
        let format = stream["pix_fmt"].as_str().unwrap_or_default();
        let with_alpha = ["rgba", "bgra", "argb", "abgr", "gbrap", "yuva", "ya8", "ya16"];
        self.with_additions.contains(&index(stream)) || with_alpha.iter().any(|name| format.starts_with(name))
    }

    /// Streams that notes say are left out.
    pub(super) fn named(&self, notes: &[String]) -> Vec<u64> {
        let is_named = |stream: &&Value| {
            let name = format!(" stream {} (", index(stream));
            notes
                .iter()
                .any(|note| note.contains(&name) && note.contains("is left out"))
        };
        self.streams.iter().filter(is_named).map(index).collect()
    }

    /// Streams of sound but for those that are left out.
    pub(super) fn sound(&self, first_frame: f64, left_out: &[u64]) -> Vec<Sound> {
        let kept = self
            .streams
            .iter()
            .filter(|s| is(s, "audio") && !left_out.contains(&index(s)));
        let times = |stream: &Value| {
            let packets = self.packets.get(&index(stream)).into_iter().flatten();
            Sound(packets.filter_map(|(time, _)| Some((*time)? - first_frame)).collect())
        };
        kept.map(times).collect()
    }

    /// Streams but the video, and chapters, that did not come through as they were: other codecs, other numbers of packets,
    /// other languages, titles or dispositions.
    pub(super) fn lost(&self, result: &Self, left_out: &[u64]) -> Vec<String> {
        let video = index(self.video());
        let described = |file: &Self, stream: &Value| {
            let packets = file.packets.get(&index(stream)).map_or(0, Vec::len);
            let tag = |name: &str| {
                stream["tags"][name]
                    .as_str()
                    .filter(|tag| *tag != "und")
                    .unwrap_or("")
                    .to_owned()
            };
            let default = stream["disposition"]["forced"].to_string();
            format!(
                "{} {}, {packets} packets, {:?} {:?} {default}",
                stream["codec_type"],
                stream["codec_name"],
                tag("language"),
                tag("title")
            )
        };
        let kept = self
            .streams
            .iter()
            .filter(|s| index(s) != video && !left_out.contains(&index(s)));
        let mut expected: Vec<String> = kept.map(|s| described(self, s)).collect();
        let mut found: Vec<String> = result.streams.iter().skip(1).map(|s| described(result, s)).collect();
        expected.sort();
        found.sort();
        let missing = expected
            .iter()
            .filter(|e| !found.contains(e))
            .map(|e| format!("no {e}"));
        let mut lost: Vec<String> = missing.collect();
        if self.chapters != result.chapters {
            lost.push(format!("{} chapters of {}", result.chapters, self.chapters));
        }
        lost
    }
}

/// Tags and metadata of colour that the source states and the result does not, or does differently.
pub(super) fn colour(own: &Value, found: &Value, notes: &[String]) -> Vec<String> {
    let stated = |stream: &Value, tag: &str| {
        let said = stream[tag]
            .as_str()
            .filter(|said| !UNSTATED.contains(said))
            .map(str::to_owned);
        let full = stream["pix_fmt"]
            .as_str()
            .is_some_and(|format| format.starts_with("yuvj"));
        said.or((tag == "color_range" && full).then(|| "pc".to_owned()))
    };
    let named = |tag: &str| notes.iter().any(|note| note.contains(tag));
    let mut differs = Vec::new();
    for tag in TAGS {
        let (before, after) = (stated(own, tag), stated(found, tag));
        // Studio range is what an encoder that says nothing means.
        let same = before == after || (before.as_deref() == Some("tv") && after.is_none());
        if let (Some(before), false) = (before, same || named(&tag.replace('_', " "))) {
            differs.push(format!(
                "{tag} {before} became {}",
                after.as_deref().unwrap_or("unstated")
            ));
        }
    }
    let beside = |stream: &Value, kind: &str| {
        let list = stream["side_data_list"].as_array().into_iter().flatten();
        list.clone().find(|data| data["side_data_type"] == kind).cloned()
    };
    let side_data = SIDE_DATA.into_iter().filter(|kind| {
        let before = beside(own, kind);
        before.is_some() && before != beside(found, kind) && !named(kind)
    });
    differs.extend(side_data.map(str::to_owned));
    differs
}

/// What of size, shape of a pixel, and turn is not what a result of twice the size has.
pub(super) fn shape(own: &Value, found: &Value, notes: &[String]) -> Vec<String> {
    let mut differs = Vec::new();
    for edge in ["width", "height"] {
        let (before, after) = (own[edge].as_u64().unwrap_or(0), found[edge].as_u64().unwrap_or(0));
        if after != 2 * before {
            differs.push(format!("{edge} {before} became {after}"));
        }
    }
    let ratio = |stream: &Value| {
        let text = stream["sample_aspect_ratio"].as_str().unwrap_or("1:1");
        let (a, b) = text.split_once(':').expect("a ratio");
        let (a, b): (f64, f64) = (a.parse().expect("a number"), b.parse().expect("a number"));
        if a > 0.0 && b > 0.0 { a / b } else { 1.0 }
    };
    if (ratio(own) / ratio(found) - 1.0).abs() > 1e-3 {
        differs.push(format!(
            "SAR {} became {}",
            own["sample_aspect_ratio"], found["sample_aspect_ratio"]
        ));
    }
    // Of each row two numbers turn the picture; the third moves it by its size.
    let turn = |row: &str| {
        row.split_whitespace()
            .skip(1)
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let matrix = |stream: &Value| {
        let list = stream["side_data_list"].as_array().into_iter().flatten();
        let matrix = list.clone().find_map(|data| data["displaymatrix"].as_str());
        matrix.map(|rows| {
            rows.lines()
                .filter(|row| row.contains(':'))
                .take(2)
                .flat_map(turn)
                .collect::<Vec<_>>()
        })
    };
    let turned = matrix(own).is_some() && matrix(own) != matrix(found);
    if turned && !notes.iter().any(|note| note.contains("on display is left out")) {
        differs.push("display matrix".to_owned());
    }
    differs
}

fn number(value: &Value, name: &str) -> Option<f64> {
    value[name].as_str()?.parse().ok()
}

fn is(stream: &Value, kind: &str) -> bool {
    stream["codec_type"] == kind
}

fn index(stream: &Value) -> u64 {
    stream["index"].as_u64().expect("every stream has a number")
}
