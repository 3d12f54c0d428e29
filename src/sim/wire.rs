//! `Wire`: one simulated connection with Linux's rules for bytes, FINs, resets and edges.
//!
//! It knows neither random faults nor time. Both ends follow the same rules, so each method takes
//! the side it is called on.
//!
//! ```text
//!          write ──▶ ┌ outgoing of Server ┐ ──▶ read
//!  Server            └────────────────────┘           Peer
//!          read ◀──  ┌ outgoing of Peer   ┐ ◀── write
//!                    └────────────────────┘
//! ```

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::IoSlice;

use libc::{EAGAIN, ECONNRESET, ENOTCONN, EPIPE};

use crate::trace::SysResult;

/// One of the two ends of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// The end of the server under test.
    Server,
    /// The end of the simulated peer.
    Peer,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Server => Self::Peer,
            Self::Peer => Self::Server,
        }
    }
}

/// The readiness of one end at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndReadiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) read_closed: bool,
}

/// The state of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndState {
    Open,
    /// The connection is broken. The next call returns the error, once.
    Broken(Option<i32>),
    /// This end was closed.
    Closed,
}

/// One direction: bytes that were written and not yet read.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer's FIN follows the bytes.
    is_ended: bool,
    /// A write was cut short, so free space raises an edge.
    awaits_space: bool,
}

