use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::media::serve::{FileSource, SourceBytes, SourceServer};

/// The shared clips, where this machine has them.
pub(crate) fn clips() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("CLEARFLEET_SHARED")
        .map_or_else(beside, PathBuf::from)
        .join("clips");
    if !folder.is_dir() {
        println!("skipped: no clips in {}", folder.display());
        return None;
    }
    Some(folder)
}

fn probe_file(path: &Path) -> Result<Probe> {
    probe_bytes(Arc::new(FileSource::open(path)?), &Limits::default())
}

fn probe_bytes(bytes: Arc<dyn SourceBytes>, limits: &Limits) -> Result<Probe> {
    let source = SourceServer::start()?.register(bytes);
    probe(&source, limits, &Stop::new())
}

fn parsed(json: &str) -> Probe {
    parse::probe(json, Limits::default()).unwrap()
}

/// Name, demuxer, codec, pixel format, width, height, rotation, streams.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u32,
    u32,
    u16,
    usize,
);

const GOOD: [Row; 36] = [
    ("animated.gif", "film", "gif", "rgba", 64, 48, 0, 1),
    ("av1_video.mkv", "matroska", "av1", "yuv420p", 640, 360, 0, 1),
    ("awesome movie.mov", "mov", "h264", "yuv420p", 640, 480, 0, 2),
    ("awesome_widescreen.mov", "mov", "h264", "yuv420p", 320, 180, 0, 2),
    (
        "bbb_176x144_128kbps_15fps_h263.3gp",
        "mov",
        "h263",
        "yuv420p",
        176,
        144,
        0,
        1,
    ),
    (
        "bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
        "mov",
        "h264",
        "yuv420p",
        800,
        640,
        0,
        1,
    ),
    (
        "bear-vp9-odd-dimensions.webm",
        "matroska",
        "vp9",
        "yuv420p",
        161,
        121,
        0,
        1,
    ),
    ("bt2020_10bit.mp4", "mov", "hevc", "yuv420p10le", 320, 240, 0, 1),
    ("bt601_full_range.mp4", "mov", "h264", "yuvj420p", 320, 240, 0, 1),
    ("discard_first_keyframe.mp4", "mov", "h264", "yuv420p", 64, 64, 0, 1),
    ("file_with_data_streams.mp4", "mov", "h264", "yuv420p", 480, 320, 0, 6),
    ("h264_10bits.mp4", "mov", "h264", "yuv420p10le", 200, 200, 0, 1),
    (
        "iibbibb_editlist_videoonly.mp4",
        "mov",
        "h264",
        "yuv444p",
        704,
        576,
        0,
        1,
    ),
    ("nasa_13013.mp4", "mov", "h264", "yuv420p", 480, 270, 0, 6),
    ("nasa_13013_hdr.mp4", "mov", "hevc", "yuv420p10le", 320, 180, 0, 1),
    ("nasa_13013_rotated.mp4", "mov", "h264", "yuv420p", 480, 270, 270, 1),
    ("no_duration.webm", "matroska", "vp9", "yuv420p", 1280, 720, 0, 2),
    ("pigs_in_a_polka.gif", "film", "gif", "rgba", 314, 273, 0, 1),
    ("sample.wmv", "asf", "msmpeg4v3", "yuv420p", 640, 360, 0, 2),
    ("sample_fragmented.mp4", "mov", "h264", "yuv420p", 1080, 720, 0, 2),
    ("sample_h264.ts", "mpegts", "h264", "yuv420p", 854, 480, 0, 1),
    ("sample_sef_slow_motion.mp4", "mov", "h264", "yuv420p", 320, 240, 0, 2),
    (
        "sample_with_ass_subtitles.mkv",
        "matroska",
        "h264",
        "yuv420p",
        1080,
        720,
        0,
        3,
    ),
    (
        "sample_with_chapters.mkv",
        "matroska",
        "h264",
        "yuv444p",
        320,
        240,
        0,
        2,
    ),
    (
        "sample_with_pgs_subtitles.mkv",
        "matroska",
        "h264",
        "yuv420p",
        1080,
        720,
        0,
        3,
    ),
    ("sample_with_srt.mkv", "matroska", "h264", "yuv420p", 1080, 720, 0, 3),
    ("sideways movie.mov", "mov", "h264", "yuv420p", 640, 480, 90, 2),
    ("test_non_zero_start.mp4", "mov", "h264", "yuv420p", 200, 112, 0, 1),
    ("testsrc2_12bit_hdr.mp4", "mov", "hevc", "yuv420p12le", 320, 180, 0, 1),
    (
        "testsrc2_444_10bit_hevc.mp4",
        "mov",
        "hevc",
        "yuv444p10le",
        321,
        241,
        0,
        1,
    ),
    ("testsrc2_mpeg4.avi", "avi", "mpeg4", "yuv420p", 1280, 720, 0, 1),
    (
        "testsrc2_odd_height_and_width_444.mp4",
        "mov",
        "h264",
        "yuv444p",
        321,
        241,
        0,
        1,
    ),
    (
        "testsrc2_odd_height_and_width_vp9.mp4",
        "mov",
        "vp9",
        "yuv420p",
        321,
        241,
        0,
        1,
    ),
    ("transparent.gif", "gif", "gif", "bgra", 64, 48, 0, 1),
    ("transparent.webm", "matroska", "vp9", "yuva420p", 200, 200, 0, 2),
    (
        "weird_aspect.small.mpg",
        "mpeg",
        "mpeg1video",
        "yuv420p",
        352,
        288,
        0,
        2,
    ),
];

