//! `Host`: the peers of one endpoint and their service.
//!
//! It knows which peers are open, which of them are marked to be served, and what the service has
//! ordered. It does no I/O and does not sleep: the link of a peer is opaque to it. The slots of
//! closed peers are freed only by [`Host::reap_closed`], never while a round is being served.

mod admitting;
mod counters;
mod ending;
mod lifetime;
mod orders;
mod peer_guard;
mod rest;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::buffer::Reserve;
use crate::connection::{Connection, Deadline, Limits, Resources};
use crate::instant::Instant;
use crate::service::{Context, Outbox, Service, TimerTarget};
use crate::slab::{Key, Slab};
use crate::timers::Timers;

pub use counters::HostCounters;
pub use ending::CloseMode;
pub use orders::{ConnectUnsupported, OrderAllowance};
pub use peer_guard::PeerGuard;

use lifetime::Lifetime;
use orders::{Applying, FREE_SLOTS_PER_PEER};
use peer_guard::ServiceCall;

/// Most timers of the service that are called in a turn. They take about as long as one peer may be served.
const TIMERS_MAX: usize = 1024;

/// One peer: its connection, its link, and the state that the service keeps for it.
pub struct Peer<S: Service, L> {
    /// State of the driver: a stream and its readiness.
    pub link: L,
    /// The state machine of the connection.
    pub connection: Connection<S::Codec>,
    state: S::Peer,
    /// When the timer of this peer fires.
    armed_at: Instant,
    presence: Presence,
    mark: Mark,
    was_at_rest: bool,
    lifetime: Lifetime,
}

/// Whether a peer is known to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It has a key and a link, but its connection or handshake is still in progress.
    Pending,
    /// The service has been notified of it.
    Open,
    /// Its handshake failed. The service does not know it, and it only has to close.
    Refused,
}

/// Whether a peer is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// It waits for an event.
    Unmarked,
    /// It is to be served, and has not been served since it was marked. Its deadlines do not expire
    /// until then, because its stream may hold data that arrived in time.
    Waiting,
    /// It was served in this turn and has more work for the next one.
    Again,
}

/// The peers of one endpoint and their service.
pub struct Host<S: Service, L> {
    service: S,
    codec: S::Codec,
    /// Shared, because a server with many threads has a host in each of them.
    limits: Arc<Limits>,
    peers: Slab<Peer<S, L>>,
    timers: Timers,
    /// Peers to be served, in the order in which they were marked. Each is listed once.
    marked: VecDeque<Key>,
    /// Peers with more work for the next round. Each is listed once.
    next_round: Vec<Key>,
    /// Closed peers. One peer may be listed twice.
    closed: Vec<Key>,
    /// What callbacks have ordered since the last batch.
    outbox: Outbox<S::Peer, S::Message>,
    /// The orders that are being applied.
    applying: Applying,
    counters: HostCounters,
}

impl<S: Service, L> Peer<S, L> {
    /// Whether it is to be served before the next sleep.
    pub fn is_marked(&self) -> bool {
        self.mark != Mark::Unmarked
    }

    /// Whether its connection or handshake is still in progress.
    pub fn is_pending(&self) -> bool {
        self.presence == Presence::Pending
    }

    /// Whether its handshake has failed, so that it only has to close.
    pub fn is_refused(&self) -> bool {
        self.presence == Presence::Refused
    }

    /// When the timer of this peer fires.
    pub fn armed_at(&self) -> Instant {
        self.armed_at
    }

    /// The next deadline of its connection, or the end of its lifetime if that comes first.
    #[inline]
    pub fn deadline(&self, codec: &S::Codec, limits: &Limits) -> Option<(Instant, Deadline)> {
        let next = self.connection.deadline(codec, limits)?;
        let end = self.lifetime.end();
        Some(if end < next.0 && self.connection.halves().reason().is_none() { (end, Deadline::Lifetime) } else { next })
    }
}

