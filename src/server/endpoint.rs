//! An endpoint: a listener, its service, its peers.
//!
//! Endpoints differ in their service and framing, so the server keeps them behind [`AnyEndpoint`]. When a
//! turn begins is the server's to say, and what was told; each endpoint does the rest for its own.

mod accepting;
mod connecting;

use std::sync::mpsc::Receiver;

use log::{debug, error, info};

use crate::admission::{AcceptRetry, Admission, LogThrottle, ServerLimits, Totals, repeated_suffix};
use crate::buffer::{Reserve, Scratch};
use crate::codec::Codec;
use crate::connection::{CloseReason, Connection};
use crate::connector::Connector;
use crate::host::{CloseMode, Host};
use crate::instant::Instant;
use crate::net::pump;
use crate::net::{Address, Budget, Event, Layer, Link, MESSAGES_WAITING_MAX, Net, Stream, Token};
use crate::service::Service;
use crate::slab::Key;

use super::handshakes::Handshakes;
use super::snapshot::{EndpointSnapshot, PeerSnapshot};
use accepting::Accepted;

/// Newcomers per endpoint and turn: 256 of them take about as long as one peer's whole budget.
const ACCEPT_BUDGET: usize = 256;

/// Handshakes that go on per endpoint and turn: with an elliptic key 16 take some 3 ms, so that
/// whoever is served beside a crowd of newcomers hardly notices.
const HANDSHAKE_BUDGET: usize = 16;

/// No backlog is longer: who keeps connecting during a drain does not keep it from going on.
const BACKLOG_MAX: usize = 1 << 16;

/// What the endpoints of a server share.
pub(super) struct LoopState<N: Net> {
    pub(super) net: N,
    pub(super) now: Instant,
    pub(super) scratch: Scratch,
    pub(super) reserve: Reserve,
    /// What each endpoint may move in a turn.
    pub(super) turn_bytes: usize,
    /// How many facts were told since a poll last told all there were. Until then who looks idle may
    /// have sent something; none: everybody has been told.
    pub(super) told_in_part: Option<usize>,
    pub(super) admission: Admission,
    pub(super) closes: u64,
    pub(super) refused_full: u64,
    pub(super) refused_address: u64,
    pub(super) accept_errors: u64,
    pub(super) connects_failed: u64,
}

/// The server's view of an endpoint: its share of the turn.
pub(super) trait AnyEndpoint<N: Net> {
    /// Remembers facts about the listener and about peers.
    fn remember(&mut self, events: &[Event]);
    /// Gives the posts of other threads to the service.
    fn deliver_messages(&mut self, shared: &mut LoopState<N>);
    /// Its share of the turn.
    fn turn(&mut self, shared: &mut LoopState<N>);
    /// Buries the closed. Last, and never inside the batch: a slot that is taken again could be named
    /// by an older fact.
    fn reap_closed(&mut self, shared: &mut LoopState<N>);
    /// Until when there is nothing to do unless a fact comes; `Instant::ORIGIN`: there is work now.
    fn next_work(&self, shared: &LoopState<N>) -> Instant;
    /// Takes in who is in the backlog, stops listening, and lets every peer finish.
    fn drain(&mut self, shared: &mut LoopState<N>);
    /// Finishes every peer, whatever it still sends.
    fn finish_all(&mut self, shared: &mut LoopState<N>);
    /// Ends every peer now.
    fn stop(&mut self, shared: &mut LoopState<N>);
    /// Reads again what newcomers are shown.
    fn reload(&mut self) {}
    fn is_empty(&self) -> bool;
    fn local_address(&self) -> &Address;
    /// Adds what was counted to the totals.
    fn add_to(&self, totals: &mut Totals);
    /// The port on which datagrams are answered, if they are.
    fn datagram_port(&self) -> Option<u16> {
        None
    }
    /// Ports whose datagrams are not answered, since this server answers on them.
    fn learn_own_ports(&mut self, ports: &[u16]) {
        let _ = ports;
    }
    fn snapshot(&self) -> EndpointSnapshot;
}

/// A listener, what is laid over its streams, its service, its peers.
pub(super) struct Endpoint<S: Service, C: Codec, N: Net, W: Layer<N::Stream>> {
    index: u8,
    address: Address,
    listener: Option<N::Listener>,
    /// An accept may succeed, as far as we know.
    is_acceptable: bool,
    accept_retry: AcceptRetry,
    complaint: LogThrottle,
    panics: LogThrottle,
    layer: W,
    handshakes: Handshakes,
    failures: LogThrottle,
    /// What the service ordered, by its tickets.
    connector: Connector<u64>,
    unreached: LogThrottle,
    host: Host<S, C, Link<W::Stream>>,
    inbox: Receiver<S::Message>,
}

