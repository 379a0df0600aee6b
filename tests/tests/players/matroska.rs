//! MKVToolNix reads results of its own files: what lies in a track's head, and everything beside the video.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use clearfleet_tests::{Call, World, ffmpeg, film_of};
use serde_json::{Value, json};

/// What a track says of itself beside its codec.
const OF_TRACKS: [&str; 8] = [
    "codec_id",
    "language",
    "track_name",
    "default_track",
    "forced_track",
    "flag_commentary",
    "flag_hearing_impaired",
    "audio_sampling_frequency",
];
/// What the head of a video's track says of its colours, each 1 for BT.709 in studio range.
const COLOURS: [&str; 4] = [
    "color_matrix_coefficients",
    "color_primaries",
    "color_range",
    "color_transfer_characteristics",
];

/// Whether MKVToolNix is here.
fn is_here() -> bool {
    let here = Command::new("mkvmerge").arg("--version").output().is_ok();
    if !here {
        println!("skipped: there is no mkvmerge (deploy/setup.sh test)");
    }
    here
}

/// Runs a program of MKVToolNix, which may have nothing to complain about.
fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let ended = Command::new(program).args(args).output();
    let ended = ended.expect("MKVToolNix is here");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{program}: {said}");
    said
}

/// What mkvmerge says of a file.
fn identified(file: &Path) -> Value {
    let said = run("mkvmerge", [OsStr::new("-J"), file.as_os_str()]);
    let file: Value = serde_json::from_str(&said).expect("mkvmerge prints JSON");
    assert_eq!((&file["errors"], &file["warnings"]), (&json!([]), &json!([])));
    file
}

/// Names and times of a file's chapters.
fn chapters(file: &Path) -> String {
    run(
        "mkvextract",
        [file.as_os_str(), OsStr::new("chapters"), OsStr::new("--simple")],
    )
}

/// The contents of the two files that are attached.
fn attachments(world: &World, file: &Path) -> [Vec<u8>; 2] {
    let to = ["first", "second"].map(|name| world.path(name));
    let [first, second] = [1, 2].map(|n| format!("{n}:{}", to[n - 1].display()));
    run(
        "mkvextract",
        [
            file.as_os_str(),
            OsStr::new("attachments"),
            first.as_ref(),
            second.as_ref(),
        ],
    );
    to.map(|file| std::fs::read(file).expect("extracted just now"))
}

/// A Matroska file as MKVToolNix makes them: 72×48 pixels of four by three, two sounds, subtitles, chapters, two files.
fn source(world: &World) -> PathBuf {
    let [video, sound, music] = ["video.mkv", "sound.m4a", "music.opus"].map(|name| world.path(name));
    film_of(&video, "72x48", 25, &["-preset", "ultrafast", "-bf", "2"]);
    for (file, codec) in [(&sound, "aac"), (&music, "libopus")] {
        let args = ["-f", "lavfi", "-i", "sine=r=48000:d=1", "-c:a", codec].map(OsStr::new);
        ffmpeg(args.into_iter().chain([file.as_os_str()]));
    }
    let said = world.file("said.srt", "1\n00:00:00,000 --> 00:00:00,500\n안녕하세요\n");
    let chapters = "CHAPTER01=00:00:00.000\nCHAPTER01NAME=Opening\nCHAPTER02=00:00:00.400\nCHAPTER02NAME=Ending\n";
    let chapters = world.file("chapters.txt", chapters);
    let font = world.file("font.ttf", [7; 2000]);
    let file = world.path("film.mkv");
    let mut line = format!("-o {} --title film --chapters {}", file.display(), chapters.display());
    for (kind, attached) in [("font/ttf", &font), ("text/plain", &chapters)] {
        line += &format!(" --attachment-mime-type {kind} --attach-file {}", attached.display());
    }
    line += " --aspect-ratio-factor 0:4/3 --track-name 0:picture";
    for name in ["matrix", "range", "transfer-characteristics", "primaries"] {
        line += &format!(" --colour-{name} 0:1");
    }
    line += &format!(
        " {} --language 0:ger {} --language 0:por --track-name 0:talk --commentary-flag 0 {} --language 0:kor \
         --forced-display-flag 0 --hearing-impaired-flag 0 --default-track-flag 0:0 {}",
        video.display(),
        sound.display(),
        music.display(),
        said.display()
    );
    run("mkvmerge", line.split_whitespace());
    file
}

/// What tracks but the first, and files, are.
fn beside(file: &Value) -> (Vec<Vec<Value>>, Vec<[Value; 3]>) {
    let list = |name: &str| file[name].as_array().cloned().unwrap_or_default();
    let tracks = list("tracks").into_iter().skip(1);
    let tracks = tracks.map(|track| OF_TRACKS.map(|name| track["properties"][name].clone()).to_vec());
    let files = list("attachments").into_iter();
    let files = files.map(|file| ["file_name", "content_type", "size"].map(|name| file[name].clone()));
    (tracks.collect(), files.collect())
}

#[test]
fn matroska_keeps_what_mkvtoolnix_wrote() {
    if !is_here() {
        return;
    }
    let world = World::new();
    let source = source(&world);
    let result = world.path("result.mkv");
    let made = Call::upscale().args(["--json", "--codec", "h264", "--preset", "ultrafast"]);
    let made = made.arg(&source).arg(&result).succeed();
    assert_eq!(made.notes(), Vec::<String>::new());
    let (before, after) = (identified(&source), identified(&result));
    assert_eq!(beside(&after), beside(&before));
    assert_eq!(beside(&after).0.len(), 3);
    assert_eq!(chapters(&result), chapters(&source));
    assert_eq!(attachments(&world, &result), attachments(&world, &source));
    assert_eq!(after["container"]["properties"]["title"], "film");
    assert_video(&after["tracks"][0]["properties"]);
    // It reads every packet, to the end.
    run(
        "mkvmerge",
        [
            OsStr::new("-o"),
            world.path("again.mkv").as_os_str(),
            result.as_os_str(),
        ],
    );
}

fn assert_video(video: &Value) {
    assert_eq!(video["codec_id"], "V_MPEG4/ISO/AVC");
    assert_eq!(video["track_name"], "picture");
    assert_eq!(video["pixel_dimensions"], "144x96");
    let display = video["display_dimensions"]
        .as_str()
        .and_then(|size| size.split_once('x'));
    let (width, height) = display.expect("a size on display");
    let edge = |text: &str| text.parse::<f64>().expect("a number");
    // 144 pixels of four by three beside 96.
    assert_eq!(edge(width) / edge(height), 2.0);
    assert_eq!(video["default_duration"], 40_000_000);
    for name in COLOURS {
        assert_eq!(video[name], 1, "{name}");
    }
}
