//! The checksum of NUT's headers.

/// A CRC-32 with the polynomial 0x04C11DB7, highest bit first, from zero and not inverted.
///
/// Data followed by its own checksum, highest byte first, has the checksum 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crc(u32);

impl Crc {
    /// The checksum of `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut crc = Self::default();
        crc.update(bytes);
        crc
    }

    /// Goes on over `bytes`.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let index = (self.0 >> 24) as u8 ^ byte;
            self.0 = (self.0 << 8) ^ TABLE[usize::from(index)];
        }
    }

    /// Whether what it went over ended with the checksum of what came before.
    pub(super) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// As it is written behind the data.
    pub(super) fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// The change to the checksum that each byte at its top makes.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc >> 31;
            crc = (crc << 1) ^ (carry * 0x04C1_1DB7);
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_an_index_by_ffmpeg() {
        // The index of five frames at 5 frames a second, as ffmpeg 5.1 writes it.
        let index = [0x84, 0x80, 0x00, 0x01, 0x0f, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x1b];
        assert_eq!(Crc::of(&index).to_bytes(), [0xc1, 0x05, 0xf9, 0x5b]);
        assert!(Crc::of(&[index.as_slice(), &[0xc1, 0x05, 0xf9, 0x5b]].concat()).is_zero());
    }
}