impl<S: Service, L> Host<S, L> {
    /// A host without peers.
    pub fn new(service: S, codec: S::Codec, limits: impl Into<Arc<Limits>>) -> Self {
        Self {
            service,
            codec,
            limits: limits.into(),
            peers: Slab::new(),
            timers: Timers::new(),
            marked: VecDeque::new(),
            next_round: Vec::new(),
            closed: Vec::new(),
            outbox: Outbox::default(),
            applying: Applying::default(),
            counters: HostCounters::default(),
        }
    }

    /// Starts the generations of keys at `first`, so that a test can make them wrap.
    pub fn with_first_generation(self, first: u32) -> Self {
        Self { peers: Slab::with_first_generation(first), ..self }
    }

    /// Borrows one peer to serve it. Returns `None` if it is pending, closed or gone.
    #[inline]
    pub fn peer_guard<'a>(
        &'a mut self,
        key: Key,
        reserve: &'a mut Reserve,
        now: Instant,
    ) -> Option<PeerGuard<'a, S, L>> {
        let is_open = |peer: &&mut Peer<S, L>| !peer.is_pending() && peer.connection.closed().is_none();
        let peer = self.peers.get_mut(key).filter(is_open)?;
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

    /// Runs a callback on one peer on behalf of the driver. Returns `None` if there is no such peer.
    ///
    /// The callback may send, finish and order like any other. The peer is marked, so that the next
    /// turn writes what was queued.
    pub fn call(
        &mut self,
        key: Key,
        reserve: &mut Reserve,
        now: Instant,
        call: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, S>),
    ) -> Option<()> {
        self.peer_guard(key, reserve, now)?.callback(call);
        self.reschedule(key);
        self.mark(key);
        Some(())
    }

    /// Records an event in the link of a peer and marks the peer. An event for a peer that is gone is
    /// counted as stale.
    #[inline]
    pub fn handle_event(&mut self, key: Key, record: impl FnOnce(&mut L)) {
        match self.peers.get_mut(key) {
            Some(peer) => record(&mut peer.link),
            None => self.counters.stale_events += 1,
        }
        self.mark(key);
    }

    /// Marks a peer to be served before the next sleep.
    #[inline]
    pub fn mark(&mut self, key: Key) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.mark == Mark::Unmarked
        {
            peer.mark = Mark::Waiting;
            self.marked.push_back(key);
        }
    }

    /// Marks a peer that was served and has more work, to be served again in the next round.
    pub fn mark_again(&mut self, key: Key) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.mark == Mark::Unmarked
        {
            peer.mark = Mark::Again;
            self.next_round.push(key);
        }
    }

    /// The number of marked peers.
    pub fn marked_len(&self) -> usize {
        self.marked.len() + self.next_round.len()
    }

    /// Begins a round and returns the number of peers in it.
    ///
    /// Peers with more work from the last round come last.
    /// [`Self::pop_marked`] returns the peers of the round, and after them those marked during it.
    #[inline]
    pub fn begin_round(&mut self) -> usize {
        for key in self.next_round.drain(..) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.mark = Mark::Waiting;
                self.marked.push_back(key);
            }
        }
        self.marked.len()
    }

    /// Removes and returns the next marked peer.
    pub fn pop_marked(&mut self) -> Option<Key> {
        let key = self.marked.pop_front()?;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.mark = Mark::Unmarked;
        }
        Some(key)
    }

    /// Arms the timer of a peer, or lists the peer to be reaped if it is closed.
    ///
    /// Call it after any work on a peer. A timer that fires too early stays as it is: one needless
    /// check is cheaper than moving the timer with every byte. A pending peer has no timer.
    #[inline]
    pub fn reschedule(&mut self, key: Key) {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| !peer.is_pending()) else { return };
        if peer.connection.closed().is_some() {
            self.closed.push(key);
            return;
        }
        let deadline = peer.deadline(&self.codec, &self.limits).map_or(Instant::NEVER, |(at, _)| at);
        if deadline < peer.armed_at {
            peer.armed_at = deadline;
            self.timers.arm(key, deadline);
        }
    }

    /// The next time at which [`Self::handle_deadlines`] has work.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// When the next timer of the service is due.
    pub fn next_timer(&self) -> Option<Instant> {
        self.outbox.timers.next()
    }

    /// Calls the service for each of its timers that is due, at most `TIMERS_MAX` of them.
    pub fn handle_timers(&mut self, reserve: &mut Reserve, now: Instant) {
        for _ in 0..TIMERS_MAX {
            if self.is_outbox_full() {
                return;
            }
            match self.outbox.timers.pop_due(now) {
                Some(TimerTarget::Peer(key)) => {
                    self.call(key, reserve, now, |service, peer, cx| service.on_timer(peer, cx));
                }
                Some(TimerTarget::Message(message)) => self.handle_message(message, now),
                None => return,
            }
        }
    }

    /// Expires deadlines that have passed.
    ///
    /// If a deadline has moved, its timer is armed again. A peer that waits to be served is skipped, and
    /// its timer is armed after it has been served.
    #[inline]
    pub fn handle_deadlines(&mut self, reserve: &mut Reserve, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            let Some(PeerGuard { peer, mut resources, .. }) = self.peer_guard(key, reserve, now) else { continue };
            peer.armed_at = Instant::NEVER;
            if peer.mark == Mark::Waiting {
                continue;
            }
            let before = *peer.connection.halves();
            peer.connection.handle_deadline(&mut resources);
            if peer.handle_lifetime(&mut resources) || *peer.connection.halves() != before {
                self.mark(key);
            }
            self.reschedule(key);
        }
    }

    /// The number of peers, including pending peers and closed peers that are not yet reaped.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there is no peer.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// All peers except pending ones.
    pub fn peers(&self) -> impl Iterator<Item = (Key, &Peer<S, L>)> {
        self.peers.iter().filter(|(_, peer)| !peer.is_pending())
    }

    /// The links of all peers, also of pending ones.
    pub fn links(&self) -> impl Iterator<Item = &L> {
        self.peers.iter().map(|(_, peer)| &peer.link)
    }

    /// One peer, unless it is pending or gone.
    pub fn peer(&self, key: Key) -> Option<&Peer<S, L>> {
        self.peers.get(key).filter(|peer| !peer.is_pending())
    }

    /// One peer, open or pending.
    pub fn any_peer(&self, key: Key) -> Option<&Peer<S, L>> {
        self.peers.get(key)
    }

    /// Visits peers from slot `first` on, also pending ones: at most `peers_max`, and a bounded number of slots.
    ///
    /// Returns the slot at which the next call continues, or `None` when it has visited all.
    pub fn peers_from(&self, first: usize, peers_max: usize, mut visit: impl FnMut(Key, &Peer<S, L>)) -> Option<usize> {
        let slots = self.peers.slots();
        let end = slots.min(first.saturating_add(peers_max.saturating_mul(FREE_SLOTS_PER_PEER)));
        let mut visited = 0;
        for slot in first..end {
            if visited == peers_max {
                return Some(slot);
            }
            let key = self.peers.key_at(slot);
            if let Some((key, peer)) = key.and_then(|key| Some((key, self.any_peer(key)?))) {
                visit(key, peer);
                visited += 1;
            }
        }
        (end < slots).then_some(end)
    }

    /// The counters of this host.
    pub fn counters(&self) -> &HostCounters {
        &self.counters
    }

    /// The codec of each peer.
    pub fn codec(&self) -> &S::Codec {
        &self.codec
    }

    /// The limits of each peer.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the limits of each peer. Deadlines of open peers that are now earlier count once
    /// [`Self::for_peers_from`] has visited the peer.
    pub fn change_limits(&mut self, limits: impl Into<Arc<Limits>>) {
        self.limits = limits.into();
    }

    /// Borrows the service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// Borrows the service for changes between turns.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// Drops all peers without notifying the service, and returns the service.
    pub fn into_service(self) -> S {
        self.service
    }
}
