//! Frames, times and pictures.

use super::*;

/// A film of 30 frames with sound, and results from it: `filter` on its frames, `more` on the output.
struct Film(Folder);

impl Film {
    fn new() -> Self {
        let folder = Folder::new();
        folder.ffmpeg(
            "-f lavfi -i testsrc2=s=96x64:r=25:d=1.2 -f lavfi -i sine=f=330:d=1.2 -c:v libx264 -bf 2 -pix_fmt yuv420p \
             -c:a aac -metadata:s:a:0 language=fra source.mp4",
        );
        Self(folder)
    }

    fn result(&self, filter: &str, more: &str) -> Report {
        self.0.ffmpeg(&format!(
            "-i source.mp4 -filter_complex `[0:v]{filter}scale=192:128:flags=bicubic[v]` -map [v] -map 0:a -c:a copy \
             -fps_mode passthrough -c:v libx264 -crf 23 {more} result.mp4"
        ));
        self.0.verify("source.mp4", "result.mp4")
    }
}

#[test]
fn a_right_result_holds_and_every_check_says_how_it_was_made() {
    let report = Film::new().result("", "");
    differs(&report, &[]);
    assert_eq!(check(&report, "frames").found, "30");
    assert_eq!(check(&report, "times").found, "at most 0.000 ms off, at frame 0");
    assert_eq!(check(&report, "duration").found, "1.200 s");
    assert_eq!(check(&report, "size").found, "192x128, times 2.000 in width");
    let pictures = check(&report, "pictures");
    assert!(
        pictures.found.starts_with("30 frames compared, 30 told apart"),
        "{}",
        pictures.found
    );
    assert!(check(&report, "audio").found.contains("fra"), "{report:#?}");
    let names = [
        "frames", "decoding", "times", "pictures", "tint", "duration", "size", "rotation", "aspect", "colour", "audio",
    ];
    assert_eq!(report.checks.iter().map(|c| c.name).collect::<Vec<_>>(), names);
    assert!(report.checks.iter().all(|c| c.method.len() > 40));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["checks"][0]["verdict"], "holds");
}

#[test]
fn matroska_rounds_times_and_begins_later_with_the_sound() {
    let film = Film::new();
    film.0
        .ffmpeg("-i source.mp4 -vf scale=192:128 -c:a copy -c:v libx264 result.mkv");
    let report = film.0.verify("source.mp4", "result.mkv");
    differs(&report, &[]);
    // Sound starts 1024 of 44,100 samples a second before the first frame.
    let times = check(&report, "times");
    assert!(times.method.contains("the result is 23.000 ms late"), "{times:?}");
    assert!(times.found.starts_with("at most 0.000 ms off"), "{times:?}");
    film.0.ffmpeg("-i source.mp4 -vf scale=192:128,setpts=PTS+0.005/TB -c:a copy -c:v libx264 -fps_mode passthrough -enc_time_base 1/1000 result.mkv");
    differs(&film.0.verify("source.mp4", "result.mkv"), &["times", "audio"]);
}

#[test]
fn a_lost_frame_is_found_by_their_number() {
    let report = Film::new().result("select='not(eq(n,12))',", "");
    differs(&report, &["frames"]);
    assert_eq!(
        check(&report, "frames").found,
        "29; nothing is shown in place of frame 12 (0.480 s)"
    );
}

#[test]
fn a_lost_last_frame_is_found() {
    let report = Film::new().result("trim=end_frame=29,", "");
    differs(&report, &["frames"]);
    assert_eq!(
        check(&report, "frames").found,
        "29; nothing is shown in place of frame 29 (1.160 s)"
    );
}

#[test]
fn a_frame_too_many_is_found() {
    let report = Film::new().result("tpad=start=1:start_mode=clone,", "");
    // The first comes twice, and every other one later.
    differs(&report, &["frames", "pictures"]);
    assert_eq!(
        check(&report, "frames").found,
        "31; frame 30 (1.200 s) is at a time of no source frame"
    );
    assert!(
        check(&report, "pictures")
            .found
            .contains("29 show another frame, the first is frame 1: it shows 0")
    );
}

