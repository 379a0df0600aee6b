//! Sizes that are odd.

use std::path::{Path, PathBuf};

use clearfleet_common::job::{Codec, Container};

use crate::run::{Run, ffmpeg, ffprobe, frames};

/// Four frames of 43x31 in 4:2:0.
fn odd(folder: &Path) -> PathBuf {
    let file = folder.join("odd.mkv");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=0.16,format=gbrp,crop=43:31:0:0,format=yuv420p -c:v ffv1 {}",
        file.display()
    ));
    file
}

#[test]
fn vp9_and_av1_hold_odd_sizes_and_others_are_made_even() {
    let folder = tempfile::tempdir().unwrap();
    let source = odd(folder.path());
    // Three times 43x31, and what is added to it.
    let cases = [
        (Codec::Vp9, Container::Webm, (129, 93)),
        (Codec::Vp9, Container::Mp4, (129, 93)),
        (Codec::Av1, Container::Mkv, (129, 93)),
        (Codec::Av1, Container::Mp4, (129, 93)),
        (Codec::Ffv1, Container::Mkv, (129, 93)),
        (Codec::H264, Container::Mp4, (130, 94)),
    ];
    for (codec, container, (width, height)) in cases {
        let run = Run {
            scale: 3.0,
            ..Run::new(codec, container, 2)
        };
        let result = run
            .upscale(&source)
            .unwrap_or_else(|e| panic!("{codec} in {container}: {e:?}"));
        let stream = &ffprobe("-show_entries stream=width,height", &result)["streams"][0];
        assert_eq!(
            (&stream["width"], &stream["height"]),
            (&width.into(), &height.into()),
            "{codec} in {container}"
        );
        assert_eq!(frames(&result, "yuv420p").len(), 4, "{codec} in {container}");
    }
}
