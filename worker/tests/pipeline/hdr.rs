//! High dynamic range: what displays should know of a video reaches its result, or is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clearfleet_common::job::{Codec, Container};
use serde_json::Value;

use crate::run::{Run, ffmpeg, ffprobe};

const COLOURS: &str = "-color_range tv -colorspace bt2020nc -color_trc smpte2084 -color_primaries bt2020";
const MASTERED: &str =
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400";

/// Four frames of HDR10, chroma in line with luma, as BT.2100 has it.
fn hdr10(folder: &Path) -> PathBuf {
    let file = folder.join("hdr10.mp4");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x64:r=25:d=0.16 -c:v libx265 -pix_fmt yuv420p10le {COLOURS} -chroma_sample_location \
         topleft -x265-params log-level=error:{MASTERED} {}",
        file.display()
    ));
    file
}

/// The numbers of all side data about light that a part of ffprobe's answer, `streams` or `frames`, has first.
fn light(answer: &Value, part: &str) -> BTreeMap<String, f64> {
    let first = |value: &Value| value.as_array().and_then(|all| all.first()).cloned();
    let side_data = first(&answer[part]).map(|part| part["side_data_list"].clone());
    let side_data = side_data.as_ref().and_then(Value::as_array);
    let fields = side_data.into_iter().flatten().filter_map(Value::as_object).flatten();
    fields
        .filter_map(|(name, value)| {
            let number = match value {
                Value::String(text) => {
                    let (num, den) = text.split_once('/')?;
                    num.parse::<f64>().ok()? / den.parse::<f64>().ok()?
                }
                value => value.as_f64()?,
            };
            Some((name.clone(), number))
        })
        .collect()
}

#[track_caller]
fn same(expected: &BTreeMap<String, f64>, found: &BTreeMap<String, f64>, what: &str) {
    assert!(expected.keys().eq(found.keys()), "{what}: {found:?}");
    for (name, value) in expected {
        // AV1 counts in 1/65,536.
        assert!(
            (value - found[name]).abs() < 2e-5 * value.max(1.0),
            "{what}: {name} is {}",
            found[name]
        );
    }
}

#[test]
fn hdr10_reaches_every_codec_in_every_container() {
    let folder = tempfile::tempdir().unwrap();
    let source = hdr10(folder.path());
    let look =
        "-show_entries stream_side_data:frame_side_data:stream=color_transfer,chroma_location -read_intervals %+#1";
    let expected = light(&ffprobe(look, &source), "frames");
    assert_eq!(expected.len(), 12, "{expected:?}");
    // Whether the container states it, and whether ffprobe sees it in the video.
    let cases = [
        (Codec::H264, Container::Mp4, true, false),
        (Codec::H264, Container::Mov, true, false),
        (Codec::H264, Container::Mkv, true, false),
        (Codec::H265, Container::Mp4, true, true),
        (Codec::H265, Container::Mov, true, true),
        (Codec::H265, Container::Mkv, true, true),
        (Codec::Av1, Container::Mp4, true, true),
        (Codec::Av1, Container::Webm, true, true),
        (Codec::Vp9, Container::Mp4, true, false),
        (Codec::Vp9, Container::Webm, true, false),
    ];
    for (codec, container, in_container, in_video) in cases {
        let what = format!("{codec} in {container}");
        let run = Run::new(codec, container, 2);
        let result = run.upscale(&source).unwrap();
        let found = ffprobe(look, &result);
        for (part, stated) in [("streams", in_container), ("frames", in_video)] {
            let found = light(&found, part);
            if stated {
                same(&expected, &found, &format!("{what}, {part}"));
            } else {
                assert_eq!(found, BTreeMap::new(), "{what}, {part}");
            }
        }
        let stream = &found["streams"][0];
        assert_eq!(stream["color_transfer"], "smpte2084", "{what}");
        let unstated = (codec, container) == (Codec::Vp9, Container::Mp4);
        assert_eq!(stream["chroma_location"] == "topleft", !unstated, "{what}: {stream}");
    }
}

#[test]
fn hdr10_of_h264_is_in_the_video_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(Codec::H264, Container::Mp4, 2);
    let result = run.upscale(&hdr10(folder.path())).unwrap();
    // ffprobe 5.1 does not read it there; the trace of its headers does.
    let traced = ffmpeg(&format!(
        "-v verbose -i {} -c copy -bsf:v trace_headers -f null -",
        result.display()
    ));
    for (field, value) in [
        ("display_primaries_x[0]", "13250"),
        ("white_point_y", "16450"),
        ("min_display_mastering_luminance", "50"),
        ("max_content_light_level", "1000"),
        ("max_pic_average_light_level", "400"),
    ] {
        let line = traced.lines().find(|line| line.contains(field));
        assert!(
            line.is_some_and(|line| line.ends_with(&format!("= {value}"))),
            "{field}: {line:?}"
        );
    }
}

#[test]
fn what_a_result_cannot_say_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = hdr10(folder.path());
    let notes = |codec, container| Run::new(codec, container, 2).plan(&source).unwrap().2.notes.clone();
    assert_eq!(
        notes(Codec::Ffv1, Container::Mkv),
        ["HDR10's mastering display and light levels are left out: ffv1 does not hold them here"]
    );
    assert_eq!(
        notes(Codec::Vp9, Container::Mp4),
        ["where chroma samples lie (topleft) is left out: vp9 in mp4 does not say it"]
    );
    assert_eq!(notes(Codec::Vp9, Container::Webm), [""; 0]);
}

#[test]
fn colour_tags_stand_beside_lossless_video() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("hlg.mkv");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=0.16 -c:v libx264 -pix_fmt yuv420p10le -color_range tv -colorspace bt2020nc \
         -color_trc arib-std-b67 -color_primaries bt2020 -chroma_sample_location center {}",
        source.display()
    ));
    let run = Run::new(Codec::Ffv1, Container::Mkv, 2);
    let result = run.upscale(&source).unwrap();
    let tags = "color_range,color_space,color_transfer,color_primaries,chroma_location";
    let stated = |file: &Path| ffprobe(&format!("-show_entries stream={tags}"), file)["streams"].clone();
    assert_eq!(stated(&source)[0]["color_transfer"], "arib-std-b67");
    assert_eq!(stated(&result), stated(&source));
}
