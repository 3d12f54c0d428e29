//! An in-memory stream pair with fault injection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::net::Stream;
use crate::sim::Rng;

/// How many bytes one call moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// As many as possible.
    Whole,
    /// One byte.
    ByteByByte,
    /// A random number; the call may also fail with `WouldBlock` or `Interrupted`.
    Faulty,
}

/// One direction of the stream.
#[derive(Debug, Default)]
struct MemoryPipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    is_ended: bool,
    /// Total of the bytes written.
    written: usize,
}

/// One end of an in-memory stream.
#[derive(Debug)]
pub(super) struct MemoryStream {
    outgoing: Arc<Mutex<MemoryPipe>>,
    incoming: Arc<Mutex<MemoryPipe>>,
    transfer: Transfer,
    rng: Rng,
}

/// Two connected ends that buffer `capacity` bytes each way.
pub(super) fn pair(capacity: usize, transfer: Transfer, seed: u64) -> (MemoryStream, MemoryStream) {
    let pipe = || Arc::new(Mutex::new(MemoryPipe { capacity, ..MemoryPipe::default() }));
    let (one, other) = (pipe(), pipe());
    let end = |outgoing: &Arc<Mutex<MemoryPipe>>, incoming: &Arc<Mutex<MemoryPipe>>, seed| MemoryStream {
        outgoing: Arc::clone(outgoing),
        incoming: Arc::clone(incoming),
        transfer,
        rng: Rng::new(seed),
    };
    (end(&one, &other, seed), end(&other, &one, !seed))
}

impl MemoryStream {
    fn outgoing(&self) -> MutexGuard<'_, MemoryPipe> {
        self.outgoing.lock().unwrap()
    }

    /// Changes the capacity of the direction that this end writes.
    pub(super) fn resize(&self, capacity: usize) {
        self.outgoing().capacity = capacity;
    }

    /// How many bytes this end has written in total.
    pub(super) fn written(&self) -> usize {
        self.outgoing().written
    }

    /// How many bytes this end can read.
    pub(super) fn unread(&self) -> usize {
        self.incoming.lock().unwrap().bytes.len()
    }

    /// How many of `len` bytes this call may move.
    fn allow(&mut self, len: usize) -> io::Result<usize> {
        match self.transfer {
            Transfer::Whole => Ok(len),
            Transfer::ByteByByte => Ok(1),
            Transfer::Faulty => match self.rng.below(8) {
                0 => Err(ErrorKind::WouldBlock.into()),
                1 => Err(ErrorKind::Interrupted.into()),
                2 => Ok(1),
                _ => Ok(1 + self.rng.below(len)),
            },
        }
    }
}

impl Stream for MemoryStream {
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
        let free = pipe.capacity.saturating_sub(pipe.bytes.len());
        let len = wanted.min(len_max).min(free);
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
