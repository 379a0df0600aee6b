//! Still pictures: files, interleaved pixels and planar frames.

use std::{
    fs::Permissions,
    io::{BufWriter, Write},
    path::Path,
};

use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Pixel};

use crate::{
    error::{Error, Result},
    frame::{ChromaSiting, FrameFormat, Layout, Range},
    geometry::Size,
};

/// Reads a picture, whatever its name says it is, and turns it the way its EXIF orientation asks for. Colour
/// profiles and other metadata are not read.
///
/// # Errors
/// [`Error::Io`], or [`Error::Picture`] when it cannot be decoded within 512 MiB.
pub fn load_picture(path: &Path) -> Result<DynamicImage> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let reader = ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?;
    let decode = || {
        let mut decoder = reader.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        Ok(picture)
    };
    decode().map_err(|source| Error::Picture {
        path: path.to_owned(),
        source,
    })
}

/// Writes a picture in the format that the path's ending names: to a temporary file in the same folder, which then
/// takes the path. So the path holds the old content or the new, never half of it.
///
/// # Errors
/// [`Error::Io`], also when the path exists and `overwrite` is false; [`Error::Picture`] when the ending or the
/// pixels are not supported.
pub fn save_picture(picture: &DynamicImage, path: &Path, overwrite: bool) -> Result<()> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let codec = |source| Error::Picture {
        path: path.to_owned(),
        source,
    };
    let format = ImageFormat::from_path(path).map_err(codec)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vdsr-");
    // A temporary file is private unless told otherwise; this one becomes an ordinary file, less the umask.
    #[cfg(unix)]
    builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(io)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    picture.write_to(&mut writer, format).map_err(codec)?;
    writer.flush().map_err(io)?;
    drop(writer);
    let persisted = if overwrite {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    persisted.map(drop).map_err(|error| io(error.error))
}

/// Takes a picture's pixels apart into planes: grey, grey and alpha, RGB or RGBA, 8 or 16 bits, full range. Pixels
/// of 32-bit float become 16-bit integers.
///
/// # Errors
/// [`Error::EmptySize`].
pub fn picture_to_planes(picture: DynamicImage) -> Result<(FrameFormat, Vec<u8>)> {
    let size = Size::new(picture.width(), picture.height())?;
    let (layout, bits, frame) = match picture {
        DynamicImage::ImageLuma8(pixels) => (Layout::Gray, 8, pixels.into_raw()),
        DynamicImage::ImageLumaA8(pixels) => (Layout::GrayAlpha, 8, planar(pixels, byte)),
        DynamicImage::ImageRgb8(pixels) => (Layout::Rgb, 8, planar(pixels, byte)),
        DynamicImage::ImageRgba8(pixels) => (Layout::Rgba, 8, planar(pixels, byte)),
        DynamicImage::ImageLuma16(pixels) => (Layout::Gray, 16, planar(pixels, u16::to_le_bytes)),
        DynamicImage::ImageLumaA16(pixels) => (Layout::GrayAlpha, 16, planar(pixels, u16::to_le_bytes)),
        DynamicImage::ImageRgb16(pixels) => (Layout::Rgb, 16, planar(pixels, u16::to_le_bytes)),
        DynamicImage::ImageRgba16(pixels) => (Layout::Rgba, 16, planar(pixels, u16::to_le_bytes)),
        float if float.color().has_alpha() => (Layout::Rgba, 16, planar(float.into_rgba16(), u16::to_le_bytes)),
        float => (Layout::Rgb, 16, planar(float.into_rgb16(), u16::to_le_bytes)),
    };
    Ok((
        FrameFormat {
            size,
            layout,
            bits,
            range: Range::Full,
            siting: ChromaSiting::Centre,
        },
        frame,
    ))
}

