//! A link: a stream together with what we remember of its readiness.
//!
//! Facts are edges: each is told once, so it is kept here until the stream itself says that it no
//! longer holds. Bytes are moved elsewhere, in `pump`.

use super::{AddressGroup, Readiness};

/// A stream and its readiness bits.
pub struct Link<T> {
    pub(super) stream: T,
    /// A read may succeed. Cleared by `WouldBlock`, by the end, and by a short read unless
    /// `reads_on` or the stream says that it proves nothing.
    pub(super) readable: bool,
    /// A write may succeed. Cleared by `WouldBlock` and by a short write.
    pub(super) writable: bool,
    /// A short read proves nothing: the end was announced and may lie behind the bytes that are
    /// there, with no second fact to come. Read on until the stream says that there is no more.
    pub(super) reads_on: bool,
    group: AddressGroup,
}

impl<T> Link<T> {
    /// A link of which nothing is known yet: the first fact comes by itself.
    pub const fn new(stream: T, group: AddressGroup) -> Self {
        Self { stream, readable: false, writable: false, reads_on: false, group }
    }

    /// Remembers a fact.
    #[inline]
    pub fn remember(&mut self, event: &Readiness) {
        self.readable |= event.readable | event.read_closed;
        self.writable |= event.writable;
        self.reads_on |= event.read_closed;
    }

    /// From now on reads until the stream says that there is no more, whatever is known.
    pub fn read_on(&mut self) {
        self.readable = true;
        self.reads_on = true;
    }

    /// The stream, to be asked how far it has come.
    pub fn stream_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// Whom the peer counts with.
    pub fn group(&self) -> AddressGroup {
        self.group
    }

    /// The stream, for parting from it.
    pub fn into_stream(self) -> T {
        self.stream
    }

    /// Whether a read, and whether a write, may succeed as far as we know.
    pub fn readiness(&self) -> (bool, bool) {
        (self.readable, self.writable)
    }
}
