//! One worker and several: batches done in another order, and beside each other, give the same frames.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearfleet_common::job::{Codec, Container};
use clearfleet_worker::steps::{Progress, assemble, upscale};

use crate::run::{Run, bicubic, ffmpeg, frames_by};

/// Every encoder: what ffmpeg calls it, how it is chosen, and by which edge and pixels.
const ENCODERS: [(&str, Codec, Container, u32, &str); 8] = [
    ("libx264", Codec::H264, Container::Mp4, 64, "yuv420p"),
    ("libx264", Codec::H264, Container::Mkv, 64, "yuv444p10le"),
    ("libx265", Codec::H265, Container::Mp4, 64, "yuv420p10le"),
    ("libsvtav1", Codec::Av1, Container::Mp4, 64, "yuv420p"),
    ("libaom-av1", Codec::Av1, Container::Mkv, 65, "yuv420p"),
    ("libvpx-vp9", Codec::Vp9, Container::Webm, 64, "yuv420p"),
    ("libvpx-vp9", Codec::Vp9, Container::Webm, 64, "yuva420p"),
    ("ffv1", Codec::Ffv1, Container::Mkv, 64, "yuv422p"),
];

/// Fifteen frames of a moving picture, losslessly, in parts transparent where the pixels have alpha.
fn film(folder: &Path, edge: u32, pix_fmt: &str) -> PathBuf {
    let file = folder.join("source.mkv");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=66x66:r=25:alpha=100,format=gbrap,crop={edge}:{edge}:0:0 -frames:v 15 -pix_fmt {pix_fmt} \
         -c:v ffv1 {}",
        file.display()
    ));
    file
}

/// Upscales in batches of four frames: each worker does its own, in its order. The result, and ffmpeg's name of its encoder.
fn upscaled(source: &Path, codec: Codec, container: Container, workers: &[&[u64]]) -> (Run, String) {
    let run = Run::new(codec, container, 4);
    let (job, probe, plan) = run.plan(source).unwrap();
    assert_eq!(plan.batches.len(), 4);
    std::thread::scope(|scope| {
        for batches in workers {
            scope.spawn(|| {
                let progress: Arc<dyn Progress> = Arc::new(());
                upscale(&job, &plan, &*bicubic(), &mut batches.iter().copied(), &progress).unwrap();
            });
        }
    });
    assemble(&job, &plan, &probe, &run.result()).unwrap();
    (run, plan.encoder.arguments[1].clone())
}

#[test]
fn several_workers_make_the_frames_of_one_with_every_encoder() {
    let folder = tempfile::tempdir().unwrap();
    for (encoder, codec, container, edge, pix_fmt) in ENCODERS {
        let source = film(folder.path(), edge, pix_fmt);
        // Only that one sees the alpha beside VP9.
        let decoder: &[&str] = if pix_fmt == "yuva420p" {
            &["-c:v", "libvpx-vp9"]
        } else {
            &[]
        };
        let frames = |workers: &[&[u64]]| {
            let (run, found) = upscaled(&source, codec, container, workers);
            assert_eq!(found, encoder, "{pix_fmt}");
            frames_by(decoder, &run.result(), pix_fmt)
        };
        let one = frames(&[&[0, 1, 2, 3]]);
        assert_eq!(one.len(), 15, "{encoder} {pix_fmt}");
        assert_eq!(frames(&[&[3, 0], &[2], &[1]]), one, "{encoder} {pix_fmt}");
    }
}
