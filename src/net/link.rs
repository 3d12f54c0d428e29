//! A link: a stream together with what we remember of its readiness.
//!
//! Facts are edges: each is told once, so it is kept here until the stream itself says that it no
//! longer holds. Bytes are moved elsewhere, in `pump`.

use super::{AddressGroup, Readiness};

/// A stream and its readiness bits.
pub struct Link<T> {
    pub(super) stream: T,
    /// A read may succeed. Cleared by `WouldBlock`, by the end, and by a short read unless the
    /// end was announced.
    pub(super) readable: bool,
    /// A write may succeed. Cleared by `WouldBlock` and by a short write.
    pub(super) writable: bool,
    /// The end was announced: it may lie behind the bytes that are there, and no second fact comes.
    pub(super) read_closed: bool,
    group: AddressGroup,
}

impl<T> Link<T> {
    /// A link of which nothing is known yet: the first fact comes by itself.
    pub const fn new(stream: T, group: AddressGroup) -> Self {
        Self { stream, readable: false, writable: false, read_closed: false, group }
    }

    /// Remembers a fact.
    #[inline]
    pub fn remember(&mut self, fact: &Readiness) {
        self.readable |= fact.readable | fact.read_closed;
        self.writable |= fact.writable;
        self.read_closed |= fact.read_closed;
    }

    /// Makes the next step try a read, whatever is known.
    pub fn try_read(&mut self) {
        self.readable = true;
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
