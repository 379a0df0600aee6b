//! Real files: the good ones go through with every frame at its time, the bad ones are refused.
//!
//! What is in a result is told by ffmpeg and ffprobe alone; `clearfleet verify` is asked as well, and has to agree.

use std::path::PathBuf;

use clearfleet_tests::{Call, Row, World, own_container, shared};

/// One test for each clip, named after it, and one that no clip is without a test.
macro_rules! clips {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                goes_through($name);
            }
        )*

        #[test]
        fn no_clip_is_forgotten() {
            let Some(folder) = shared("clips/good") else { return };
            let mut here: Vec<String> = std::fs::read_dir(folder)
                .expect("the clips can be listed")
                .map(|entry| entry.expect("a clip").file_name().to_string_lossy().into_owned())
                .collect();
            here.sort();
            let mut tested = vec![$($name),*];
            tested.sort_unstable();
            assert_eq!(here, tested);
        }
    };
}

clips! {
    animated_gif: "animated.gif",
    av1_mkv: "av1_video.mkv",
    variable_rate_mov: "awesome movie.mov",
    widescreen_mov: "awesome_widescreen.mov",
    h263_3gp: "bbb_176x144_128kbps_15fps_h263.3gp",
    pyramid_mp4: "bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
    odd_vp9_webm: "bear-vp9-odd-dimensions.webm",
    bt2020_10bit_mp4: "bt2020_10bit.mp4",
    full_range_mp4: "bt601_full_range.mp4",
    discarded_keyframe_mp4: "discard_first_keyframe.mp4",
    data_streams_mp4: "file_with_data_streams.mp4",
    h264_10bit_mp4: "h264_10bits.mp4",
    edit_list_mp4: "iibbibb_editlist_videoonly.mp4",
    many_streams_mp4: "nasa_13013.mp4",
    hdr_mp4: "nasa_13013_hdr.mp4",
    rotated_mp4: "nasa_13013_rotated.mp4",
    no_duration_webm: "no_duration.webm",
    long_gif: "pigs_in_a_polka.gif",
    wmv: "sample.wmv",
    fragmented_mp4: "sample_fragmented.mp4",
    transport_stream: "sample_h264.ts",
    slow_motion_mp4: "sample_sef_slow_motion.mp4",
    ass_mkv: "sample_with_ass_subtitles.mkv",
    chapters_mkv: "sample_with_chapters.mkv",
    pgs_mkv: "sample_with_pgs_subtitles.mkv",
    srt_mkv: "sample_with_srt.mkv",
    sideways_mov: "sideways movie.mov",
    late_start_mp4: "test_non_zero_start.mp4",
    hdr_12bit_mp4: "testsrc2_12bit_hdr.mp4",
    hevc_444_10bit_mp4: "testsrc2_444_10bit_hevc.mp4",
    mpeg4_avi: "testsrc2_mpeg4.avi",
    odd_444_mp4: "testsrc2_odd_height_and_width_444.mp4",
    odd_vp9_mp4: "testsrc2_odd_height_and_width_vp9.mp4",
    still_gif: "transparent.gif",
    transparent_webm: "transparent.webm",
    anamorphic_mpg: "weird_aspect.small.mpg",
}

fn goes_through(name: &str) {
    let Some(source) = shared(&format!("clips/good/{name}")) else {
        return;
    };
    let world = World::new();
    let (container, preset) = own_container(&source);
    let result_name = format!("result.{container}");
    let result = world.path(&result_name);
    let made = Call::upscale().args(["--scale", "2", "--json"]).args(preset);
    let made = made.arg(&source).arg(&result).succeed();
    assert_eq!(world.names(), [&*result_name], "the result and nothing else");

    let row = Row::of(&source, &result, &made.notes());
    assert_eq!(row.failures(), Vec::<String>::new(), "{row}: {:?}", made.notes());
    let verified = Call::new().arg("verify").arg(&source).arg(&result).run();
    let differs: Vec<&String> = verified
        .stdout
        .iter()
        .filter(|line| line.starts_with("DIFFERS"))
        .collect();
    assert_eq!((verified.code(), differs), (Some(0), vec![]), "{}", verified.stderr);
}

#[test]
fn bad_files_are_refused() {
    let Some(folder) = shared("clips/bad") else { return };
    let mut bad: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the clips can be listed")
        .map(|entry| entry.expect("a clip").path())
        .collect();
    bad.sort();
    assert!(!bad.is_empty());
    for source in bad {
        let world = World::new();
        let refused = Call::upscale()
            .arg("--json")
            .arg(&source)
            .arg(world.path("result.mkv"))
            .run();
        let about = format!("{}: {refused:#?}", source.display());
        assert_eq!(refused.code(), Some(3), "{about}");
        let code = refused.event("failed")["code"].as_str().map(str::to_owned);
        assert!(code.is_some_and(|code| code.starts_with("input_")), "{about}");
        assert_eq!(world.names(), Vec::<String>::new(), "{about}");
        assert_eq!(refused.stderr, "", "{about}");
    }
}
