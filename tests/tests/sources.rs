//! Sources that the shared clips lack, made by ffmpeg: every pixel format, ramps of every depth and range, an hour of
//! uneven frames. What comes out is told by ffmpeg.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clearfleet_tests::{Call, Row, World, ffmpeg};

/// Every pixel format that raw video in NUT has a name for, and what of it is lost: nothing, or what the notes must say.
const FORMATS: [(&str, Option<&str>); 40] = [
    ("gray", None),
    ("gray10le", None),
    ("gray12le", None),
    ("gray16le", None),
    ("yuv420p", None),
    ("yuv422p", None),
    ("yuv444p", None),
    ("yuv420p10le", None),
    ("yuv422p10le", None),
    ("yuv444p10le", None),
    ("yuv420p12le", None),
    ("yuv422p12le", None),
    ("yuv444p12le", None),
    ("nv12", None),
    ("nv21", None),
    ("yuyv422", None),
    ("uyvy422", None),
    ("rgb24", None),
    ("bgr24", None),
    ("rgba", None),
    ("bgra", None),
    ("argb", None),
    ("gbrp", None),
    ("gbrap", None),
    ("gbrp10le", None),
    ("gbrp12le", None),
    ("ya8", None),
    ("yuva420p", None),
    ("yuva422p", None),
    ("yuva444p", None),
    ("yuva444p10le", None),
    ("gbrap12le", None),
    ("yuv420p16le", Some("16 bits become 12")),
    ("yuv444p16le", Some("16 bits become 12")),
    ("rgb48le", Some("16 bits become 12")),
    ("gbrp16le", Some("16 bits become 12")),
    ("rgba64le", Some("16 bits become 12")),
    ("gbrap16le", Some("16 bits become 12")),
    ("yuv411p", Some("yuv411p is read as yuv444p")),
    ("yuv440p", Some("yuv440p is read as yuv444p")),
];

/// Upscales losslessly, and says what the program said is not kept.
fn lossless(world: &World, source: &Path, scale: &str) -> (PathBuf, Vec<String>) {
    let result = world.path("result.mkv");
    let made = Call::upscale().args(["--scale", scale, "--codec", "ffv1", "--json", "--overwrite"]);
    let ended = made.arg(source).arg(&result).succeed();
    (result, ended.notes())
}

fn raw(file: &Path, pix_fmt: &str, to: &Path) -> Vec<u8> {
    let before = ["-noautorotate", "-i"].map(OsStr::new);
    let after = ["-fps_mode", "passthrough", "-pix_fmt", pix_fmt, "-f", "rawvideo"].map(OsStr::new);
    ffmpeg(
        before
            .into_iter()
            .chain([file.as_os_str()])
            .chain(after)
            .chain([to.as_os_str()]),
    );
    std::fs::read(to).expect("raw video")
}

#[test]
fn every_pixel_format_is_kept_or_named() {
    let world = World::new();
    let source = world.path("source.nut");
    for (format, lost) in FORMATS {
        let picture = [
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=26x18:r=5",
            "-frames:v",
            "2",
            "-pix_fmt",
            format,
        ]
        .map(OsStr::new);
        ffmpeg(
            picture
                .into_iter()
                .chain(["-c:v", "rawvideo"].map(OsStr::new))
                .chain([source.as_os_str()]),
        );
        let (result, notes) = lossless(&world, &source, "1");
        match lost {
            None => {
                assert_eq!(notes, Vec::<String>::new(), "{format}");
                let same = raw(&source, format, &world.path("a")) == raw(&result, format, &world.path("b"));
                assert!(same, "{format}: other samples");
            }
            Some(lost) => assert_eq!(notes, [format!("decoding: {lost}")], "{format}"),
        }
    }
}

#[test]
fn ramps_keep_their_mean() {
    for (planes, formats) in [
        (1, ["gray", "gray10le", "gray12le"]),
        (3, ["yuv420p", "yuv420p10le", "yuv420p12le"]),
        (3, ["yuv422p", "yuv422p10le", "yuv422p12le"]),
        (3, ["yuv444p", "yuv444p10le", "yuv444p12le"]),
        (3, ["gbrp", "gbrp10le", "gbrp12le"]),
    ] {
        for (format, bits) in formats.into_iter().zip([8, 10, 12]) {
            for range in ["tv", "pc"] {
                ramp_keeps_its_mean(format, planes, bits, range);
            }
        }
    }
}

