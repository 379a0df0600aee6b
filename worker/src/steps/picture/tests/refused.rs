//! What is refused, and how an error names it.

use std::io::Seek;
use std::path::Path;
use std::sync::Mutex;

use super::metadata::{png_chunk, sized_tiff};
use super::*;
use crate::media::serve::FileSource;

fn refusal(source: Vec<u8>, limits: &Limits) -> Error {
    run(source, &request("2", StillFormat::Png), limits)
        .map(|(report, _)| report)
        .unwrap_err()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(png_chunk(
        b"IHDR",
        &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat(),
    ));
    png
}

fn bmp_header(width: i32, height: i32) -> Vec<u8> {
    let head = [&b"BM"[..], &[0; 8], &54u32.to_le_bytes(), &40u32.to_le_bytes()].concat();
    [
        &head[..],
        &width.to_le_bytes(),
        &height.to_le_bytes(),
        &[1, 0, 24, 0],
        &[0; 24],
    ]
    .concat()
}

fn gif_header(width: u16, height: u16) -> Vec<u8> {
    [b"GIF89a", &width.to_le_bytes()[..], &height.to_le_bytes(), &[0, 0, 0]].concat()
}

fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let [a, b] = height.to_be_bytes();
    let [c, d] = width.to_be_bytes();
    vec![0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, a, b, c, d, 1, 1, 0x11, 0]
}

fn webp_header(width: u32, height: u32) -> Vec<u8> {
    let edges = [(width - 1).to_le_bytes(), (height - 1).to_le_bytes()];
    let extended = [&[0; 4], &edges[0][..3], &edges[1][..3]].concat();
    [
        b"RIFF",
        &30u32.to_le_bytes()[..],
        b"WEBPVP8X",
        &10u32.to_le_bytes(),
        &extended,
        b"VP8L\0\0\0\0",
    ]
    .concat()
}

#[test]
fn absurd_sizes_are_refused_by_the_header_alone() {
    for (source, found) in [
        (png_header(60_000, 60_000), "60000x60000"),
        (png_header(u32::MAX >> 1, 1), "2147483647x1"),
        (bmp_header(60_000, -60_000), "60000x60000"),
        (bmp_header(i32::MAX, 1), "2147483647x1"),
        (gif_header(60_000, 60_000), "60000x60000"),
        (jpeg_header(60_000, 60_000), "60000x60000"),
        (sized_tiff(60_000, 60_000, &[]), "60000x60000"),
        (webp_header(60_000, 60_000), "60000x60000"),
    ] {
        let refused = refusal(source, &Limits::default());
        assert_eq!(refused.code(), ErrorCode::InputTooManyPixels, "{found}: {refused}");
        assert_eq!(
            (&*refused.details()["found"], &*refused.details()["limit"]),
            (found, "32768")
        );
        assert!(
            refused.message().contains(found) && refused.message().contains("32768"),
            "{refused}"
        );
    }
}

#[test]
fn no_pixels_are_refused() {
    for source in [
        png_header(0, 0),
        png_header(7, 0),
        bmp_header(0, 0),
        gif_header(0, 0),
        jpeg_header(0, 0),
        sized_tiff(0, 0, &[]),
    ] {
        let refused = refusal(source.clone(), &Limits::default());
        assert_eq!(
            refused.code(),
            ErrorCode::InputDimensions,
            "{:?}: {refused}",
            &source[..4]
        );
        assert!(refused.details()["found"].contains('0'));
    }
}

#[test]
fn more_pixels_than_the_limit_are_refused_in_source_and_result() {
    let flat = file(&GrayImage::new(1000, 1000).into(), StillFormat::Png);
    assert!(flat.len() < 10_000, "a small file: {}", flat.len());
    let limits = Limits {
        pixels: 999_999,
        ..Limits::default()
    };
    let refused = refusal(flat.clone(), &limits);
    assert_eq!(refused.code(), ErrorCode::InputTooManyPixels);
    assert_eq!(
        (&*refused.details()["found"], &*refused.details()["limit"]),
        ("1000x1000", "999999")
    );
    assert!(
        refused.message().contains("1000000") && refused.message().contains("999999"),
        "{refused}"
    );
    let limits = Limits {
        pixels: 3_999_999,
        ..Limits::default()
    };
    let refused = refusal(flat.clone(), &limits);
    assert_eq!(
        (refused.code(), &*refused.details()["found"]),
        (ErrorCode::InputTooManyPixels, "2000x2000")
    );
    let limits = Limits {
        edge: 1999,
        ..Limits::default()
    };
    assert_eq!(&*refusal(flat.clone(), &limits).details()["limit"], "1999");
    let limits = Limits {
        bytes: 100,
        ..Limits::default()
    };
    assert_eq!(refusal(flat, &limits).code(), ErrorCode::InputTooLarge);
}

