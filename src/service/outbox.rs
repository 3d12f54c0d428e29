//! Orders for other peers, as data. The host applies them after the callback.
//!
//! Nothing is sent here and no peer is looked up. The host drops orders for peers that are closed.

use std::ops::Range;

use crate::codec::{Encode, FrameError};
use crate::connection::READ_LEN_MAX;
use crate::destination::Destination;
use crate::slab::Key;

/// The host applies a batch when it holds this many orders, or the bytes of one read.
///
/// Applying so few does not noticeably delay other peers.
const ORDERS_MAX: usize = 1024;

/// Most bytes of memory that an empty outbox keeps.
const IDLE_BYTES_MAX: usize = 2 * READ_LEN_MAX;

/// The peers that an order concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    One(Key),
    AllExcept(Key),
    All,
}

/// What an order does to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OrderAction {
    /// Sends these bytes of the outbox, which are already encoded.
    Send(Range<usize>),
    /// Sends these bytes as a deferred reply.
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
    /// An action on open peers.
    Apply(Target, OrderAction),
    /// A new outbound connection.
    Connect { to: Destination, ticket: u64 },
}

/// The orders of one or several callbacks, and the bytes they send.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    orders: Vec<Order>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Whether the orders must be applied before more are added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= READ_LEN_MAX || self.orders.len() >= ORDERS_MAX
    }

    /// Takes the orders, and lends the bytes that they refer to.
    pub(crate) fn take(&mut self) -> (impl Iterator<Item = Order>, &[u8]) {
        (self.orders.drain(..), &self.bytes)
    }

    /// Drops the bytes of orders that were taken.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_BYTES_MAX);
    }

    /// Adds an order. Frames in a row for the same target become one order, so that the host goes
    /// through all peers once per batch.
    fn push(&mut self, target: Target, action: OrderAction) {
        if let (Some(Order::Apply(last, OrderAction::Send(range))), OrderAction::Send(next)) =
            (self.orders.last_mut(), &action)
            && *last == target
            && range.end == next.start
        {
            range.end = next.end;
            return;
        }
        self.orders.push(Order::Apply(target, action));
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

/// Collects orders of a service for peers other than the one it serves.
///
/// The orders are applied in sequence soon after the callback returns. If a peer's queue has no space
/// for a frame, that peer is closed with
/// [`CloseReason::QueueFull`](crate::connection::CloseReason::QueueFull). An order for a peer that is
/// closed does nothing.
pub struct Orders<'a> {
    outbox: &'a mut Outbox,
    encode: &'a dyn Encode,
    served: Option<Key>,
}

impl<'a> Orders<'a> {
    pub(crate) fn new(outbox: &'a mut Outbox, encode: &'a dyn Encode, served: Option<Key>) -> Self {
        Self { outbox, encode, served }
    }

    /// Sends one peer a frame that consists of these parts in a row.
    ///
    /// # Errors
    /// The codec cannot encode the frame.
    pub fn send_to(&mut self, key: Key, parts: &[&[u8]]) -> Result<(), FrameError> {
        self.send(Target::One(key), parts, OrderAction::Send)
    }

    /// Sends a frame that consists of these parts in a row to all peers except the one being served.
    /// In a callback that serves no peer, it is sent to all.
    ///
    /// # Errors
    /// The codec cannot encode the frame.
    pub fn send_to_others(&mut self, parts: &[&[u8]]) -> Result<(), FrameError> {
        self.send(self.served.map_or(Target::All, Target::AllExcept), parts, OrderAction::Send)
    }

    /// Sends one peer a frame that consists of these parts in a row, as the reply to one
    /// [`Context::defer_reply`](super::Context::defer_reply).
    ///
    /// # Errors
    /// The codec cannot encode the frame. The reply is still expected.
    pub fn answer(&mut self, key: Key, parts: &[&[u8]]) -> Result<(), FrameError> {
        self.send(Target::One(key), parts, OrderAction::Answer)
    }

    /// Opens an outbound connection, which becomes a peer of this endpoint.
    ///
    /// The result is reported once, with `ticket`, to
    /// [`Service::on_connect`](super::Service::on_connect) or
    /// [`Service::on_connect_failed`](super::Service::on_connect_failed), unless the server ends first.
    ///
    /// Outbound connections need a [`Server`](crate::Server) and a plain endpoint. In a client, or at
    /// a `tls://` address, the order fails.
    pub fn connect(&mut self, to: impl Into<Destination>, ticket: u64) {
        self.outbox.orders.push(Order::Connect { to: to.into(), ticket });
    }

    /// Requests one call of [`Service::on_writable`](super::Service::on_writable) for a peer.
    pub fn notify_writable(&mut self, key: Key) {
        self.outbox.push(Target::One(key), OrderAction::NotifyWritable);
    }

    /// Undoes the pause of a peer; see [`Context::pause`](super::Context::pause).
    pub fn resume(&mut self, key: Key) {
        self.outbox.push(Target::One(key), OrderAction::Resume);
    }

    /// Sends the queued bytes of a peer, then ends our direction. Its frames are still delivered.
    pub fn half_close(&mut self, key: Key) {
        self.outbox.push(Target::One(key), OrderAction::HalfClose);
    }

    /// Sends the queued bytes of a peer, then ends our direction. Its further input is discarded.
    pub fn finish(&mut self, key: Key) {
        self.outbox.push(Target::One(key), OrderAction::Finish);
    }

    /// Ends both directions of a peer now.
    pub fn close(&mut self, key: Key) {
        self.outbox.push(Target::One(key), OrderAction::Close);
    }

    /// Resets the connection of a peer now, even if all queued bytes are written.
    ///
    /// A reset shows the peer that the data it received is incomplete.
    pub fn reset(&mut self, key: Key) {
        self.outbox.push(Target::One(key), OrderAction::Reset);
    }

    /// Ends both directions of every peer now.
    pub fn close_all(&mut self) {
        self.outbox.push(Target::All, OrderAction::Close);
    }

    fn send(
        &mut self,
        target: Target,
        parts: &[&[u8]],
        action: fn(Range<usize>) -> OrderAction,
    ) -> Result<(), FrameError> {
        let range = self.outbox.write(self.encode, parts)?;
        self.outbox.push(target, action(range));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Lines;

    #[test]
    fn frames_in_a_row_for_the_same_target_are_one_order() {
        let mut outbox = Outbox::default();
        let lines = Lines::new();
        let served = Key::from_bits(1);
        let mut orders = Orders::new(&mut outbox, &lines, Some(served));
        orders.send_to_others(&[b"one"]).unwrap();
        orders.send_to_others(&[b"two"]).unwrap();
        orders.finish(served);
        orders.send_to_others(&[b"three"]).unwrap();
        let (orders, bytes) = outbox.take();
        assert_eq!(bytes, b"one\ntwo\nthree\n");
        let others = Target::AllExcept(served);
        assert_eq!(
            orders.collect::<Vec<_>>(),
            [
                Order::Apply(others, OrderAction::Send(0..8)),
                Order::Apply(Target::One(served), OrderAction::Finish),
                Order::Apply(others, OrderAction::Send(8..14)),
            ]
        );
    }
}