#[test]
fn a_film_that_changes_slowly_and_comes_a_frame_late_is_found() {
    let folder = Folder::new();
    folder.ffmpeg(
        "-f lavfi -i color=gray:s=96x64:r=25:d=1.2 -vf geq=lum='128+100*sin(X/9+N/30)':cb=128:cr=128 -c:v libx264 -crf 5 source.mp4",
    );
    let encode = "scale=192:128 -fps_mode passthrough -c:v libx264 -crf 12 result.mp4";
    folder.ffmpeg(&format!("-i source.mp4 -vf {encode}"));
    differs(&folder.verify("source.mp4", "result.mp4"), &[]);
    folder.ffmpeg(&format!(
        "-i source.mp4 -vf tpad=start=1:start_mode=clone,trim=end_frame=30,{encode}"
    ));
    let report = folder.verify("source.mp4", "result.mp4");
    differs(&report, &["pictures"]);
    assert!(
        check(&report, "pictures")
            .found
            .ends_with("29 show another frame, the first is frame 1: it shows 0"),
        "{report:#?}"
    );
}

#[test]
fn a_repeated_frame_is_found_by_its_picture() {
    let report = Film::new().result("split[a][b];[a][b]freezeframes=first=12:last=12:replace=11,", "");
    differs(&report, &["pictures"]);
    assert!(
        check(&report, "pictures")
            .found
            .ends_with("1 show another frame, the first is frame 12: it shows 11"),
        "{report:#?}"
    );
}

#[test]
fn swapped_frames_are_found_by_their_pictures() {
    let order: Vec<String> = (0..30)
        .map(|n| match n {
            12 => 13,
            13 => 12,
            n => n,
        })
        .map(|n: i32| n.to_string())
        .collect();
    let report = Film::new().result(&format!("shuffleframes={},", order.join(" ")), "");
    differs(&report, &["pictures"]);
    assert!(
        check(&report, "pictures")
            .found
            .ends_with("2 show another frame, the first is frame 12: it shows 13"),
        "{report:#?}"
    );
}

#[test]
fn another_picture_is_found() {
    let film = Film::new();
    for other in [
        "smptebars=s=192x128:r=25:d=1.2",
        "color=black:s=192x128:r=25:d=1.2",
        "mandelbrot=s=192x128:r=25,trim=end_frame=30",
    ] {
        film.0.ffmpeg(&format!(
            "-i source.mp4 -f lavfi -i {other} -map 1:v -map 0:a -c:a copy -c:v libx264 -pix_fmt yuv420p result.mp4"
        ));
        let report = film.0.verify("source.mp4", "result.mp4");
        differs(&report, &["pictures"]);
        assert!(
            check(&report, "pictures")
                .found
                .ends_with("30 show another picture, the first is frame 0"),
            "{report:#?}"
        );
    }
}

#[test]
fn one_black_frame_in_a_dark_film_is_found() {
    let film = Film::new();
    film.0.ffmpeg("-f lavfi -i testsrc2=s=96x64:r=25:d=1.2 -vf colorlevels=romax=0.15:gomax=0.15:bomax=0.15 -c:v libx264 source.mp4");
    film.0.ffmpeg(
        "-i source.mp4 -vf drawbox=t=fill:color=black:enable='eq(n,7)',scale=192:128 -c:v libx264 -crf 30 result.mp4",
    );
    let report = film.0.verify("source.mp4", "result.mp4");
    differs(&report, &["pictures"]);
    assert!(
        check(&report, "pictures")
            .found
            .ends_with("1 show another picture, the first is frame 7"),
        "{report:#?}"
    );
}

#[test]
fn a_colour_cast_is_found() {
    differs(&Film::new().result("lutyuv=v=val+24,", ""), &["tint"]);
}

#[test]
fn times_that_are_late_as_a_whole_are_found() {
    let film = Film::new();
    film.0.ffmpeg(
        "-itsoffset 0.04 -i source.mp4 -vf scale=192:128 -c:a copy -c:v libx264 -fps_mode passthrough result.mp4",
    );
    let report = film.0.verify("source.mp4", "result.mp4");
    differs(&report, &["times"]);
    assert_eq!(check(&report, "times").found, "at most 40.000 ms off, at frame 0");
}

#[test]
fn one_frame_at_another_time_is_found() {
    let report = Film::new().result(
        "setpts='PTS+eq(N,12)*0.01/TB',",
        "-enc_time_base 1/12800 -video_track_timescale 12800",
    );
    differs(&report, &["times"]);
    assert_eq!(check(&report, "times").found, "at most 10.000 ms off, at frame 12");
}

