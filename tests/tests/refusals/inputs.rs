//! Inputs that are refused.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use clearfleet_common::ErrorCode;
use clearfleet_tests::{Call, World, black_png, ffmpeg, film, gif_header, photo, png_header};

use super::{refused, upscale, with_film};

#[test]
fn not_found() {
    let world = World::new();
    let call = || upscale(&world, "missing.mp4", "out.mp4");
    refused(&world, ErrorCode::InputNotFound, "", call);
}

#[test]
fn not_a_file() {
    let world = World::new();
    let made = Command::new("mkfifo").arg(world.path("pipe.mp4")).status();
    assert!(made.expect("mkfifo").success());
    refused(&world, ErrorCode::InputNotAFile, "", || {
        upscale(&world, "pipe.mp4", "out.mp4")
    });
}

#[test]
fn unreadable() {
    let (world, programs) = (World::open_to_all(), World::open_to_all());
    let film = world.file("film.mp4", "secret");
    std::fs::set_permissions(film, PermissionsExt::from_mode(0o000)).expect("the test's own file");
    let call = || upscale(&world, "film.mp4", "out.mp4").without_rights(programs.folder());
    refused(&world, ErrorCode::InputUnreadable, "", call);
}

/// Reading the first byte of one's own memory fails, and yet it is a regular file.
#[test]
fn failing_disk() {
    let world = World::new();
    let call = || Call::upscale().arg("/proc/self/mem").arg(world.path("out.mp4"));
    refused(&world, ErrorCode::InputUnreadable, "midway", call);
}

#[test]
fn empty() {
    let world = World::new();
    world.file("empty.mp4", "");
    refused(&world, ErrorCode::InputEmpty, "", || {
        upscale(&world, "empty.mp4", "out.mp4")
    });
}

#[test]
fn too_large() {
    let world = World::new();
    world.file("film.mp4", [0; 101]);
    let call = || upscale(&world, "film.mp4", "out.mp4").args(["--max-bytes", "100"]);
    refused(&world, ErrorCode::InputTooLarge, "", call);
}

#[test]
fn mislabelled() {
    let world = with_film();
    std::fs::copy(world.path("film.mp4"), world.path("film.jpg")).expect("a copy");
    world.file("text.mp4", "Dear diary,\ntoday I made no film.\n");
    photo(&world.path("photo.png"));
    std::fs::rename(world.path("photo.png"), world.path("photo.mp4")).expect("another name");
    let code = ErrorCode::InputMislabelled;
    refused(&world, code, "film_as_jpg", || upscale(&world, "film.jpg", "out.png"));
    refused(&world, code, "text_as_mp4", || upscale(&world, "text.mp4", "out.mp4"));
    refused(&world, code, "png_as_mp4", || upscale(&world, "photo.mp4", "out.mp4"));
}

#[test]
fn unsupported() {
    let world = World::new();
    world.file("notes", "Dear diary,\n");
    world.file("paper.pdf", "%PDF-1.7\n");
    // No format starts with a run of 0x9c.
    world.file("noise.mp4", [0x9c; 5000]);
    let code = ErrorCode::InputUnsupported;
    refused(&world, code, "text", || upscale(&world, "notes", "out.mp4"));
    refused(&world, code, "pdf", || upscale(&world, "paper.pdf", "out.mp4"));
    refused(&world, code, "noise", || upscale(&world, "noise.mp4", "out.mp4"));
}

#[test]
fn playlist() {
    let world = World::new();
    let lists = [
        ("m3u8", "#EXTM3U\n#EXTINF:1,\nfilm.ts\n"),
        ("ffconcat", "ffconcat version 1.0\nfile film.ts\n"),
        (
            "mpd",
            "<?xml version=\"1.0\"?>\n<MPD><BaseURL>film.ts</BaseURL></MPD>\n",
        ),
    ];
    for (kind, content) in lists {
        let (own, renamed) = (format!("list.{kind}"), format!("{kind}.mp4"));
        world.file(&own, content);
        world.file(&renamed, content);
        let code = ErrorCode::InputPlaylist;
        refused(&world, code, kind, || upscale(&world, &own, "out.mp4"));
        refused(&world, code, &format!("{kind}_as_mp4"), || {
            upscale(&world, &renamed, "out.mp4")
        });
    }
}

#[test]
fn damaged() {
    let world = with_film();
    photo(&world.path("photo.png"));
    for name in ["film.mp4", "photo.png"] {
        let whole = std::fs::read(world.path(name)).expect("made just now");
        // An MP4 of ffmpeg's has its index at its end.
        world.file(name, &whole[..whole.len() / 2]);
    }
    refused(&world, ErrorCode::InputDamaged, "mp4", || {
        upscale(&world, "film.mp4", "out.mp4")
    });
    refused(&world, ErrorCode::InputDamaged, "png", || {
        upscale(&world, "photo.png", "out.png")
    });
}

