//! What ffmpeg writes is read here, and what is written here is read by ffmpeg.

use std::io::{Seek, Write};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::*;

/// What a program that has to succeed wrote, given `input` through its standard input. It may not even warn.
fn run(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    run_quietly(program, &[&["-v", "warning"], args].concat(), input)
}

/// The same, but for what the arguments keep it from saying.
fn run_quietly(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::from(file))
        .output()
        .unwrap_or_else(|e| panic!("these tests need {program}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{program} {args:?}: {}\n{said}",
        output.status
    );
    output.stdout
}

/// A NUT stream from ffmpeg's test picture. That ffmpeg warns of slow conversions is no matter.
fn generate(source: &str, args: &[&str]) -> Vec<u8> {
    let input = ["-v", "error", "-f", "lavfi", "-i", source];
    run_quietly(
        "ffmpeg",
        &[input.as_slice(), args, &["-f", "nut", "pipe:1"]].concat(),
        &[],
    )
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A packet as ffprobe tells it: its timestamp, whether it is key, its size, its digest.
type Row = (i64, bool, usize, String);

fn rows(packets: &[Packet]) -> Vec<Row> {
    packets
        .iter()
        .map(|p| (p.info.pts, p.info.key, p.bytes.len(), sha256(&p.bytes)))
        .collect()
}

/// The packets that ffprobe finds in a NUT stream, without a warning.
fn probe(nut: &[u8]) -> Vec<Row> {
    probe_at("warning", nut)
}

/// The packets that ffprobe finds, without a message of `level` or worse.
fn probe_at(level: &str, nut: &[u8]) -> Vec<Row> {
    let entries = "packet=pts,size,flags,data_hash";
    let show = [
        "-show_packets",
        "-show_data_hash",
        "sha256",
        "-show_entries",
        entries,
        "-of",
        "csv=p=0",
    ];
    let args = [&["-v", level, "-f", "nut"], show.as_slice(), &["pipe:0"]].concat();
    let text = String::from_utf8(run_quietly("ffprobe", &args, nut)).unwrap();
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let hash = fields[3].trim_start_matches("SHA256:").to_owned();
            (
                fields[0].parse().unwrap(),
                fields[2].starts_with('K'),
                fields[1].parse().unwrap(),
                hash,
            )
        })
        .collect()
}

/// What ffprobe says of the stream, a value each.
fn probe_stream(nut: &[u8], entries: &str) -> String {
    let entries = format!("stream={entries}");
    let args = ["-f", "nut", "-show_entries", &entries, "-of", "csv=p=0", "pipe:0"];
    String::from_utf8(run("ffprobe", &args, nut)).unwrap().trim().to_owned()
}

/// The digests of the frames that ffmpeg decodes from its standard input.
fn decode(format: &str, input: &[u8]) -> Vec<String> {
    frame_hashes(&["-f", format], input)
}

/// The same by a decoder that ffmpeg would not choose.
fn decode_with(decoder: &str, format: &str, input: &[u8]) -> Vec<String> {
    frame_hashes(&["-c:v", decoder, "-f", format], input)
}

fn frame_hashes(read: &[&str], input: &[u8]) -> Vec<String> {
    let write = [
        "-fps_mode",
        "passthrough",
        "-f",
        "framehash",
        "-hash",
        "sha256",
        "pipe:1",
    ];
    let text = String::from_utf8(run("ffmpeg", &[read, &["-i", "pipe:0"], &write].concat(), input)).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit(',').next()?.trim().to_owned()))
        .collect()
}

/// Reads what ffmpeg wrote, compares it with what ffprobe reads, writes it anew, and compares that as well.
fn agrees(nut: &[u8]) -> (NutStream, Vec<Packet>) {
    let (stream, packets) = read_nut(nut);
    assert_eq!(rows(&packets), probe(nut));
    let written = write_nut(&stream, &packets);
    assert_eq!(probe(&written), rows(&packets));
    let entries = "codec_name,width,height,sample_aspect_ratio,pix_fmt,time_base,extradata_size,has_b_frames";
    assert_eq!(probe_stream(&written, entries), probe_stream(nut, entries));
    (stream, packets)
}

#[test]
fn ffmpegs_raw_video_with_even_times_is_read() {
    let nut = generate(
        "testsrc2=s=320x240:r=30000/1001",
        &["-frames:v", "33", "-c:v", "rawvideo", "-pix_fmt", "yuv420p"],
    );
    let (stream, packets) = agrees(&nut);
    assert_eq!((stream.width, stream.height, stream.fourcc), (320, 240, *b"I420"));
    assert_eq!(stream.sample_aspect, Rational::new(1, 1));
    assert!(
        packets
            .iter()
            .all(|packet| packet.info.key && packet.bytes.len() == 320 * 240 * 3 / 2)
    );
    // ffmpeg divides the tick of 1001/30000 s until it is shorter than 1/48000 s.
    assert_eq!(stream.time_base, TimeBase::new(1, 60_000).unwrap());
    assert!((0..).zip(&packets).all(|(i, packet)| packet.info.pts == i * 2002));
    assert_eq!(packets.len(), 33);
}

