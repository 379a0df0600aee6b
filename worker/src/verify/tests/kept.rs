//! Streams and properties.

use super::*;

/// A film with two languages, subtitles, chapters, rotation, narrow pixels and colour tags, in Matroska.
fn rich(folder: &Folder) {
    std::fs::write(
        folder.path("s.srt"),
        "1\n00:00:00,200 --> 00:00:00,600\nOne\n\n2\n00:00:00,700 --> 00:00:01,000\nTwo\n",
    )
    .unwrap();
    let chapters = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=A\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1200\ntitle=B\n";
    std::fs::write(folder.path("chapters.txt"), chapters).unwrap();
    folder.ffmpeg(
        "-f lavfi -i testsrc2=s=96x64:r=25:d=1.2 -f lavfi -i sine=f=330:d=1.2 -f lavfi -i sine=f=550:d=1.2 -i s.srt -i chapters.txt \
         -map 0 -map 1 -map 2 -map 3 -map_metadata 4 -map_chapters 4 -c:v libx264 -vf setsar=4/3 -pix_fmt yuv420p \
         -color_range tv -colorspace bt709 -color_trc bt709 -color_primaries bt709 -c:a:0 libopus -c:a:1 ac3 -c:s srt \
         -metadata:s:a:0 language=fra -metadata:s:a:1 language=deu source.mkv",
    );
}

const ENCODE: &str =
    "-vf scale=192:128:flags=bicubic -fps_mode passthrough -enc_time_base 1/1000 -c:v libx264 -c:a copy";

