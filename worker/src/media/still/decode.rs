use clearfleet_common::config::Limits;
use clearfleet_common::{ErrorCode, Stop};
use image::codecs::webp::WebPDecoder;
use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError};

use super::reader::{Failure, Reader, SourceReader};
use super::survey::Survey;
use super::{Metadata, Still, exif, xmp};
use crate::media::serve::SourceBytes;
use crate::media::sniff::{self, Kind, Picture};
use crate::media::within;
use crate::{Error, Result};

/// Memory that a decoder may take for what is not pixels: profiles, metadata, rows, tables.
const METADATA_BYTES: u64 = 64 << 20;
/// Bytes of a pixel at most: four channels of 16 bits.
const PIXEL_BYTES: u64 = 8;

/// A picture whose headers are read and within the limits.
pub(crate) struct StillReader<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    opened: Opened<'a>,
    survey: Survey,
    metadata: Metadata,
    orientation: Orientation,
}

/// The source and what is said of it in errors.
struct Opened<'a> {
    source: &'a dyn SourceBytes,
    stop: &'a Stop,
    limits: &'a Limits,
    failure: Failure,
    picture: Picture,
    moves: bool,
}

impl<'a> StillReader<'a> {
    /// Looks at the content, whatever the name says, and reads the headers.
    ///
    /// # Errors
    /// The codes of refused inputs; `InputDimensions` and `InputTooManyPixels` before anything is allocated for pixels.
    pub(crate) fn open(source: &'a dyn SourceBytes, limits: &'a Limits, stop: &'a Stop) -> Result<Self> {
        let opened = Opened::new(source, limits, stop)?;
        let mut reader = SourceReader::buffered(source, stop, &opened.failure);
        let mut survey = Survey::of(opened.picture, &mut reader);
        opened.check_reading()?;
        if let Some(size) = survey.size {
            opened.check_size(size)?;
        }
        if let Some(variant) = survey.unsupported {
            let message = format!("a {} {variant} is not supported", opened.picture);
            return Err(Error::new(ErrorCode::InputUnsupported, message).with("found", variant));
        }
        let mut reader = SourceReader::buffered(source, stop, &opened.failure);
        if let (Picture::Jpeg, Some(end)) = (opened.picture, survey.end) {
            reader.get_mut().end_at(end);
        } else if opened.picture == Picture::Jpeg {
            // The decoder would read on to the end of the source, however far that is.
            reader.get_mut().end_at(METADATA_BYTES);
        }
        let failed = |e| opened.failed(e);
        let limits = opened.decoder_limits();
        let mut decoder = decoder(opened.picture, reader, limits.clone()).map_err(failed)?;
        opened.check_size(decoder.dimensions())?;
        if opened.picture == Picture::Jpeg && survey.end.is_none() {
            // This decoder paints grey what is missing, and says nothing.
            return Err(opened.damaged("ends before its end marker, so pixels are missing"));
        }
        let icc = decoder.icc_profile().map_err(failed)?;
        let mut exif = decoder.exif_metadata().map_err(failed)?.or_else(|| survey.exif.take());
        let orientation = match &mut exif {
            Some(block) => exif::take_orientation(block),
            None => decoder.orientation().map_err(failed)?,
        };
        // Damaged, it is as if it were not there; the survey has seen it.
        let mut xmp = decoder.xmp_metadata().ok().flatten();
        if let Some(packet) = &mut xmp {
            xmp::set_upright(packet);
        }
        let turned = is_turned(orientation);
        // Only now: the decoder of TIFF would take its limit on pixels for one on profiles, and drop them in silence.
        decoder.set_limits(limits).map_err(failed)?;
        Ok(Self {
            decoder,
            opened,
            metadata: Metadata {
                icc,
                exif,
                xmp,
                density: survey
                    .density
                    .map(|density| if turned { density.turned() } else { density }),
            },
            survey,
            orientation,
        })
    }

