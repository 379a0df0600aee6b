//! Holding a still picture against its source.

use std::io::Cursor;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, ImageReader};

use super::pictures::{CELL, LEAST_PSNR, LOSS, Likeness, UNLIKE, mean_square, psnr};
use super::{Check, VerifyRequest, properties};
use crate::media::serve::SourceBytes;
use crate::media::sniff::Picture;
use crate::{Error, Result};

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// A decoded picture and what belongs to it.
struct Still {
    picture: DynamicImage,
    colour: ColorType,
    icc: Option<Vec<u8>>,
    orientation: Orientation,
}

/// What a format can hold.
struct Holds {
    bits: u16,
    alpha: bool,
    grey: bool,
    /// ICC profiles and EXIF.
    metadata: bool,
}

fn holds(format: Picture) -> Holds {
    match format {
        Picture::Png => Holds {
            bits: 16,
            alpha: true,
            grey: true,
            metadata: true,
        },
        Picture::Tiff => Holds {
            bits: 32,
            alpha: true,
            grey: true,
            metadata: true,
        },
        Picture::Jpeg => Holds {
            bits: 8,
            alpha: false,
            grey: true,
            metadata: true,
        },
        Picture::WebP => Holds {
            bits: 8,
            alpha: true,
            grey: false,
            metadata: true,
        },
        Picture::Bmp => Holds {
            bits: 8,
            alpha: true,
            grey: false,
            metadata: false,
        },
        Picture::Gif => Holds {
            bits: 8,
            alpha: true,
            grey: false,
            metadata: false,
        },
    }
}

/// All checks of a still picture.
pub(super) fn checks(
    request: &VerifyRequest<'_>,
    source_format: Picture,
    result_format: Picture,
) -> Result<Vec<Check>> {
    let source = open(&*request.source, request.limits).map_err(|e| e.with("file", request.source_name))?;
    if request.stop.is_stopped() {
        return Err(Error::stopped());
    }
    let result = open(&*request.result, request.limits).map_err(|e| e.with("file", request.result_name))?;
    let held = holds(result_format);
    let size = |s: &Still| (s.picture.width(), s.picture.height());
    let mut checks = vec![
        properties::size(size(&source), size(&result)),
        pictures(&source, &result),
    ];
    checks.extend(channels(source.colour, result.colour, &held));
    let profile = |icc: &Option<Vec<u8>>| icc.as_ref().map_or("none".to_owned(), |i| format!("{} bytes", i.len()));
    let method = "the ICC profiles of both were compared, byte for byte";
    let excused = !held.metadata && result.icc.is_none();
    let same = source.icc == result.icc;
    checks.push(Check::new("icc", method, profile(&source.icc), profile(&result.icc), same).named_if(excused));
    let method = "the orientation that EXIF states was compared, an unstated one taken for upright";
    let (own, found) = (source.orientation, result.orientation);
    let turned = Check::new(
        "rotation",
        method,
        format!("{own:?}"),
        format!("{found:?}"),
        own == found,
    );
    checks.push(turned.named_if(!holds(source_format).metadata || !held.metadata));
    Ok(checks)
}

fn open(bytes: &dyn SourceBytes, limits: &Limits) -> Result<Still> {
    if bytes.len() > limits.bytes {
        let message = format!("a picture of {} bytes; {} are allowed", bytes.len(), limits.bytes);
        return Err(Error::new(ErrorCode::InputTooLarge, message).with("limit", limits.bytes));
    }
    let damaged =
        |e: image::ImageError| Error::new(ErrorCode::InputDamaged, "the picture cannot be decoded").because(e);
    let unreadable =
        |e: std::io::Error| Error::new(ErrorCode::InputUnreadable, "the picture cannot be read").because(e);
    let reader = ImageReader::new(Cursor::new(read(bytes).map_err(unreadable)?));
    let mut decoder = reader
        .with_guessed_format()
        .map_err(unreadable)?
        .into_decoder()
        .map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.pixels || width.max(height) > limits.edge {
        let message = format!("the picture has {width}x{height} pixels; {} are allowed", limits.pixels);
        return Err(Error::new(ErrorCode::InputTooManyPixels, message).with("limit", limits.pixels));
    }
    let colour = decoder.color_type();
    let icc = decoder.icc_profile().map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    Ok(Still {
        picture: DynamicImage::from_decoder(decoder).map_err(damaged)?,
        colour,
        icc,
        orientation,
    })
}

fn read(bytes: &dyn SourceBytes) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let from = all.len();
        all.resize(from + CHUNK, 0);
        let read = bytes.read_at(from as u64, &mut all[from..])?;
        all.truncate(from + read);
        if read == 0 {
            return Ok(all);
        }
    }
}

fn pictures(source: &Still, result: &Still) -> Check {
    let method = format!(
        "the result was shrunk to the source's size (bicubic) and its luma compared with the source's over the whole picture, \
         transparent parts on black where both have them: for means of {CELL}x{CELL} pixels, a PSNR of {LEAST_PSNR} dB, or less \
         where contrasts are larger, and errors above {LOSS} levels must stay under {:.0}% of the picture's variance; it sees neither colours nor detail \
         finer than a pixel of the source",
        100.0 * UNLIKE
    );
    let transparent = source.colour.has_alpha() && result.colour.has_alpha();
    let (own, found) = (luma(&source.picture, transparent), luma(&result.picture, transparent));
    let found = imageops::resize(&found, own.width(), own.height(), FilterType::CatmullRom);
    let likeness = Likeness::of(own.as_raw(), found.as_raw(), own.width());
    let psnr = psnr(mean_square(own.as_raw(), found.as_raw()));
    Check::new(
        "pictures",
        method,
        "the source's picture",
        format!("{psnr:.1} dB"),
        likeness.holds(),
    )
}

fn luma(picture: &DynamicImage, transparent: bool) -> GrayImage {
    if !transparent {
        return picture.to_luma8();
    }
    let mut shown = picture.to_luma_alpha8();
    for pixel in shown.pixels_mut() {
        pixel.0[0] = (u16::from(pixel.0[0]) * u16::from(pixel.0[1]) / 255) as u8;
    }
    DynamicImage::ImageLumaA8(shown).to_luma8()
}

/// The checks `channels` and `bits`.
fn channels(own: ColorType, found: ColorType, held: &Holds) -> [Check; 2] {
    let shown = |c: ColorType| {
        format!(
            "{}{}",
            if c.has_color() { "colour" } else { "grey" },
            if c.has_alpha() { " with transparency" } else { "" }
        )
    };
    let bits = |c: ColorType| c.bits_per_pixel() / u16::from(c.channel_count());
    let alpha_lost = own.has_alpha() != found.has_alpha();
    let colour_lost = own.has_color() != found.has_color();
    let excused =
        (!alpha_lost || (own.has_alpha() && !held.alpha)) && (!colour_lost || (!own.has_color() && !held.grey));
    let method = "whether the samples are of colour or grey, and transparent, was compared as decoded";
    let channels = Check::new(
        "channels",
        method,
        shown(own),
        shown(found),
        !alpha_lost && !colour_lost,
    )
    .named_if(excused);
    let method = "the bits of a sample were compared as decoded; the result may have more";
    let kept = bits(found) >= bits(own);
    let depth = Check::new("bits", method, bits(own).to_string(), bits(found).to_string(), kept)
        .named_if(bits(found) >= held.bits);
    [channels, depth]
}