#[test]
fn every_stream_and_property_that_is_kept_holds() {
    let folder = Folder::new();
    rich(&folder);
    folder.ffmpeg(&format!("-copyts -i source.mkv -map 0 {ENCODE} -c:s copy result.mkv"));
    let report = folder.verify("source.mkv", "result.mkv");
    differs(&report, &[]);
    assert_eq!(report.checks.iter().filter(|c| c.name == "audio").count(), 2);
    assert_eq!(check(&report, "chapters").found, r#"2: 0.000 s "A", 0.500 s "B""#);
    assert_eq!(check(&report, "aspect").found, "4:3");
    assert!(
        check(&report, "subtitles")
            .found
            .contains("2 packets, 6 bytes, the first 200.000 ms"),
        "{report:#?}"
    );
    assert_eq!(of_verdict(&report, Verdict::Named), [""; 0]);
}

#[test]
fn what_the_container_does_not_hold_is_named_and_what_it_holds_is_missed() {
    let folder = Folder::new();
    rich(&folder);
    // MP4 holds no SubRip.
    folder.ffmpeg(&format!("-copyts -i source.mkv -map 0:v -map 0:a {ENCODE} result.mp4"));
    let report = folder.verify("source.mkv", "result.mp4");
    differs(&report, &[]);
    assert_eq!(of_verdict(&report, Verdict::Named), ["subtitles"]);
    // Matroska does.
    folder.ffmpeg(&format!("-copyts -i source.mkv -map 0:v -map 0:a {ENCODE} result.mkv"));
    differs(&folder.verify("source.mkv", "result.mkv"), &["subtitles"]);
    folder.ffmpeg("-copyts -i source.mkv -map 0:v -vf scale=192:128 result.gif");
    let report = folder.verify("source.mkv", "result.gif");
    let named = of_verdict(&report, Verdict::Named);
    assert_eq!(
        named
            .iter()
            .filter(|n| ["audio", "subtitles", "chapters"].contains(n))
            .count(),
        4,
        "{report:#?}"
    );
}

#[test]
fn a_missing_stream_is_told_from_those_that_are_there() {
    let folder = Folder::new();
    rich(&folder);
    folder.ffmpeg(&format!(
        "-copyts -i source.mkv -map 0:v -map 0:a:1 -map 0:s {ENCODE} -c:s copy result.mkv"
    ));
    let report = folder.verify("source.mkv", "result.mkv");
    differs(&report, &["audio"]);
    let missing = check(&report, "audio");
    assert_eq!(
        (missing.expected.as_str(), missing.found.as_str()),
        ("stream 1 (opus, fra)", "missing")
    );
}

#[test]
fn streams_in_another_order_or_too_many_are_found() {
    let folder = Folder::new();
    rich(&folder);
    folder.ffmpeg(&format!(
        "-copyts -i source.mkv -map 0:v -map 0:a:1 -map 0:a:0 -map 0:s {ENCODE} -c:s copy result.mkv"
    ));
    differs(&folder.verify("source.mkv", "result.mkv"), &["audio", "audio"]);
    folder.ffmpeg(&format!(
        "-copyts -i source.mkv -map 0 -map 0:a:1 {ENCODE} -c:s copy result.mkv"
    ));
    differs(&folder.verify("source.mkv", "result.mkv"), &["audio"]);
}

#[test]
fn sound_and_subtitles_that_are_late_encoded_anew_or_changed_are_found() {
    let folder = Folder::new();
    rich(&folder);
    let late = |what: &str| {
        format!("-copyts -i source.mkv -itsoffset 0.05 -i source.mkv -map 0:v {what} {ENCODE} -c:s copy result.mkv")
    };
    folder.ffmpeg(&late("-map 0:a:0 -map 1:a:1 -map 0:s"));
    let report = folder.verify("source.mkv", "result.mkv");
    differs(&report, &["audio"]);
    assert!(
        report
            .checks
            .iter()
            .any(|c| c.found.starts_with("stream 2") && c.found.ends_with("up to 50.000 ms off")),
        "{report:#?}"
    );
    folder.ffmpeg(&late("-map 0:a -map 1:s"));
    differs(&folder.verify("source.mkv", "result.mkv"), &["subtitles"]);
    folder.ffmpeg(&format!(
        "-copyts -i source.mkv -map 0 {ENCODE} -c:a:1 ac3 -b:a:1 96k -c:s copy result.mkv"
    ));
    let report = folder.verify("source.mkv", "result.mkv");
    differs(&report, &["audio"]);
    assert!(
        report.checks.iter().any(|c| c.found.contains(": other payload")),
        "{report:#?}"
    );
    std::fs::write(
        folder.path("s.srt"),
        "1\n00:00:00,200 --> 00:00:00,600\nOne\n\n2\n00:00:00,700 --> 00:00:01,000\nTwx\n",
    )
    .unwrap();
    folder.ffmpeg(&format!(
        "-copyts -i source.mkv -i s.srt -map 0:v -map 0:a -map 1 -map_chapters 0 {ENCODE} -c:s copy result.mkv"
    ));
    differs(&folder.verify("source.mkv", "result.mkv"), &["subtitles"]);
}

#[test]
fn a_lost_language_is_found() {
    let folder = Folder::new();
    rich(&folder);
    folder.ffmpeg(&format!(
        "-copyts -i source.mkv -map 0 {ENCODE} -c:s copy -metadata:s:a:0 language= result.mkv"
    ));
    differs(&folder.verify("source.mkv", "result.mkv"), &["audio"]);
}

#[test]
fn sound_that_is_cut_into_other_packets_or_loses_adts_headers_holds() {
    let folder = Folder::new();
    folder.ffmpeg(
        "-f lavfi -i testsrc2=s=96x64:r=25:d=1.2 -f lavfi -i sine=d=1.2 -c:v libx264 -c:a pcm_s16le -bf 0 source.mov",
    );
    folder.ffmpeg(&format!("-i source.mov {ENCODE} result.mkv"));
    differs(&folder.verify("source.mov", "result.mkv"), &[]);
    folder.ffmpeg("-f lavfi -i testsrc2=s=96x64:r=25:d=1.2 -f lavfi -i sine=d=1.2 -c:v libx264 -c:a aac source.ts");
    folder.ffmpeg(&format!("-copyts -i source.ts {ENCODE} result.mkv"));
    differs(&folder.verify("source.ts", "result.mkv"), &[]);
}

#[test]
fn chapters_that_are_lost_moved_or_renamed_are_found() {
    let folder = Folder::new();
    rich(&folder);
    folder.ffmpeg(&format!(
        "-copyts -i source.mkv -map 0 {ENCODE} -c:s copy -map_chapters -1 result.mkv"
    ));
    let report = folder.verify("source.mkv", "result.mkv");
    differs(&report, &["chapters"]);
    assert_eq!(check(&report, "chapters").found, "none");
    let text = std::fs::read_to_string(folder.path("chapters.txt")).unwrap();
    for (from, to) in [("START=500", "START=520"), ("title=B", "title=C")] {
        std::fs::write(folder.path("other.txt"), text.replace(from, to)).unwrap();
        folder.ffmpeg(&format!(
            "-copyts -i source.mkv -i other.txt -map 0 -map_chapters 1 {ENCODE} -c:s copy result.mkv"
        ));
        differs(&folder.verify("source.mkv", "result.mkv"), &["chapters"]);
    }
}

#[test]
fn a_lost_rotation_is_found() {
    let folder = Folder::new();
    folder.ffmpeg("-f lavfi -i testsrc2=s=96x64:r=25:d=1.2 -c:v libx264 flat.mp4");
    folder.ffmpeg("-i flat.mp4 -c copy -metadata:s:v rotate=90 source.mp4");
    folder.ffmpeg("-noautorotate -i source.mp4 -vf scale=192:128 -c:v libx264 -metadata:s:v rotate=90 result.mp4");
    let report = folder.verify("source.mp4", "result.mp4");
    differs(&report, &[]);
    assert_eq!(check(&report, "rotation").found, check(&report, "rotation").expected);
    assert!(!check(&report, "rotation").found.starts_with("0 "), "{report:#?}");
    folder.ffmpeg("-i flat.mp4 -vf scale=192:128 -c:v libx264 result.mp4");
    differs(&folder.verify("source.mp4", "result.mp4"), &["rotation"]);
}

#[test]
fn other_pixels_sizes_and_colour_tags_are_found() {
    let folder = Folder::new();
    rich(&folder);
    let result = |filter: &str, more: &str| {
        folder.ffmpeg(&format!(
            "-copyts -i source.mkv -map 0 -vf {filter} -fps_mode passthrough -enc_time_base 1/1000 -c:v libx264 -c:a copy -c:s copy {more} result.mkv"
        ));
        folder.verify("source.mkv", "result.mkv")
    };
    differs(&result("scale=192:128,setsar=1", ""), &["aspect"]);
    let stretched = result("scale=192:140,setsar=4/3", "");
    differs(&stretched, &[]);
    assert_eq!(of_verdict(&stretched, Verdict::Named), ["size"]);
    assert_eq!(
        check(&stretched, "size").found,
        "192x140, times 2.000 in width and 2.188 in height"
    );
    differs(&result("scale=48:32,setsar=4/3", ""), &["size"]);
    // An odd size made even.
    differs(&result("scale=128:86,setsar=4/3", ""), &[]);
    let report = result("scale=192:128", "-color_trc smpte170m");
    differs(&report, &["colour"]);
    let wrong = report.checks.iter().find(|c| c.verdict == Verdict::Differs).unwrap();
    assert_eq!(
        (wrong.expected.as_str(), wrong.found.as_str()),
        ("transfer bt709", "transfer smpte170m")
    );
}

#[test]
fn an_animated_picture_as_video_is_held_against_what_it_shows() {
    let folder = Folder::new();
    folder.ffmpeg("-f lavfi -i testsrc2=s=96x64:r=10:d=1 source.gif");
    folder.ffmpeg(
        "-i source.gif -vf scale=192:128:out_color_matrix=bt709,format=yuv420p -fps_mode passthrough -colorspace bt709 \
         -color_range tv -c:v libx264 result.mp4",
    );
    differs(&folder.verify("source.gif", "result.mp4"), &[]);
    folder.ffmpeg("-i source.gif -vf scale=192:128 -plays 0 -f apng result.png");
    let report = folder.verify("source.gif", "result.png");
    differs(&report, &[]);
    assert_eq!(check(&report, "repeats").found, "for ever");
    folder.ffmpeg("-i source.gif -vf scale=192:128 -plays 3 -f apng result.png");
    let report = folder.verify("source.gif", "result.png");
    differs(&report, &["repeats"]);
    assert_eq!(check(&report, "repeats").found, "3 times");
}

#[test]
fn transparent_parts_may_be_black_or_as_stored() {
    let folder = Folder::new();
    // White, and transparent on its right half, of which an opaque result can make what it likes.
    folder.ffmpeg(
        "-f lavfi -i testsrc2=s=96x64:r=10:d=1 -vf format=rgba,geq=r='r(X,Y)+255*gt(X,47)':g='g(X,Y)+255*gt(X,47)':\
         b='b(X,Y)+255*gt(X,47)':a='255*lt(X,48)' -plays 0 -f apng source.png",
    );
    let encode = "-fps_mode passthrough -c:v libx264 -pix_fmt yuv420p result.mp4";
    folder.ffmpeg(&format!("-i source.png -vf format=gbrap,scale=192:128 {encode}"));
    differs(&folder.verify("source.png", "result.mp4"), &[]);
    folder.ffmpeg(&format!(
        "-i source.png -vf format=gbrap,premultiply=inplace=1,scale=192:128 {encode}"
    ));
    differs(&folder.verify("source.png", "result.mp4"), &[]);
    folder.ffmpeg(&format!(
        "-i source.png -vf format=gbrap,premultiply=inplace=1,hflip,scale=192:128 {encode}"
    ));
    differs(&folder.verify("source.png", "result.mp4"), &["pictures"]);
}

#[test]
fn transparent_parts_are_compared() {
    let folder = Folder::new();
    let alpha = |a: &str| format!("format=yuva420p,geq=lum='p(X,Y)':cb='p(X,Y)':cr='p(X,Y)':a='{a}'");
    folder.ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4,{} -c:v libvpx-vp9 -crf 20 -b:v 0 -cpu-used 8 source.webm",
        alpha("255*gt(X,24)")
    ));
    let decode = "-copyts -c:v libvpx-vp9 -i source.webm -fps_mode passthrough";
    let encode = "-c:v libvpx-vp9 -crf 30 -b:v 0 -cpu-used 8 result.webm";
    folder.ffmpeg(&format!("{decode} -vf scale=128:96 {encode}"));
    let report = folder.verify("source.webm", "result.webm");
    differs(&report, &[]);
    assert_eq!(check(&report, "transparency").verdict, Verdict::Holds);
    // Half as opaque.
    folder.ffmpeg(&format!("{decode} -vf {},scale=128:96 {encode}", alpha("alpha(X,Y)/2")));
    let report = folder.verify("source.webm", "result.webm");
    assert_eq!(check(&report, "transparency").verdict, Verdict::Differs, "{report:#?}");
    // Nothing transparent at all, where it could be, and where it could not.
    folder.ffmpeg(&format!(
        "-copyts -i source.webm -fps_mode passthrough -vf scale=128:96 {encode}"
    ));
    let report = folder.verify("source.webm", "result.webm");
    assert_eq!(check(&report, "transparency").verdict, Verdict::Differs, "{report:#?}");
    folder.ffmpeg("-copyts -i source.webm -fps_mode passthrough -vf scale=128:96 -c:v libx264 result.mp4");
    let report = folder.verify("source.webm", "result.mp4");
    assert_eq!(check(&report, "transparency").verdict, Verdict::Named, "{report:#?}");
}

