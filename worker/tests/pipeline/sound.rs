//! The sound of streams: in step with the video, copied to the packet or encoded, in parts of ten seconds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clearfleet_common::job::{Codec, Container, Plan, PlannedSound, Stretch};
use clearfleet_common::storage::{KeyPrefix, ObjectKey};
use clearfleet_worker::steps::{JobContext, sound};

use crate::run::{PLAN, Run, ffmpeg, ffprobe};

/// Ten milliseconds of a tone, half a second after every full one.
const CLICKS: &str = r"aevalsrc=lt(mod(t+0.5\,1)\,0.01)*sin(2*PI*2000*t):s=48000";
/// How far sound may be from where it belongs, in seconds.
const IN_STEP: f64 = 0.005;

/// A film of so many seconds at 10 frames a second, with clicks, which begin and end by themselves.
fn film(folder: &Path, name: &str, seconds: f64, sound: &str) -> PathBuf {
    film_of(folder, name, (0.0, seconds), (0.0, seconds), sound)
}

/// The same, with a video and a sound that begin and last as said.
fn film_of(folder: &Path, name: &str, video: (f64, f64), clicks: (f64, f64), sound: &str) -> PathBuf {
    let file = folder.join(name);
    ffmpeg(&format!(
        "-itsoffset {} -f lavfi -i testsrc2=s=64x48:r=10:d={} -itsoffset {} -f lavfi -i {CLICKS}:d={} -map 0:v -map 1:a \
         -c:v libx264 -pix_fmt yuv420p {sound} {}",
        video.0,
        video.1,
        clicks.0,
        clicks.1,
        file.display()
    ));
    file
}

/// The plan of a film, and its renditions as files that players would put together of their parts.
struct Made {
    plan: Arc<Plan>,
    renditions: Vec<PathBuf>,
    /// How many parts each has.
    parts: usize,
    run: Run,
}

impl Made {
    fn of(source: &Path) -> Self {
        Self::by(Run::new(Codec::H264, Container::Mp4, 10), source)
    }

    fn by(run: Run, source: &Path) -> Self {
        let (job, _, plan) = run.plan(source).unwrap();
        sound(&job, &plan).unwrap();
        let planned = plan.sound.as_ref().unwrap();
        let (start, end) = plan.shown().unwrap();
        let parts = planned.parts(end - start).len() - 1;
        let renditions = (0..planned.tracks.len() as u32).map(|track| joined(&run, &job, track, parts));
        Self {
            renditions: renditions.collect(),
            plan,
            parts,
            run,
        }
    }

    fn sound(&self) -> &PlannedSound {
        self.plan.sound.as_ref().unwrap()
    }

    /// Seconds from the source's clock to the stream's.
    fn shift(&self) -> f64 {
        self.plan.video.time_base.seconds(self.plan.video.shift)
    }
}

/// The header and the parts of a rendition, one after the other.
fn joined(run: &Run, job: &JobContext, track: u32, parts: usize) -> PathBuf {
    let file = run.folder.path().join(format!("{track}.mp4"));
    let parts = (0..parts as u64).map(|part| ObjectKey::SoundPart(job.key, track, part));
    let keys = [ObjectKey::SoundHeader(job.key, track)].into_iter().chain(parts);
    let bytes: Vec<u8> = keys.flat_map(|key| job.store.get(key).unwrap().unwrap()).collect();
    std::fs::write(&file, bytes).unwrap();
    file
}

/// When each click of a file is heard, in seconds on the file's clock.
fn clicks(file: &Path) -> Vec<f64> {
    let samples = samples(file);
    let loud: Vec<usize> = (0..samples.len()).filter(|n| samples[*n].abs() > 0.25).collect();
    let first = |at: &usize| {
        loud[*at]
            .checked_sub(4800)
            .is_none_or(|quiet| *at == 0 || loud[at - 1] < quiet)
    };
    let firsts = (0..loud.len()).filter(first);
    firsts.map(|at| loud[at] as f64 / 48_000.0).collect()
}

/// What is heard of a file from its clock's zero on, in one channel, 48,000 samples a second.
fn samples(file: &Path) -> Vec<f32> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-copyts", "-i"])
        .arg(file)
        .args([
            "-map",
            "0:a:0",
            "-af",
            "aresample=48000:async=1:first_pts=0",
            "-ac",
            "1",
        ])
        .args(["-f", "f32le", "-"])
        .output()
        .unwrap();
    let (samples, _) = output.stdout.as_chunks::<4>();
    samples.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Times in seconds and digests of the packets of a file's first sound.
