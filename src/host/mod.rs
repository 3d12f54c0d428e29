//! Many peers, one service: who is there, who has work, and what the service ordered.
//!
//! It moves no bytes and sleeps on nothing: what a peer is linked to is opaque to it. The slots of
//! those who came are freed only by [`Host::bury_closed`], never while a batch is served.

mod tally;
mod visit;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::buffer::Reserve;
use crate::codec::Codec;
use crate::conn::{CloseReason, Connection, Limits, Means};
use crate::destination::Destination;
use crate::instant::Instant;
use crate::service::{Context, Order, Orders, Outbox, Service, Target, Verb};
use crate::table::{Key, Table};
use crate::timers::Timers;

pub use tally::Tally;
pub use visit::Visit;

use visit::Desk;

/// One peer: the machine, what it is linked to, and what the service keeps for it.
pub struct Peer<S: Service, C: Codec, L> {
    /// What the driver keeps for it: a stream and what is known of its readiness.
    pub link: L,
    /// The machine.
    pub connection: Connection<C>,
    state: S::Peer,
    /// When the timers look at it next.
    armed_at: Instant,
    presence: Presence,
    is_marked: bool,
}

/// Whether a peer is one of us yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It has a key and a link; the service does not know of it, nobody can send to it.
    Expected,
    /// The service was told of it.
    Here,
}

/// Many peers and their service.
pub struct Host<S: Service, C: Codec, L> {
    service: S,
    codec: C,
    limits: Limits,
    peers: Table<Peer<S, C, L>>,
    timers: Timers,
    /// Peers to be served, each once.
    marked: VecDeque<Key>,
    /// Peers to be buried; may name one twice.
    closed: Vec<Key>,
    outbox: Outbox,
    /// Whom the service wants to be connected to, with its ticket for that.
    wanted: VecDeque<(Destination, u64)>,
    tally: Tally,
}

impl<S: Service, C: Codec, L> Peer<S, C, L> {
    /// Whether it is to be served before the next sleep.
    pub fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// When the timers look at it next.
    pub fn armed_at(&self) -> Instant {
        self.armed_at
    }
}