#[test]
fn every_good_clip_is_described() {
    let Some(folder) = clips() else { return };
    for (name, demuxer, codec, pix_fmt, width, height, rotation, streams) in GOOD {
        let found = probe_file(&folder.join("good").join(name)).unwrap();
        let video = found.video().unwrap();
        assert_eq!((found.demuxer, found.streams.len()), (demuxer, streams), "{name}");
        assert_eq!(
            (video.codec.as_str(), video.pix_fmt.as_deref()),
            (codec, Some(pix_fmt)),
            "{name}"
        );
        assert_eq!((video.width, video.height), (width, height), "{name}");
        assert_eq!(
            video.orientation,
            Orientation {
                rotation,
                mirrored: false
            },
            "{name}"
        );
        assert!(!video.attached_picture);
    }
    assert_eq!(std::fs::read_dir(folder.join("good")).unwrap().count(), GOOD.len());
}

#[test]
fn details_of_some_clips() {
    let Some(folder) = clips() else { return };
    let good = |name: &str| probe_file(&folder.join("good").join(name)).unwrap();
    assert_eq!(good("sample_with_chapters.mkv").chapters, 2);
    assert_eq!(good("no_duration.webm").duration, None);
    // Its headers say "unknown", and ffprobe says 39 hours.
    assert_eq!(good("sample_fragmented.mp4").duration, None);
    assert_eq!(
        good("weird_aspect.small.mpg").video().unwrap().sample_aspect,
        Rational::new(64, 45)
    );
    let late = good("test_non_zero_start.mp4");
    let video = late.video().unwrap();
    assert_eq!((video.start_pts, video.nb_frames), (Some(127_995), Some(12)));
    assert_eq!(video.time_base, TimeBase::new(1, 15_360).unwrap());
    let nasa = good("nasa_13013.mp4");
    assert_eq!(nasa.video().unwrap().index, 3);
    assert_eq!(nasa.video().unwrap().avg_frame_rate, Rational::new(30_000, 1001));
    let hdr = good("nasa_13013_hdr.mp4");
    let colour = &hdr.video().unwrap().colour;
    assert_eq!(
        (colour.primaries.as_deref(), colour.range.as_deref()),
        (Some("bt2020"), Some("tv"))
    );
    assert_eq!(
        good("bt601_full_range.mp4").video().unwrap().colour.range.as_deref(),
        Some("pc")
    );
}

#[test]
fn bad_clips_are_refused() {
    let Some(folder) = clips() else { return };
    let bad = |name: &str| probe_file(&folder.join("bad").join(name)).and_then(|p| p.video().cloned());
    for name in ["broken.mp4", "empty.flv", "sample_malformed_free_box.mp4"] {
        let error = bad(name).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InputDamaged, "{name}: {error}");
        assert!(
            error.ffmpeg().iter().any(|l| l.contains("Invalid data found")),
            "{name}: {:?}",
            error.ffmpeg()
        );
        assert!(
            error.ffmpeg().iter().all(|l| !l.contains("127.0.0.1")),
            "{:?}",
            error.ffmpeg()
        );
    }
    let silent = bad("sample_audio_only.mp4").unwrap_err();
    assert_eq!(silent.code(), ErrorCode::InputNoVideo);
    assert_eq!(silent.message(), "the file has no video: it holds 1 audio stream");
    // Its headers are whole; only decoding tells that it is damaged.
    assert_eq!(bad("zero_empty_stsc.mp4").unwrap().pix_fmt, None);
}