#[test]
fn ffmpegs_raw_video_with_uneven_times_is_read() {
    let filters = "select=not(mod(n\\,3))+eq(n\\,1),settb=1/90000,setpts=N*N*3003+17";
    let args = [
        "-frames:v",
        "20",
        "-vf",
        filters,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "1/90000",
    ];
    let nut = generate(
        "testsrc2=s=50x34:r=25",
        &[args.as_slice(), &["-c:v", "rawvideo", "-pix_fmt", "yuv444p10le"]].concat(),
    );
    let (stream, packets) = agrees(&nut);
    assert_eq!(stream.time_base, TimeBase::new(1, 90_000).unwrap());
    assert_eq!(stream.fourcc, raw_fourcc("yuv444p10le").unwrap());
    let times: Vec<i64> = packets.iter().map(|packet| packet.info.pts).collect();
    assert_eq!(times, (0..20).map(|n| n * n * 3003 + 17).collect::<Vec<i64>>());
}

#[test]
fn ffmpegs_compressed_video_is_read() {
    let ffv1 = generate(
        "testsrc2=s=64x48:r=25",
        &["-frames:v", "9", "-c:v", "ffv1", "-g", "4", "-slices", "4"],
    );
    let (stream, packets) = agrees(&ffv1);
    assert_eq!((stream.fourcc, packets.len()), (*b"FFV1", 9));
    assert!(!stream.extradata.is_empty());
    assert_eq!(packets.iter().filter(|packet| packet.info.key).count(), 3);

    // Frames that are reordered, predicted sizes and timestamps, elided headers.
    let args = ["-frames:v", "60", "-c:v", "mpeg4", "-bf", "2", "-vf", "setsar=16/11"];
    let (stream, packets) = agrees(&generate("testsrc2=s=64x48:r=25", &args));
    assert_eq!(
        (stream.decode_delay, stream.sample_aspect, packets.len()),
        (1, Rational::new(16, 11), 60)
    );
    assert!(packets.iter().all(|packet| packet.bytes.starts_with(&[0, 0, 1])));
    assert!(!packets.is_sorted_by_key(|packet| packet.info.pts));
}

#[test]
fn ffmpeg_reads_exact_times_and_bytes() {
    for (num, den) in [(1, 90_000), (1001, 30_000), (2, 50), (1, 1_000_000)] {
        // No gap is a thousand times the mean of those before it, or ffmpeg would say so.
        let times = [
            0,
            1,
            2,
            17,
            1700,
            1701,
            170_000,
            17_000_000,
            1 << 30,
            1 << 33,
            1 << 39,
            (1 << 39) + 1,
        ];
        let packets: Vec<Packet> = (0..)
            .zip(times)
            .map(|(i, pts)| Packet::new(pts, true, noise(i, 16 * 16 * 3 / 2)))
            .collect();
        let nut = write_nut(&raw_stream(num, den), &packets);
        assert_eq!(probe(&nut), rows(&packets));
        let expected = if num == 2 {
            "I420,4:3,1/25".to_owned()
        } else {
            format!("I420,4:3,{num}/{den}")
        };
        assert_eq!(
            probe_stream(&nut, "codec_tag_string,sample_aspect_ratio,time_base"),
            expected
        );
        // To ffmpeg's decoders a gap of 30 hours is damage.
        let hashes: Vec<String> = packets[..6].iter().map(|packet| sha256(&packet.bytes)).collect();
        assert_eq!(decode("nut", &write_nut(&raw_stream(num, den), &packets[..6])), hashes);
    }
}

#[test]
fn ffmpeg_reads_times_up_to_2_62() {
    let times = [3, 4, 1 << 50, (1 << 62) - 2, (1 << 62) - 1];
    let packets: Vec<Packet> = (0..)
        .zip(times)
        .map(|(i, pts)| Packet::new(pts, true, noise(i, 384)))
        .collect();
    assert_eq!(
        probe_at("error", &write_nut(&raw_stream(1, 90_000), &packets)),
        rows(&packets)
    );
}

#[test]
fn ffmpeg_finds_its_way_in_a_file_by_the_index() {
    // Long and short packets, so that syncpoints lie both close and far; two key frames share a time.
    let packets: Vec<Packet> = (0..1000)
        .map(|i| {
            Packet::new(
                40 * (i - i64::from(i == 500)),
                i % 7 == 0 || i > 490,
                noise(i as u64, 384),
            )
        })
        .collect();
    let nut = write_nut(&raw_stream(1, 1000), &packets);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &nut).unwrap();
    let path = file.path().to_str().unwrap();
    let show = ["-show_entries", "packet=pts", "-of", "csv=p=0"];
    let duration = run(
        "ffprobe",
        &[path, "-show_entries", "format=duration", "-of", "csv=p=0"],
        &[],
    );
    assert_eq!(String::from_utf8_lossy(&duration).trim(), "39.960000");
    let first = run(
        "ffprobe",
        &[[path, "-read_intervals", "18.5%+#1"].as_slice(), &show].concat(),
        &[],
    );
    // The last key frame at or before 18.5 s is number 462, at 18.48 s.
    assert_eq!(String::from_utf8_lossy(&first).trim().trim_end_matches(','), "18480");
}

