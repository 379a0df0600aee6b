//! Sources that are hard to cut, which the shared clips lack: open groups of pictures, and pictures coded as fields.

use std::path::PathBuf;

use super::*;
use crate::run::ffmpeg;

/// Encodes a moving test picture of 20 frames.
fn encoded(folder: &Path, name: &str, encoding: &str) -> PathBuf {
    let film = folder.join(name);
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=48x32:r=25 -frames:v 20 -pix_fmt yuv420p {encoding} {}",
        film.display()
    ));
    film
}

#[test]
fn open_groups_of_pictures_are_cut_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    // Frames that are shown before a key frame refer to it and to the group before.
    let h264 = "-c:v libx264 -x264-params open-gop=1:keyint=6:min-keyint=6:bframes=3:b-adapt=0:scenecut=0";
    let h265 =
        "-c:v libx265 -x265-params log-level=error:open-gop=1:keyint=6:min-keyint=6:bframes=3:b-adapt=0:scenecut=0";
    let mpeg2 = "-c:v mpeg2video -g 6 -bf 2 -q:v 3";
    for (name, encoding) in [
        ("h264.mp4", h264),
        ("h264.mkv", h264),
        ("h264.ts", h264),
        ("h265.mp4", h265),
        ("h265.ts", h265),
        ("mpeg2.ts", mpeg2),
        ("mpeg2.mpg", mpeg2),
    ] {
        let film = encoded(folder.path(), name, encoding);
        assert_eq!(frames(&film, "yuv420p").len(), 20, "{name}");
        assert_cut_anywhere(&film, "yuv420p");
    }
}

#[test]
fn pictures_of_fields_and_of_frames_are_cut_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let stream = folder.path().join("paff.h264");
    std::fs::write(&stream, paff::stream(17)).unwrap();
    for container in ["ts", "mkv", "mp4"] {
        let film = stream.with_extension(container);
        ffmpeg(&format!("-f h264 -i {} -c copy {}", stream.display(), film.display()));
        let found = frames(&film, "yuv420p");
        let digests: std::collections::BTreeSet<&String> = found.iter().map(|frame| &frame.1).collect();
        assert_eq!((found.len(), digests.len()), (17, 17), "{container}");
        // Where a packet is a field, packets do not tell the frames.
        let run = Run {
            exact: true,
            ..Run::new(Codec::Ffv1, Container::Mkv, 1)
        };
        assert_uncut(&run, &film, "yuv420p");
    }
}

/// H.264 whose even frames are two field pictures each, and whose odd ones are frame pictures, every sample stored as it is
/// (ITU-R H.264, 7.3: no encoder at hand writes field pictures).
mod paff {
    /// Frames from one IDR picture to the next.
    const GROUP: u32 = 5;
    /// Macroblocks across; a field is one macroblock high, a frame two.
    const COLUMNS: u32 = 2;

    /// So many frames of noise, each unlike the others.
    pub(super) fn stream(frames: u32) -> Vec<u8> {
        let mut stream = [unit(0x67, sequence()), unit(0x68, picture_set())].concat();
        for frame in 0..frames {
            let number = frame % GROUP;
            if frame % 2 == 0 {
                stream.extend(picture(frame, number, Some(false)));
                stream.extend(picture(frame, number, Some(true)));
            } else {
                stream.extend(picture(frame, number, None));
            }
        }
        stream
    }

    /// Sequence parameter set: Main profile, frames and fields, 25 frames a second.
    fn sequence() -> Bits {
        let mut bits = Bits::default();
        for (value, width) in [(77, 8), (0, 8), (30, 8)] {
            bits.put(value, width);
        }
        // Identity, frame_num of 4 bits, picture order count of 8, one reference frame.
        for value in [0, 0, 0, 4, 1] {
            bits.golomb(value);
        }
        bits.put(0, 1);
        bits.golomb(COLUMNS - 1);
        bits.golomb(0);
        // Not only frames, none of mixed macroblocks, direct_8x8_inference, no cropping, timing in the VUI.
        bits.put(0b00101, 5);
        bits.put(0b00001, 5);
        bits.put(1, 32);
        bits.put(50, 32);
        bits.put(0b10000, 5);
        bits
    }

    /// Picture parameter set: CAVLC, the deblocking filter can be turned off.
    fn picture_set() -> Bits {
        let mut bits = Bits::default();
        bits.golomb(0);
        bits.golomb(0);
        bits.put(0, 2);
        for _ in 0..3 {
            bits.golomb(0);
        }
        bits.put(0, 3);
        for _ in 0..3 {
            bits.golomb(0);
        }
        bits.put(0b100, 3);
        bits
    }

    /// A field picture, which is the bottom one or not, or a frame picture.
    fn picture(frame: u32, number: u32, field: Option<bool>) -> Vec<u8> {
        let bottom = field == Some(true);
        // The second field of an IDR picture is none by itself.
        let idr = number == 0 && !bottom;
        let mut bits = Bits::default();
        for value in [0, 7, 0] {
            bits.golomb(value);
        }
        bits.put(number, 4);
        bits.put(u32::from(field.is_some()), 1);
        if field.is_some() {
            bits.put(u32::from(bottom), 1);
        }
        if idr {
            bits.golomb(frame / GROUP);
        }
        bits.put(2 * number + u32::from(bottom), 8);
        bits.put(0, if idr { 2 } else { 1 });
        bits.golomb(0);
        bits.golomb(1);
        let rows = if field.is_some() { 1 } else { 2 };
        for block in 0..rows * COLUMNS {
            // I_PCM.
            bits.golomb(25);
            bits.align();
            for sample in 0..384 {
                let seed = (frame * 4 + u32::from(bottom)) * 4096 + block * 512 + sample;
                bits.put(16 + seed.wrapping_mul(2_654_435_761) % 200, 8);
            }
        }
        unit(if idr { 0x65 } else { 0x61 }, bits)
    }

    /// A NAL unit with its start code, its payload escaped.
    fn unit(header: u8, mut payload: Bits) -> Vec<u8> {
        payload.put(1, 1);
        payload.align();
        let mut unit = vec![0, 0, 0, 1, header];
        let mut zeros = 0;
        for byte in payload.bytes {
            if zeros == 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }

    #[derive(Default)]
    struct Bits {
        bytes: Vec<u8>,
        /// Bits of the last byte that are taken.
        used: u32,
    }

    impl Bits {
        fn put(&mut self, value: u32, width: u32) {
            for n in (0..width).rev() {
                if self.used == 0 {
                    self.bytes.push(0);
                }
                let last = self.bytes.last_mut().unwrap();
                *last |= ((value >> n & 1) as u8) << (7 - self.used);
                self.used = (self.used + 1) % 8;
            }
        }

        /// Exponential Golomb code.
        fn golomb(&mut self, value: u32) {
            let width = (value + 1).ilog2();
            self.put(0, width);
            self.put(value + 1, width + 1);
        }

        fn align(&mut self) {
            self.used = 0;
        }
    }
}