/// Puts a picture together from planes in a format that [`picture_to_planes`] makes.
///
/// # Errors
/// [`Error::NotAPicture`] for another format, [`Error::LengthMismatch`] unless `frame` is exactly one frame.
pub fn picture_from_planes(format: FrameFormat, frame: Vec<u8>) -> Result<DynamicImage> {
    let expected = format.checked()?.bytes();
    if frame.len() != expected {
        return Err(Error::LengthMismatch {
            what: "picture",
            expected,
            found: frame.len(),
        });
    }
    let Size { width, height } = format.size;
    let refused = || Error::NotAPicture {
        found: format!("{:?} of {} bits", format.layout, format.bits),
    };
    let word = u16::from_le_bytes;
    let picture = match (format.layout, format.bits) {
        (Layout::Gray, 8) => ImageBuffer::from_raw(width, height, frame).map(DynamicImage::ImageLuma8),
        (Layout::GrayAlpha, 8) => interleaved(format.size, &frame, single).map(DynamicImage::ImageLumaA8),
        (Layout::Rgb, 8) => interleaved(format.size, &frame, single).map(DynamicImage::ImageRgb8),
        (Layout::Rgba, 8) => interleaved(format.size, &frame, single).map(DynamicImage::ImageRgba8),
        (Layout::Gray, 16) => interleaved(format.size, &frame, word).map(DynamicImage::ImageLuma16),
        (Layout::GrayAlpha, 16) => interleaved(format.size, &frame, word).map(DynamicImage::ImageLumaA16),
        (Layout::Rgb, 16) => interleaved(format.size, &frame, word).map(DynamicImage::ImageRgb16),
        (Layout::Rgba, 16) => interleaved(format.size, &frame, word).map(DynamicImage::ImageRgba16),
        _ => None,
    };
    picture.ok_or_else(refused)
}

fn byte(sample: u8) -> [u8; 1] {
    [sample]
}

fn single([sample]: [u8; 1]) -> u8 {
    sample
}

/// All samples of the first channel, then of the second …; takes the pixels so that they are freed at once.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the pixels are as large as the result and not needed after it"
)]
fn planar<P: Pixel, const N: usize>(
    pixels: ImageBuffer<P, Vec<P::Subpixel>>,
    bytes: fn(P::Subpixel) -> [u8; N],
) -> Vec<u8> {
    let channels = usize::from(P::CHANNEL_COUNT);
    let mut frame = Vec::with_capacity(pixels.as_raw().len() * N);
    for channel in 0..channels {
        frame.extend(
            pixels
                .as_raw()
                .chunks_exact(channels)
                .flat_map(|pixel| bytes(pixel[channel])),
        );
    }
    frame
}

/// The way back from [`planar`].
fn interleaved<P: Pixel, const N: usize>(
    size: Size,
    frame: &[u8],
    sample: fn([u8; N]) -> P::Subpixel,
) -> Option<ImageBuffer<P, Vec<P::Subpixel>>> {
    let channels = usize::from(P::CHANNEL_COUNT);
    let (samples, _) = frame.as_chunks::<N>();
    let mut pixels = Vec::with_capacity(samples.len());
    for at in 0..size.pixels() {
        pixels.extend((0..channels).map(|channel| sample(samples[channel * size.pixels() + at])));
    }
    ImageBuffer::from_raw(size.width, size.height, pixels)
}

#[cfg(test)]
mod tests {
    use image::{LumaA, Rgb, RgbImage, Rgba};

    use super::*;