#[test]
fn limits_are_named() {
    let json = |width: u32, height: u32, duration: &str, frames: &str| {
        format!(
            r#"{{"format":{{"format_name":"mov,mp4","duration":"{duration}"}},"streams":[{{"index":0,"codec_type":"video",
            "codec_name":"h264","width":{width},"height":{height},"nb_frames":"{frames}","time_base":"1/25"}}]}}"#
        )
    };
    let limits = Limits {
        edge: 1000,
        pixels: 500_000,
        seconds: 60,
        frames: 100,
        ..Limits::default()
    };
    let refusal = |width, height, duration: &str, frames: &str| {
        let found = parse::probe(&json(width, height, duration, frames), limits).unwrap();
        let error = found.video().err()?;
        let value = |name| error.details().get(name).cloned().unwrap_or_default();
        Some((error.code(), value("limit"), value("found"), error.message().to_owned()))
    };
    assert_eq!(refusal(1000, 500, "60", "100"), None);
    let too_wide = refusal(1001, 5, "1", "1").unwrap();
    assert_eq!(
        (too_wide.0, &*too_wide.1, &*too_wide.2),
        (ErrorCode::InputTooManyPixels, "1000", "1001x5")
    );
    assert!(
        too_wide.3.contains("1001x5") && too_wide.3.contains("1000"),
        "{}",
        too_wide.3
    );
    assert_eq!(
        refusal(1000, 501, "1", "1").map(|r| (r.0, r.1)),
        Some((ErrorCode::InputTooManyPixels, "500000".into()))
    );
    let long = refusal(10, 10, "60.5", "1").unwrap();
    assert_eq!((long.0, &*long.1, &*long.2), (ErrorCode::InputTooLong, "60", "60.5"));
    assert_eq!(
        refusal(10, 10, "1", "101").map(|r| r.0),
        Some(ErrorCode::InputTooManyFrames)
    );
    assert_eq!(refusal(0, 10, "1", "1").map(|r| r.0), Some(ErrorCode::InputDimensions));
}

#[test]
fn the_default_stream_then_the_largest_then_the_first_is_taken() {
    let chosen = |streams: &[(u32, u8, u8)]| {
        let streams: Vec<String> = streams
            .iter()
            .map(|(width, default, cover)| {
                format!(
                    r#"{{"codec_type":"video","width":{width},"height":10,
                    "disposition":{{"default":{default},"attached_pic":{cover}}}}}"#
                )
            })
            .collect();
        let json = format!(
            r#"{{"format":{{"format_name":"avi"}},"streams":[{}]}}"#,
            streams.join(",")
        );
        parsed(&json)
            .video()
            .map(|s| s.index)
            .map_err(|e| e.message().to_owned())
    };
    assert_eq!(chosen(&[(10, 0, 0), (20, 0, 0), (20, 0, 0)]), Ok(1));
    assert_eq!(chosen(&[(10, 1, 0), (20, 0, 0)]), Ok(0));
    assert_eq!(chosen(&[(90, 1, 1), (20, 0, 0)]), Ok(1));
    assert_eq!(
        chosen(&[(90, 1, 1)]),
        Err("the file has no video: it holds 1 attached picture".to_owned())
    );
    assert_eq!(
        chosen(&[]),
        Err("the file has no video: it holds no stream at all".to_owned())
    );
}

#[test]
fn playlists_reach_nothing_even_without_the_sniffer() {
    let canary = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    canary.set_nonblocking(true).unwrap();
    let at = canary.local_addr().unwrap();
    let (host, port) = (at.ip(), at.port());
    let scripts = [
        format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://{at}/a.ts\n#EXTINF:5,\n/etc/hostname\n"
        ),
        format!("ffconcat version 1.0\nfile 'http://{at}/a.mp4'\nfile '/etc/hostname'\n"),
        format!(
            "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
             mediaPresentationDuration=\"PT5S\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\"><Period>\
             <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>http://{at}/a.mp4\
             </BaseURL></Representation></AdaptationSet></Period></MPD>"
        ),
        format!("v=0\r\no=- 0 0 IN IP4 {host}\r\ns=x\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=video {port} RTP/AVP 33\r\n"),
    ];
    for script in scripts {
        let mut file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        let sniffed = sniff::sniff(&FileSource::open(file.path()).unwrap(), Some(file.path())).unwrap_err();
        assert_eq!(sniffed.code(), ErrorCode::InputPlaylist, "{script}");
        let error = probe_file(file.path()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InputUnsupported, "{script}");
        assert!(
            error.ffmpeg().iter().any(|l| l.contains("whitelist")),
            "{:?}",
            error.ffmpeg()
        );
        assert_eq!(
            canary.accept().unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock,
            "{script}"
        );
    }
}

#[test]
fn a_source_that_fails_is_not_called_damaged() {
    struct Gone;
    impl SourceBytes for Gone {
        fn len(&self) -> u64 {
            1 << 20
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
            // What the sniffer reads is there.
            if offset > 0 || buffer.len() > 4096 {
                return Err(std::io::Error::other("the store is gone"));
            }
            buffer[..8].copy_from_slice(b"\0\0\0\x08moov");
            Ok(buffer.len())
        }
    }
    let error = probe_bytes(Arc::new(Gone), &Limits::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InputUnreadable, "{error}");
}
