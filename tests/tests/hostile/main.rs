//! Files that want something else than to be upscaled, and names that are hard to pass on.

mod outside;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use clearfleet_tests::{Call, World, black_png, decoded, film, gif_header, oversized_png, photo};

use outside::assert_refused;

/// More than a refusal needs in memory: the program and ffprobe take about 60 MB each.
const MODEST: u64 = 600 << 20;

fn assert_refused_at_once(world: &World, input: &str, output: &str, args: &[&str]) {
    let before = world.names();
    let call = Call::upscale().arg("--json").args(args);
    let refused = call.arg(world.path(input)).arg(world.path(output)).run();
    let about = format!("{input} {args:?}");
    assert_refused(&refused, &about);
    assert_eq!(refused.event("failed")["code"], "input_too_many_pixels", "{about}");
    assert!(refused.peak_bytes < MODEST, "{about}: {} bytes", refused.peak_bytes);
    assert!(refused.took < Duration::from_secs(10), "{about}: {:?}", refused.took);
    assert_eq!(world.names(), before, "{about}");
}

#[test]
fn pictures_that_unpack_to_gigabytes_are_refused_at_once() {
    let world = World::new();
    let bomb = black_png(30_000, 30_000);
    assert!(bomb.len() < 6 << 20, "small on disk: {}", bomb.len());
    world.file("bomb.png", bomb);
    world.file("bomb.gif", gif_header(65_535, 65_535));
    assert_refused_at_once(&world, "bomb.png", "out.png", &[]);
    assert_refused_at_once(&world, "bomb.png", "out.png", &["--max-pixels", "1000000"]);
    assert_refused_at_once(&world, "bomb.gif", "out.png", &[]);
}

/// A video of 1 KB whose one frame is a PNG of 30,000×30,000 pixels.
#[test]
fn films_that_unpack_to_gigabytes_are_refused_at_once() {
    let world = World::new();
    for name in ["bomb.mov", "bomb.mkv"] {
        film(&world.path(name), 1, &["-c:v", "png", "-pix_fmt", "gray"]);
        let whole = std::fs::read(world.path(name)).expect("made just now");
        world.file(name, oversized_png(whole, 30_000, 30_000));
        let call = Call::upscale()
            .arg("--json")
            .arg(world.path(name))
            .arg(world.path("out.mkv"));
        let refused = call.run();
        assert_refused(&refused, name);
        assert!(refused.peak_bytes < MODEST, "{name}: {} bytes", refused.peak_bytes);
        assert!(refused.took < Duration::from_secs(10), "{name}: {:?}", refused.took);
    }
}

/// A whole film says how large its frames are in its first line.
#[test]
fn a_film_of_huge_frames_is_refused_at_once() {
    let world = World::new();
    world.file("huge.y4m", "YUV4MPEG2 W16000 H16000 F25:1 Ip A1:1 C420jpeg\nFRAME\n");
    assert_refused_at_once(&world, "huge.y4m", "out.mkv", &[]);
}

/// Names that are hard to pass on, without an extension.
fn odd_names() -> Vec<OsString> {
    let mut names: Vec<OsString> = [
        "-leading-dash",
        "--scale",
        " space in and around ",
        "new\nline",
        "'quoted' \"twice\"",
        "100%",
        "%d",
        "a:b",
        "http:",
        "pipe:1",
        "concat:a|b",
        "file,b;c[0]=d\\e",
        "휴가 사진",
        "🏝️",
        "$HOME `id` $(id)",
        "*?~",
    ]
    .map(OsString::from)
    .into();
    // With four more for the extension, 250 bytes; of three each, and 82 of them.
    names.push("x".repeat(246).into());
    names.push("가".repeat(82).into());
    names.push(OsStr::from_bytes(b"caf\xe9 \xff\xfe").to_owned());
    names
}

/// Where a call's input and output are, seen from where the call stands.
#[derive(Clone, Copy)]
enum Way {
    FromAbove,
    ToAbove,
}

/// Takes a file of each odd name to the same name in another folder. The call stands in the inner one, so that relative
/// names are all that they seem.
fn odd_names_work(make: fn(&Path), extension: &str, expected: usize, way: Way) {
    for odd in odd_names() {
        let world = World::new();
        let inner = world.inner("inner");
        let name = [odd.as_bytes(), b".", extension.as_bytes()].concat();
        let (here, above) = (OsStr::from_bytes(&name), Path::new("..").join(OsStr::from_bytes(&name)));
        let (from, to) = match way {
            Way::FromAbove => (above.as_path(), Path::new(here)),
            Way::ToAbove => (Path::new(here), above.as_path()),
        };
        let source = world.path(format!("source.{extension}"));
        make(&source);
        std::fs::rename(source, inner.join(from)).expect("any name will do");
        let call = Call::upscale().args(["--json", "--"]).arg(from).arg(to);
        let ended = call.within(&inner).succeed();
        // ffmpeg has its own ideas about some of these names.
        let result = world.path(format!("result.{extension}"));
        std::fs::rename(inner.join(to), &result).expect("a result of that name");
        assert_eq!(decoded(&result, 0).pts.len(), expected, "{ended:#?}");
        std::fs::remove_file(inner.join(from)).expect("the source");
        assert_eq!(world.names(), ["inner/".to_owned(), format!("result.{extension}")]);
    }
}

#[test]
fn photos_may_have_odd_names() {
    odd_names_work(photo, "png", 1, Way::FromAbove);
    odd_names_work(photo, "png", 1, Way::ToAbove);
}

fn short_film(path: &Path) {
    film(path, 3, &["-preset", "ultrafast"]);
}

#[test]
fn films_may_have_odd_names() {
    odd_names_work(short_film, "mp4", 3, Way::ToAbove);
}

#[test]
fn films_above_may_have_odd_names() {
    odd_names_work(short_film, "mkv", 3, Way::FromAbove);
}