/// What is left would decode, and would be less than the film.
#[test]
fn damaged_midway() {
    let world = World::new();
    film(&world.path("cut.mkv"), 60, &["-g", "12"]);
    let whole = std::fs::read(world.path("cut.mkv")).expect("made just now");
    world.file("cut.mkv", &whole[..whole.len() / 2]);
    let (third, mut holes) = (whole.len() / 3, whole);
    for byte in holes[third..2 * third].iter_mut().step_by(7) {
        *byte = !*byte;
    }
    world.file("holes.mkv", holes);
    for name in ["cut", "holes"] {
        let input = format!("{name}.mkv");
        refused(&world, ErrorCode::InputDamaged, name, || {
            upscale(&world, &input, "out.mkv")
        });
    }
}

#[test]
fn no_video() {
    let world = World::new();
    for name in ["sound.mp4", "sound.wav"] {
        let sound = ["-f", "lavfi", "-i", "sine", "-t", "0.2"].map(Into::into);
        ffmpeg(sound.into_iter().chain([world.path(name)]));
    }
    refused(&world, ErrorCode::InputNoVideo, "mp4", || {
        upscale(&world, "sound.mp4", "out.mp4")
    });
    refused(&world, ErrorCode::InputNoVideo, "wav", || {
        upscale(&world, "sound.wav", "out.mp4")
    });
}

/// The head of a film without compression, with no frame behind it.
#[test]
fn no_frames() {
    let world = World::new();
    world.file("film.y4m", "YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n");
    refused(&world, ErrorCode::InputNoFrames, "", || {
        upscale(&world, "film.y4m", "out.mp4")
    });
    // The head of a fragmented film does not even say what its samples are.
    let fragmented = ["-movflags", "empty_moov+frag_keyframe+default_base_moof"];
    film(&world.path("film.mp4"), 3, &fragmented);
    let whole = std::fs::read(world.path("film.mp4")).expect("made just now");
    let fragment = whole.windows(4).position(|bytes| bytes == b"moof");
    world.file("film.mp4", &whole[..fragment.expect("a fragment") - 4]);
    refused(&world, ErrorCode::InputDamaged, "head_of_mp4", || {
        upscale(&world, "film.mp4", "out.mp4")
    });
}

#[test]
fn dimensions() {
    let world = World::new();
    world.file("photo.png", png_header(0, 0));
    world.file("photo.gif", gif_header(0, 16));
    refused(&world, ErrorCode::InputDimensions, "png", || {
        upscale(&world, "photo.png", "out.png")
    });
    refused(&world, ErrorCode::InputDimensions, "gif", || {
        upscale(&world, "photo.gif", "out.png")
    });
}

#[test]
fn too_many_pixels() {
    let world = with_film();
    photo(&world.path("photo.png"));
    world.file("huge.png", png_header(60_000, 60_000));
    world.file("large.png", black_png(20_000, 20_000));
    let code = ErrorCode::InputTooManyPixels;
    let at_most = |input, pixels| upscale(&world, input, "out.png").args(["--max-pixels", pixels]);
    refused(&world, code, "edge", || upscale(&world, "huge.png", "out.png"));
    refused(&world, code, "png", || upscale(&world, "large.png", "out.png"));
    refused(&world, code, "photo", || at_most("photo.png", "383"));
    refused(&world, code, "enlarged_photo", || at_most("photo.png", "384"));
    let at_most = |pixels| upscale(&world, "film.mp4", "out.mp4").args(["--max-pixels", pixels]);
    refused(&world, code, "film", || at_most("3071"));
    refused(&world, code, "enlarged_film", || at_most("3072"));
}

#[test]
fn too_many_frames() {
    let world = with_film();
    let call = || upscale(&world, "film.mp4", "out.mp4").args(["--max-frames", "9"]);
    refused(&world, ErrorCode::InputTooManyFrames, "", call);
    // A Matroska file does not say how many there are.
    film(&world.path("film.mkv"), 10, &[]);
    let call = || upscale(&world, "film.mkv", "out.mp4").args(["--max-frames", "9"]);
    refused(&world, ErrorCode::InputTooManyFrames, "counted", call);
}

#[test]
fn too_long() {
    let world = World::new();
    film(&world.path("film.mp4"), 30, &[]);
    let call = || upscale(&world, "film.mp4", "out.mp4").args(["--max-seconds", "1"]);
    refused(&world, ErrorCode::InputTooLong, "", call);
}
