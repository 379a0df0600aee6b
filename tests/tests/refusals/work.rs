//! Work that fails, is stopped, or does not match.

use std::path::PathBuf;
use std::process::Command;

use clearfleet_common::ErrorCode;
use clearfleet_tests::{Call, Signal, World, ffmpeg, film, film_of, is_root};

use super::{built_in_weights, refused, tells, upscale, with_film, with_photo};

/// A file system of 256 KiB, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing, with the reason printed, where it cannot be mounted.
    fn mount(folder: PathBuf) -> Option<Self> {
        if !is_root() {
            println!("skipped: only root can mount a small disk");
            return None;
        }
        let mut mount = Command::new("mount");
        let mounted = mount
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(&folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            refused => {
                println!("skipped: a small disk cannot be mounted: {refused:?}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It goes with the machine where it does not go now.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn disk_full() {
    let world = World::new();
    film_of(&world.path("film.mp4"), "320x240", 25, &[]);
    let picture = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x480,noise=c0s=50",
        "-frames:v",
        "1",
    ]
    .map(Into::into);
    ffmpeg(picture.into_iter().chain([world.path("photo.png")]));
    let Some(_disk) = SmallDisk::mount(world.inner("disk")) else {
        return;
    };
    let film = || upscale(&world, "film.mp4", "disk/out.mkv").args(["--codec", "ffv1"]);
    refused(&world, ErrorCode::DiskFull, "film", film);
    refused(&world, ErrorCode::DiskFull, "photo", || {
        upscale(&world, "photo.png", "disk/out.png")
    });
}

#[test]
fn ffmpeg_missing() {
    let world = with_film();
    let call = || upscale(&world, "film.mp4", "out.mp4").env("CLEARFLEET_FFMPEG", "/nonexistent");
    refused(&world, ErrorCode::FfmpegMissing, "", call);
    let call = || upscale(&world, "film.mp4", "out.mp4").env("CLEARFLEET_FFPROBE", "/nonexistent");
    refused(&world, ErrorCode::FfmpegMissing, "ffprobe", call);
    let call = || upscale(&world, "film.mp4", "out.mp4").env("CLEARFLEET_FFMPEG", "/bin/true");
    refused(&world, ErrorCode::FfmpegMissing, "another_program", call);
}

/// Bytes before the numbers: eight that say how long the description is, and the description.
fn head_length(weights: &[u8]) -> usize {
    let length = weights.first_chunk().copied().map(u64::from_le_bytes);
    8 + usize::try_from(length.expect("a length")).expect("a short description")
}

/// Weights so large that the network's output overflows.
#[test]
fn engine_failed() {
    let world = with_photo();
    let mut weights = built_in_weights();
    let start = head_length(&weights);
    for number in weights[start..].chunks_exact_mut(4) {
        number.copy_from_slice(&1e30_f32.to_le_bytes());
    }
    let file = world.file("loud.safetensors", weights);
    let call = || {
        let call = Call::new().args(["upscale", "--weights"]).arg(&file);
        call.arg(world.path("photo.png")).arg(world.path("out.png"))
    };
    refused(&world, ErrorCode::EngineFailed, "", call);
}

/// Two recordings one after the other, the second of larger frames.
#[test]
fn decode_failed() {
    let world = World::new();
    film(&world.path("film.ts"), 10, &[]);
    film_of(&world.path("larger.ts"), "96x64", 10, &["-output_ts_offset", "0.4"]);
    let read = |name| std::fs::read(world.path(name)).expect("made just now");
    world.file("film.ts", [read("film.ts"), read("larger.ts")].concat());
    refused(&world, ErrorCode::DecodeFailed, "", || {
        upscale(&world, "film.ts", "out.mp4")
    });
}

/// The encoder is killed by somebody else midway.
#[test]
fn encode_failed() {
    let world = World::new();
    film(&world.path("film.mp4"), 40, &[]);
    let before = world.names();
    let call = Call::new().args(["upscale", "--engine", "wait", "--wait", "100", "--json"]);
    let mut running = call.arg(world.path("film.mp4")).arg(world.path("out.mp4")).start();
    running.until_event("progress", 1);
    running.child("libx264").signal(Signal::KILL);
    let told = running.end();
    assert_eq!(world.names(), before, "{told:#?}");
    let failed = told.event("failed");
    let message = failed["message"].as_str().expect("a message");
    tells(
        &world,
        ErrorCode::EncodeFailed,
        "",
        &told,
        &format!("{message} [encode_failed]"),
    );
}

/// The same recording twice in one file: its times begin anew midway.
#[test]
fn frames_mismatch() {
    let world = World::new();
    film(&world.path("film.ts"), 10, &[]);
    let once = std::fs::read(world.path("film.ts")).expect("made just now");
    world.file("film.ts", once.repeat(2));
    refused(&world, ErrorCode::FramesMismatch, "", || {
        upscale(&world, "film.ts", "out.mp4")
    });
}

#[test]
fn stopped() {
    let world = World::new();
    film(&world.path("film.mp4"), 40, &[]);
    let before = world.names();
    let stop = |json: &[&str]| {
        let call = Call::new()
            .args(["upscale", "--engine", "wait", "--wait", "100"])
            .args(json);
        let mut running = call.arg(world.path("film.mp4")).arg(world.path("out.mp4")).start();
        if json.is_empty() {
            running.until_child("ffmpeg");
        } else {
            running.until_event("progress", 1);
        }
        running.signal(Signal::INT);
        let ended = running.end();
        assert_eq!(ended.code(), Some(130), "{ended:#?}");
        ended
    };
    let (told, said) = (stop(&["--json"]), stop(&[]));
    assert_eq!(world.names(), before, "no batch was finished");
    tells(&world, ErrorCode::Stopped, "", &told, &said.stderr);
}

/// `verify` prints a report in place of an error; its exit code is the one of the code.
#[test]
fn verify_mismatch() {
    let world = World::new();
    film(&world.path("film.mkv"), 10, &[]);
    film_of(&world.path("other.mkv"), "128x96", 9, &[]);
    let call = || {
        Call::new()
            .arg("verify")
            .arg(world.path("film.mkv"))
            .arg(world.path("other.mkv"))
    };
    let told = call().arg("--json").run();
    assert_eq!(told.code(), Some(6), "{told:#?}");
    let report = &told.events()[0];
    assert_eq!(report["verdict"], "differs");
    let checks = report["checks"].as_array().expect("checks");
    let frames = checks
        .iter()
        .find(|check| check["name"] == "frames")
        .expect("frames are counted");
    let value = |field: &str| frames[field].as_str().expect("a text");
    assert_eq!((value("expected"), value("verdict")), ("10", "differs"));
    assert!(value("found").starts_with("9;"), "{frames}");
    let said = call().run();
    assert_eq!(said.code(), Some(6), "{said:#?}");
    assert!(
        said.stdout.iter().any(|line| line.starts_with("DIFFERS  frames")),
        "{said:#?}"
    );
    assert!(
        said.stdout.last().is_some_and(|line| line.contains("does not match")),
        "{said:#?}"
    );
}