impl<S: Service, C: Codec, N: Net, W: Layer<N::Stream>> Endpoint<S, C, N, W> {
    pub(super) fn new(
        index: u8,
        (listener, address): (N::Listener, Address),
        layer: W,
        limits: &ServerLimits,
        host: Host<S, C, Link<W::Stream>>,
        inbox: Receiver<S::Message>,
    ) -> Self {
        Self {
            index,
            address,
            listener: Some(listener),
            is_acceptable: false,
            accept_retry: AcceptRetry::new(),
            complaint: LogThrottle::default(),
            panics: LogThrottle::default(),
            layer,
            handshakes: Handshakes::new(limits.handshakes_max),
            failures: LogThrottle::default(),
            connector: Connector::new(limits.connecting_max, limits.connect_timeout),
            unreached: LogThrottle::default(),
            host,
            inbox,
        }
    }
}

/// What was sent before may not have been told yet, or still be on its way behind a window.
fn drain<C: Codec, T>(link: &mut Link<T>, connection: &mut Connection<C>) {
    connection.handle_drain();
    link.read_on();
}

impl<S: Service, C: Codec, N: Net, W: Layer<N::Stream>> Endpoint<S, C, N, W> {
    /// Accepts, within the budget, if there is room.
    #[inline]
    fn accept(&mut self, shared: &mut LoopState<N>) {
        if self.is_acceptable {
            self.accept_some(shared);
        }
    }

    #[inline(never)]
    fn accept_some(&mut self, shared: &mut LoopState<N>) {
        if self.accept_retry.is_resting(shared.now, shared.closes) {
            return;
        }
        for _ in 0..ACCEPT_BUDGET {
            if !self.wants_accept(shared) {
                break;
            }
            match self.accept_one(shared) {
                Accepted::Next => {}
                Accepted::Enough => break,
            }
        }
    }

    /// Begins the connections that the service ordered, within the budget.
    #[inline]
    fn connect(&mut self, shared: &mut LoopState<N>) {
        if self.host.wanted_len() > 0 || !self.connector.is_idle() {
            self.begin_ordered(shared);
        }
    }

    /// Serves each marked peer once, as far as the budget lasts; the rest stay marked.
    #[inline]
    fn serve_marked(&mut self, shared: &mut LoopState<N>) {
        let mut handshakes = HANDSHAKE_BUDGET;
        let marked = self.host.begin_round();
        let mut budget = Budget::new(shared.turn_bytes, marked);
        for _ in 0..marked {
            if budget.is_spent() {
                break;
            }
            let Some(key) = self.host.pop_marked() else { break };
            if self.connector.connecting() > 0 && self.host.expected(key).is_some() {
                if !self.go_on_connecting(key, shared) {
                    continue;
                }
            } else if W::HAS_HANDSHAKE && self.host.expected(key).is_some() {
                if handshakes == 0 {
                    self.host.mark(key);
                    continue;
                }
                handshakes -= 1;
                if !self.handshake(key, shared) {
                    continue;
                }
            }
            pump::serve(&mut self.host, key, &mut budget, &mut shared.scratch, &mut shared.reserve, shared.now);
        }
    }

    /// Tells peers whose deadline has passed. After serving: a peer that has sent something in time is
    /// not idle, however late we are.
    #[inline]
    fn handle_deadlines(&mut self, shared: &mut LoopState<N>) {
        if shared.told_in_part.is_some() {
            return;
        }
        self.host.handle_deadlines(&mut shared.reserve, shared.now);
        while let Some(oldest) = self.handshakes.oldest()
            && oldest.since + self.host.limits().handshake_timeout <= shared.now
        {
            self.give_up(oldest.key, CloseReason::HandshakeTimeout, shared);
        }
        if !self.connector.is_idle() {
            self.give_up_late(shared);
        }
    }
}

