use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use clearfleet_common::Stop;

use crate::media::serve::SourceBytes;

/// How much is read from the source at a time.
const WINDOW: usize = 256 << 10;

/// A source as the decoders want it: read in order, with seeks.
pub(in crate::media) type Reader<'a> = BufReader<SourceReader<'a>>;

/// Reads a source up to an end that may lie before the source's own.
///
/// Decoders wrap the errors of what they read, or swallow them; so the first is kept here, to tell a source that cannot
/// be read from a picture that is damaged.
pub(in crate::media) struct SourceReader<'a> {
    source: &'a dyn SourceBytes,
    stop: &'a Stop,
    at: u64,
    end: u64,
    failure: Failure,
}

/// The first error of a source that could not be read.
pub(in crate::media) type Failure = Rc<RefCell<Option<io::Error>>>;

impl<'a> SourceReader<'a> {
    pub(in crate::media) fn buffered(source: &'a dyn SourceBytes, stop: &'a Stop, failure: &Failure) -> Reader<'a> {
        let reader = Self {
            source,
            stop,
            at: 0,
            end: source.len(),
            failure: Rc::clone(failure),
        };
        BufReader::with_capacity(WINDOW, reader)
    }

    /// Makes the source end at `end`, unless it ends before.
    pub(super) fn end_at(&mut self, end: u64) {
        self.end = self.source.len().min(end);
    }
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other("stopped"));
        }
        let left = usize::try_from(self.end.saturating_sub(self.at))
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if left == 0 {
            return Ok(0);
        }
        let read = self.source.read_at(self.at, &mut buffer[..left]).map_err(|e| {
            let (kind, message) = (e.kind(), e.to_string());
            self.failure.borrow_mut().get_or_insert(e);
            io::Error::new(kind, message)
        })?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for SourceReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a seek to before the start"))?;
        Ok(self.at)
    }
}

/// Reads exactly `N` bytes.
pub(in crate::media) fn take<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Goes on by `bytes`; within what is buffered already, nothing is read again.
pub(in crate::media) fn skip(reader: &mut Reader<'_>, bytes: u64) -> io::Result<()> {
    reader.seek_relative(i64::try_from(bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?)
}

/// Goes on to behind the next `byte`.
pub(super) fn skip_to(reader: &mut Reader<'_>, byte: u8) -> io::Result<()> {
    if reader.skip_until(byte)? == 0 {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}
