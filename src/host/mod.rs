//! Many peers, one service: who is there, who has work, and what the service ordered.
//!
//! It moves no bytes and sleeps on nothing: what a peer is linked to is opaque to it. The slots of
//! those who came are freed only by [`Host::reap_closed`], never while a batch is served.

mod admitting;
mod counters;
mod orders;
mod peer_guard;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::buffer::Reserve;
use crate::codec::Codec;
use crate::connection::{CloseReason, Connection, Limits, Resources};
use crate::destination::Destination;
use crate::instant::Instant;
use crate::service::{Context, Outbox, Service};
use crate::slab::{Key, Slab};
use crate::timers::Timers;

pub use counters::HostCounters;
pub use orders::ConnectsToNobody;
pub use peer_guard::PeerGuard;

use peer_guard::ServiceCall;

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
    mark: Mark,
}

/// Whether a peer is one of us yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It has a key and a link; the service does not know of it, nobody can send to it.
    Pending,
    /// The service was told of it.
    Open,
}

/// Whether a peer is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// It waits for a fact.
    Unmarked,
    /// It is to be served, and has not been since it was marked: what it does not know yet may be
    /// in time, so that no deadline of it counts before.
    Waiting,
    /// It was served in this turn, and is to be served on in the next.
    Again,
}

/// Many peers and their service.
pub struct Host<S: Service, C: Codec, L> {
    service: S,
    codec: C,
    /// Apart, since a server of many threads has a host in each, and one copy stays in the cache.
    limits: Arc<Limits>,
    peers: Slab<Peer<S, C, L>>,
    timers: Timers,
    /// Peers to be served, each once; who was marked first comes first.
    marked: VecDeque<Key>,
    /// Peers to be served on in the next turn, each once.
    again: Vec<Key>,
    /// Peers to be buried; may name one twice.
    closed: Vec<Key>,
    outbox: Outbox,
    /// Whom the service wants to be connected to, with its ticket for that.
    wanted: VecDeque<(Destination, u64)>,
    counters: HostCounters,
}

impl<S: Service, C: Codec, L> Peer<S, C, L> {
    /// Whether it is to be served before the next sleep.
    pub fn is_marked(&self) -> bool {
        self.mark != Mark::Unmarked
    }

    /// When the timers look at it next.
    pub fn armed_at(&self) -> Instant {
        self.armed_at
    }
}

impl<S: Service, C: Codec, L> Host<S, C, L> {
    /// A host without peers.
    pub fn new(service: S, codec: C, limits: impl Into<Arc<Limits>>) -> Self {
        Self {
            service,
            codec,
            limits: limits.into(),
            peers: Slab::new(),
            timers: Timers::new(),
            marked: VecDeque::new(),
            again: Vec::new(),
            closed: Vec::new(),
            outbox: Outbox::default(),
            wanted: VecDeque::new(),
            counters: HostCounters::default(),
        }
    }

    /// The same host, whose keys begin with that generation, so that a test can see them wrap.
    pub fn with_first_generation(self, first: u32) -> Self {
        Self { peers: Slab::with_first_generation(first), ..self }
    }

