//! Real files: the good ones go through with every frame at its time, the bad ones are refused.
//!
//! What is in a result is told by ffmpeg and ffprobe alone; `clearfleet verify` is asked as well, and has to agree.

use std::path::{Path, PathBuf};

use clearfleet_tests::{Call, World, decoded, probe, shared};
use serde_json::Value;

/// One test for each clip, named after it, and one that no clip is without a test.
macro_rules! clips {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                goes_through($name);
            }
        )*

        #[test]
        fn no_clip_is_forgotten() {
            let Some(folder) = shared("clips/good") else { return };
            let mut here: Vec<String> = std::fs::read_dir(folder)
                .expect("the clips can be listed")
                .map(|entry| entry.expect("a clip").file_name().to_string_lossy().into_owned())
                .collect();
            here.sort();
            let mut tested = vec![$($name),*];
            tested.sort_unstable();
            assert_eq!(here, tested);
        }
    };
}

clips! {
    animated_gif: "animated.gif",
    av1_mkv: "av1_video.mkv",
    variable_rate_mov: "awesome movie.mov",
    widescreen_mov: "awesome_widescreen.mov",
    h263_3gp: "bbb_176x144_128kbps_15fps_h263.3gp",
    pyramid_mp4: "bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
    odd_vp9_webm: "bear-vp9-odd-dimensions.webm",
    bt2020_10bit_mp4: "bt2020_10bit.mp4",
    full_range_mp4: "bt601_full_range.mp4",
    discarded_keyframe_mp4: "discard_first_keyframe.mp4",
    data_streams_mp4: "file_with_data_streams.mp4",
    h264_10bit_mp4: "h264_10bits.mp4",
    edit_list_mp4: "iibbibb_editlist_videoonly.mp4",
    many_streams_mp4: "nasa_13013.mp4",
    hdr_mp4: "nasa_13013_hdr.mp4",
    rotated_mp4: "nasa_13013_rotated.mp4",
    no_duration_webm: "no_duration.webm",
    long_gif: "pigs_in_a_polka.gif",
    wmv: "sample.wmv",
    fragmented_mp4: "sample_fragmented.mp4",
    transport_stream: "sample_h264.ts",
    slow_motion_mp4: "sample_sef_slow_motion.mp4",
    ass_mkv: "sample_with_ass_subtitles.mkv",
    chapters_mkv: "sample_with_chapters.mkv",
    pgs_mkv: "sample_with_pgs_subtitles.mkv",
    srt_mkv: "sample_with_srt.mkv",
    sideways_mov: "sideways movie.mov",
    late_start_mp4: "test_non_zero_start.mp4",
    hdr_12bit_mp4: "testsrc2_12bit_hdr.mp4",
    hevc_444_10bit_mp4: "testsrc2_444_10bit_hevc.mp4",
    mpeg4_avi: "testsrc2_mpeg4.avi",
    odd_444_mp4: "testsrc2_odd_height_and_width_444.mp4",
    odd_vp9_mp4: "testsrc2_odd_height_and_width_vp9.mp4",
    still_gif: "transparent.gif",
    transparent_webm: "transparent.webm",
    anamorphic_mpg: "weird_aspect.small.mpg",
}

fn goes_through(name: &str) {
    let Some(source) = shared(&format!("clips/good/{name}")) else {
        return;
    };
    let world = World::new();
    let (container, preset) = own_container(&source);
    let result = world.path(format!("result.{container}"));
    let made = Call::upscale().args(["--scale", "2", "--json"]).args(preset);
    let made = made.arg(&source).arg(&result).succeed();
    let result_name = format!("result.{container}");
    assert_eq!(world.names(), [&*result_name], "the result and nothing else");

    let video = upscaled_stream(&source);
    same_frames(&source, &video, &result);
    let finished = made.event("finished");
    same_sound(&source, &result, &finished["notes"]);
    let verified = Call::new().arg("verify").arg(&source).arg(&result).run();
    let differs: Vec<&String> = verified
        .stdout
        .iter()
        .filter(|line| line.starts_with("DIFFERS"))
        .collect();
    assert_eq!((verified.code(), differs), (Some(0), vec![]), "{}", verified.stderr);
}