    #[test]
    fn rgb_becomes_three_planes_of_bytes() {
        let pixels = RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let (format, frame) = picture_to_planes(pixels.into()).unwrap();
        assert_eq!(
            (format.layout, format.bits, format.range),
            (Layout::Rgb, 8, Range::Full)
        );
        assert_eq!(format.size, Size { width: 2, height: 1 });
        assert_eq!(frame, [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn sixteen_bits_become_little_endian_pairs() {
        let pixels = ImageBuffer::<LumaA<u16>, _>::from_raw(1, 2, vec![0x0102, 0xfffe, 0x0304, 0xfdfc]).unwrap();
        let (format, frame) = picture_to_planes(DynamicImage::ImageLumaA16(pixels)).unwrap();
        assert_eq!((format.layout, format.bits), (Layout::GrayAlpha, 16));
        assert_eq!(frame, [0x02, 0x01, 0x04, 0x03, 0xfe, 0xff, 0xfc, 0xfd]);
    }

    #[test]
    fn every_kind_of_pixel_comes_back_unchanged() {
        let (width, height) = (5, 3);
        let noise = |n: usize| (0..n).map(|i| (i * 7919 % 65521) as u16);
        let bytes = |channels: usize| noise(15 * channels).map(|v| v as u8).collect::<Vec<_>>();
        let words = |channels: usize| noise(15 * channels).collect::<Vec<_>>();
        let pictures = [
            DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, bytes(1)).unwrap()),
            DynamicImage::ImageLumaA8(ImageBuffer::from_raw(width, height, bytes(2)).unwrap()),
            DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, bytes(3)).unwrap()),
            DynamicImage::ImageRgba8(ImageBuffer::from_raw(width, height, bytes(4)).unwrap()),
            DynamicImage::ImageLuma16(ImageBuffer::from_raw(width, height, words(1)).unwrap()),
            DynamicImage::ImageLumaA16(ImageBuffer::from_raw(width, height, words(2)).unwrap()),
            DynamicImage::ImageRgb16(ImageBuffer::from_raw(width, height, words(3)).unwrap()),
            DynamicImage::ImageRgba16(ImageBuffer::from_raw(width, height, words(4)).unwrap()),
        ];
        for picture in pictures {
            let (format, frame) = picture_to_planes(picture.clone()).unwrap();
            assert_eq!(frame.len(), format.bytes());
            assert_eq!(picture_from_planes(format, frame).unwrap(), picture, "{format:?}");
        }
    }

    #[test]
    fn floats_become_sixteen_bits() {
        let opaque = ImageBuffer::<Rgb<f32>, _>::from_raw(1, 1, vec![0.0, 0.5, 1.0]).unwrap();
        let (format, frame) = picture_to_planes(DynamicImage::ImageRgb32F(opaque)).unwrap();
        assert_eq!((format.layout, format.bits), (Layout::Rgb, 16));
        assert_eq!(frame, [0, 0, 0, 0x80, 0xff, 0xff]);
        let clear = ImageBuffer::<Rgba<f32>, _>::from_raw(1, 1, vec![0.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!(
            picture_to_planes(DynamicImage::ImageRgba32F(clear)).unwrap().0.layout,
            Layout::Rgba
        );
    }

    #[test]
    fn video_formats_and_wrong_lengths_are_refused() {
        let size = Size { width: 2, height: 2 };
        let yuv = FrameFormat {
            size,
            layout: Layout::Yuv420,
            bits: 8,
            range: Range::Limited,
            siting: ChromaSiting::Left,
        };
        assert!(matches!(
            picture_from_planes(yuv, vec![0; 6]),
            Err(Error::NotAPicture { .. })
        ));
        let ten = FrameFormat {
            layout: Layout::Gray,
            bits: 10,
            ..yuv
        };
        assert!(matches!(
            picture_from_planes(ten, vec![0; 8]),
            Err(Error::NotAPicture { .. })
        ));
        let gray = FrameFormat {
            layout: Layout::Gray,
            ..yuv
        };
        let found = picture_from_planes(gray, vec![0; 5]);
        assert!(matches!(
            found,
            Err(Error::LengthMismatch {
                expected: 4,
                found: 5,
                ..
            })
        ));
    }

    #[test]
    fn a_file_is_replaced_only_when_told_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture = |value| DynamicImage::from(RgbImage::from_pixel(3, 2, Rgb([value; 3])));
        save_picture(&picture(1), &path, false).unwrap();
        let refused = save_picture(&picture(2), &path, false);
        assert!(matches!(refused, Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists));
        assert_eq!(load_picture(&path).unwrap(), picture(1));
        save_picture(&picture(3), &path, true).unwrap();
        assert_eq!(load_picture(&path).unwrap(), picture(3));
        assert!(matches!(
            save_picture(&picture(4), &folder.path().join("a.txt"), true),
            Err(Error::Picture { .. })
        ));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
