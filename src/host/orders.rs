//! Orders of the service: applied to peers, a bounded number in each turn.
//!
//! A frame that is ordered for a peer is written at once, as far as the stream takes it, so an order for
//! all peers needs memory only for slow readers. Outbound connections are the driver's part:
//! it takes the orders from here and reports each result.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::buffer::Reserve;
use crate::connection::CloseReason;
use crate::destination::Destination;
use crate::instant::Instant;
use crate::service::{Action, Batch, ConnectFailure, Order, Orders, Service, Target};
use crate::slab::Key;

use super::{Host, PeerGuard};

/// The error of an outbound connection that the driver does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outbound connections need an event loop")]
pub struct ConnectUnsupported;

/// Free slots that are passed over at the cost of one peer.
pub(super) const FREE_SLOTS_PER_PEER: usize = 64;

/// What may still be applied in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderAllowance {
    /// Peers that an order may reach. A peer counts for each order.
    pub peers: usize,
    /// Bytes that may be written.
    pub bytes: usize,
}

impl OrderAllowance {
    /// No bound, for a driver that serves one peer.
    pub const UNLIMITED: Self = Self { peers: usize::MAX, bytes: usize::MAX };

    fn is_spent(self) -> bool {
        self.peers == 0 || self.bytes == 0
    }
}

/// A batch of orders, and how far it is applied.
#[derive(Debug, Default)]
pub(super) struct Applying {
    batch: Batch,
    /// The next order of the batch.
    order: usize,
    /// The next slot or key of an order for many peers.
    position: usize,
}

