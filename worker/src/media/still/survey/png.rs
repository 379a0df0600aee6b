use std::io::{self, Read};

use super::{IPTC, Survey, TEXT};
use crate::media::still::density::Density;
use crate::media::still::reader::{Reader, skip, take};

/// Bytes that an EXIF block after the pixels may have.
const EXIF_BYTES: u64 = 16 << 20;
/// Gamma and primaries of sRGB, as PNG writes them.
const SRGB_GAMMA: u32 = 45_455;
const SRGB_PRIMARIES: [u32; 8] = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];

/// Walks the chunks to the end: EXIF and text may follow the pixels.
pub(super) fn survey(reader: &mut Reader<'_>, survey: &mut Survey) -> io::Result<()> {
    let mut colours = Colours::default();
    let walked = walk(reader, survey, &mut colours);
    if colours.described || (colours.own && !colours.kept) {
        survey.loses("its description of colours (cICP, gAMA, cHRM)");
    }
    walked
}

/// What says how the codes become colours. A profile and sRGB are kept, and overrule gamma and primaries.
#[derive(Default)]
struct Colours {
    kept: bool,
    /// Gamma or primaries other than those of sRGB.
    own: bool,
    /// Code points for video, which overrule all else.
    described: bool,
}

fn walk(reader: &mut Reader<'_>, survey: &mut Survey, colours: &mut Colours) -> io::Result<()> {
    skip(reader, 8)?;
    let mut pixels = false;
    loop {
        let length = u64::from(u32::from_be_bytes(take(reader)?));
        let kind: [u8; 4] = take(reader)?;
        let mut left = length;
        match &kind {
            b"IHDR" if length >= 8 => {
                survey.size = Some((u32::from_be_bytes(take(reader)?), u32::from_be_bytes(take(reader)?)));
                left -= 8;
            }
            b"IDAT" => pixels = true,
            b"eXIf" if pixels && length <= EXIF_BYTES => {
                let mut exif = Vec::new();
                reader.take(length).read_to_end(&mut exif)?;
                survey.exif = Some(exif);
                left = 0;
            }
            b"tEXt" | b"zTXt" | b"iTXt" if length >= 17 => {
                match &take::<17>(reader)? {
                    b"XML:com.adobe.xmp" => survey.xmp = true,
                    b"Raw profile type " => survey.loses(IPTC),
                    _ => survey.loses(TEXT),
                }
                left -= 17;
            }
            b"tEXt" | b"zTXt" | b"iTXt" => survey.loses(TEXT),
            b"pHYs" if length == 9 => {
                let (x, y) = (u32::from_be_bytes(take(reader)?), u32::from_be_bytes(take(reader)?));
                survey.density = match take(reader)? {
                    [1] => Density::metres(x.into(), y.into()),
                    _ => Density::ratio(x.into(), y.into()),
                };
                left = 0;
            }
            b"iCCP" => (survey.profile, colours.kept) = (true, true),
            b"sRGB" => colours.kept = true,
            b"cICP" if length == 4 => {
                // The primaries and the curve of sRGB, full range: what a picture without a profile is taken for.
                colours.described |= !matches!(take(reader)?, [1, 13, 0, 1]);
                left = 0;
            }
            b"gAMA" if length == 4 => {
                colours.own |= u32::from_be_bytes(take(reader)?) != SRGB_GAMMA;
                left = 0;
            }
            b"cHRM" if length == 32 => {
                for expected in SRGB_PRIMARIES {
                    colours.own |= u32::from_be_bytes(take(reader)?) != expected;
                }
                left = 0;
            }
            b"IEND" => return Ok(()),
            _ => {}
        }
        // The data is followed by a checksum.
        skip(reader, left + 4)?;
    }
}
