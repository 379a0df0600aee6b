//! Files made byte by byte, for what no encoder would write.

use std::path::Path;

/// The signature that a PNG starts with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The head of a grey PNG of 8 bits, with no pixel behind it.
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut file = PNG.to_vec();
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(&mut file, b"IHDR", &[&size, &[8, 0, 0, 0, 0][..]].concat());
    file
}

/// A black, grey PNG of 8 bits: a thousandth of its pixels in bytes.
pub fn black_png(width: u32, height: u32) -> Vec<u8> {
    let mut file = png_header(width, height);
    // Each row starts with the number of its filter.
    let bytes = (u64::from(width) + 1) * u64::from(height);
    chunk(&mut file, b"IDAT", &zeros(bytes));
    chunk(&mut file, b"IEND", b"");
    file
}

/// The same file with a PNG in it that says another size of itself, as if it had been written so.
///
/// # Panics
/// If there is no PNG in it.
pub fn oversized_png(mut file: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    let header = file.windows(4).position(|bytes| bytes == b"IHDR");
    let header = header.expect("a PNG");
    // Name, width, height, five bytes more, checksum.
    let (end, size) = (header + 17, [width.to_be_bytes(), height.to_be_bytes()].concat());
    file[header + 4..header + 12].copy_from_slice(&size);
    let sum = crc(&file[header..end]).to_be_bytes();
    file[end..end + 4].copy_from_slice(&sum);
    file
}

/// The head of a GIF that promises one picture of its whole size, with no pixel behind it.
pub fn gif_header(width: u16, height: u16) -> Vec<u8> {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let screen = [&b"GIF89a"[..], &size, &[0x80, 0, 0], &[0, 0, 0, 255, 255, 255]].concat();
    [&screen[..], &[0x2c, 0, 0, 0, 0], &size, &[0, 2]].concat()
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("a chunk of less than 4 GiB");
    let named = [&name[..], data].concat();
    file.extend(length.to_be_bytes());
    file.extend(&named);
    file.extend(crc(&named).to_be_bytes());
}

fn crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// A zlib stream of at least one zero: one literal, then copies of 258 bytes from one byte before, 13 bits each.
fn zeros(bytes: u64) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, with the fixed codes.
    bits.put(0b1, 1);
    bits.put(0b01, 2);
    bits.code(0x30, 8);
    let (copies, literals) = ((bytes - 1) / 258, (bytes - 1) % 258);
    for _ in 0..copies {
        // Length 258 is symbol 285, distance 1 is symbol 0.
        bits.code(0xc5, 8);
        bits.code(0, 5);
    }
    for _ in 0..literals {
        bits.code(0x30, 8);
    }
    // The end of the block is symbol 256.
    bits.code(0, 7);
    // Adler-32 of zeros: the first sum stays 1, the second counts.
    let adler = ((bytes % 65_521) << 16) as u32 | 1;
    [&[0x78, 0x01], &bits.bytes[..], &adler.to_be_bytes()].concat()
}

/// Bits as deflate packs them: from the lowest of a byte on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// A number, its lowest bit first.
    fn put(&mut self, value: u32, count: u32) {
        for n in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> n & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// A Huffman code, its highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }
}

/// A film of QuickTime whose first track says that its samples are in the file at `path`, as an alias of the Macintosh.
///
/// # Panics
/// If it is no film of QuickTime.
pub fn referring(mut film: Vec<u8>, path: &Path) -> Vec<u8> {
    let mut at = 0;
    let nested = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"].map(|name| {
        let found = film[at..].windows(4).position(|bytes| bytes == name);
        at += found.expect("a film of QuickTime");
        at - 4
    });
    let size = |film: &[u8], at: usize| u32::from_be_bytes(*film[at..].first_chunk().expect("a size"));
    let references = nested[5];
    // Size, name, version and count stand before the one reference.
    let own = references + 16..references + size(&film, references) as usize;
    let alias = alias(path);
    let grown = u32::try_from(alias.len() - own.len()).expect("a short path");
    film.splice(own, alias);
    for at in nested {
        let size = size(&film, at) + grown;
        film[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    film
}

/// A data reference by an alias record that has nothing but an absolute path.
fn alias(path: &Path) -> Vec<u8> {
    /// Bytes of a record before its tags: volume, file, dates, levels.
    const RECORD: usize = 150;
    /// The tag of an absolute path, and the one that ends the record.
    const PATH: u16 = 2;
    const END: u16 = u16::MAX;
    let path = path.as_os_str().as_encoded_bytes();
    let length = u16::try_from(path.len()).expect("a short path");
    let padding = &[0][..path.len() % 2];
    let tags = [
        &PATH.to_be_bytes(),
        &length.to_be_bytes(),
        path,
        padding,
        &END.to_be_bytes(),
        &[0, 0],
    ]
    .concat();
    let size = u32::try_from(12 + RECORD + tags.len()).expect("a short path");
    [&size.to_be_bytes()[..], b"alis", &[0; 4], &[0; RECORD], &tags].concat()
}