#[test]
fn a_frame_that_is_larger_than_its_screen_is_refused() {
    // A screen of one pixel, and on it a frame of 60000 × 60000.
    let edge = 60_000u16.to_le_bytes();
    let frame = [
        &[0x2c, 0, 0, 0, 0][..],
        &edge,
        &edge,
        &[0x80, 0, 0, 0, 255, 255, 255, 2, 1, 0x44, 0, 0x3b],
    ]
    .concat();
    let refused = refusal([gif_header(1, 1), frame].concat(), &Limits::default());
    assert_eq!(refused.code(), ErrorCode::InputTooManyPixels, "{refused}");
}

#[test]
fn a_result_that_its_format_cannot_hold_is_refused() {
    let line = file(&GrayImage::new(9000, 1).into(), StillFormat::Png);
    let refused = run(line.clone(), &request("2", StillFormat::WebP), &Limits::default()).unwrap_err();
    assert_eq!(
        (refused.code(), &*refused.details()["limit"]),
        (ErrorCode::SettingsInvalid, "16383")
    );
    assert_eq!(upscaled(line, "16383x2", StillFormat::WebP).0.target_size, (16_383, 2));
    let small = file(&gradient(), StillFormat::Png);
    let refused = run(small, &request("15x12", StillFormat::Png), &Limits::default()).unwrap_err();
    assert_eq!(
        (refused.code(), &*refused.details()["source"]),
        (ErrorCode::TargetInvalid, "16x12")
    );
}

/// Wherever a file is cut off, it is refused, or all of its pixels were before the cut.
#[test]
fn a_cut_file_is_never_half_a_picture() {
    let mut sources: Vec<Vec<u8>> = FORMATS.into_iter().map(|format| file(&gradient(), format)).collect();
    sources.push(include_bytes!("lossy.webp").to_vec());
    sources.push(include_bytes!("progressive.jpg").to_vec());
    for source in sources {
        let whole = upscaled(source.clone(), "2", StillFormat::Png).1;
        let mut refused = 0;
        let cuts = (20..source.len())
            .step_by(source.len() / 40 + 1)
            .chain(source.len() - 20..source.len());
        for cut in cuts {
            match run(
                source[..cut].to_vec(),
                &request("2", StillFormat::Png),
                &Limits::default(),
            ) {
                Ok((_, bytes)) => assert_eq!(
                    image::load_from_memory(&bytes).unwrap(),
                    whole,
                    "{cut} of {}",
                    source.len()
                ),
                Err(e) => {
                    assert_eq!(e.code(), ErrorCode::InputDamaged, "{cut} of {}: {e}", source.len());
                    refused += 1;
                }
            }
        }
        assert!(refused >= 20, "{refused}");
    }
}

#[test]
fn damage_names_its_cause() {
    let mut png = file(&gradient(), StillFormat::Png);
    let middle = png.len() / 2;
    png[middle] ^= 0x55;
    let refused = refusal(png, &Limits::default());
    assert_eq!(refused.code(), ErrorCode::InputDamaged);
    assert!(std::error::Error::source(&refused).is_some());
}

#[test]
fn variants_that_nothing_reads_are_unsupported() {
    let jpeg = |marker, bits| {
        let mut jpeg = file(&gradient(), StillFormat::Jpeg);
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        (jpeg[frame + 1], jpeg[frame + 4]) = (marker, bits);
        jpeg
    };
    // Says that the numbers are places in a palette.
    let mut palette = sized_tiff(3, 2, &[(320, 0)]);
    let kind = palette.windows(2).position(|w| w == 262u16.to_le_bytes()).unwrap();
    palette[kind + 8] = 3;
    for source in [jpeg(0xc9, 8), jpeg(0xc3, 8), jpeg(0xc1, 12), palette] {
        let refused = refusal(source, &Limits::default());
        assert_eq!(refused.code(), ErrorCode::InputUnsupported, "{refused}");
    }
    for source in [&b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"[..], b"%PDF-1.7\n", &[7; 100]] {
        assert_eq!(
            refusal(source.to_vec(), &Limits::default()).code(),
            ErrorCode::InputUnsupported
        );
    }
    assert_eq!(refusal(Vec::new(), &Limits::default()).code(), ErrorCode::InputEmpty);
}