#[test]
fn two_segments_of_ffv1_play_as_one() {
    let segment = |skip: &str, frames: &str| {
        let args = [
            "-vf",
            &format!("select=gte(n\\,{skip})"),
            "-frames:v",
            frames,
            "-c:v",
            "ffv1",
            "-level",
            "3",
        ];
        generate(
            "testsrc2=s=128x96:r=25",
            &[args.as_slice(), &["-slicecrc", "1", "-fps_mode", "passthrough"]].concat(),
        )
    };
    let segments = [segment("0", "10"), segment("10", "7")];
    let (stream, _) = read_nut(&segments[0]);
    let mut writer = NutWriter::new(Vec::new(), &stream).unwrap();
    let mut times = Vec::new();
    let mut buffer = Vec::new();
    for nut in &segments {
        let mut reader = NutReader::open(nut.as_slice(), MAX_PACKET).unwrap();
        assert_eq!(*reader.stream(), stream);
        while let Some(packet) = reader.next_into(&mut buffer).unwrap() {
            writer.write(packet.pts, packet.key, &buffer).unwrap();
            times.push(packet.pts);
        }
    }
    let joined = writer.finish().unwrap();
    assert!(times.is_sorted() && times.len() == 17);
    let frames: Vec<String> = segments.iter().flat_map(|nut| decode("nut", nut)).collect();
    assert_eq!(decode("nut", &joined), frames);
    let matroska = run(
        "ffmpeg",
        &["-f", "nut", "-i", "pipe:0", "-c", "copy", "-f", "matroska", "pipe:1"],
        &joined,
    );
    assert_eq!(decode("matroska", &matroska), frames);
    assert_eq!(frames.len(), 17);
}

#[test]
fn alpha_beside_a_picture_is_read_and_written() {
    let source = "testsrc2=s=64x48:r=25:d=0.2,format=yuva420p,geq=lum='p(X,Y)':cb='p(X,Y)':cr='p(X,Y)':a='X*4'";
    let encoder = ["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "30", "-cpu-used", "8"];
    let with_side_data = ["-syncpoints", "none", "-strict", "experimental"];
    let nut = generate(source, &[&encoder[..], &with_side_data].concat());
    let (packets, end) = read_some(&nut);
    end.unwrap();
    let stream = NutReader::open(&*nut, MAX_PACKET).unwrap().stream().clone();
    assert!(stream.alpha && packets.len() == 5 && packets.iter().all(|packet| !packet.alpha.is_empty()));
    let input = ["-v", "error", "-f", "lavfi", "-i", source];
    let webm = run_quietly(
        "ffmpeg",
        &[&input, &encoder[..], &["-f", "webm", "pipe:1"]].concat(),
        &[],
    );
    let frames = decode_with("libvpx-vp9", "matroska", &webm);
    assert_eq!(decode_with("libvpx-vp9", "nut", &write_nut(&stream, &packets)), frames);
    assert_ne!(decode("matroska", &webm), frames, "alpha is seen");
}

#[test]
fn ffmpeg_knows_every_pixel_format_by_our_tag() {
    let formats = "gray gray10le gray12le gray16le ya8 yuv420p yuv422p yuv444p yuv420p10le yuv420p12le yuv422p10le \
                   yuv422p12le yuv444p10le yuv444p12le yuva420p yuva420p10le yuva422p yuva422p10le yuva444p yuva444p10le \
                   gbrp gbrp10le gbrp12le gbrap gbrap10le gbrap12le";
    for format in formats.split_whitespace() {
        let nut = generate(
            "testsrc2=s=36x22:r=25",
            &["-frames:v", "2", "-c:v", "rawvideo", "-pix_fmt", format],
        );
        let (stream, packets) = read_nut(&nut);
        let fourcc = raw_fourcc(format).unwrap();
        assert_eq!(stream.fourcc, fourcc, "{format}");
        let written = write_nut(&NutStream { fourcc, ..stream }, &packets);
        assert_eq!(probe_stream(&written, "pix_fmt"), format);
        let hashes: Vec<String> = packets.iter().map(|packet| sha256(&packet.bytes)).collect();
        assert_eq!(decode("nut", &written), hashes, "{format}");
    }
    // ffmpeg 5.1 gives full range the tag of limited range.
    for chroma in ["420p", "422p", "444p"] {
        assert_eq!(
            raw_fourcc(&format!("yuvj{chroma}")),
            raw_fourcc(&format!("yuv{chroma}"))
        );
    }
    assert_eq!(raw_fourcc("nv12"), None);
}
