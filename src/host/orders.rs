//! What a service orders, carried out; and what it is told on nobody's behalf.
//!
//! Whom an order concerns is marked, so that the next turn serves it. To connect is the driver's
//! part: it takes the wish from here, and owes the outcome.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::buffer::Reserve;
use crate::codec::Codec;
use crate::connection::CloseReason;
use crate::destination::Destination;
use crate::instant::Instant;
use crate::service::{Order, Orders, Service, Target, Verb};
use crate::slab::Key;

use super::{Host, PeerGuard};

/// Why an order to connect fails where none can be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only a server connects to whom its services order")]
pub struct ConnectsToNobody;

impl<S: Service, C: Codec, L> Host<S, C, L> {
    /// Carries out the orders of the callbacks since the last time; marks whom they concern.
    #[inline]
    pub fn carry_out_orders(&mut self, reserve: &mut Reserve, now: Instant) {
        if !self.outbox.is_empty() {
            self.carry_out(reserve, now);
        }
    }

    fn carry_out(&mut self, reserve: &mut Reserve, now: Instant) {
        let mut outbox = std::mem::take(&mut self.outbox);
        let (orders, bytes) = outbox.take();
        for order in orders {
            match order {
                Order::For(Target::One(key), verb) => self.apply(key, &verb, bytes, reserve, now),
                Order::For(Target::All, verb) => self.obey_all(None, &verb, bytes, reserve, now),
                Order::For(Target::AllBut(sender), verb) => self.obey_all(Some(sender), &verb, bytes, reserve, now),
                Order::Connect { to, ticket } => self.wanted.push_back((to, ticket)),
            }
        }
        outbox.clear();
        self.outbox = outbox;
    }

    fn obey_all(&mut self, but: Option<Key>, verb: &Verb, bytes: &[u8], reserve: &mut Reserve, now: Instant) {
        let keys: Vec<Key> = self.peers.keys().filter(|key| Some(*key) != but).collect();
        for key in keys {
            self.apply(key, verb, bytes, reserve, now);
        }
    }

    fn apply(&mut self, key: Key, verb: &Verb, bytes: &[u8], reserve: &mut Reserve, now: Instant) {
        let Some(PeerGuard { peer, mut resources, .. }) = self.peer_guard(key, reserve, now) else { return };
        let connection = &mut peer.connection;
        match verb {
            Verb::Send(range) => connection.handle_order(&bytes[range.clone()], &mut resources),
            Verb::Answer(range) => {
                connection.handle_order(&bytes[range.clone()], &mut resources);
                connection.handle_deferred_reply(&mut resources);
            }
            Verb::NotifyWritable => connection.handle_callback(&mut resources, |reply| reply.notify_writable()),
            Verb::Resume => connection.handle_callback(&mut resources, |reply| reply.resume()),
            Verb::HalfClose => connection.handle_callback(&mut resources, |reply| reply.half_close()),
            Verb::Finish => connection.handle_callback(&mut resources, |reply| reply.finish()),
            Verb::Close => connection.handle_error(CloseReason::Service),
            Verb::Reset => connection.handle_reset(),
        }
        self.after(key);
        self.mark(key);
    }

    /// Gives a post of another thread to the service.
    pub fn handle_message(&mut self, post: S::Message, reserve: &mut Reserve, now: Instant) {
        self.tell_service(reserve, now, |service, orders| service.on_message(post, orders));
    }

    /// Calls the service on nobody's behalf. A panic loses nobody and is counted.
    pub(super) fn tell_service(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        tell: impl FnOnce(&mut S, &mut Orders<'_>),
    ) {
        let mut orders = Orders::new(&mut self.outbox, &self.codec, None);
        let service = &mut self.service;
        if catch_unwind(AssertUnwindSafe(|| tell(service, &mut orders))).is_err() {
            self.counters.ledger.panics += 1;
        }
        self.carry_out_orders(reserve, now);
    }

    /// Somebody whom the service wants to be connected to, and its ticket for that; its outcome is
    /// owed to the service from now on.
    pub fn pop_wanted(&mut self) -> Option<(Destination, u64)> {
        self.wanted.pop_front()
    }

    /// How many wait for [`Self::pop_wanted`].
    pub fn wanted_len(&self) -> usize {
        self.wanted.len()
    }

    /// Fails what the service has ordered so far: for a driver that has only peers who came.
    pub fn refuse_wanted(&mut self, reserve: &mut Reserve, now: Instant) {
        for _ in 0..self.wanted.len() {
            let Some((_, ticket)) = self.wanted.pop_front() else { break };
            self.handle_connect_failed(ticket, &ConnectsToNobody, reserve, now);
        }
    }

    /// A connection that the service ordered does not come about.
    pub fn handle_connect_failed(
        &mut self,
        ticket: u64,
        error: &(dyn Error + 'static),
        reserve: &mut Reserve,
        now: Instant,
    ) {
        self.tell_service(reserve, now, |service, orders| service.on_connect_failed(ticket, error, orders));
    }
}
