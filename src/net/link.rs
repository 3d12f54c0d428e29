//! [`Link`]: a stream with its remembered readiness.
//!
//! Readiness events are edges: each comes once, so the bits are kept here until the stream returns
//! `WouldBlock`. `pump` moves the bytes.

use super::event::Readiness;
use super::stream::Stream;
use crate::peer_address::{AddressGroup, PeerAddress};
use crate::service::{Identity, Role, TlsInfo};

/// A stream and its readiness bits.
pub struct Link<T> {
    pub(super) stream: T,
    /// A read may succeed. Cleared by `WouldBlock`, by the end, and by a short read, unless
    /// `reads_on` is set or the stream reports that a short read proves nothing.
    pub(super) readable: bool,
    /// A write may succeed. Cleared by `WouldBlock` and by a short write.
    pub(super) writable: bool,
    /// Read until the stream returns `WouldBlock` or the end. The end was announced together with
    /// the data before it, and no second event will come.
    pub(super) reads_on: bool,
    group: AddressGroup,
}

impl<T> Link<T> {
    /// A link with no bit set. The first event follows the registration of the stream.
    pub const fn new(stream: T, group: AddressGroup) -> Self {
        Self { stream, readable: false, writable: false, reads_on: false, group }
    }

    /// Remembers the readiness of an event.
    #[inline]
    pub fn remember(&mut self, event: &Readiness) {
        self.readable |= event.readable | event.read_closed;
        self.writable |= event.writable;
        self.reads_on |= event.read_closed;
    }

    /// Makes the pump read until the stream returns `WouldBlock` or the end, without an event.
    pub fn read_on(&mut self) {
        self.readable = true;
        self.reads_on = true;
    }

    /// The stream.
    pub fn stream_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// The group that the peer counts in.
    pub fn group(&self) -> AddressGroup {
        self.group
    }

    /// Counts the peer in another group from now on.
    pub(crate) fn regroup(&mut self, group: AddressGroup) {
        self.group = group;
    }

    /// Which side began the connection.
    pub fn role(&self) -> Role {
        if self.group == AddressGroup::OURS { Role::Connected } else { Role::Accepted }
    }

    /// The address of the peer: the original one behind a proxy that announces it.
    pub fn peer_address(&self) -> Option<PeerAddress>
    where
        T: Stream,
    {
        self.stream.original_address().or_else(|| self.stream.peer_address())
    }

    /// The address of the proxy that announced the address of the peer, if one did.
    pub fn proxy_address(&self) -> Option<PeerAddress>
    where
        T: Stream,
    {
        self.stream.original_address().and_then(|_| self.stream.peer_address())
    }

    /// The stream, without its readiness.
    pub fn into_stream(self) -> T {
        self.stream
    }

    /// The readable and the writable bit.
    pub fn readiness(&self) -> (bool, bool) {
        (self.readable, self.writable)
    }
}

impl<T: Stream> Identity for Link<T> {
    fn local_address(&self) -> Option<PeerAddress> {
        self.stream.local_address()
    }

    fn tls(&self) -> Option<TlsInfo> {
        self.stream.tls()
    }
}
