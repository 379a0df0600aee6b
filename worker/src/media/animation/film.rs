//! An animated picture as ffmpeg reads it: a film of raw frames that is made as it is read.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use clearfleet_common::Stop;

use super::frames::compose;
use super::quicktime;
use super::timing::Timing;
use crate::media::serve::SourceBytes;
use crate::media::sniff::{self, Kind};
use crate::{Error, Result};

/// Places at which a film is read at a time: one batch is decoded while the next begins.
const CURSORS: usize = 3;

/// The bytes of a QuickTime file of raw RGBA frames, one for each frame of the picture at the time at which it is shown.
/// None of them is stored: whoever reads in order has each frame decoded and composed once.
pub(crate) struct Film {
    source: Arc<dyn SourceBytes>,
    timing: Arc<Timing>,
    head: Vec<u8>,
    frame_bytes: u64,
    /// What went on from where somebody has read, the latest last.
    cursors: Mutex<Vec<Cursor>>,
}

/// A place in the film, and the thread that decodes ahead of it.
struct Cursor {
    /// How many frames have come; the last of them is held.
    taken: u64,
    frame: Vec<u8>,
    frames: Receiver<Result<Vec<u8>>>,
}

impl Film {
    /// Reads what the picture says of its times; its frames only when they are asked for.
    ///
    /// # Errors
    /// `Internal` if it is no picture that can move; those of [`Timing::read`].
    pub(crate) fn open(source: Arc<dyn SourceBytes>, stop: &Stop) -> Result<Self> {
        let (Kind::Animation(picture) | Kind::Still(picture)) = sniff::look(&*source)? else {
            return Err(Error::internal("what is no picture is no film"));
        };
        let timing = Timing::read(picture, &*source, stop)?;
        let (width, height) = timing.size;
        Ok(Self {
            head: quicktime::head(&timing),
            frame_bytes: u64::from(width) * u64::from(height) * 4,
            timing: Arc::new(timing),
            source,
            cursors: Mutex::default(),
        })
    }

    /// What the picture says of itself.
    pub(crate) fn timing(&self) -> &Timing {
        &self.timing
    }

    /// The cursor that is nearest before frame `n`, or a new one at the beginning.
    fn cursor(&self, n: u64) -> io::Result<Cursor> {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cursors.iter().enumerate().filter(|(_, cursor)| cursor.taken <= n + 1);
        match before.max_by_key(|(_, cursor)| cursor.taken) {
            Some((at, _)) => Ok(cursors.remove(at)),
            None => Cursor::start(&self.timing, &self.source),
        }
    }

    fn put_back(&self, cursor: Cursor) {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if cursors.len() == CURSORS {
            cursors.remove(0);
        }
        cursors.push(cursor);
    }
}

impl SourceBytes for Film {
    fn len(&self) -> u64 {
        self.head.len() as u64 + self.timing.delays.len() as u64 * self.frame_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let head = self.head.len() as u64;
        if offset >= self.len() {
            return Ok(0);
        }
        if offset < head {
            return Ok(copy(&self.head, offset, buffer));
        }
        let (n, within) = ((offset - head) / self.frame_bytes, (offset - head) % self.frame_bytes);
        let mut cursor = self.cursor(n)?;
        let read = copy(cursor.frame(n)?, within, buffer);
        self.put_back(cursor);
        Ok(read)
    }
}

impl Cursor {
    /// Starts decoding at the first frame; the thread ends with the last one, or when nobody takes frames any more.
    fn start(timing: &Arc<Timing>, source: &Arc<dyn SourceBytes>) -> io::Result<Self> {
        let (sender, frames) = sync_channel(1);
        let (timing, source) = (Arc::clone(timing), Arc::clone(source));
        std::thread::Builder::new().name("frames".to_owned()).spawn(move || {
            let composed = compose(&timing, &*source, &mut |shown| match sender.send(Ok(shown.to_vec())) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            });
            if let Err(e) = composed {
                // Nobody is there to be told where nobody takes frames any more.
                let _ = sender.send(Err(e));
            }
        })?;
        Ok(Self {
            taken: 0,
            frame: Vec::new(),
            frames,
        })
    }

    /// Goes on to frame `n`, which is not before the last one taken.
    fn frame(&mut self, n: u64) -> io::Result<&[u8]> {
        while self.taken <= n {
            let next = self.frames.recv();
            // A decoder that panicked has said so by itself.
            let next = next.map_err(|_| io::Error::other("the decoder of an animated picture is gone"))?;
            self.frame = next.map_err(io::Error::other)?;
            self.taken += 1;
        }
        Ok(&self.frame)
    }
}

/// Copies what there is from `offset` on; returns how much.
fn copy(from: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let rest = &from[offset as usize..];
    let length = rest.len().min(buffer.len());
    buffer[..length].copy_from_slice(&rest[..length]);
    length
}