impl<S: Service, C: Codec, N: Net, W: Layer<N::Stream>> AnyEndpoint<N> for Endpoint<S, C, N, W> {
    fn remember(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Ready(readiness) if readiness.token == listener_token(self.index) => self.is_acceptable = true,
                Event::Ready(readiness) => {
                    self.host.handle_fact(key_of(readiness.token), |link| link.remember(readiness));
                }
                Event::ControlEvent(_) => {}
            }
        }
    }

    fn turn(&mut self, shared: &mut LoopState<N>) {
        self.accept(shared);
        self.connect(shared);
        self.serve_marked(shared);
        self.handle_deadlines(shared);
        self.reap_closed(shared);
    }

    fn deliver_messages(&mut self, shared: &mut LoopState<N>) {
        // No more than can wait at once: whoever posts meanwhile wakes us again.
        for post in self.inbox.try_iter().take(MESSAGES_WAITING_MAX) {
            self.host.handle_message(post, &mut shared.reserve, shared.now);
        }
    }

    #[inline]
    fn reap_closed(&mut self, shared: &mut LoopState<N>) {
        let LoopState { reserve, now, admission, closes, .. } = shared;
        let (panics, address) = (&mut self.panics, &self.address);
        self.host.reap_closed(reserve, *now, |key, link, reason, close_mode| {
            debug!("peer {key:?} closed: {reason}");
            if reason == CloseReason::Panicked
                && let Some(more) = panics.permit(*now)
            {
                error!("the service on {address} panicked; its peer is closed{}", repeated_suffix(more));
            }
            admission.release(link.group());
            *closes += 1;
            let mut stream = link.into_stream();
            if close_mode == CloseMode::Reset
                && let Err(error) = stream.reset_on_drop()
            {
                debug!("peer {key:?} was gone before its reset: {error}");
            }
        });
    }

    fn next_work(&self, shared: &LoopState<N>) -> Instant {
        if self.host.marked_len() > 0 || self.host.wanted_len() > 0 {
            return Instant::ORIGIN;
        }
        let accept_at = match self.accept_retry.until() {
            _ if !self.wants_accept(shared) => Instant::NEVER,
            Some(until) if self.accept_retry.is_resting(shared.now, shared.closes) => until,
            Some(_) | None => Instant::ORIGIN,
        };
        let handshake_at = self.handshakes.deadline(self.host.limits().handshake_timeout);
        accept_at
            .min(handshake_at)
            .min(self.connector.next_work())
            .min(self.host.next_deadline().unwrap_or(Instant::NEVER))
    }

    fn drain(&mut self, shared: &mut LoopState<N>) {
        // Whoever connects from now on is not in the backlog and meets a closed port.
        for _ in 0..BACKLOG_MAX {
            match self.accept_one(shared) {
                Accepted::Next => {}
                Accepted::Enough => break,
            }
        }
        self.listener = None;
        self.host.tell_all(&mut shared.reserve, shared.now, |peer, _| drain(&mut peer.link, &mut peer.connection));
    }

    fn finish_all(&mut self, shared: &mut LoopState<N>) {
        self.give_up_all(CloseReason::Drained, shared);
        self.stop_connecting(shared);
        self.host.tell_all(&mut shared.reserve, shared.now, |peer, resources| {
            peer.connection.handle_drain_timeout(resources);
        });
    }

    fn stop(&mut self, shared: &mut LoopState<N>) {
        self.listener = None;
        self.give_up_all(CloseReason::Stopped, shared);
        self.stop_connecting(shared);
        self.host.tell_all(&mut shared.reserve, shared.now, |peer, _| {
            peer.connection.handle_error(CloseReason::Stopped);
        });
    }

    fn reload(&mut self) {
        match self.layer.reload() {
            None => {}
            Some(Ok(())) => info!("newcomers on {} are shown the certificate as it is now", self.address),
            Some(Err(error)) => error!("newcomers on {} are shown the certificate of before: {error}", self.address),
        }
    }

    fn is_empty(&self) -> bool {
        self.host.is_empty()
    }

    fn local_address(&self) -> &Address {
        &self.address
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.add(self.host.counters());
        totals.handshakes += self.handshakes.len() as u64;
        totals.connecting += self.connector.connecting() as u64;
        for (_, peer) in self.host.peers() {
            totals.bytes_stored += peer.connection.input_len() as u64;
            totals.bytes_waiting += peer.connection.output_len() as u64;
        }
    }

    fn snapshot(&self) -> EndpointSnapshot {
        EndpointSnapshot {
            counters: *self.host.counters(),
            limits: self.host.limits().clone(),
            peers: self.host.peers().map(|(key, peer)| PeerSnapshot::of(key, peer, self.host.limits())).collect(),
            is_acceptable: self.is_acceptable,
            is_listening: self.listener.is_some(),
            marked: self.host.marked_len(),
        }
    }
}

/// Endpoint in the top byte, slot below it, generation in the low half.
fn token(index: u8, key: Key) -> Token {
    Token(u64::from(index) << 56 | key.to_bits())
}

fn key_of(token: Token) -> Key {
    Key::from_bits(token.0 & (u64::MAX >> 8))
}

/// The listener's token: generation 0, which no peer has.
pub(super) fn listener_token(index: u8) -> Token {
    Token(u64::from(index) << 56)
}

/// Which endpoint a token belongs to.
pub(super) fn index_of(token: Token) -> usize {
    (token.0 >> 56) as usize
}