impl Pipe {
    const fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity, is_ended: false, awaits_space: false }
    }

    fn free_space(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    /// Whether a third is free, which wakes a writer. Linux does not wake it for a single byte.
    fn is_writable(&self) -> bool {
        self.free_space() * 3 >= self.capacity
    }

    fn push(&mut self, slices: &[IoSlice<'_>], len_max: usize) -> usize {
        let mut left = len_max.min(self.free_space());
        let before = self.bytes.len();
        for slice in slices {
            let taken = left.min(slice.len());
            self.bytes.extend(&slice[..taken]);
            left -= taken;
        }
        self.bytes.len() - before
    }

    fn pull(&mut self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let cut = len.min(front.len());
        buf[..cut].copy_from_slice(&front[..cut]);
        buf[cut..len].copy_from_slice(&back[..len - cut]);
        self.bytes.drain(..len);
        len
    }
}

#[derive(Debug)]
struct WireEnd {
    state: EndState,
    outgoing: Pipe,
    /// Something happened that epoll reports to this end.
    edge: bool,
}

impl WireEnd {
    const fn new(capacity: usize) -> Self {
        Self { state: EndState::Open, outgoing: Pipe::new(capacity), edge: false }
    }
}

/// One connection with its two ends.
#[derive(Debug)]
pub(super) struct Wire {
    server: WireEnd,
    peer: WireEnd,
}

impl Wire {
    /// Creates a connection with kernel buffers of `capacity` bytes in each direction.
    pub(super) const fn new(capacity: usize) -> Self {
        Self { server: WireEnd::new(capacity), peer: WireEnd::new(capacity) }
    }

    const fn end(&self, side: Side) -> &WireEnd {
        match side {
            Side::Server => &self.server,
            Side::Peer => &self.peer,
        }
    }

    const fn end_mut(&mut self, side: Side) -> &mut WireEnd {
        match side {
            Side::Server => &mut self.server,
            Side::Peer => &mut self.peer,
        }
    }

    /// The number of bytes that `side` can read.
    pub(super) fn unread(&self, side: Side) -> usize {
        self.end(side.other()).outgoing.bytes.len()
    }

    /// The number of bytes that `side` can write, 0 if its direction has ended.
    pub(super) fn free_space(&self, side: Side) -> usize {
        let end = self.end(side);
        if end.state == EndState::Open && !end.outgoing.is_ended { end.outgoing.free_space() } else { 0 }
    }

    /// The size of the kernel buffer for what `side` writes.
    pub(super) const fn capacity(&self, side: Side) -> usize {
        self.end(side).outgoing.capacity
    }

    /// Whether a write of `side` was cut short, so that free space will raise an edge.
    pub(super) const fn awaits_space(&self, side: Side) -> bool {
        self.end(side).outgoing.awaits_space
    }

    /// Behaves as if a write of `side` had been cut short.
    pub(super) const fn await_space(&mut self, side: Side) {
        self.end_mut(side).outgoing.awaits_space = true;
    }

    /// Enlarges the kernel buffers to at least `capacity` bytes in each direction.
    pub(super) fn enlarge(&mut self, capacity: usize) {
        for side in [Side::Server, Side::Peer] {
            let pipe = &mut self.end_mut(side).outgoing;
            pipe.capacity = pipe.capacity.max(capacity);
            self.raise_if_writable(side);
        }
    }

    /// Whether `side` has sent its FIN.
    pub(super) const fn has_finished(&self, side: Side) -> bool {
        self.end(side).outgoing.is_ended
    }

    pub(super) fn is_open(&self, side: Side) -> bool {
        self.end(side).state == EndState::Open
    }

    pub(super) fn is_closed(&self, side: Side) -> bool {
        self.end(side).state == EndState::Closed
    }

    /// What epoll_wait(2) reports for `side` now.
    pub(super) fn readiness(&self, side: Side) -> EndReadiness {
        let (end, other) = (self.end(side), self.end(side.other()));
        let is_broken = matches!(end.state, EndState::Broken(_));
        let read_closed = is_broken || other.outgoing.is_ended;
        EndReadiness {
            readable: read_closed || !other.outgoing.bytes.is_empty(),
            writable: is_broken || end.outgoing.is_ended || end.outgoing.is_writable(),
            read_closed,
        }
    }

    /// Returns and clears the edge of `side`.
    pub(super) const fn take_edge(&mut self, side: Side) -> bool {
        let edge = &mut self.end_mut(side).edge;
        std::mem::replace(edge, false)
    }

    /// read(2).
    pub(super) fn read(&mut self, side: Side, buf: &mut [u8]) -> SysResult {
        let writer = self.end_mut(side.other());
        let is_ended = writer.outgoing.is_ended;
        let len = writer.outgoing.pull(buf);
        if len > 0 {
            self.raise_if_writable(side.other());
            return Ok(len);
        }
        match self.take_error(side) {
            Some(errno) => Err(errno),
            None if is_ended || !self.is_open(side) => Ok(0),
            None => Err(EAGAIN),
        }
    }

    fn raise_if_writable(&mut self, writer: Side) {
        let writer = self.end_mut(writer);
        if writer.outgoing.awaits_space && writer.outgoing.is_writable() {
            writer.outgoing.awaits_space = false;
            writer.edge = true;
        }
    }

    /// writev(2) of at most `len_max` bytes.
    pub(super) fn write(&mut self, side: Side, slices: &[IoSlice<'_>], len_max: usize) -> SysResult {
        if let Some(errno) = self.take_error(side) {
            return Err(errno);
        }
        let is_other_open = !self.is_closed(side.other());
        let end = self.end_mut(side);
        if end.state != EndState::Open || end.outgoing.is_ended {
            return Err(EPIPE);
        }
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        if !is_other_open {
            // The kernel takes the bytes. The other end is closed and answers with a reset.
            self.reset(side.other(), 0);
            return Ok(wanted);
        }
        let len = end.outgoing.push(slices, len_max);
        end.outgoing.awaits_space |= len < wanted;
        if len == 0 && wanted > 0 {
            return Err(EAGAIN);
        }
        self.end_mut(side.other()).edge = true;
        Ok(len)
    }

    /// shutdown(2) of the writing direction of `side`.
    pub(super) fn finish(&mut self, side: Side) -> SysResult<()> {
        if !self.is_open(side) {
            return Err(ENOTCONN);
        }
        self.end_mut(side).outgoing.is_ended = true;
        self.end_mut(side.other()).edge = true;
        Ok(())
    }

    /// close(2): sends a FIN behind the bytes, or a reset if this end has unread input.
    /// The reset destroys all bytes that the other end has not read.
    pub(super) fn close(&mut self, side: Side) {
        if self.is_open(side) && self.unread(side) > 0 {
            return self.reset(side, 0);
        }
        if self.is_open(side) {
            self.end_mut(side).outgoing.is_ended = true;
            self.end_mut(side.other()).edge = true;
        }
        self.release(side);
    }

    /// Closes with a reset. The other end can still read at most `arrived` bytes.
    pub(super) fn reset(&mut self, side: Side, arrived: usize) {
        let end = self.end_mut(side);
        end.outgoing.bytes.truncate(arrived);
        // Linux reports EPIPE to an end that had already received a FIN, else ECONNRESET.
        let errno = if end.outgoing.is_ended { EPIPE } else { ECONNRESET };
        self.break_end(side.other(), errno);
        self.release(side);
    }

    /// Breaks the connection and destroys all unread bytes. `side` gets `errno`, the other end ECONNRESET.
    pub(super) fn break_with(&mut self, side: Side, errno: i32) {
        for (end, errno) in [(side, errno), (side.other(), ECONNRESET)] {
            self.break_end(end, errno);
        }
    }

    fn break_end(&mut self, side: Side, errno: i32) {
        let end = self.end_mut(side);
        if end.state == EndState::Open {
            end.state = EndState::Broken(Some(errno));
            end.outgoing.bytes = VecDeque::new();
            end.edge = true;
        }
    }

    /// Closes this end. The bytes that it wrote still arrive.
    fn release(&mut self, side: Side) {
        self.end_mut(side).state = EndState::Closed;
        self.end_mut(side.other()).outgoing.bytes = VecDeque::new();
    }

    /// Returns and clears the error of a broken end.
    pub(super) const fn take_error(&mut self, side: Side) -> Option<i32> {
        match &mut self.end_mut(side).state {
            EndState::Broken(errno) => errno.take(),
            EndState::Open | EndState::Closed => None,
        }
    }
}
