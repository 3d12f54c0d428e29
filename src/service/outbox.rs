//! Orders for other peers, as data: the host carries them out after the callback.
//!
//! Nothing is sent here, and no peer is looked up: an order for a peer that has gone is dropped
//! by the host.

use std::ops::Range;

use crate::codec::{Encode, FrameError};
use crate::connection::READ_LEN_MAX;
use crate::destination::Destination;
use crate::slab::Key;

/// A batch is carried out before it grows past this many orders, or past one read's worth of bytes.
///
/// 1,024 orders take some tens of microseconds: no other peer notices.
const ORDERS_MAX: usize = 1024;

/// What the storage of an empty outbox may keep.
const IDLE_BYTES_MAX: usize = 2 * READ_LEN_MAX;

/// For whom an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    One(Key),
    AllBut(Key),
    All,
}

/// What is ordered for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Send these bytes of the outbox, which are framed.
    Send(Range<usize>),
    /// The same, and a promise is kept by it.
    Answer(Range<usize>),
    NotifyWritable,
    Resume,
    HalfClose,
    Finish,
    Close,
    Reset,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// For peers that are here.
    For(Target, Verb),
    /// For one that has yet to come.
    Connect { to: Destination, ticket: u64 },
}

/// The orders of one callback or a few, with the bytes they send.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    orders: Vec<Order>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Whether it is time to carry out what is here before more is ordered.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= READ_LEN_MAX || self.orders.len() >= ORDERS_MAX
    }

    /// The orders, and the bytes that they send ranges of.
    pub(crate) fn take(&mut self) -> (impl Iterator<Item = Order>, &[u8]) {
        (self.orders.drain(..), &self.bytes)
    }

    /// Forgets the bytes of orders that were taken.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_BYTES_MAX);
    }

    /// Frames sent to the same target in a row become one order: a crowd is walked once a batch.
    fn push(&mut self, target: Target, verb: Verb) {
        if let (Some(Order::For(last, Verb::Send(range))), Verb::Send(more)) = (self.orders.last_mut(), &verb)
            && *last == target
            && range.end == more.start
        {
            range.end = more.end;
            return;
        }
        self.orders.push(Order::For(target, verb));
    }

    fn write(&mut self, encode: &dyn Encode, parts: &[&[u8]]) -> Result<Range<usize>, FrameError> {
        let envelope = encode.envelope(parts)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(envelope.head());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.extend_from_slice(envelope.tail());
        Ok(start..self.bytes.len())
    }
}

/// Where a service puts its orders for other peers.
///
/// They are carried out in their order, soon after the callback has returned. A peer that has too
/// much waiting already is closed with [`CloseReason::QueueFull`](crate::connection::CloseReason::QueueFull).
pub struct Orders<'a> {
    outbox: &'a mut Outbox,
    encode: &'a dyn Encode,
    sender: Option<Key>,
}

impl<'a> Orders<'a> {
    pub(crate) fn new(outbox: &'a mut Outbox, encode: &'a dyn Encode, sender: Option<Key>) -> Self {
        Self { outbox, encode, sender }
    }

    /// Sends a frame made of these parts in a row to one peer.
    ///
    /// # Errors
    /// The framing cannot carry it.
    pub fn send_to(&mut self, key: Key, parts: &[&[u8]]) -> Result<(), FrameError> {
        self.send(Target::One(key), parts)
    }

    /// Sends a frame made of these parts in a row to all peers but the one that is served, or to all when none is.
    ///
    /// # Errors
    /// The framing cannot carry it.
    pub fn send_to_others(&mut self, parts: &[&[u8]]) -> Result<(), FrameError> {
        self.send(self.sender.map_or(Target::All, Target::AllBut), parts)
    }

    /// Sends a frame made of these parts in a row to one peer and keeps one promise made to it.
    ///
    /// # Errors
    /// The framing cannot carry it; the promise stays open.
    pub fn answer(&mut self, key: Key, parts: &[&[u8]]) -> Result<(), FrameError> {
        let range = self.outbox.write(self.encode, parts)?;
        self.outbox.push(Target::One(key), Verb::Answer(range));
        Ok(())
    }

    /// Connects to somebody, who is then a peer of this endpoint like those who came by themselves.
    ///
    /// `ticket` is a number of yours: it comes back with the one outcome that the order has,
    /// [`Service::on_connect`](super::Service::on_connect) or
    /// [`Service::on_connect_failed`](super::Service::on_connect_failed); unless the server ends
    /// before. Only a server connects, and not at a `tls://` address: elsewhere the order fails.
    pub fn connect(&mut self, to: impl Into<Destination>, ticket: u64) {
        self.outbox.orders.push(Order::Connect { to: to.into(), ticket });
    }

    /// Asks for one call of [`Service::on_writable`](super::Service::on_writable) on behalf of a peer.
    pub fn notify_writable(&mut self, key: Key) {
        self.outbox.push(Target::One(key), Verb::NotifyWritable);
    }

    /// Takes back the pause of a peer, see [`Context::pause`](super::Context::pause).
    pub fn resume(&mut self, key: Key) {
        self.outbox.push(Target::One(key), Verb::Resume);
    }

    /// Sends what is queued for a peer, then ends our direction to it; its frames still come.
    pub fn half_close(&mut self, key: Key) {
        self.outbox.push(Target::One(key), Verb::HalfClose);
    }

    /// Sends what is queued for a peer, then ends our direction to it; its input is thrown away.
    pub fn finish(&mut self, key: Key) {
        self.outbox.push(Target::One(key), Verb::Finish);
    }

    /// Ends both directions of a peer now.
    pub fn close(&mut self, key: Key) {
        self.outbox.push(Target::One(key), Verb::Close);
    }

    /// Ends both directions of a peer now, in a reset even if all that was queued is written: what
    /// it was sent is not to pass for the whole.
    pub fn reset(&mut self, key: Key) {
        self.outbox.push(Target::One(key), Verb::Reset);
    }

    /// Ends both directions of every peer now.
    pub fn close_all(&mut self) {
        self.outbox.push(Target::All, Verb::Close);
    }

    fn send(&mut self, target: Target, parts: &[&[u8]]) -> Result<(), FrameError> {
        let range = self.outbox.write(self.encode, parts)?;
        self.outbox.push(target, Verb::Send(range));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Lines;

    #[test]
    fn frames_for_the_same_crowd_are_one_order() {
        let mut outbox = Outbox::default();
        let lines = Lines::new();
        let sender = Key::from_bits(1);
        let mut orders = Orders::new(&mut outbox, &lines, Some(sender));
        orders.send_to_others(&[b"one"]).unwrap();
        orders.send_to_others(&[b"two"]).unwrap();
        orders.finish(sender);
        orders.send_to_others(&[b"three"]).unwrap();
        let (orders, bytes) = outbox.take();
        assert_eq!(bytes, b"one\ntwo\nthree\n");
        let others = Target::AllBut(sender);
        assert_eq!(
            orders.collect::<Vec<_>>(),
            [
                Order::For(others, Verb::Send(0..8)),
                Order::For(Target::One(sender), Verb::Finish),
                Order::For(others, Verb::Send(8..14)),
            ]
        );
    }
}