impl<S: Service, C: Codec, L> Host<S, C, L> {
    /// A host without peers.
    pub fn new(service: S, codec: C, limits: Limits) -> Self {
        Self {
            service,
            codec,
            limits,
            peers: Table::new(),
            timers: Timers::new(),
            marked: VecDeque::new(),
            closed: Vec::new(),
            outbox: Outbox::default(),
            wanted: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// The same host, whose keys begin with that generation, so that a test can see them wrap.
    pub fn with_first_generation(self, first: u32) -> Self {
        Self { peers: Table::with_first_generation(first), ..self }
    }

    /// Takes in a peer; `link` makes its link once its key is known, and may fail.
    ///
    /// # Errors
    /// What `link` failed with; then nothing has happened.
    pub fn open<E>(
        &mut self,
        who: &dyn Display,
        reserve: &mut Reserve,
        now: Instant,
        link: impl FnOnce(Key) -> Result<L, E>,
    ) -> Result<Key, E> {
        let key = self.expect(link)?;
        self.handle_arrival(key, S::Peer::default(), who, reserve, now);
        Ok(key)
    }

    /// Gives a key and a place to a peer that has yet to come, as one that we connect to has.
    ///
    /// Until [`Self::handle_arrival`] it can be marked, and else nothing happens to it.
    ///
    /// # Errors
    /// What `link` failed with; then nothing has happened.
    pub fn expect<E>(&mut self, link: impl FnOnce(Key) -> Result<L, E>) -> Result<Key, E> {
        self.peers.try_insert_with(|key| {
            Ok(Peer {
                link: link(key)?,
                connection: Connection::new(Instant::ORIGIN),
                state: S::Peer::default(),
                armed_at: Instant::NEVER,
                presence: Presence::Expected,
                is_marked: false,
            })
        })
    }

    /// The link of a peer that has yet to come; `None` when it has come or is expected no more.
    pub fn expected(&mut self, key: Key) -> Option<&mut L> {
        let peer = self.peers.get_mut(key).filter(|peer| peer.presence == Presence::Expected)?;
        Some(&mut peer.link)
    }

    /// The expected peer has come: its life begins now, with `state`, and the service is told.
    pub fn handle_arrival(&mut self, key: Key, state: S::Peer, who: &dyn Display, reserve: &mut Reserve, now: Instant) {
        self.arrive(key, state, reserve, now, |service, peer, cx| service.on_open(peer, who, cx));
    }

    /// The expected peer, which the service ordered, has been connected to: as
    /// [`Self::handle_arrival`].
    pub fn handle_connected(&mut self, key: Key, ticket: u64, reserve: &mut Reserve, now: Instant) {
        self.arrive(key, S::Peer::default(), reserve, now, |service, peer, cx| service.on_connect(peer, ticket, cx));
    }

    fn arrive(
        &mut self,
        key: Key,
        state: S::Peer,
        reserve: &mut Reserve,
        now: Instant,
        tell: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, '_>),
    ) {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.presence == Presence::Expected) else { return };
        peer.presence = Presence::Here;
        peer.state = state;
        peer.connection = Connection::new(now);
        self.tally.opened += 1;
        if let Some(mut visit) = self.visit(key, reserve, now) {
            visit.callback(tell);
        }
        self.after(key);
    }

    /// The expected peer does not come: its place is free, the service was never told of it.
    pub fn dismiss(&mut self, key: Key) -> Option<L> {
        self.expected(key)?;
        self.peers.remove(key).map(|peer| peer.link)
    }

    /// The expected peer is given up: counted as one that came and was closed for that reason,
    /// though the service was never told of it.
    pub fn give_up(&mut self, key: Key, reason: CloseReason) -> Option<L> {
        let link = self.dismiss(key)?;
        self.tally.opened += 1;
        self.tally.closed[reason as usize] += 1;
        Some(link)
    }

    /// Takes one peer out to be served; `None` when it has gone, is closed, or has yet to come.
    #[inline]
    pub fn visit<'a>(&'a mut self, key: Key, reserve: &'a mut Reserve, now: Instant) -> Option<Visit<'a, S, C, L>> {
        let is_here = |peer: &&mut Peer<S, C, L>| peer.presence == Presence::Here && peer.connection.closed().is_none();
        let peer = self.peers.get_mut(key).filter(is_here)?;
        Some(Visit {
            peer,
            means: Means { codec: &self.codec, limits: &self.limits, reserve, ledger: &mut self.tally.ledger, now },
            desk: Desk {
                key,
                now,
                service: &mut self.service,
                outbox: &mut self.outbox,
                panics: &mut self.tally.panics,
            },
        })
    }

    /// Serves a callback that the driver starts, on one peer; `None` when there is no such peer.
    ///
    /// It may send, finish and order as any other callback; the peer is marked, so that what was
    /// sent leaves with the next turn.
    pub fn call(
        &mut self,
        key: Key,
        reserve: &mut Reserve,
        now: Instant,
        call: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, '_>),
    ) -> Option<()> {
        self.visit(key, reserve, now)?.callback(call);
        self.carry_out_orders(reserve, now);
        self.after(key);
        self.mark(key);
        Some(())
    }

    /// Remembers a fact in a peer's link and marks the peer; a fact that names nobody is counted.
    #[inline]
    pub fn handle_fact(&mut self, key: Key, remember: impl FnOnce(&mut L)) {
        let Some(peer) = self.peers.get_mut(key) else {
            self.tally.stale_facts += 1;
            return;
        };
        remember(&mut peer.link);
        if !peer.is_marked {
            peer.is_marked = true;
            self.marked.push_back(key);
        }
    }

    /// Marks a peer: it is served before the next sleep. Once is enough.
    #[inline]
    pub fn mark(&mut self, key: Key) {
        if let Some(peer) = self.peers.get_mut(key)
            && !peer.is_marked
        {
            peer.is_marked = true;
            self.marked.push_back(key);
        }
    }

    /// How many peers are marked.
    pub fn marked_len(&self) -> usize {
        self.marked.len()
    }

    /// The next marked peer, no longer marked.
    pub fn pop_marked(&mut self) -> Option<Key> {
        let key = self.marked.pop_front()?;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.is_marked = false;
        }
        Some(key)
    }

