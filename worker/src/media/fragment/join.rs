use std::io::{Cursor, Read};

use clearfleet_common::mp4::Additions;
use mp4_atom::{Atom, FourCC, Moov};

use super::boxes::{read_box, write_box};
use super::encoder_said;
use crate::{Error, Result};

/// Reads joined segments as one stream: the first whole, with additions to its header; of the others only the fragments.
pub(crate) struct Joined<I> {
    segments: I,
    additions: Additions,
    init: Option<Vec<u8>>,
    current: Option<Box<dyn Read + Send>>,
    ready: Cursor<Vec<u8>>,
}

impl<I> Joined<I> {
    /// Joins what `segments` gives, in its order.
    pub(crate) fn new(segments: I, additions: Additions) -> Self {
        Self {
            segments,
            additions,
            init: None,
            current: None,
            ready: Cursor::default(),
        }
    }
}

impl<I: Iterator<Item = Result<Box<dyn Read + Send>>>> Joined<I> {
    /// Reads on into `ready`; false at the end of the last segment.
    fn advance(&mut self) -> Result<bool> {
        let Some(segment) = &mut self.current else {
            let Some(next) = self.segments.next() else {
                return Ok(false);
            };
            let mut segment = next?;
            let init = read_init(&mut segment)?;
            self.current = Some(segment);
            let bytes = match &self.init {
                None => {
                    let first = self.init.insert(init).clone();
                    let unexpected = || encoder_said("a header without the boxes of a video track");
                    self.additions.add_to(first).ok_or_else(unexpected)?
                }
                Some(first) if *first == init => Vec::new(),
                Some(_) => return Err(encoder_said("segments of different streams")),
            };
            self.ready = Cursor::new(bytes);
            return Ok(true);
        };
        let mut bytes = std::mem::take(&mut self.ready).into_inner();
        bytes.resize(1 << 20, 0);
        let read = segment
            .read(&mut bytes)
            .map_err(|e| Error::internal("a segment cannot be read").because(e))?;
        bytes.truncate(read);
        if read == 0 {
            self.current = None;
        }
        self.ready = Cursor::new(bytes);
        Ok(true)
    }
}

impl<I: Iterator<Item = Result<Box<dyn Read + Send>>>> Read for Joined<I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.ready.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if !self.advance().map_err(std::io::Error::other)? {
                return Ok(0);
            }
        }
    }
}

/// The boxes up to the end of `moov`, as they are.
pub(crate) fn read_init(segment: &mut impl Read) -> Result<Vec<u8>> {
    let mut init = Vec::new();
    while let Some((kind, bytes)) = read_box(segment)? {
        write_box(&mut init, &kind, &bytes)?;
        if FourCC::from(kind) == Moov::KIND {
            return Ok(init);
        }
    }
    Err(encoder_said("a segment without a header"))
}
