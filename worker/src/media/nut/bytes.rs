//! NUT's numbers, in a stream and in a header that has been read.

use std::io::{self, BufReader, Read};

use clearfleet_common::ErrorCode;

use super::crc::Crc;
use crate::{Error, Result};

/// What [`Source`] reads ahead, in bytes: small, for a packet's bytes beyond it go straight to their place.
const READ_AHEAD: usize = 4096;

/// A stream that is not NUT, or is damaged.
pub(super) fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::DecodeFailed, format!("malformed NUT stream: {what}"))
}

/// Bytes from which numbers are read.
pub(super) trait Numbers {
    /// The next byte.
    fn byte(&mut self) -> Result<u8>;

    /// An unsigned number: seven bits a byte, highest first, the top bit set in all but the last.
    fn number(&mut self) -> Result<u64> {
        let mut value = 0;
        // Ten bytes hold any 64-bit number; more would be padding that nobody writes.
        for _ in 0..10 {
            let byte = self.byte()?;
            if value > u64::MAX >> 7 {
                break;
            }
            value = value << 7 | u64::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a number is longer than 64 bits"))
    }

    /// A signed number: 0, 1, -1, 2, -2 and so on by [`Self::number`].
    fn signed(&mut self) -> Result<i64> {
        let value = self.number()?;
        let half = (value >> 1) as i64;
        Ok(if value & 1 == 1 { half.saturating_add(1) } else { -half })
    }

    /// A [`Self::number`] that must lie in `range`.
    fn number_in(&mut self, what: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
        let value = self.number()?;
        if range.contains(&value) {
            return Ok(value);
        }
        Err(malformed(format_args!("{what} is out of range"))
            .with("found", value)
            .with("least", range.start())
            .with("most", range.end()))
    }
}

/// A header that has been read whole.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `size` bytes.
    pub(super) fn take(&mut self, size: u64) -> Result<&'a [u8]> {
        let parts = usize::try_from(size)
            .ok()
            .and_then(|size| self.0.split_at_checked(size));
        let (taken, rest) = parts.ok_or_else(|| malformed("a header ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Numbers for Fields<'_> {
    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }
}

/// A stream that keeps the checksum of the headers read from it.
pub(super) struct Source<R> {
    input: BufReader<R>,
    crc: Crc,
}

impl<R: Read> Source<R> {
    /// Reads from `input`.
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(READ_AHEAD, input),
            crc: Crc::default(),
        }
    }

    /// Starts the checksum afresh and reads a byte, or nothing where the stream ends.
    pub(super) fn first_byte(&mut self) -> Result<Option<u8>> {
        let mut byte = [0];
        let read = loop {
            match self.input.read(&mut byte) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(failed)?,
            }
        };
        self.crc = Crc::of(&byte[..read]);
        Ok((read > 0).then_some(byte[0]))
    }

    /// Fills `bytes`, which count towards the checksum.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.fill_unchecked(bytes)?;
        self.crc.update(bytes);
        Ok(())
    }

    /// Fills `bytes`, which no checksum covers.
    pub(super) fn fill_unchecked(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.input.read_exact(bytes).map_err(failed)
    }

    /// Reads a checksum over all bytes since [`Self::first_byte`] or the last checksum, and compares.
    pub(super) fn check(&mut self, what: &str) -> Result<()> {
        self.fill(&mut [0; 4])?;
        let intact = self.crc.is_zero();
        self.crc = Crc::default();
        if intact {
            Ok(())
        } else {
            Err(malformed(format_args!("the checksum of {what} does not match")))
        }
    }

    /// Drops the checksum of what was read so far.
    pub(super) fn forget(&mut self) {
        self.crc = Crc::default();
    }
}

impl<R: Read> Numbers for Source<R> {
    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }
}

/// A read that failed: most often the stream stopped where it must go on.
fn failed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return malformed("it ends inside a packet");
    }
    Error::new(ErrorCode::DecodeFailed, "cannot read a NUT stream").because(error)
}