#[test]
fn hdr_metadata_is_compared() {
    let folder = Folder::new();
    let encode = |light: &str, result: &str| {
        format!(
            "-c:v libx265 -pix_fmt yuv420p10le -color_trc smpte2084 -x265-params log-level=error:max-cll={light} {result}"
        )
    };
    folder.ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x64:r=25:d=0.4 {}",
        encode("1000,400", "source.mp4")
    ));
    let from_source = "-copyts -i source.mp4 -fps_mode passthrough -vf scale=128:128";
    folder.ffmpeg(&format!("{from_source} {}", encode("1000,400", "result.mp4")));
    let report = folder.verify("source.mp4", "result.mp4");
    differs(&report, &[]);
    assert_eq!(check(&report, "hdr").found, "at most 1000 cd/m², 400 on average");
    folder.ffmpeg(&format!("{from_source} {}", encode("1000,401", "result.mp4")));
    differs(&folder.verify("source.mp4", "result.mp4"), &["hdr"]);
    folder.ffmpeg(&format!(
        "{from_source} -c:v libx265 -x265-params log-level=error -color_trc smpte2084 result.mp4"
    ));
    let report = folder.verify("source.mp4", "result.mp4");
    differs(&report, &["hdr"]);
    assert_eq!(check(&report, "hdr").found, "nothing");
    folder.ffmpeg(&format!("{from_source} -c:v ffv1 -color_trc smpte2084 result.mkv"));
    assert_eq!(
        check(&folder.verify("source.mp4", "result.mkv"), "hdr").verdict,
        Verdict::Named
    );
}
