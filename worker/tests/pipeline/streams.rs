//! Streams beside the video: each container gets those that it holds, and the others are named.

use std::path::{Path, PathBuf};

use clearfleet_common::job::{Codec, Container};

use crate::run::{Run, ffmpeg, ffprobe};

/// Half a second of video with one stream of sound for each of ffmpeg's encoders `sounds`.
fn with_sounds(folder: &Path, name: &str, sounds: &[&str]) -> PathBuf {
    let file = folder.join(name);
    let each = sounds.iter().enumerate();
    let each: String = each
        .map(|(n, encoder)| format!("-map 1:a -c:a:{n} {encoder} "))
        .collect();
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=10:d=0.5 -f lavfi -i sine=d=0.5:r=48000,aformat=channel_layouts=stereo -map 0:v \
         -c:v libx264 -pix_fmt yuv420p {each} -strict experimental {}",
        file.display()
    ));
    file
}

/// Codecs of the streams of sound in the result, and how many the plan's notes name.
fn kept(source: &Path, codec: Codec, container: Container) -> (String, usize) {
    let run = Run::new(codec, container, 5);
    let result = run.upscale(source).unwrap_or_else(|e| panic!("{container}: {e:?}"));
    let said = ffprobe("-select_streams a -show_entries stream=codec_name", &result);
    let codecs = said["streams"].as_array().unwrap().iter();
    let codecs: Vec<&str> = codecs.map(|stream| stream["codec_name"].as_str().unwrap()).collect();
    let notes = run.plan(source).unwrap().2.notes.clone();
    (
        codecs.join(" "),
        notes.iter().filter(|note| note.contains("is left out")).count(),
    )
}

#[test]
fn every_sound_of_matroska_is_copied_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let sounds = [
        "aac",
        "libmp3lame",
        "ac3",
        "eac3",
        "libopus",
        "flac",
        "alac",
        "dca",
        "truehd",
        "libvorbis",
        "pcm_s16le",
        "pcm_mulaw",
        "wmav2",
        "adpcm_ms",
        "tta",
    ];
    let source = with_sounds(folder.path(), "source.mkv", &sounds);
    let all = "aac mp3 ac3 eac3 opus flac alac dts truehd vorbis pcm_s16le pcm_mulaw wmav2 adpcm_ms tta";
    assert_eq!(kept(&source, Codec::H264, Container::Mkv), (all.to_owned(), 0));
    let mp4 = "aac mp3 ac3 eac3 opus flac alac dts truehd";
    assert_eq!(kept(&source, Codec::H264, Container::Mp4), (mp4.to_owned(), 6));
    let mov = "aac mp3 ac3 eac3 alac pcm_s16le pcm_mulaw";
    assert_eq!(kept(&source, Codec::H264, Container::Mov), (mov.to_owned(), 8));
    assert_eq!(
        kept(&source, Codec::Vp9, Container::Webm),
        ("opus vorbis".to_owned(), 13)
    );
}

#[test]
fn every_sound_of_quicktime_is_copied_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let sounds = ["pcm_s8", "pcm_s16be", "pcm_s24be", "pcm_f32be", "adpcm_ima_qt", "mp2"];
    let source = with_sounds(folder.path(), "source.mov", &sounds);
    let mov = "pcm_s8 pcm_s16be pcm_s24be pcm_f32be adpcm_ima_qt";
    assert_eq!(kept(&source, Codec::H264, Container::Mov), (mov.to_owned(), 1));
    assert_eq!(
        kept(&source, Codec::H264, Container::Mkv),
        ("pcm_s16be pcm_s24be mp2".to_owned(), 3)
    );
}

#[test]
fn covers_stay_covers() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.mp4");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=10:d=0.5 -f lavfi -i color=red:s=32x32:d=0.04 -f lavfi -i color=blue:s=32x32:d=0.04 \
         -map 0 -map 1 -map 2 -c:v:0 libx264 -pix_fmt yuv420p -c:v:1 mjpeg -pix_fmt:v:1 yuvj420p -c:v:2 png -pix_fmt:v:2 \
         rgb24 -disposition:v:1 attached_pic -disposition:v:2 attached_pic {}",
        source.display()
    ));
    let covers = |file: &Path| {
        let look = "-select_streams v -show_packets -show_data_hash md5 -show_entries \
                    packet=stream_index,data_hash:stream=index,codec_name:stream_disposition=attached_pic";
        let said = ffprobe(look, file);
        let of = |stream: &serde_json::Value| {
            let own = said["packets"]
                .as_array()
                .unwrap()
                .iter()
                .find(|p| p["stream_index"] == stream["index"]);
            (
                stream["codec_name"].clone(),
                own.map(|packet| packet["data_hash"].clone()),
            )
        };
        let streams = said["streams"].as_array().unwrap().iter();
        streams
            .filter(|s| s["disposition"]["attached_pic"] == 1)
            .map(of)
            .collect::<Vec<_>>()
    };
    assert_eq!(covers(&source).len(), 2);
    // From MP4 into Matroska, from that into itself, and back.
    let mut source = source;
    for container in [Container::Mkv, Container::Mkv, Container::Mp4] {
        let run = Run::new(Codec::H264, container, 5);
        let result = run.upscale(&source).unwrap();
        assert_eq!(covers(&result), covers(&source), "{container}");
        let next = folder.path().join(format!("source.{container}"));
        std::fs::copy(result, &next).unwrap();
        source = next;
    }
}
