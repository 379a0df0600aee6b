//! What is done to frames before they are enlarged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearfleet_common::job::{Codec, Container, Denoise, Filters, Retouch, Sharpen, Stretch};
use clearfleet_worker::steps::{Progress, assemble, upscale};

use crate::run::{Run, batches, bicubic, ffmpeg, frames};

fn filters(denoise: Denoise, sharpen: f64) -> Filters {
    Filters {
        denoise,
        sharpen: Sharpen::try_from(sharpen).unwrap(),
    }
}

/// A film of 30 frames of 25 a second with a moving edge and noise.
fn noisy(folder: &Path) -> PathBuf {
    let film = folder.join("noisy.mkv");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=1.2,noise=alls=12:allf=t:all_seed=7 -pix_fmt yuv420p -c:v ffv1 {}",
        film.display()
    ));
    film
}

fn digests(frames: &[(f64, String)]) -> Vec<&str> {
    frames.iter().map(|frame| frame.1.as_str()).collect()
}

/// A run of `batch_frames`, whose result is at once decoded.
fn run(filters: Filters, batch_frames: u64, source: &Path) -> Vec<(f64, String)> {
    let run = Run {
        filters,
        scale: 1.5,
        ..Run::new(Codec::Ffv1, Container::Mkv, batch_frames)
    };
    frames(&run.upscale(source).unwrap(), "yuv420p")
}

#[test]
fn filtered_frames_do_not_depend_on_the_cuts() {
    let folder = tempfile::tempdir().unwrap();
    let film = noisy(folder.path());
    let all = filters(Denoise::Strong, 0.7);
    let one = run(all, 1000, &film);
    assert_eq!(one.len(), 30);
    assert_eq!(run(all, 7, &film), one);
    assert_eq!(run(all, 1, &film), one);
    // They do something, each by itself.
    let others = [
        Filters::default(),
        filters(Denoise::Light, 0.0),
        filters(Denoise::Off, 0.7),
    ];
    let mut results: Vec<_> = others.map(|filters| run(filters, 1000, &film)).into();
    results.push(one);
    for n in 0..30 {
        let frames: std::collections::BTreeSet<&str> = results.iter().map(|frames| frames[n].1.as_str()).collect();
        assert_eq!(frames.len(), results.len(), "frame {n}");
    }
}

#[test]
fn a_part_that_is_done_again_leaves_the_rest_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let film = noisy(folder.path());
    let mut job = Run {
        scale: 1.5,
        ..Run::new(Codec::Ffv1, Container::Mkv, 5)
    };
    let plain = frames(&job.upscale(&film).unwrap(), "yuv420p");
    let strong = filters(Denoise::Strong, 0.0);
    let denoised = run(strong, 1000, &film);
    // Frames 12 to 17 at 25 a second: parts of the batches of frames 10 to 14 and 15 to 19.
    let part = |start, end, filters| Retouch {
        stretch: Stretch {
            start: Some(start),
            end: Some(end),
        },
        filters,
    };
    job.retouches.push(part(0.48, 0.72, strong));
    let redone = redo(&job, &film, &[0]);
    assert_eq!(redone.found, [0, 1, 4, 5]);
    let expected = [
        &digests(&plain)[..12],
        &digests(&denoised)[12..18],
        &digests(&plain)[18..],
    ]
    .concat();
    assert_eq!(digests(&redone.frames), expected);
    assert_eq!(
        redone.frames.iter().map(|f| f.0).collect::<Vec<_>>(),
        plain.iter().map(|f| f.0).collect::<Vec<_>>()
    );

    // A later part goes before an earlier one; what comes back to what it was is taken from whichever plan has it.
    job.retouches.push(part(0.64, 10.0, Filters::default()));
    let again = redo(&job, &film, &[1, 0]);
    assert_eq!(again.found, [0, 1, 2, 4, 5]);
    let expected = [
        &digests(&plain)[..12],
        &digests(&denoised)[12..16],
        &digests(&plain)[16..],
    ]
    .concat();
    assert_eq!(digests(&again.frames), expected);
}

struct Redone {
    /// Batches that were there already.
    found: Vec<u64>,
    frames: Vec<(f64, String)>,
}

/// Plans after earlier plans, does what is missing, and puts the result together.
fn redo(job: &Run, film: &Path, earlier: &[u32]) -> Redone {
    let (context, probe, planned) = job.plan_after(film, earlier).unwrap();
    let found = context.store.finished(context.key).unwrap();
    let progress: Arc<dyn Progress> = Arc::new(());
    upscale(&context, &planned, &*bicubic(), &mut batches(&planned), &progress).unwrap();
    std::fs::remove_file(job.result()).unwrap();
    assemble(&context, &planned, &probe, &job.result()).unwrap();
    Redone {
        found,
        frames: frames(&job.result(), "yuv420p"),
    }
}