fn ramp_keeps_its_mean(format: &str, planes: usize, bits: u32, range: &str) {
    let (width, height) = (256, 16);
    let world = World::new();
    let ramp = world.file("ramp", ramp(format, planes, (width, height), bits));
    let source = world.path("source.mkv");
    let size = format!("{width}x{height}");
    let before = ["-f", "rawvideo", "-pix_fmt", format, "-s", &size, "-i"].map(OsStr::new);
    // Chroma in the middle: there a ramp's mean is the same at any size.
    let after = [
        "-c:v",
        "ffv1",
        "-color_range",
        range,
        "-chroma_sample_location",
        "center",
    ]
    .map(OsStr::new);
    ffmpeg(
        before
            .into_iter()
            .chain([ramp.as_os_str()])
            .chain(after)
            .chain([source.as_os_str()]),
    );
    let (result, _) = lossless(&world, &source, "2");
    let means =
        |file: &Path, size: (usize, usize)| means(&raw(file, format, &world.path("raw")), format, planes, size, bits);
    let (expected, found) = (means(&source, (width, height)), means(&result, (2 * width, 2 * height)));
    for (plane, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let off = (expected - found).abs();
        assert!(
            off <= 0.1,
            "{format} {range}: plane {plane} has a mean of {found}, not {expected}"
        );
    }
}

fn plane_size(format: &str, plane: usize, (width, height): (usize, usize)) -> (usize, usize) {
    match plane {
        1 | 2 if format.starts_with("yuv420") => (width / 2, height / 2),
        1 | 2 if format.starts_with("yuv422") => (width / 2, height),
        _ => (width, height),
    }
}

/// One frame: each plane from dark to bright, planes after the first the other way round, over most of the codes.
fn ramp(format: &str, planes: usize, size: (usize, usize), bits: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for plane in 0..planes {
        let (width, height) = plane_size(format, plane, size);
        for at in 0..width * height {
            let x = if plane == 0 { at % width } else { width - 1 - at % width };
            let code = ((20.0 + 210.0 * x as f64 / width as f64) * f64::from(1 << (bits - 8))).round() as u16;
            bytes.extend(&code.to_le_bytes()[..if bits == 8 { 1 } else { 2 }]);
        }
    }
    bytes
}

fn means(frame: &[u8], format: &str, planes: usize, size: (usize, usize), bits: u32) -> Vec<f64> {
    let step = if bits == 8 { 1 } else { 2 };
    let mut rest = frame;
    let plane = |plane| {
        let (width, height) = plane_size(format, plane, size);
        let samples = rest.split_off(..width * height * step).expect("a whole frame");
        let code = |sample: &[u8]| u64::from(sample[0]) + if step == 2 { 256 * u64::from(sample[1]) } else { 0 };
        samples.chunks(step).map(code).sum::<u64>() as f64 / (width * height) as f64
    };
    (0..planes).map(plane).collect()
}

/// Frames of two lengths by turns, an hour of them, with sound: at its end both are where they were.
#[test]
fn an_hour_of_uneven_frames_keeps_its_times_and_its_sound() {
    let world = World::new();
    let source = world.path("hour.mkv");
    let picture = "testsrc2=s=32x32:r=2,setpts='if(mod(N,3),N*0.5,N*0.5+0.137)/TB'";
    let args = [
        "-f",
        "lavfi",
        "-i",
        picture,
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=8000",
        "-t",
        "3600",
    ];
    let encode = [
        "-fps_mode",
        "passthrough",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-c:a",
        "aac",
        "-b:a",
        "16k",
    ];
    ffmpeg(args.iter().chain(&encode).map(OsStr::new).chain([source.as_os_str()]));
    let result = world.path("result.mkv");
    let made = Call::upscale().args(["--scale", "2", "--preset", "ultrafast", "--json"]);
    let ended = made.arg(&source).arg(&result).succeed();
    let row = Row::of(&source, &result, &ended.notes());
    assert_eq!(row.failures(), Vec::<String>::new(), "{row}");
    assert!(row.frame_count() > 7000, "{row}");
}
