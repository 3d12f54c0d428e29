//! `Wire`: one simulated connection, with the rules of the kernel for both of its ends.
//!
//! No chance and no clock in here: bytes, ends, resets, and the edges that they raise, as Linux
//! has them. Both ends obey the same rules, so every method says at which end it is called.
//!
//! ```text
//!          write ──▶ ┌ outgoing of Server ┐ ──▶ read
//!  Server            └────────────────────┘           Peer
//!          read ◀──  ┌ outgoing of Peer   ┐ ◀── write
//!                    └────────────────────┘
//! ```

use std::collections::VecDeque;
use std::io::IoSlice;

use libc::{EAGAIN, ECONNRESET, ENOTCONN, EPIPE};

use super::outcome::Outcome;

/// Which end of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// The one that the server under test holds.
    Server,
    /// The one that the world holds.
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

/// What can be done with one end right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) read_closed: bool,
}

/// How far one end's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// The connection is gone; the error waits to be told, once.
    Broken(Option<i32>),
    /// Nobody holds this end any more.
    Closed,
}

/// One direction: what was written and not yet read.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer's FIN stands behind the bytes.
    is_ended: bool,
    /// A write met too little room, so that room is worth an edge.
    is_starved: bool,
}

impl Pipe {
    const fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity, is_ended: false, is_starved: false }
    }

    fn room(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    /// Whether there is enough room to wake a writer: a third, so that it is not woken for a byte.
    fn is_writable(&self) -> bool {
        self.room() * 3 >= self.capacity
    }

    fn push(&mut self, slices: &[IoSlice<'_>], len_max: usize) -> usize {
        let mut left = len_max.min(self.room());
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
struct End {
    life: Life,
    outgoing: Pipe,
    /// Something happened that epoll would tell this end.
    edge: bool,
}

impl End {
    const fn new(capacity: usize) -> Self {
        Self { life: Life::Open, outgoing: Pipe::new(capacity), edge: false }
    }
}

/// One connection: two ends.
#[derive(Debug)]
pub(super) struct Wire {
    server: End,
    peer: End,
}

impl Wire {
    /// A new connection whose kernels keep `capacity` bytes in each direction.
    pub(super) const fn new(capacity: usize) -> Self {
        Self { server: End::new(capacity), peer: End::new(capacity) }
    }

    const fn end(&self, side: Side) -> &End {
        match side {
            Side::Server => &self.server,
            Side::Peer => &self.peer,
        }
    }

    const fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Server => &mut self.server,
            Side::Peer => &mut self.peer,
        }
    }

    /// How many bytes `side` could read.
    pub(super) fn unread(&self, side: Side) -> usize {
        self.end(side.other()).outgoing.bytes.len()
    }

    /// How many bytes `side` could write; 0 once it cannot.
    pub(super) fn room(&self, side: Side) -> usize {
        let end = self.end(side);
        if end.life == Life::Open && !end.outgoing.is_ended { end.outgoing.room() } else { 0 }
    }

    /// Whether `side` met too little room, and will be told when there is more.
    pub(super) const fn awaits_room(&self, side: Side) -> bool {
        self.end(side).outgoing.is_starved
    }

    /// As if `side` had met too little room.
    pub(super) const fn await_room(&mut self, side: Side) {
        self.end_mut(side).outgoing.is_starved = true;
    }

    /// From now on the kernels keep at least `capacity` bytes in each direction.
    pub(super) fn widen(&mut self, capacity: usize) {
        for side in [Side::Server, Side::Peer] {
            let pipe = &mut self.end_mut(side).outgoing;
            pipe.capacity = pipe.capacity.max(capacity);
            self.tell_of_room(side);
        }
    }

    /// Whether `side` has ended its own direction.
    pub(super) const fn has_finished(&self, side: Side) -> bool {
        self.end(side).outgoing.is_ended
    }

    pub(super) fn is_open(&self, side: Side) -> bool {
        self.end(side).life == Life::Open
    }

    pub(super) fn is_closed(&self, side: Side) -> bool {
        self.end(side).life == Life::Closed
    }

    /// What epoll_wait would say of `side` now.
    pub(super) fn level(&self, side: Side) -> Level {
        let (end, other) = (self.end(side), self.end(side.other()));
        let is_broken = matches!(end.life, Life::Broken(_));
        let read_closed = is_broken || other.outgoing.is_ended;
        Level {
            readable: read_closed || !other.outgoing.bytes.is_empty(),
            writable: is_broken || end.outgoing.is_ended || end.outgoing.is_writable(),
            read_closed,
        }
    }

    /// Whether something was raised for `side` since this was last asked.
    pub(super) const fn take_edge(&mut self, side: Side) -> bool {
        let edge = &mut self.end_mut(side).edge;
        std::mem::replace(edge, false)
    }

    /// read(2).
    pub(super) fn read(&mut self, side: Side, buf: &mut [u8]) -> Outcome {
        let writer = self.end_mut(side.other());
        let is_ended = writer.outgoing.is_ended;
        let len = writer.outgoing.pull(buf);
        if len > 0 {
            self.tell_of_room(side.other());
            return Ok(len);
        }
        match self.take_error(side) {
            Some(errno) => Err(errno),
            None if is_ended || !self.is_open(side) => Ok(0),
            None => Err(EAGAIN),
        }
    }

    fn tell_of_room(&mut self, writer: Side) {
        let writer = self.end_mut(writer);
        if writer.outgoing.is_starved && writer.outgoing.is_writable() {
            writer.outgoing.is_starved = false;
            writer.edge = true;
        }
    }

    /// writev(2) of at most `len_max` bytes.
    pub(super) fn write(&mut self, side: Side, slices: &[IoSlice<'_>], len_max: usize) -> Outcome {
        if let Some(errno) = self.take_error(side) {
            return Err(errno);
        }
        let is_answered = !self.is_closed(side.other());
        let end = self.end_mut(side);
        if end.life != Life::Open || end.outgoing.is_ended {
            return Err(EPIPE);
        }
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        if !is_answered {
            // The kernel takes them; what they find at the other end is nobody, which comes back as a reset.
            self.reset(side.other(), 0);
            return Ok(wanted);
        }
        let len = end.outgoing.push(slices, len_max);
        end.outgoing.is_starved |= len < wanted;
        if len == 0 && wanted > 0 {
            return Err(EAGAIN);
        }
        self.end_mut(side.other()).edge = true;
        Ok(len)
    }

    /// shutdown(2) of the direction that `side` writes.
    pub(super) fn finish(&mut self, side: Side) -> Outcome<()> {
        if !self.is_open(side) {
            return Err(ENOTCONN);
        }
        self.end_mut(side).outgoing.is_ended = true;
        self.end_mut(side.other()).edge = true;
        Ok(())
    }

    /// close(2): a FIN behind the bytes; or, when some that came were never read, a reset that
    /// destroys what the other end has not read yet.
    pub(super) fn close(&mut self, side: Side) {
        if self.is_open(side) && self.unread(side) > 0 {
            return self.reset(side, 0);
        }
        if self.is_open(side) {
            self.end_mut(side).outgoing.is_ended = true;
            self.end_mut(side.other()).edge = true;
        }
        self.bury(side);
    }

    /// Closes with a reset: of what `side` wrote the other end still reads `arrived` bytes at most.
    pub(super) fn reset(&mut self, side: Side, arrived: usize) {
        let end = self.end_mut(side);
        end.outgoing.bytes.truncate(arrived);
        // Linux tells who had read our end already that its pipe broke, anybody else of a reset.
        let errno = if end.outgoing.is_ended { EPIPE } else { ECONNRESET };
        self.break_end(side.other(), errno);
        self.bury(side);
    }

    /// The connection dies on its way: `side` is told `errno`, the other end of a reset, and
    /// nothing that was not read yet arrives anywhere.
    pub(super) fn break_with(&mut self, side: Side, errno: i32) {
        for (end, errno) in [(side, errno), (side.other(), ECONNRESET)] {
            self.break_end(end, errno);
        }
    }

    fn break_end(&mut self, side: Side, errno: i32) {
        let end = self.end_mut(side);
        if end.life == Life::Open {
            end.life = Life::Broken(Some(errno));
            end.outgoing.bytes = VecDeque::new();
            end.edge = true;
        }
    }

    /// Nobody holds this end any more; what it wrote still travels.
    fn bury(&mut self, side: Side) {
        self.end_mut(side).life = Life::Closed;
        self.end_mut(side.other()).outgoing.bytes = VecDeque::new();
    }

    pub(super) const fn take_error(&mut self, side: Side) -> Option<i32> {
        match &mut self.end_mut(side).life {
            Life::Broken(errno) => errno.take(),
            Life::Open | Life::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Side::{Peer, Server};
    use super::*;

    fn write(wire: &mut Wire, side: Side, bytes: &[u8]) -> Outcome {
        wire.write(side, &[IoSlice::new(bytes)], usize::MAX)
    }

    fn read(wire: &mut Wire, side: Side) -> Outcome<Vec<u8>> {
        let mut buf = [0; 64];
        wire.read(side, &mut buf).map(|len| buf[..len].to_vec())
    }

    #[test]
    fn bytes_come_out_as_they_went_in_and_then_the_end() {
        let mut wire = Wire::new(8);
        assert_eq!(read(&mut wire, Server), Err(EAGAIN));
        assert_eq!(wire.write(Peer, &[IoSlice::new(b"ab"), IoSlice::new(b"cd")], usize::MAX), Ok(4));
        wire.finish(Peer).unwrap();
        assert_eq!(read(&mut wire, Server), Ok(b"abcd".to_vec()));
        assert_eq!(read(&mut wire, Server), Ok(vec![]));
        assert_eq!(write(&mut wire, Server, b"still"), Ok(5), "only one direction has ended");
        assert_eq!(write(&mut wire, Peer, b"more"), Err(EPIPE));
    }

    #[test]
    fn room_raises_an_edge_only_for_a_writer_that_met_too_little() {
        let mut wire = Wire::new(6);
        assert_eq!(write(&mut wire, Server, b"123"), Ok(3));
        assert_eq!(read(&mut wire, Peer), Ok(b"123".to_vec()));
        assert!(!wire.take_edge(Server), "nobody asked for room");

        assert_eq!(write(&mut wire, Server, b"1234567"), Ok(6));
        assert_eq!(write(&mut wire, Server, b"7"), Err(EAGAIN));
        assert_eq!(wire.read(Peer, &mut [0; 1]), Ok(1));
        assert!(!wire.take_edge(Server), "less than a third is free");
        assert_eq!(wire.read(Peer, &mut [0; 1]), Ok(1));
        assert!(wire.take_edge(Server));
    }

    #[test]
    fn a_close_with_unread_input_destroys_the_tail_of_what_was_sent() {
        let mut wire = Wire::new(8);
        write(&mut wire, Server, b"reply").unwrap();
        write(&mut wire, Peer, b"more").unwrap();
        wire.close(Server);
        assert_eq!(read(&mut wire, Peer), Err(ECONNRESET));
        assert_eq!(read(&mut wire, Peer), Ok(vec![]), "an error is told once");
        assert_eq!(write(&mut wire, Peer, b"x"), Err(EPIPE));
    }

    #[test]
    fn a_close_with_nothing_unread_ends_after_the_last_byte() {
        let mut wire = Wire::new(8);
        write(&mut wire, Server, b"reply").unwrap();
        wire.close(Server);
        assert_eq!(read(&mut wire, Peer), Ok(b"reply".to_vec()));
        assert_eq!(read(&mut wire, Peer), Ok(vec![]));
    }

    #[test]
    fn what_comes_after_a_close_is_answered_with_a_reset() {
        let mut wire = Wire::new(8);
        write(&mut wire, Server, b"reply").unwrap();
        wire.close(Server);
        assert_eq!(write(&mut wire, Peer, b"late"), Ok(4));
        assert_eq!(read(&mut wire, Peer), Err(EPIPE), "the tail is gone, and the end was there before the reset");
    }

    #[test]
    fn what_arrived_before_a_reset_can_still_be_read() {
        let mut wire = Wire::new(8);
        write(&mut wire, Peer, b"abcd").unwrap();
        wire.reset(Peer, 2);
        assert!(wire.take_edge(Server));
        assert_eq!(wire.level(Server), Level { readable: true, writable: true, read_closed: true });
        assert_eq!(read(&mut wire, Server), Ok(b"ab".to_vec()));
        assert_eq!(read(&mut wire, Server), Err(ECONNRESET));
        assert_eq!(read(&mut wire, Server), Ok(vec![]));
        assert_eq!(wire.finish(Server), Err(ENOTCONN));
    }
}