    /// Width and height as the picture is shown.
    pub(crate) fn size(&self) -> (u32, u32) {
        let (width, height) = self.decoder.dimensions();
        if is_turned(self.orientation) {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Decodes the pixels.
    ///
    /// # Errors
    /// `InputDamaged` if they are not all there.
    pub(crate) fn decode(self) -> Result<Still> {
        let Self {
            decoder,
            opened,
            survey,
            mut metadata,
            orientation,
        } = self;
        let colours = decoder.color_type();
        let mut pixels = DynamicImage::from_decoder(decoder).map_err(|e| opened.failed(e))?;
        opened.check_reading()?;
        pixels.apply_orientation(orientation);
        if opened.picture == Picture::Gif && is_opaque(&pixels) {
            // Every GIF is decoded with alpha, whether it has transparent pixels or not.
            pixels = pixels.into_rgb8().into();
        }
        let mut notes: Vec<String> = survey.lost.iter().map(|what| format!("{what} is not kept")).collect();
        if survey.profile && metadata.icc.is_none() {
            notes.push("the colour profile is damaged or absurdly large and is not kept".to_owned());
        }
        if survey.xmp && metadata.xmp.is_none() {
            notes.push("the XMP metadata is damaged or absurdly large and is not kept".to_owned());
        }
        if opened.moves {
            notes.push("the picture moves; the result is its first frame".to_owned());
        }
        if matches!(colours, ColorType::Rgb32F | ColorType::Rgba32F) {
            notes.push("floating-point samples became integers of 16 bits from 0 to 1".to_owned());
        }
        if survey.cmyk {
            notes.push("CMYK became RGB by a plain formula, not by its colour profile".to_owned());
            metadata.icc = None;
        }
        Ok(Still {
            pixels,
            metadata,
            notes,
        })
    }
}

impl<'a> Opened<'a> {
    fn new(source: &'a dyn SourceBytes, limits: &'a Limits, stop: &'a Stop) -> Result<Self> {
        if source.len() > limits.bytes {
            let message = format!("the file has {} bytes; {} are allowed", source.len(), limits.bytes);
            let error = Error::new(ErrorCode::InputTooLarge, message);
            return Err(error.with("limit", limits.bytes).with("found", source.len()));
        }
        let kind = sniff::sniff(source, None)?;
        let (picture, moves) = match kind {
            Kind::Still(picture) => (picture, false),
            Kind::Animation(picture) => (picture, true),
            other => {
                let message = format!("a still picture is expected, and the content is {other}");
                return Err(Error::new(ErrorCode::InputUnsupported, message).with("found", other));
            }
        };
        Ok(Self {
            source,
            stop,
            limits,
            failure: Failure::default(),
            picture,
            moves,
        })
    }

    fn check_size(&self, (width, height): (u32, u32)) -> Result<()> {
        if width == 0 || height == 0 {
            let size = format!("{width}x{height}");
            let message = format!("the {} says that it has {size} pixels", self.picture);
            return Err(Error::new(ErrorCode::InputDimensions, message).with("found", size));
        }
        within(&format!("the {}", self.picture), (width, height), self.limits)
    }

    /// The error of a source that could not be read, or was not to be read any more.
    fn check_reading(&self) -> Result<()> {
        if self.stop.is_stopped() {
            return Err(Error::stopped());
        }
        match self.failure.borrow_mut().take() {
            Some(e) => Err(Error::new(ErrorCode::InputUnreadable, "the source cannot be read").because(e)),
            None => Ok(()),
        }
    }

    fn decoder_limits(&self) -> image::Limits {
        // Width and height are checked here, with their values in the error.
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(match self.picture {
            // This decoder counts only what is not pixels.
            Picture::Png => METADATA_BYTES,
            _ => self
                .limits
                .pixels
                .saturating_mul(PIXEL_BYTES)
                .saturating_add(METADATA_BYTES),
        });
        limits
    }

    fn failed(&self, error: ImageError) -> Error {
        if let Err(unreadable) = self.check_reading() {
            return unreadable;
        }
        let picture = self.picture;
        match error {
            ImageError::Unsupported(e) => {
                let message = format!("this variant of {picture} is not supported");
                Error::new(ErrorCode::InputUnsupported, message)
                    .with("found", &e)
                    .because(e)
            }
            ImageError::Limits(e) => {
                let limit = self.limits.pixels;
                let message = format!("decoding the {picture} takes more memory than {limit} pixels need");
                Error::new(ErrorCode::InputTooManyPixels, message)
                    .with("limit", limit)
                    .because(e)
            }
            ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.damaged("ends too early").because(e)
            }
            other => self.damaged("is damaged").because(other),
        }
    }

    fn damaged(&self, how: &str) -> Error {
        let error = Error::new(ErrorCode::InputDamaged, format!("the {} {how}", self.picture));
        error.with("bytes", self.source.len())
    }
}

/// Whether width and height are exchanged.
fn is_turned(orientation: Orientation) -> bool {
    use Orientation as O;
    match orientation {
        O::Rotate90 | O::Rotate270 | O::Rotate90FlipH | O::Rotate270FlipH => true,
        O::NoTransforms | O::Rotate180 | O::FlipHorizontal | O::FlipVertical => false,
    }
}

/// Whether no pixel lets anything through.
pub(super) fn is_opaque(pixels: &DynamicImage) -> bool {
    match pixels {
        DynamicImage::ImageLumaA8(p) => p.pixels().all(|p| p.0[1] == u8::MAX),
        DynamicImage::ImageRgba8(p) => p.pixels().all(|p| p.0[3] == u8::MAX),
        DynamicImage::ImageLumaA16(p) => p.pixels().all(|p| p.0[1] == u16::MAX),
        DynamicImage::ImageRgba16(p) => p.pixels().all(|p| p.0[3] == u16::MAX),
        other => !other.color().has_alpha(),
    }
}

fn decoder<'a>(
    picture: Picture,
    reader: Reader<'a>,
    limits: image::Limits,
) -> Result<Box<dyn ImageDecoder + 'a>, ImageError> {
    Ok(match picture {
        Picture::Png => Box::new(PngDecoder::with_limits(reader, limits)?),
        Picture::Jpeg => Box::new(JpegDecoder::new(reader)?),
        Picture::Gif => Box::new(GifDecoder::new(reader)?),
        Picture::Bmp => Box::new(BmpDecoder::new(reader)?),
        Picture::WebP => Box::new(WebPDecoder::new(reader)?),
        Picture::Tiff => Box::new(TiffDecoder::new(reader)?),
    })
}
