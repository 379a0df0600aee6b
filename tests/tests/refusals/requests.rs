//! Requests and outputs that are refused.

use std::os::unix::fs::{PermissionsExt, symlink};

use clearfleet_common::ErrorCode;
use clearfleet_tests::{Call, Signal, World, film, film_of, photo};

use super::{built_in_weights, refused, upscale, with_film, with_photo};

#[test]
fn empty_stretch() {
    let world = with_film();
    let call = || upscale(&world, "film.mp4", "out.mp4").args(["--start", "1:00"]);
    refused(&world, ErrorCode::StretchEmpty, "", call);
}

#[test]
fn target() {
    let world = with_film();
    photo(&world.path("photo.png"));
    let code = ErrorCode::TargetInvalid;
    let smaller = |input, output| upscale(&world, input, output).args(["--size", "20x10"]);
    refused(&world, code, "film", || smaller("film.mp4", "out.mp4"));
    refused(&world, code, "photo", || smaller("photo.png", "out.png"));
}

#[test]
fn settings() {
    let world = with_film();
    photo(&world.path("photo.png"));
    let with = |variant, output, args: [&str; 2]| {
        let input = if output == "out.png" { "photo.png" } else { "film.mp4" };
        let call = || upscale(&world, input, output).args(args);
        refused(&world, ErrorCode::SettingsInvalid, variant, call);
    };
    with("container", "out.webm", ["--codec", "h264"]);
    with("crf", "out.mp4", ["--crf", "52"]);
    with("preset", "out.mp4", ["--preset", "8"]);
    with("quality", "out.png", ["--quality", "90"]);
    film_of(&world.path("wide.mkv"), "8200x16", 1, &["-c:v", "ffv1"]);
    film_of(&world.path("tiny.mkv"), "16x16", 1, &["-c:v", "ffv1"]);
    let code = ErrorCode::SettingsInvalid;
    refused(&world, code, "too_wide", || upscale(&world, "wide.mkv", "out.mp4"));
    refused(&world, code, "too_small", || {
        upscale(&world, "tiny.mkv", "out.mp4").args(["--codec", "av1"])
    });
    let call = || Call::new().args(["upscale", "--tile", "1"]);
    let call = || call().arg(world.path("photo.png")).arg(world.path("out.png"));
    refused(&world, ErrorCode::SettingsInvalid, "tile", call);
}

#[test]
fn output_exists() {
    let world = with_film();
    let existing = world.file("out.mp4", "precious");
    refused(&world, ErrorCode::OutputExists, "", || {
        upscale(&world, "film.mp4", "out.mp4")
    });
    assert_eq!(std::fs::read(existing).expect("still there"), b"precious");
}

#[test]
fn output_is_input() {
    let world = with_film();
    symlink("film.mp4", world.path("link.mp4")).expect("a link");
    std::fs::hard_link(world.path("film.mp4"), world.path("same.mp4")).expect("a link");
    let before = std::fs::read(world.path("film.mp4")).expect("the film");
    let code = ErrorCode::OutputIsInput;
    for (variant, output) in [("", "film.mp4"), ("symlink", "link.mp4"), ("hard_link", "same.mp4")] {
        refused(&world, code, variant, || upscale(&world, "film.mp4", output));
        // The same words.
        refused(&world, code, variant, || {
            upscale(&world, "film.mp4", output).arg("--overwrite")
        });
    }
    assert_eq!(std::fs::read(world.path("film.mp4")).expect("the film"), before);
}

#[test]
fn output_not_a_file() {
    let world = with_film();
    world.inner("folder");
    world.file("file", "precious");
    let code = ErrorCode::OutputNotAFile;
    refused(&world, code, "folder", || {
        upscale(&world, "film.mp4", "folder").arg("--overwrite")
    });
    // Several inputs need a folder.
    let call = || upscale(&world, "film.mp4", "film.mp4").arg(world.path("file"));
    refused(&world, code, "file", call);
}

#[test]
fn output_no_folder() {
    let world = with_film();
    refused(&world, ErrorCode::OutputNoFolder, "", || {
        upscale(&world, "film.mp4", "no/out.mp4")
    });
    let call = || upscale(&world, "film.mp4", "film.mp4/out.mp4");
    refused(&world, ErrorCode::OutputNoFolder, "in_a_file", call);
}

#[test]
fn output_unsupported() {
    let world = with_film();
    photo(&world.path("photo.png"));
    let code = ErrorCode::OutputUnsupported;
    refused(&world, code, "film", || upscale(&world, "film.mp4", "out.avi"));
    refused(&world, code, "photo", || upscale(&world, "photo.png", "out.mp4"));
    refused(&world, code, "no_extension", || upscale(&world, "photo.png", "out"));
}

#[test]
fn output_name() {
    let world = with_film();
    photo(&world.path("photo.png"));
    let long = "x".repeat(300);
    let code = ErrorCode::OutputName;
    refused(&world, code, "film", || {
        upscale(&world, "film.mp4", &format!("{long}.mp4"))
    });
    refused(&world, code, "photo", || {
        upscale(&world, "photo.png", &format!("{long}.png"))
    });
    refused(&world, code, "parent", || upscale(&world, "photo.png", ".."));
}

#[test]
fn output_unwritable() {
    let (world, programs) = (World::open_to_all(), World::open_to_all());
    film(&world.path("film.mp4"), 3, &[]);
    photo(&world.path("photo.png"));
    let folder = world.inner("locked");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).expect("the test's own folder");
    let locked_out = |input, output| upscale(&world, input, output).without_rights(programs.folder());
    let code = ErrorCode::OutputUnwritable;
    refused(&world, code, "film", || locked_out("film.mp4", "locked/out.mp4"));
    refused(&world, code, "photo", || locked_out("photo.png", "locked/out.png"));
    refused(&world, code, "folder", || locked_out("photo.png", "locked/inner/"));
}

#[test]
fn state_exists() {
    let world = World::new();
    film(&world.path("film.mp4"), 20, &[]);
    let slowly = Call::new().args([
        "upscale",
        "--engine",
        "wait",
        "--wait",
        "50",
        "--batch-frames",
        "5",
        "--json",
    ]);
    let mut interrupted = slowly.arg(world.path("film.mp4")).arg(world.path("out.mp4")).start();
    interrupted.until_event("batch_done", 1);
    interrupted.signal(Signal::KILL);
    interrupted.end();
    let code = ErrorCode::StateExists;
    refused(&world, code, "", || upscale(&world, "film.mp4", "out.mp4"));
    refused(&world, code, "other_settings", || {
        upscale(&world, "film.mp4", "out.mp4").arg("--resume")
    });
}

#[test]
fn weights() {
    let world = with_photo();
    let own = built_in_weights();
    world.file("cut.safetensors", &own[..own.len() / 2]);
    let mut shapes = own.clone();
    let square = own.windows(9).position(|bytes| bytes == b"64,64,3,3").expect("a layer");
    shapes[square..square + 9].copy_from_slice(b"64,32,6,3");
    world.file("shapes.safetensors", shapes);
    world.file("text.safetensors", "not weights");
    let with = |variant, file| {
        let call = || {
            upscale(&world, "photo.png", "out.png")
                .arg("--weights")
                .arg(world.path(file))
        };
        refused(&world, ErrorCode::WeightsInvalid, variant, call);
    };
    with("cut", "cut.safetensors");
    with("shapes", "shapes.safetensors");
    with("text", "text.safetensors");
    with("missing", "missing.safetensors");
}
