//! Interlaced video.

use std::path::{Path, PathBuf};

use clearfleet_common::job::{Codec, Container, Stretch};

use crate::run::{Run, ffmpeg, frames};

/// 30 interlaced frames with frames out of order and a key frame every 8.
fn interlaced(folder: &Path) -> PathBuf {
    let file = folder.join("interlaced.mp4");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=96x64:r=50:d=1.2 -vf tinterlace=interleave_top,fieldorder=tff -c:v libx264 -pix_fmt yuv420p \
         -flags +ildct+ilme -g 8 -bf 2 {}",
        file.display()
    ));
    file
}

/// What ffmpeg makes of all frames at once.
fn whole(folder: &Path, source: &Path) -> Vec<(f64, String)> {
    let file = folder.join("whole.mkv");
    ffmpeg(&format!(
        "-i {} -vf bwdif=mode=send_frame -fps_mode passthrough -c:v ffv1 {}",
        source.display(),
        file.display()
    ));
    frames(&file, "yuv420p")
}

fn pixels(frames: &[(f64, String)]) -> Vec<&str> {
    frames.iter().map(|frame| frame.1.as_str()).collect()
}

#[test]
fn deinterlaced_frames_do_not_depend_on_batches() {
    let folder = tempfile::tempdir().unwrap();
    let source = interlaced(folder.path());
    let expected = whole(folder.path(), &source);
    let woven = frames(&source, "yuv420p");
    assert!(expected.len() == 30 && woven.len() == 30);
    assert_ne!(pixels(&expected), pixels(&woven));
    for batch_frames in [1, 7, 1000] {
        let run = Run {
            deinterlace: true,
            ..Run::new(Codec::Ffv1, Container::Mkv, batch_frames)
        };
        let found = frames(&run.upscale(&source).unwrap(), "yuv420p");
        assert_eq!(pixels(&found), pixels(&expected), "batches of {batch_frames}");
        let late = found.iter().zip(&woven).any(|(a, b)| (a.0 - b.0).abs() > 0.00101);
        assert!(!late, "batches of {batch_frames}");
    }
}

#[test]
fn a_deinterlaced_stretch_looks_back_to_the_frame_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = interlaced(folder.path());
    let expected = whole(folder.path(), &source);
    let run = Run {
        deinterlace: true,
        stretch: Stretch {
            start: Some(0.32),
            end: Some(0.6),
        },
        ..Run::new(Codec::Ffv1, Container::Mkv, 3)
    };
    let found = frames(&run.upscale(&source).unwrap(), "yuv420p");
    // Frame 8 is a key frame: nothing before it is decoded for its own sake.
    assert_eq!(pixels(&found), pixels(&expected[8..15]));
}

#[test]
fn what_becomes_of_fields_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = interlaced(folder.path());
    let notes = |deinterlace| {
        let run = Run {
            deinterlace,
            ..Run::new(Codec::H264, Container::Mp4, 30)
        };
        let plan = run.plan(&source).unwrap().2;
        (plan.pipeline.clone(), plan.notes.join("; "))
    };
    let (woven, deinterlaced) = (notes(false), notes(true));
    assert!(
        woven
            .1
            .ends_with("upscaled as one picture, and the result does not call itself interlaced"),
        "{woven:?}"
    );
    assert_eq!(
        deinterlaced.1,
        "the video is interlaced, its top fields first: each frame's two are made one picture"
    );
    assert_ne!(woven.0, deinterlaced.0, "the pipeline's digest");
}