#[test]
fn variable_rates_and_rates_that_divide_no_clock_hold() {
    let film = Film::new();
    film.0.ffmpeg(
        "-f lavfi -i testsrc2=s=96x64:r=30000/1001:d=2 -vf select='not(mod(n,3))+gt(n,30)' -fps_mode passthrough \
         -c:v libx264 source.mp4",
    );
    for container in ["mp4", "mkv", "mov"] {
        film.0.ffmpeg(&format!(
            "-copyts -i source.mp4 -vf scale=192:128 -fps_mode passthrough -c:v libx264 result.{container}"
        ));
        differs(&film.0.verify("source.mp4", &format!("result.{container}")), &[]);
    }
    // What a constant rate makes of it.
    film.0
        .ffmpeg("-i source.mp4 -vf scale=192:128 -fps_mode cfr -c:v libx264 result.mp4");
    let report = film.0.verify("source.mp4", "result.mp4");
    assert_eq!(check(&report, "frames").verdict, Verdict::Differs, "{report:#?}");
}

#[test]
fn a_last_frame_that_stays_too_short_is_found() {
    let folder = Folder::new();
    folder.ffmpeg("-f lavfi -i testsrc2=s=96x64:r=10:d=1 -final_delay 150 source.gif");
    folder.ffmpeg("-i source.gif -vf scale=192:128 -final_delay 150 result.gif");
    let report = folder.verify("source.gif", "result.gif");
    differs(&report, &[]);
    assert_eq!(check(&report, "duration").expected, "2.400 s", "{report:#?}");
    folder.ffmpeg("-i source.gif -vf scale=192:128 result.gif");
    differs(&folder.verify("source.gif", "result.gif"), &["duration"]);
}

#[test]
fn a_stretch_is_held_against_its_own_frames() {
    let film = Film::new();
    let stretch = Stretch {
        start: Some(0.4),
        end: Some(0.8),
    };
    film.0.ffmpeg(
        "-ss 0.4 -to 0.8 -i source.mp4 -filter_complex [0:v]scale=192:128[v] -map [v] -map 0:a -c:a copy -c:v libx264 result.mp4",
    );
    let report = film.0.verify_stretch("source.mp4", "result.mp4", stretch).unwrap();
    differs(&report, &[]);
    assert_eq!(
        (
            check(&report, "frames").expected.as_str(),
            check(&report, "frames").found.as_str()
        ),
        ("10", "10")
    );
    // Sound that goes on after the stretch.
    film.0.ffmpeg(
        "-ss 0.4 -to 0.8 -i source.mp4 -i source.mp4 -filter_complex [0:v]scale=192:128[v] -map [v] -map 1:a -c:a copy \
         -c:v libx264 long.mp4",
    );
    differs(
        &film.0.verify_stretch("source.mp4", "long.mp4", stretch).unwrap(),
        &["audio"],
    );
    let later = Stretch {
        start: Some(0.44),
        end: Some(0.84),
    };
    differs(
        &film.0.verify_stretch("source.mp4", "result.mp4", later).unwrap(),
        &["pictures"],
    );
    let beyond = Stretch {
        start: Some(5.0),
        end: None,
    };
    let error = film.0.verify_stretch("source.mp4", "result.mp4", beyond).unwrap_err();
    assert_eq!(error.code(), ErrorCode::StretchEmpty);
    assert_eq!(error.details()["file"], "the source");
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_file() {
    let film = Film::new();
    std::fs::write(film.0.path("result.mp4"), b"\0\0\0\x18ftypisom rubbish").unwrap();
    let error = film
        .0
        .verify_stretch("source.mp4", "result.mp4", Stretch::default())
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::InputDamaged);
    assert_eq!(error.details()["file"], "the result");
    let stopped = Stop::new();
    stopped.stop();
    let source: Arc<dyn SourceBytes> = Arc::new(FileSource::open(&film.0.path("source.mp4")).unwrap());
    let error = verify(&VerifyRequest {
        source: Arc::clone(&source),
        result: source,
        source_name: "a",
        result_name: "b",
        server: &SERVER,
        limits: &Limits::default(),
        stop: &stopped,
        stretch: Stretch::default(),
    });
    assert_eq!(error.unwrap_err().code(), ErrorCode::Stopped);
}