/// The source's own container, or Matroska where that cannot be written, with a preset that saves time but keeps
/// frames out of order, as players get them.
fn own_container(source: &Path) -> (&str, &'static [&'static str]) {
    let extension = source
        .extension()
        .and_then(|e| e.to_str())
        .expect("every clip has an extension");
    match extension {
        "gif" => (extension, &[]),
        "webm" => (extension, &["--preset", "8"]),
        "mp4" | "mov" | "mkv" => (extension, &["--preset", "veryfast"]),
        _ => ("mkv", &["--preset", "veryfast"]),
    }
}

fn streams(file: &Path, kind: &str) -> Vec<Value> {
    let said = probe(file, &["-show_streams", "-count_packets"]);
    let streams = said["streams"].as_array().expect("ffprobe lists streams");
    streams.iter().filter(|s| s["codec_type"] == kind).cloned().collect()
}

/// The video that a player would take: the default one, then the largest, then the first; no cover picture.
fn upscaled_stream(source: &Path) -> Value {
    let number = |stream: &Value, name: &str| stream[name].as_i64().unwrap_or(0);
    let mut videos = streams(source, "video");
    videos.retain(|s| s["disposition"]["attached_pic"] == 0);
    let rank = |s: &Value| {
        let area = number(s, "width") * number(s, "height");
        (s["disposition"]["default"] == 1, area, -number(s, "index"))
    };
    videos.into_iter().max_by_key(rank).expect("every clip has a video")
}

/// As many frames, each at its time to one tick of the coarser clock, of twice the size.
fn same_frames(source: &Path, video: &Value, result: &Path) {
    let index = video["index"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .expect("an index");
    let (expected, found) = (decoded(source, index), decoded(result, 0));
    assert!(!expected.pts.is_empty(), "ffmpeg finds no frame in the source");
    assert_eq!(expected.pts.len(), found.pts.len(), "frames");
    let tick = expected.tick.max(found.tick);
    let off = |n: &usize| (expected.seconds(*n) - found.seconds(*n)).abs() > tick * 1.0005;
    let elsewhere: Vec<String> = (0..expected.pts.len())
        .filter(off)
        .map(|n| format!("frame {n}: {} s became {} s", expected.seconds(n), found.seconds(n)))
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new(), "a tick is {tick} s");

    let enlarged = &streams(result, "video")[0];
    for edge in ["width", "height"] {
        let twice = video[edge].as_u64().expect("a size") * 2;
        assert_eq!(enlarged[edge], twice, "{edge}");
    }
}

/// Every stream of sound with all its packets, but for those that the notes name.
fn same_sound(source: &Path, result: &Path, notes: &Value) {
    let notes: Vec<&str> = notes
        .as_array()
        .expect("notes")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let named = |stream: &Value| {
        let name = format!("audio stream {} (", stream["index"]);
        notes
            .iter()
            .any(|note| note.starts_with(&name) && note.contains("is left out"))
    };
    let packets = |streams: &[Value]| -> Vec<String> {
        let told = streams
            .iter()
            .map(|s| format!("{}: {}", s["codec_name"], s["nb_read_packets"]));
        told.collect()
    };
    let mut expected = streams(source, "audio");
    expected.retain(|stream| !named(stream));
    assert_eq!(packets(&expected), packets(&streams(result, "audio")), "{notes:?}");
}

#[test]
fn bad_files_are_refused() {
    let Some(folder) = shared("clips/bad") else { return };
    let mut bad: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the clips can be listed")
        .map(|entry| entry.expect("a clip").path())
        .collect();
    bad.sort();
    assert!(!bad.is_empty());
    for source in bad {
        let world = World::new();
        let refused = Call::upscale()
            .arg("--json")
            .arg(&source)
            .arg(world.path("result.mkv"))
            .run();
        let about = format!("{}: {refused:#?}", source.display());
        assert_eq!(refused.code(), Some(3), "{about}");
        let code = refused.event("failed")["code"].as_str().map(str::to_owned);
        assert!(code.is_some_and(|code| code.starts_with("input_")), "{about}");
        assert_eq!(world.names(), Vec::<String>::new(), "{about}");
        assert_eq!(refused.stderr, "", "{about}");
    }
}