    /// To be called when something was done with a peer: arms its timer and notes when it is over.
    ///
    /// A timer that is armed too early is left so: looking once in vain is cheaper than moving it
    /// with every byte.
    #[inline]
    pub fn after(&mut self, key: Key) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.connection.closed().is_some() {
            self.closed.push(key);
            return;
        }
        let deadline = peer.connection.poll_deadline(&self.limits);
        if deadline < peer.armed_at {
            peer.armed_at = deadline;
            self.timers.look_at(key, deadline);
        }
    }

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
                Order::For(Target::One(key), verb) => self.obey(key, &verb, bytes, reserve, now),
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
            self.obey(key, verb, bytes, reserve, now);
        }
    }

    fn obey(&mut self, key: Key, verb: &Verb, bytes: &[u8], reserve: &mut Reserve, now: Instant) {
        let Some(Visit { peer, mut means, .. }) = self.visit(key, reserve, now) else { return };
        let connection = &mut peer.connection;
        match verb {
            Verb::Send(range) => connection.handle_order(&bytes[range.clone()], &mut means),
            Verb::Answer(range) => {
                connection.handle_order(&bytes[range.clone()], &mut means);
                connection.handle_promise_kept(&mut means);
            }
            Verb::AskRoom => connection.handle_callback(&mut means, |reply| reply.ask_room()),
            Verb::Resume => connection.handle_callback(&mut means, |reply| reply.resume()),
            Verb::HalfClose => connection.handle_callback(&mut means, |reply| reply.half_close()),
            Verb::Finish => connection.handle_callback(&mut means, |reply| reply.finish()),
            Verb::Close => connection.handle_error(CloseReason::Service),
            Verb::Reset => connection.handle_reset(),
        }
        self.after(key);
        self.mark(key);
    }

    /// Gives a post of another thread to the service.
    pub fn handle_post(&mut self, post: S::Post, reserve: &mut Reserve, now: Instant) {
        self.tell_service(reserve, now, |service, orders| service.on_post(post, orders));
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

    /// Calls the service on nobody's behalf. A panic loses nobody and is counted.
    fn tell_service(&mut self, reserve: &mut Reserve, now: Instant, tell: impl FnOnce(&mut S, &mut Orders<'_>)) {
        let mut orders = Orders::new(&mut self.outbox, &self.codec, None);
        let service = &mut self.service;
        if catch_unwind(AssertUnwindSafe(|| tell(service, &mut orders))).is_err() {
            self.tally.panics += 1;
        }
        self.carry_out_orders(reserve, now);
    }

    /// The next instant at which [`Self::handle_deadlines`] has something to look at.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Tells peers whose deadline has passed; looks again later at those whose has moved.
    pub fn handle_deadlines(&mut self, reserve: &mut Reserve, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            let Some(Visit { peer, mut means, .. }) = self.visit(key, reserve, now) else { continue };
            peer.armed_at = Instant::NEVER;
            let before = *peer.connection.halves();
            peer.connection.handle_deadline(&mut means);
            if *peer.connection.halves() != before {
                self.mark(key);
            }
            self.after(key);
        }
    }

    /// Buries the closed: the service is told once, storage goes back, the slot is freed.
    ///
    /// `part` gets the link, and whether its stream is to be reset.
    pub fn bury_closed(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        mut part: impl FnMut(Key, L, CloseReason, Parting),
    ) {
        while let Some(key) = self.closed.pop() {
            let Some(peer) = self.peers.remove(key) else { continue };
            self.timers.forget(key);
            let Peer { link, mut connection, state, .. } = peer;
            let reason = connection.closed().expect("only the closed are buried");
            let parting = if connection.wants_reset() { Parting::Reset } else { Parting::Close };
            self.tally.resets += u64::from(parting == Parting::Reset);
            self.tally.closed[reason as usize] += 1;
            connection.bury(reserve, &mut self.tally.ledger);
            part(key, link, reason, parting);

            self.tell_service(reserve, now, |service, orders| service.on_close(state, key, reason, orders));
        }
    }

    /// Tells every peer something, and marks it.
    pub fn tell_all(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        mut tell: impl FnMut(&mut Peer<S, C, L>, &mut Means<'_, C>),
    ) {
        for key in self.peers.keys().collect::<Vec<_>>() {
            let Some(Visit { peer, mut means, .. }) = self.visit(key, reserve, now) else { continue };
            tell(peer, &mut means);
            self.after(key);
            self.mark(key);
        }
    }

    /// How many peers there are, those that have yet to come and those not yet buried among them.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there is no peer.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// All peers but those that have yet to come.
    pub fn peers(&self) -> impl Iterator<Item = (Key, &Peer<S, C, L>)> {
        self.peers.iter().filter(|(_, peer)| peer.presence == Presence::Here)
    }

    /// What happened so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The limits of every peer.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The service, to be told or asked something between turns.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// The service; all peers go without a word.
    pub fn into_service(self) -> S {
        self.service
    }
}

/// Why an order to connect fails where none can be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only a server connects to whom its services order")]
pub struct ConnectsToNobody;

/// How a stream is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// All that was queued has been written.
    Close,
    /// Bytes were thrown away: the peer must see that.
    Reset,
}
