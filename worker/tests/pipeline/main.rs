//! The steps on real clips: every frame once, at its time, wherever the video is cut.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod alpha;
mod cuts;
mod fields;
mod filters;
mod hdr;
mod run;
mod sizes;
mod sound;
mod streams;
mod turns;
mod workers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Codec, Container, Marker, Stretch};
use clearfleet_common::storage::ObjectKey;
use clearfleet_worker::steps::{Progress, assemble, upscale};

use run::{PLAN, Run, batches, bicubic, clips, frames, packets};

/// Counts what the upscale step says.
#[derive(Default)]
struct Counts {
    frames: AtomicU64,
    found: AtomicU64,
    done: AtomicU64,
}

impl Progress for Counts {
    fn frame_done(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    fn batch_found(&self, _batch: u64, marker: &Marker) {
        self.found.fetch_add(marker.frames, Ordering::Relaxed);
    }

    fn batch_done(&self, _batch: u64, marker: &Marker) {
        self.done.fetch_add(marker.frames, Ordering::Relaxed);
    }
}

/// Clips whose cuts are hard: B-frames and pyramids, variable frame rates, edit lists, discarded frames, a transport
/// stream, AVI without times, a damaged program stream, VP9 and AV1 with hidden frames, H.263, HEVC in 12 bit.
const HARD: [(&str, &str); 12] = [
    ("awesome movie.mov", "yuv420p"),
    ("bear-vp9-odd-dimensions.webm", "yuv420p"),
    ("discard_first_keyframe.mp4", "yuv420p"),
    ("iibbibb_editlist_videoonly.mp4", "yuv444p"),
    ("sample_h264.ts", "yuv420p"),
    ("sample_sef_slow_motion.mp4", "yuv420p"),
    ("test_non_zero_start.mp4", "yuv420p"),
    ("testsrc2_12bit_hdr.mp4", "yuv420p12le"),
    ("testsrc2_mpeg4.avi", "yuv420p"),
    ("weird_aspect.small.mpg", "yuv420p"),
    ("nasa_13013_rotated.mp4", "yuv420p"),
    ("bbb_176x144_128kbps_15fps_h263.3gp", "yuv420p"),
];

#[test]
fn cut_at_every_frame_a_clip_decodes_as_uncut() {
    let Some(clips) = clips() else { return };
    for (name, pix_fmt) in HARD {
        assert_cut_anywhere(&clips.join(name), pix_fmt);
    }
}

/// Cut at every frame, the source's frames come out as they went in: at factor 1 bicubic is the identity, and FFV1 is lossless.
fn assert_cut_anywhere(source: &Path, pix_fmt: &str) {
    assert_uncut(&Run::new(Codec::Ffv1, Container::Mkv, 1), source, pix_fmt);
}

fn assert_uncut(run: &Run, source: &Path, pix_fmt: &str) {
    let name = source.display();
    let result = run.upscale(source).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let (expected, found) = (frames(source, pix_fmt), frames(&result, pix_fmt));
    assert_eq!(expected.len(), found.len(), "{name}");
    for (n, (e, f)) in expected.iter().zip(&found).enumerate() {
        assert_eq!(e.1, f.1, "{name}: pixels of frame {n}");
        let off = (e.0 - f.0).abs();
        assert!(off <= 0.00101, "{name}: frame {n} at {} instead of {}", f.0, e.0);
    }
}

#[test]
fn one_batch_and_many_give_the_same_frames() {
    let Some(clips) = clips() else { return };
    let source = clips.join("awesome movie.mov");
    let result = |batch_frames| {
        let run = Run {
            scale: 1.5,
            ..Run::new(Codec::Ffv1, Container::Mkv, batch_frames)
        };
        frames(&run.upscale(&source).unwrap(), "yuv420p")
    };
    let one = result(1000);
    assert_eq!(one.len(), 123);
    assert_eq!(result(7), one);
    assert_eq!(result(40), one);
}

#[test]
fn every_codec_keeps_every_time_over_joints() {
    let Some(clips) = clips() else { return };
    let source = clips.join("awesome movie.mov");
    let expected = frames(&source, "yuv420p");
    let cases = [
        (Codec::H264, Container::Mp4, 1e-9),
        (Codec::H264, Container::Mov, 1e-9),
        (Codec::H264, Container::Mkv, 0.00101),
        (Codec::H265, Container::Mp4, 1e-9),
        (Codec::Av1, Container::Mp4, 1e-9),
        (Codec::Vp9, Container::Webm, 0.00101),
    ];
    for (codec, container, tolerance) in cases {
        // 41 frames: three batches, with B-frames before each joint.
        let run = Run::new(codec, container, 41);
        let found = frames(
            &run.upscale(&source).unwrap_or_else(|e| panic!("{codec} {e:?}")),
            "yuv420p",
        );
        assert_eq!(found.len(), expected.len(), "{codec} in {container}");
        for (n, (e, f)) in expected.iter().zip(&found).enumerate() {
            assert!(
                (e.0 - f.0).abs() <= tolerance,
                "{codec} in {container}: frame {n} at {} not {}",
                f.0,
                e.0
            );
        }
    }
}

#[test]
fn a_stretch_starts_at_zero_and_ends_where_it_was_asked_to() {
    let Some(clips) = clips() else { return };
    let source = clips.join("file_with_data_streams.mp4");
    let stretch = Stretch {
        start: Some(2.0),
        end: Some(3.0),
    };
    let run = Run {
        stretch,
        ..Run::new(Codec::Ffv1, Container::Mkv, 10)
    };
    let found = frames(&run.upscale(&source).unwrap(), "yuv420p");
    let whole = frames(&source, "yuv420p");
    let expected: Vec<&String> = whole[60..90].iter().map(|f| &f.1).collect();
    assert_eq!(found.iter().map(|f| &f.1).collect::<Vec<_>>(), expected);
    assert_eq!(found[0].0, 0.0);
    let sound = packets(&run.result(), "a:0");
    assert!(sound.iter().all(|t| (-0.03..1.0).contains(t)), "{sound:?}");
    assert!(sound[0] < 0.03 && sound[sound.len() - 1] > 0.95, "{sound:?}");
}

#[test]
fn a_ledger_by_decoding_is_the_ledger_by_packets() {
    let Some(clips) = clips() else { return };
    let source = clips.join("discard_first_keyframe.mp4");
    let by_packets = Run::new(Codec::Ffv1, Container::Mkv, 8);
    let by_frames = Run {
        exact: true,
        ..Run::new(Codec::Ffv1, Container::Mkv, 8)
    };
    let expected = frames(&by_packets.upscale(&source).unwrap(), "yuv420p");
    assert_eq!(expected.len(), 25);
    assert_eq!(frames(&by_frames.upscale(&source).unwrap(), "yuv420p"), expected);
}

#[test]
fn a_batch_that_decodes_to_other_frames_than_its_ledger_fails() {
    let Some(clips) = clips() else { return };
    let lies = [
        ("a frame one tick off", "[513,1],[511,1],[512,5]"),
        ("a frame left out", "[512,5],[1024,1],[512,1]"),
        ("a frame that is not there", "[256,2],[512,5]"),
    ];
    let from = "[512,7]";
    for (lie, to) in lies {
        let run = Run::new(Codec::Ffv1, Container::Mkv, 7);
        let (job, _, planned) = run.plan(&clips.join("h264_10bits.mp4")).unwrap();
        let key = ObjectKey::Ledger(PLAN, 1);
        let text = String::from_utf8(job.store.get(key).unwrap().unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        job.store.put(key, text.replace(from, to).as_bytes()).unwrap();
        let progress: Arc<dyn Progress> = Arc::new(());
        let error = upscale(&job, &planned, &*bicubic(), &mut batches(&planned), &progress).unwrap_err();
        assert_eq!(error.code(), ErrorCode::FramesMismatch, "{lie}: {error:?}");
        assert_eq!(job.store.finished(PLAN).unwrap().first(), Some(&0));
        assert!(!job.store.finished(PLAN).unwrap().contains(&1));
    }
}

#[test]
fn what_is_finished_is_not_done_again() {
    let Some(clips) = clips() else { return };
    let run = Run::new(Codec::H264, Container::Mp4, 8);
    let (job, probe, planned) = run.plan(&clips.join("h264_10bits.mp4")).unwrap();
    let work = |batches: &mut dyn Iterator<Item = u64>| {
        let counts = Arc::new(Counts::default());
        let progress: Arc<dyn Progress> = Arc::clone(&counts) as Arc<dyn Progress>;
        upscale(&job, &planned, &*bicubic(), batches, &progress).unwrap();
        [&counts.frames, &counts.found, &counts.done].map(|n| n.load(Ordering::Relaxed))
    };
    assert_eq!(work(&mut [2, 0].into_iter()), [16, 0, 16]);
    assert_eq!(work(&mut batches(&planned)), [14, 16, 14]);
    assert_eq!(work(&mut batches(&planned)), [0, 30, 0]);
    assemble(&job, &planned, &probe, &run.result()).unwrap();
    assert_eq!(frames(&run.result(), "yuv420p10le").len(), 30);
}

#[test]
fn a_missing_batch_is_no_result() {
    let Some(clips) = clips() else { return };
    let run = Run::new(Codec::H264, Container::Mp4, 8);
    let (job, probe, planned) = run.plan(&clips.join("h264_10bits.mp4")).unwrap();
    let progress: Arc<dyn Progress> = Arc::new(());
    upscale(&job, &planned, &*bicubic(), &mut [0, 1, 3].into_iter(), &progress).unwrap();
    let error = assemble(&job, &planned, &probe, &run.result()).unwrap_err();
    assert_eq!(error.to_string(), "batch 2 is not done");
    assert!(!run.result().exists());
}