impl<S: Service, L> Host<S, L> {
    /// Applies orders of callbacks in sequence, as far as the allowance permits, and marks the peers that
    /// have work left.
    ///
    /// `write` writes what is queued for a peer. It returns the bytes that moved.
    #[inline]
    pub fn apply_orders(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        allowance: &mut OrderAllowance,
        write: impl FnMut(&mut PeerGuard<'_, S, L>) -> usize,
    ) {
        if self.has_orders() {
            self.apply_batches(reserve, now, allowance, write);
        }
    }

    fn apply_batches(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        allowance: &mut OrderAllowance,
        mut write: impl FnMut(&mut PeerGuard<'_, S, L>) -> usize,
    ) {
        let mut applying = std::mem::take(&mut self.applying);
        while !allowance.is_spent() {
            let Some(order) = applying.batch.orders.get(applying.order) else {
                applying.batch.clear();
                applying.order = 0;
                if self.outbox.is_empty() {
                    break;
                }
                applying.batch = self.outbox.take(std::mem::take(&mut applying.batch));
                continue;
            };
            match self.next_key(&order.target, &applying.batch, &mut applying.position, allowance) {
                NextKey::Apply(key) => {
                    let moved = self.apply(key, order, &applying.batch, reserve, now, &mut write);
                    allowance.peers -= 1;
                    allowance.bytes = allowance.bytes.saturating_sub(moved);
                }
                NextKey::Later => break,
                NextKey::Done => {
                    applying.order += 1;
                    applying.position = 0;
                }
            }
        }
        self.applying = applying;
    }

    /// The next peer that an order concerns.
    fn next_key(
        &self,
        target: &Target,
        batch: &Batch,
        position: &mut usize,
        allowance: &mut OrderAllowance,
    ) -> NextKey {
        let excepted = match target {
            Target::One(key) => {
                *position += 1;
                return if *position == 1 { NextKey::Apply(*key) } else { NextKey::Done };
            }
            Target::Each(keys) => {
                let key = batch.keys[keys.clone()].get(*position);
                *position += 1;
                return key.map_or(NextKey::Done, |key| NextKey::Apply(*key));
            }
            Target::AllExcept(key) => Some(*key),
            Target::All => None,
        };
        let mut free = 0;
        while *position < self.peers.slots() {
            let key = self.peers.key_at(*position);
            *position += 1;
            if let Some(key) = key.filter(|key| Some(*key) != excepted) {
                return NextKey::Apply(key);
            }
            free += 1;
            if free % FREE_SLOTS_PER_PEER == 0 {
                allowance.peers -= 1;
                if allowance.is_spent() {
                    return NextKey::Later;
                }
            }
        }
        NextKey::Done
    }

    /// Applies an order to one peer, and returns the bytes that were written.
    fn apply(
        &mut self,
        key: Key,
        order: &Order,
        batch: &Batch,
        reserve: &mut Reserve,
        now: Instant,
        mut write: impl FnMut(&mut PeerGuard<'_, S, L>) -> usize,
    ) -> usize {
        let Some(mut peer_guard) = self.peer_guard(key, reserve, now) else { return 0 };
        let PeerGuard { peer, resources, .. } = &mut peer_guard;
        let connection = &mut peer.connection;
        let mut is_frame = false;
        match &order.action {
            Action::Send(frames) => {
                is_frame = true;
                frames.clone().for_each(|index| connection.handle_order(batch.frame(index), resources));
            }
            Action::Offer(index) => {
                is_frame = true;
                connection.handle_offer(batch.frame(*index), resources);
            }
            Action::Answer(index) => {
                connection.handle_order(batch.frame(*index), resources);
                connection.handle_answered(resources);
            }
            Action::NotifyWritable => connection.handle_callback(resources, |reply| reply.notify_writable()),
            Action::Resume => connection.handle_callback(resources, |reply| reply.resume()),
            Action::HalfClose => connection.handle_callback(resources, |reply| reply.half_close()),
            Action::Finish => connection.handle_callback(resources, |reply| reply.finish()),
            Action::Close => connection.handle_error(CloseReason::Service),
            Action::Reset => connection.handle_reset(),
        }
        let moved = write(&mut peer_guard);
        // A frame that was written needs no further work.
        let is_done = is_frame && peer_guard.peer.connection.is_between_messages();
        self.reschedule(key);
        if !is_done {
            self.mark(key);
        }
        moved
    }

    /// Whether orders wait to be applied.
    pub fn has_orders(&self) -> bool {
        !self.outbox.is_empty() || !self.applying.batch.orders.is_empty()
    }

    /// Whether the outbox is full, so that no callback may be called.
    pub fn is_outbox_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// Delivers a message of another thread to the service.
    pub fn handle_message(&mut self, message: S::Message, now: Instant) {
        self.call_service(now, |service, orders| service.on_message(message, orders));
    }

    /// Notifies the service that the event loop drains.
    pub fn handle_drain(&mut self, now: Instant) {
        self.call_service(now, |service, orders| service.on_drain(orders));
    }

    /// Runs a callback that serves no peer. A panic in it is counted and closes no peer.
    pub(super) fn call_service(&mut self, now: Instant, call: impl FnOnce(&mut S, &mut Orders<'_, S>)) {
        let mut orders = Orders { outbox: &mut self.outbox, served: None, now };
        let service = &mut self.service;
        if catch_unwind(AssertUnwindSafe(|| call(service, &mut orders))).is_err() {
            self.counters.ledger.panics += 1;
        }
    }

    /// Removes and returns the next ordered connection and the state of its peer.
    ///
    /// The driver must report its result by [`Self::handle_opened`] or [`Self::handle_connect_failed`].
    pub fn pop_connect(&mut self) -> Option<(Destination, S::Peer)> {
        self.outbox.connects.pop_front()
    }

    /// Whether ordered connections wait for [`Self::pop_connect`].
    pub fn wants_connect(&self) -> bool {
        !self.outbox.connects.is_empty()
    }

    /// Fails the connections ordered so far, for a driver that does not support them.
    pub fn refuse_connects(&mut self, now: Instant) {
        for _ in 0..self.outbox.connects.len() {
            let Some((to, peer)) = self.pop_connect() else { break };
            let error = io::Error::new(io::ErrorKind::Unsupported, ConnectUnsupported);
            self.handle_connect_failed(ConnectFailure { peer, to, error }, now);
        }
    }

    /// Reports to the service that an ordered connection has failed.
    pub fn handle_connect_failed(&mut self, failure: ConnectFailure<S::Peer>, now: Instant) {
        self.call_service(now, |service, orders| service.on_connect_failed(failure, orders));
    }
}

/// The next step of an order.
enum NextKey {
    Apply(Key),
    /// The allowance is spent.
    Later,
    /// The order has reached all of its peers.
    Done,
}