#[test]
fn the_content_decides_and_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holiday.jpg");
    std::fs::write(&path, file(&gradient(), StillFormat::Png)).unwrap();
    let mut output = Cursor::new(Vec::new());
    let source = FileSource::open(Path::new(&path)).unwrap();
    let request = request("1", StillFormat::Bmp);
    picture(
        &source,
        &request,
        bicubic().as_ref(),
        &Limits::default(),
        &Stop::new(),
        &(),
        &mut output,
    )
    .unwrap();
    assert_eq!(image::load_from_memory(output.get_ref()).unwrap(), gradient());
}

/// Asks to stop after the first tile, and counts.
struct Once {
    stop: Stop,
    tiles: Mutex<Vec<(usize, usize)>>,
}

impl Progress for Once {
    fn tile_done(&self, done: usize, total: usize) {
        self.tiles.lock().unwrap().push((done, total));
        self.stop.stop();
    }
}

#[test]
fn tiles_are_told_and_a_stop_between_them_is_obeyed() {
    let options = EngineOptions {
        kind: EngineKind::Reference,
        tile: Some(16),
        ..EngineOptions::default()
    };
    let engine = build_engine(&options, &Weights::embedded().unwrap()).unwrap();
    let progress = Once {
        stop: Stop::new(),
        tiles: Mutex::default(),
    };
    let source = Bytes(file(&gradient(), StillFormat::Png));
    let mut output = Cursor::new(Vec::new());
    let request = request("2", StillFormat::Png);
    let stopped = picture(
        &source,
        &request,
        engine.as_ref(),
        &Limits::default(),
        &progress.stop,
        &progress,
        &mut output,
    );
    assert_eq!(stopped.unwrap_err().code(), ErrorCode::Stopped);
    assert_eq!(*progress.tiles.lock().unwrap(), [(1, 4)]);
    assert!(output.get_ref().is_empty());
    // Asked beforehand, nothing begins.
    let stopped = picture(
        &source,
        &request,
        engine.as_ref(),
        &Limits::default(),
        &progress.stop,
        &(),
        &mut output,
    );
    assert_eq!(stopped.unwrap_err().code(), ErrorCode::Stopped);
}

fn noise() -> DynamicImage {
    RgbImage::from_fn(500, 400, |x, y| {
        let n = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
        Rgb([(n >> 24) as u8, (n >> 16) as u8, (n >> 8) as u8])
    })
    .into()
}

/// A disk with room for so many bytes.
struct Full(Cursor<Vec<u8>>, usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.get_ref().len() + bytes.len() > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_full_disk_is_called_that() {
    // More than what is written at a time, so that encoders see it too.
    let source = Bytes(file(&noise(), StillFormat::Png));
    for format in FORMATS {
        for room in [0, 20_000] {
            let mut disk = Full(Cursor::default(), room);
            let request = request("1", format);
            let full = picture(
                &source,
                &request,
                bicubic().as_ref(),
                &Limits::default(),
                &Stop::new(),
                &(),
                &mut disk,
            );
            let full = full.unwrap_err();
            assert_eq!(full.code(), ErrorCode::DiskFull, "{format}: {full}");
            assert!(std::error::Error::source(&full).is_some());
        }
    }
}

/// A source whose connection breaks after so many bytes.
struct Broken(Vec<u8>, u64);

impl SourceBytes for Broken {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.1 {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone"));
        }
        let end = self.1.min(self.len());
        let bytes = &self.0[offset as usize..end as usize];
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        Ok(read)
    }
}

#[test]
fn a_source_that_breaks_off_is_not_called_damaged() {
    for format in FORMATS {
        // So large that the first look at it goes well.
        let bytes = file(&noise(), format);
        let half = bytes.len() as u64 / 2;
        let source = Broken(bytes, half);
        let mut output = Cursor::new(Vec::new());
        let request = request("1", StillFormat::Png);
        let engine = bicubic();
        let broken = picture(
            &source,
            &request,
            engine.as_ref(),
            &Limits::default(),
            &Stop::new(),
            &(),
            &mut output,
        );
        let broken = broken.unwrap_err();
        assert_eq!(broken.code(), ErrorCode::InputUnreadable, "{format}: {broken}");
        assert!(format!("{:?}", std::error::Error::source(&broken)).contains("gone"));
    }
}
