//! Orders of the service: applied to peers, or queued for the driver.
//!
//! Each peer that an order concerns is marked, so that the next turn serves it. Outbound connections
//! are the driver's part: it takes the orders from here and reports each result.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::buffer::Reserve;
use crate::codec::Codec;
use crate::connection::CloseReason;
use crate::destination::Destination;
use crate::instant::Instant;
use crate::service::{Order, OrderAction, Orders, Service, Target};
use crate::slab::Key;

use super::{Host, PeerGuard};

/// The error of an outbound connection that the driver does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outbound connections need a `Server`")]
pub struct ConnectUnsupported;

impl<S: Service, C: Codec, L> Host<S, C, L> {
    /// Applies the orders of recent callbacks, and marks the peers they concern.
    #[inline]
    pub fn apply_orders(&mut self, reserve: &mut Reserve, now: Instant) {
        if self.outbox.is_empty() {
            return;
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        let (orders, bytes) = outbox.take();
        for order in orders {
            match order {
                Order::Apply(Target::One(key), action) => self.apply(key, &action, bytes, reserve, now),
                Order::Apply(target @ (Target::All | Target::AllExcept(_)), action) => {
                    let keys = self.peers.keys().filter(|key| target != Target::AllExcept(*key));
                    for key in keys.collect::<Vec<_>>() {
                        self.apply(key, &action, bytes, reserve, now);
                    }
                }
                Order::Connect { to, ticket } => self.connects.push_back((to, ticket)),
            }
        }
        outbox.clear();
        self.outbox = outbox;
    }

    fn apply(&mut self, key: Key, action: &OrderAction, bytes: &[u8], reserve: &mut Reserve, now: Instant) {
        let Some(PeerGuard { peer, mut resources, .. }) = self.peer_guard(key, reserve, now) else { return };
        let connection = &mut peer.connection;
        match action {
            OrderAction::Send(range) => connection.handle_order(&bytes[range.clone()], &mut resources),
            OrderAction::Answer(range) => {
                connection.handle_order(&bytes[range.clone()], &mut resources);
                connection.handle_deferred_reply(&mut resources);
            }
            OrderAction::NotifyWritable => connection.handle_callback(&mut resources, |reply| reply.notify_writable()),
            OrderAction::Resume => connection.handle_callback(&mut resources, |reply| reply.resume()),
            OrderAction::HalfClose => connection.handle_callback(&mut resources, |reply| reply.half_close()),
            OrderAction::Finish => connection.handle_callback(&mut resources, |reply| reply.finish()),
            OrderAction::Close => connection.handle_error(CloseReason::Service),
            OrderAction::Reset => connection.handle_reset(),
        }
        self.reschedule(key);
        self.mark(key);
    }

    /// Delivers a message of another thread to the service.
    pub fn handle_message(&mut self, message: S::Message, reserve: &mut Reserve, now: Instant) {
        self.call_service(reserve, now, |service, orders| service.on_message(message, orders));
    }

    /// Runs a callback that serves no peer. A panic in it is counted and closes no peer.
    pub(super) fn call_service(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        call: impl FnOnce(&mut S, &mut Orders<'_>),
    ) {
        let mut orders = Orders::new(&mut self.outbox, &self.codec, None);
        let service = &mut self.service;
        if catch_unwind(AssertUnwindSafe(|| call(service, &mut orders))).is_err() {
            self.counters.ledger.panics += 1;
        }
        self.apply_orders(reserve, now);
    }

    /// Removes and returns the next ordered connection and its ticket.
    ///
    /// The driver must report its result by [`Self::handle_connected`] or
    /// [`Self::handle_connect_failed`].
    pub fn pop_connect(&mut self) -> Option<(Destination, u64)> {
        self.connects.pop_front()
    }

    /// Whether ordered connections wait for [`Self::pop_connect`].
    pub fn wants_connect(&self) -> bool {
        !self.connects.is_empty()
    }

    /// Fails the connections ordered so far, for a driver that does not support them.
    pub fn refuse_connects(&mut self, reserve: &mut Reserve, now: Instant) {
        for _ in 0..self.connects.len() {
            let Some((_, ticket)) = self.connects.pop_front() else { break };
            self.handle_connect_failed(ticket, &ConnectUnsupported, reserve, now);
        }
    }

    /// Reports to the service that an ordered connection has failed.
    pub fn handle_connect_failed(
        &mut self,
        ticket: u64,
        error: &(dyn Error + 'static),
        reserve: &mut Reserve,
        now: Instant,
    ) {
        self.call_service(reserve, now, |service, orders| service.on_connect_failed(ticket, error, orders));
    }
}
