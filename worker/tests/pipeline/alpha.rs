//! Transparent parts: what is see-through in a source is so in its result.

use std::path::{Path, PathBuf};
use std::process::Command;

use clearfleet_common::job::{Codec, Container};

use crate::run::{Run, clips, ffmpeg, ffprobe, frames};

/// 40 frames of 64x48 whose left half fades to nothing and whose alpha moves, in WebM.
fn transparent(folder: &Path) -> PathBuf {
    let file = folder.join("source.webm");
    let alpha = "a='clip(255-4*abs(X-N)\\,0\\,255)'";
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=1.6,format=yuva420p,geq=lum='p(X,Y)':cb='p(X,Y)':cr='p(X,Y)':{alpha} \
         -c:v libvpx-vp9 -b:v 0 -crf 10 -cpu-used 8 {}",
        file.display()
    ));
    file
}

/// The alpha planes of a video's frames, scaled to `size`, one after the other.
fn alpha(file: &Path, decoder: &str, size: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-c:v", decoder, "-i"])
        .arg(file)
        .args([
            "-vf",
            &format!("alphaextract,scale={size}:flags=bicubic:in_range=full:out_range=full"),
            "-fps_mode",
            "passthrough",
        ])
        .args(["-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Largest and root of the mean square of the differences.
fn differences(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let squares: f64 = differences.clone().map(|d| f64::from(d).powi(2)).sum();
    (differences.max().unwrap(), (squares / a.len() as f64).sqrt())
}

fn pix_fmt(file: &Path) -> String {
    let said = ffprobe("-select_streams v -show_entries stream=pix_fmt:stream_tags", file);
    let stream = &said["streams"][0];
    format!(
        "{} {}",
        stream["pix_fmt"].as_str().unwrap(),
        stream["tags"]["ALPHA_MODE"]
    )
}

#[test]
fn alpha_of_vp9_is_enlarged_as_bicubic_does_and_lies_beside_vp9_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = transparent(folder.path());
    let expected = alpha(&source, "libvpx-vp9", "128:96");
    assert_eq!(expected.len(), 40 * 128 * 96);
    for container in [Container::Webm, Container::Mkv] {
        // 15 frames: three batches.
        let run = Run {
            scale: 2.0,
            ..Run::new(Codec::Vp9, container, 15)
        };
        let result = run.upscale(&source).unwrap();
        assert_eq!(pix_fmt(&result), "yuv420p \"1\"", "{container}");
        let (_, error) = differences(&expected, &alpha(&result, "libvpx-vp9", "128:96"));
        assert!(error < 3.0, "{container}: {error}");
        // At the times of the ledger, which WebM counts in milliseconds.
        let times = |file| {
            frames(file, "gray")
                .into_iter()
                .map(|frame| frame.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(times(&result), times(&source), "{container}");
    }
}

#[test]
fn alpha_of_rgb_lies_beside_vp9() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.mov");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4,format=rgba,geq=r='p(X,Y)':g='p(X,Y)':b='p(X,Y)':a='X*4' -c:v png {}",
        source.display()
    ));
    let run = Run {
        scale: 2.0,
        ..Run::new(Codec::Vp9, Container::Webm, 4)
    };
    let result = run.upscale(&source).unwrap();
    assert_eq!(pix_fmt(&result), "yuv420p \"1\"");
    let expected = alpha(&source, "png", "128:96");
    let (_, error) = differences(&expected, &alpha(&result, "libvpx-vp9", "128:96"));
    assert!(error < 3.0, "{error}");
}

#[test]
fn lossless_results_hold_the_alpha_itself() {
    let folder = tempfile::tempdir().unwrap();
    let source = transparent(folder.path());
    let kept = Run::new(Codec::Ffv1, Container::Mkv, 15);
    let result = kept.upscale(&source).unwrap();
    assert_eq!(pix_fmt(&result), "yuva420p null");
    assert_eq!(alpha(&result, "ffv1", "64:48"), alpha(&source, "libvpx-vp9", "64:48"));
    let enlarged = Run {
        scale: 2.0,
        ..Run::new(Codec::Ffv1, Container::Mkv, 15)
    };
    let result = enlarged.upscale(&source).unwrap();
    let expected = alpha(&source, "libvpx-vp9", "128:96");
    let (most, error) = differences(&expected, &alpha(&result, "ffv1", "128:96"));
    // swscale's cubic is another, of a = -0.6.
    assert!(most <= 12 && error < 1.0, "{most} {error}");
}

#[test]
fn studio_formats_keep_their_alpha_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    // Encoder and format of the source, and what FFV1 holds of it. Alpha stays below 128: swscale 5.1 makes that of packed
    // RGB one code more above.
    let cases = [
        ("prores_ks -profile:v 4444", "yuva444p10le", "yuva444p10le"),
        ("qtrle", "argb", "bgra"),
        ("png", "rgba64be", "gbrap12le"),
        ("ffv1", "yuva422p10le", "yuva422p10le"),
        ("ffv1", "ya8", "ya8"),
    ];
    for (encoder, format, held) in cases {
        let source = folder.path().join("source.mov");
        ffmpeg(&format!(
            "-f lavfi -i testsrc2=s=32x24:r=25:d=0.2,format=rgba,geq=r='p(X,Y)':g='p(X,Y)':b='p(X,Y)':a='4+X*3' -pix_fmt {format} \
             -c:v {encoder} -strict experimental {}",
            source.display()
        ));
        let run = Run::new(Codec::Ffv1, Container::Mkv, 2);
        let result = run.upscale(&source).unwrap_or_else(|e| panic!("{encoder}: {e:?}"));
        assert_eq!(pix_fmt(&result), format!("{held} null"), "{encoder}");
        assert_eq!(frames(&result, held), frames(&source, held), "{encoder}");
    }
}

#[test]
fn alpha_that_a_result_does_not_hold_is_named() {
    let Some(clips) = clips() else { return };
    let plan = |codec, container| {
        Run::new(codec, container, 60)
            .plan(&clips.join("transparent.webm"))
            .unwrap()
            .2
    };
    for (codec, container) in [
        (Codec::H264, Container::Mp4),
        (Codec::Vp9, Container::Mp4),
        (Codec::Av1, Container::Webm),
    ] {
        let plan = plan(codec, container);
        assert_eq!(
            plan.notes[0], "decoding: transparency is left out",
            "{codec} in {container}"
        );
        assert_eq!(
            (plan.video.pixel_format.as_str(), &plan.video.decoder),
            ("yuv420p", &None)
        );
    }
    assert_eq!(plan(Codec::Vp9, Container::Webm).notes, [""; 0]);
}