    /// Takes one peer out to be served; `None` when it has gone, is closed, or has yet to come.
    #[inline]
    pub fn peer_guard<'a>(
        &'a mut self,
        key: Key,
        reserve: &'a mut Reserve,
        now: Instant,
    ) -> Option<PeerGuard<'a, S, C, L>> {
        let is_here = |peer: &&mut Peer<S, C, L>| peer.presence == Presence::Open && peer.connection.closed().is_none();
        let peer = self.peers.get_mut(key).filter(is_here)?;
        Some(PeerGuard {
            peer,
            resources: Resources {
                codec: &self.codec,
                limits: &self.limits,
                reserve,
                ledger: &mut self.counters.ledger,
                now,
            },
            service_call: ServiceCall { key, now, service: &mut self.service, outbox: &mut self.outbox },
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
        self.peer_guard(key, reserve, now)?.callback(call);
        self.carry_out_orders(reserve, now);
        self.after(key);
        self.mark(key);
        Some(())
    }

    /// Remembers a fact in a peer's link and marks the peer; a fact that names nobody is counted.
    #[inline]
    pub fn handle_fact(&mut self, key: Key, remember: impl FnOnce(&mut L)) {
        let Some(peer) = self.peers.get_mut(key) else {
            self.counters.stale_facts += 1;
            return;
        };
        remember(&mut peer.link);
        if peer.mark == Mark::Unmarked {
            peer.mark = Mark::Waiting;
            self.marked.push_back(key);
        }
    }

    /// Marks a peer: it is served before the next sleep. Once is enough.
    #[inline]
    pub fn mark(&mut self, key: Key) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.mark == Mark::Unmarked
        {
            peer.mark = Mark::Waiting;
            self.marked.push_back(key);
        }
    }

    /// Marks a peer that was served and has more to do: its next turn comes.
    pub fn mark_again(&mut self, key: Key) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.mark == Mark::Unmarked
        {
            peer.mark = Mark::Again;
            self.again.push(key);
        }
    }

    /// How many peers are marked.
    pub fn marked_len(&self) -> usize {
        self.marked.len() + self.again.len()
    }

    /// Begins to serve: those who have more to do line up behind those who were marked since. So
    /// many are marked now; [`Self::pop_marked`] gives them, and then whoever is marked meanwhile.
    #[inline]
    pub fn begin_round(&mut self) -> usize {
        if !self.again.is_empty() {
            self.line_up_again();
        }
        self.marked.len()
    }

    fn line_up_again(&mut self) {
        for key in self.again.drain(..) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.mark = Mark::Waiting;
                self.marked.push_back(key);
            }
        }
    }

    /// The next marked peer, no longer marked.
    pub fn pop_marked(&mut self) -> Option<Key> {
        let key = self.marked.pop_front()?;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.mark = Mark::Unmarked;
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
            self.timers.arm(key, deadline);
        }
    }

    /// The next instant at which [`Self::handle_deadlines`] has something to look at.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Tells peers whose deadline has passed; looks again later at those whose has moved, and at
    /// those who wait to be served once they have been.
    #[inline]
    pub fn handle_deadlines(&mut self, reserve: &mut Reserve, now: Instant) {
        if self.timers.next().is_some_and(|at| at <= now) {
            self.handle_due(reserve, now);
        }
    }

    fn handle_due(&mut self, reserve: &mut Reserve, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            let Some(PeerGuard { peer, mut resources, .. }) = self.peer_guard(key, reserve, now) else { continue };
            peer.armed_at = Instant::NEVER;
            if peer.mark == Mark::Waiting {
                continue;
            }
            let before = *peer.connection.halves();
            peer.connection.handle_deadline(&mut resources);
            if *peer.connection.halves() != before {
                self.mark(key);
            }
            self.after(key);
        }
    }

    /// Buries the closed: the service is told once, storage goes back, the slot is freed.
    ///
    /// `part` gets the link, and whether its stream is to be reset.
    #[inline]
    pub fn reap_closed(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        part: impl FnMut(Key, L, CloseReason, CloseMode),
    ) {
        if !self.closed.is_empty() {
            self.release(reserve, now, part);
        }
    }

    #[inline(never)]
    fn release(&mut self, reserve: &mut Reserve, now: Instant, mut part: impl FnMut(Key, L, CloseReason, CloseMode)) {
        while let Some(key) = self.closed.pop() {
            let Some(peer) = self.peers.remove(key) else { continue };
            self.timers.disarm(key);
            let Peer { link, mut connection, state, .. } = peer;
            let reason = connection.closed().expect("only the closed are buried");
            let close_mode = if connection.wants_reset() { CloseMode::Reset } else { CloseMode::Graceful };
            self.counters.resets += u64::from(close_mode == CloseMode::Reset);
            self.counters.closed[reason as usize] += 1;
            connection.release(reserve, &mut self.counters.ledger);
            part(key, link, reason, close_mode);

            self.tell_service(reserve, now, |service, orders| service.on_close(state, key, reason, orders));
        }
    }

    /// Tells every peer something, and marks it.
    pub fn tell_all(
        &mut self,
        reserve: &mut Reserve,
        now: Instant,
        mut tell: impl FnMut(&mut Peer<S, C, L>, &mut Resources<'_, C>),
    ) {
        for key in self.peers.keys().collect::<Vec<_>>() {
            let Some(PeerGuard { peer, mut resources, .. }) = self.peer_guard(key, reserve, now) else { continue };
            tell(peer, &mut resources);
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
        self.peers.iter().filter(|(_, peer)| peer.presence == Presence::Open)
    }

    /// What happened so far.
    pub fn counters(&self) -> &HostCounters {
        &self.counters
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

/// How a stream is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseMode {
    /// All that was queued has been written.
    Graceful,
    /// Bytes were thrown away: the peer must see that.
    Reset,
}