fn packets(file: &Path) -> Vec<(f64, String)> {
    let said = ffprobe(
        "-select_streams a:0 -show_data_hash md5 -show_entries packet=pts_time,data_hash",
        file,
    );
    let packets = said["packets"].as_array().unwrap().iter();
    packets
        .map(|packet| {
            let time = packet["pts_time"].as_str().unwrap().parse().unwrap();
            (time, packet["data_hash"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[track_caller]
fn in_step(found: &[f64], expected: &[f64], what: &str) {
    let is_near = |(found, expected): (&f64, &f64)| (found - expected).abs() <= IN_STEP;
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(is_near);
    assert!(fits, "{what}: {found:?} in place of {expected:?}");
}

#[test]
fn what_browsers_play_is_copied_to_the_packet() {
    let folder = tempfile::tempdir().unwrap();
    for (name, encoder, codec) in [
        ("aac.mp4", "-c:a aac", "mp4a.40.2"),
        ("aac.mkv", "-c:a aac", "mp4a.40.2"),
        ("opus.mkv", "-c:a libopus", "opus"),
        ("flac.mkv", "-c:a flac", "fLaC"),
    ] {
        let source = film(folder.path(), name, 2.4, encoder);
        let made = Made::of(&source);
        let track = &made.sound().tracks[0];
        assert_eq!((track.codec.as_str(), track.encoding), (codec, None), "{name}");
        let shift = made.shift();
        assert!(shift >= 0.1, "{name}: frames are reordered");
        let (_, end) = made.plan.shown().unwrap();
        let mut expected = packets(&source);
        expected.retain(|(time, _)| time + shift < end);
        let found = packets(&made.renditions[0]);
        assert_eq!(found.len(), expected.len(), "{name}");
        for ((time, digest), (source_time, source_digest)) in found.iter().zip(&expected) {
            assert_eq!(digest, source_digest, "{name} at {time}");
            // Matroska counts in milliseconds.
            assert!(
                (time - shift - source_time).abs() < 0.0011,
                "{name}: {time} for {source_time}"
            );
        }
    }
}

/// Wherever sound and video begin, and whatever becomes of the sound, it is in step.
#[test]
fn clicks_are_heard_when_they_are_in_the_source() {
    let folder = tempfile::tempdir().unwrap();
    for (name, video, sound, encoder, is_copied) in [
        ("aac.mp4", (0.0, 3.0), (0.0, 3.0), "-c:a aac", true),
        ("aac.ts", (0.0, 3.0), (0.0, 3.0), "-c:a aac", true),
        ("mp3.mp4", (0.0, 3.0), (0.0, 3.0), "-c:a libmp3lame", false),
        ("ac3.mkv", (0.0, 3.0), (0.0, 3.0), "-c:a ac3", false),
        ("opus.mkv", (0.0, 3.0), (0.0, 3.0), "-c:a libopus", true),
        ("vorbis.mkv", (0.0, 3.0), (0.0, 3.0), "-c:a libvorbis -ac 2", false),
        ("pcm.mov", (0.0, 3.0), (0.0, 3.0), "-c:a pcm_s16le -ar 22050", false),
        ("late.mkv", (0.0, 3.0), (0.7, 2.3), "-c:a aac", false),
        ("late.mp4", (0.0, 3.0), (0.7, 2.3), "-c:a aac", false),
        ("early.mkv", (0.7, 3.0), (0.0, 3.7), "-c:a aac", true),
        ("early.mp4", (1.7, 3.0), (0.0, 4.7), "-c:a ac3", false),
        ("short.mp4", (0.0, 3.0), (0.0, 1.7), "-c:a aac", false),
        ("long.mp4", (0.0, 2.0), (0.0, 9.0), "-c:a aac", true),
    ] {
        let source = film_of(folder.path(), name, video, sound, encoder);
        let made = Made::of(&source);
        assert_eq!(made.sound().tracks[0].encoding.is_none(), is_copied, "{name}");
        let (start, end) = made.plan.shown().unwrap();
        let expected = clicks(&source).into_iter().map(|time| time + made.shift());
        let expected: Vec<f64> = expected.filter(|time| *time > start && *time < end).collect();
        assert!(expected.len() >= 2, "{name}: {expected:?}");
        in_step(&clicks(&made.renditions[0]), &expected, name);
        if !is_copied {
            let heard = samples(&made.renditions[0]).len() as f64 / 48_000.0;
            // The last frame of AAC has 1024 samples.
            assert!(
                heard >= end - 0.001 && heard < end + 0.05,
                "{name}: {heard} s in place of {end} s"
            );
        }
    }
}

/// Where segments begin at zero, nothing can lie before it.
#[test]
fn sound_is_in_step_with_frames_that_are_not_reordered() {
    let folder = tempfile::tempdir().unwrap();
    for (name, encoder) in [("aac.mp4", "-c:a aac"), ("mp3.mp4", "-c:a libmp3lame")] {
        let source = film(folder.path(), name, 2.0, encoder);
        let made = Made::by(Run::new(Codec::Vp9, Container::Mp4, 10), &source);
        assert_eq!(made.shift(), 0.0);
        in_step(&clicks(&made.renditions[0]), &clicks(&source), name);
        assert!(packets(&made.renditions[0])[0].0 < 0.025, "{name}");
    }
}

#[test]
fn of_a_stretch_there_is_the_sound_of_the_stretch() {
    let folder = tempfile::tempdir().unwrap();
    for (name, encoder) in [("aac.mp4", "-c:a aac"), ("ac3.mkv", "-c:a ac3")] {
        let source = film(folder.path(), name, 6.0, encoder);
        let mut run = Run::new(Codec::H264, Container::Mp4, 10);
        run.stretch = Stretch {
            start: Some(2.0),
            end: Some(4.0),
        };
        let made = Made::by(run, &source);
        let (start, _) = made.plan.shown().unwrap();
        in_step(&clicks(&made.renditions[0]), &[start + 0.5, start + 1.5], name);
    }
}

#[test]
fn parts_are_ten_seconds_long_and_the_last_has_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    for (name, encoder) in [("aac.mp4", "-c:a aac"), ("ac3.mkv", "-c:a ac3")] {
        let source = film(folder.path(), name, 27.0, encoder);
        let made = Made::of(&source);
        assert_eq!(made.parts, 3, "{name}");
        let (start, _) = made.plan.shown().unwrap();
        let state = made.run.folder.path().join("state");
        for (part, begins) in [(0, start), (1, start + 10.0), (2, start + 20.0)] {
            let key = |key: ObjectKey| std::fs::read(state.join(key.to_string())).unwrap();
            let header = key(ObjectKey::SoundHeader(PLAN, 0));
            let alone = folder.path().join("part.mp4");
            std::fs::write(&alone, [header, key(ObjectKey::SoundPart(PLAN, 0, part))].concat()).unwrap();
            let (first, _) = packets(&alone).remove(0);
            // What comes before the video is what decoders need to begin.
            let early = if part == 0 { 0.1 } else { 1e-4 };
            assert!(
                first >= begins - early && first < begins + 0.04,
                "{name} {part}: {first}"
            );
        }
    }
}

#[test]
fn every_language_is_a_rendition_with_as_many_channels_as_players_have() {
    let folder = tempfile::tempdir().unwrap();
    let tracks = "-map 1:a -map 1:a -c:a:0 aac -c:a:1 ac3 -ac:a:1 6 -c:a:2 pcm_s16le -ac:a:2 4 \
                  -metadata:s:a:0 language=kor -metadata:s:a:1 language=eng -metadata:s:a:1 title=Commentary \
                  -disposition:a:0 0 -disposition:a:1 default -disposition:a:2 0";
    let source = film(folder.path(), "source.mkv", 2.0, tracks);
    let made = Made::of(&source);
    let told = made.sound().tracks.iter().map(|track| {
        let (language, title) = (track.language.as_deref(), track.title.as_deref());
        (language, title, track.channels, track.default, track.encoding.is_some())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (Some("kor"), None, 1, false, false),
            (Some("eng"), Some("Commentary"), 6, true, true),
            (None, None, 2, false, true)
        ]
    );
    for (rendition, channels) in made.renditions.iter().zip([1, 6, 2]) {
        let said = ffprobe("-show_entries stream=codec_name,channels", rendition);
        let expected = serde_json::json!([{ "codec_name": "aac", "channels": channels }]);
        assert_eq!(said["streams"], expected);
    }
}

#[test]
fn what_has_no_sound_or_is_not_watched_is_planned_without() {
    let folder = tempfile::tempdir().unwrap();
    let silent = film(folder.path(), "silent.mp4", 1.0, "-an");
    let sounding = film(folder.path(), "sounding.mp4", 1.0, "-c:a aac");
    for (codec, container, source) in [
        (Codec::H264, Container::Mp4, &silent),
        (Codec::Ffv1, Container::Mkv, &sounding),
    ] {
        let (_, _, plan) = Run::new(codec, container, 10).plan(source).unwrap();
        assert_eq!(plan.sound, None);
    }
}

/// A new plan whose sound is the same finds it made; where times are others, it makes its own.
#[test]
fn equal_sound_is_taken_over_by_a_new_plan() {
    let folder = tempfile::tempdir().unwrap();
    let source = film(folder.path(), "source.mp4", 1.0, "-c:a ac3");
    let mut run = Run::new(Codec::H264, Container::Mp4, 10);
    let (job, _, first) = run.plan(&source).unwrap();
    sound(&job, &first).unwrap();
    run.scale = 2.0;
    let (job, _, second) = run.plan_after(&source, &[0]).unwrap();
    assert_eq!(second.sound, first.sound);
    sound(&job, &second).unwrap();
    let own = run
        .folder
        .path()
        .join("state")
        .join(KeyPrefix::Sound(job.key).to_string());
    assert!(!own.exists(), "nothing is written twice");
    run.stretch.end = Some(0.5);
    let (_, _, third) = run.plan_after(&source, &[0, 1]).unwrap();
    assert_eq!(third.sound.as_ref().unwrap().plan, 2);
}
