//! Two ends of a stream in memory, and what may befall each call on them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::net::Stream;
use crate::sim::Rng;

/// What happens to the calls on an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// What can be done is done.
    Fair,
    /// One byte a call.
    Drip,
    /// Any number of bytes, `WouldBlock` and `Interrupted` at any time.
    Foul,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    is_ended: bool,
    /// All that ever went in.
    written: usize,
}

/// One end of a stream in memory.
#[derive(Debug)]
pub(super) struct End {
    outgoing: Arc<Mutex<Pipe>>,
    incoming: Arc<Mutex<Pipe>>,
    weather: Weather,
    rng: Rng,
}

/// Two ends, with room for `capacity` bytes each way.
pub(super) fn pair(capacity: usize, weather: Weather, seed: u64) -> (End, End) {
    let pipe = || Arc::new(Mutex::new(Pipe { capacity, ..Pipe::default() }));
    let (one, other) = (pipe(), pipe());
    let end = |outgoing: &Arc<Mutex<Pipe>>, incoming: &Arc<Mutex<Pipe>>, seed| End {
        outgoing: Arc::clone(outgoing),
        incoming: Arc::clone(incoming),
        weather,
        rng: Rng::new(seed),
    };
    (end(&one, &other, seed), end(&other, &one, !seed))
}

impl End {
    fn outgoing(&self) -> MutexGuard<'_, Pipe> {
        self.outgoing.lock().unwrap()
    }

    /// Changes how much may wait in the direction that this end writes.
    pub(super) fn resize(&self, capacity: usize) {
        self.outgoing().capacity = capacity;
    }

    /// How many bytes this end ever wrote.
    pub(super) fn written(&self) -> usize {
        self.outgoing().written
    }

    /// How many bytes this end could read.
    pub(super) fn unread(&self) -> usize {
        self.incoming.lock().unwrap().bytes.len()
    }

    /// How many of `len` bytes this call may move.
    fn allow(&mut self, len: usize) -> io::Result<usize> {
        match self.weather {
            Weather::Fair => Ok(len),
            Weather::Drip => Ok(1),
            Weather::Foul => match self.rng.below(8) {
                0 => Err(ErrorKind::WouldBlock.into()),
                1 => Err(ErrorKind::Interrupted.into()),
                2 => Ok(1),
                _ => Ok(1 + self.rng.below(len)),
            },
        }
    }
}

impl Stream for End {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len_max = self.allow(buf.len())?;
        let mut pipe = self.incoming.lock().unwrap();
        let len = len_max.min(pipe.bytes.len());
        if len == 0 && !pipe.is_ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (place, byte) in buf.iter_mut().zip(pipe.bytes.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let len_max = self.allow(wanted)?;
        let mut pipe = self.outgoing();
        if pipe.is_ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = pipe.capacity.saturating_sub(pipe.bytes.len());
        let len = wanted.min(len_max).min(room);
        if len == 0 && wanted > 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
        pipe.bytes.extend(bytes.take(len));
        pipe.written += len;
        Ok(len)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.outgoing().is_ended = true;
        Ok(())
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        Ok(())
    }
}
