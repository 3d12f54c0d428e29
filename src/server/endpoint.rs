//! `Endpoint`: one listener with its service and its peers.
//!
//! Endpoints differ in their service and codec, so the server keeps them as [`AnyEndpoint`] objects. The
//! server polls and dispatches events. Each endpoint does the other steps of a turn for its own peers.

mod accepting;
mod connecting;

use std::sync::mpsc::Receiver;

use log::{debug, error, info};

use crate::admission::{AcceptRetry, Admission, LogThrottle, ServerLimits, Totals, repeated_suffix};
use crate::buffer::{Reserve, Scratch};
use crate::connection::{CloseReason, READ_LEN_MAX};
use crate::connector::Connector;
use crate::host::{CloseMode, Host, Peer};
use crate::instant::Instant;
use crate::net::pump;
use crate::net::{Address, Budget, Layer, Link, MESSAGES_WAITING_MAX, Net, Readiness, Stream, TURN_BYTES, Token};
use crate::service::Service;
use crate::slab::Key;

use super::handshakes::Handshakes;
use super::peer_log::PeerLog;
use super::snapshot::{EndpointSnapshot, PeerSnapshot};

/// Most handshake steps per endpoint and turn. The cryptography of a step takes far longer than serving
/// a message, and other peers wait meanwhile.
const HANDSHAKE_BUDGET: usize = 16;

/// The state that all endpoints of a server share.
pub(super) struct LoopState<N: Net> {
    pub(super) net: N,
    pub(super) now: Instant,
    pub(super) scratch: Scratch,
    pub(super) reserve: Reserve,
    /// Most bytes that each endpoint may move in a turn.
    pub(super) turn_bytes: usize,
    /// The number of events reported since the last complete poll; `None` after a complete one. While it
    /// is set, a peer that looks idle may have an event that is not yet reported.
    pub(super) partial_poll: Option<usize>,
    pub(super) admission: Admission,
    pub(super) closes: u64,
    pub(super) refused_full: u64,
    pub(super) refused_address: u64,
    pub(super) accept_errors: u64,
    pub(super) connects_failed: u64,
}

impl<N: Net> LoopState<N> {
    pub(super) fn new(net: N, limits: &ServerLimits) -> Self {
        Self {
            now: net.now(),
            net,
            scratch: Scratch::new(READ_LEN_MAX),
            reserve: Reserve::new(limits.queue_total_max),
            turn_bytes: TURN_BYTES,
            partial_poll: None,
            admission: Admission::new(limits),
            closes: 0,
            refused_full: 0,
            refused_address: 0,
            accept_errors: 0,
            connects_failed: 0,
        }
    }
}

/// An endpoint as the server sees it.
pub(super) trait AnyEndpoint<N: Net> {
    /// Records an event of the listener or of a peer.
    fn handle_event(&mut self, readiness: &Readiness);
    /// Delivers the messages of other threads to the service.
    fn deliver_messages(&mut self, state: &mut LoopState<N>);
    /// Does the endpoint's steps of a turn.
    fn turn(&mut self, state: &mut LoopState<N>);
    /// Frees the closed peers. It is the last step, because an event of the same poll may still name a
    /// slot that was freed and used again.
    fn reap(&mut self, state: &mut LoopState<N>);
    /// When the endpoint has work even if no event comes: `Instant::ORIGIN` if now.
    fn next_work(&self, state: &LoopState<N>) -> Instant;
    /// Accepts the connections in the backlog, closes the listener, and finishes each peer once its
    /// input is served.
    fn drain(&mut self, state: &mut LoopState<N>);
    /// Finishes every peer and discards its further input.
    fn finish_all(&mut self, state: &mut LoopState<N>);
    /// Closes every peer now.
    fn stop(&mut self, state: &mut LoopState<N>);
    /// Reads the TLS certificate again, for new connections.
    fn reload(&mut self) {}
    fn is_empty(&self) -> bool;
    fn local_address(&self) -> &Address;
    /// Adds the counters of the endpoint.
    fn add_to(&self, totals: &mut Totals);
    /// The port of a UDP endpoint.
    fn datagram_port(&self) -> Option<u16> {
        None
    }
    /// Refuses datagrams from these ports, on which this server answers.
    fn refuse_own_ports(&mut self, ports: &[u16]) {
        let _ = ports;
    }
    fn snapshot(&self) -> EndpointSnapshot;
}

/// One listener with its layer, its service and its peers.
pub(super) struct Endpoint<S: Service, N: Net, W: Layer<N::Stream>> {
    index: u8,
    address: Address,
    /// `None` once the endpoint is draining.
    listener: Option<N::Listener>,
    /// Whether an accept may succeed.
    is_acceptable: bool,
    accept_retry: AcceptRetry,
    accept_log: LogThrottle,
    panic_log: LogThrottle,
    layer: W,
    handshakes: Handshakes,
    handshake_log: LogThrottle,
    /// Outbound connections that the service has ordered, with the states of their peers.
    connector: Connector<S::Peer>,
    connect_log: LogThrottle,
    peer_log: PeerLog,
    host: Host<S, Link<W::Stream>>,
    inbox: Receiver<S::Message>,
    /// Messages wait until the service's orders are applied.
    has_messages: bool,
}

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    pub(super) fn new(
        index: u8,
        (listener, address): (N::Listener, Address),
        layer: W,
        limits: &ServerLimits,
        host: Host<S, Link<W::Stream>>,
        inbox: Receiver<S::Message>,
    ) -> Self {
        Self {
            index,
            address,
            listener: Some(listener),
            is_acceptable: false,
            accept_retry: AcceptRetry::new(),
            accept_log: LogThrottle::default(),
            panic_log: LogThrottle::default(),
            layer,
            handshakes: Handshakes::new(limits.handshakes_max),
            handshake_log: LogThrottle::default(),
            connector: Connector::new(limits.connecting_max, limits.connect_timeout),
            connect_log: LogThrottle::default(),
            peer_log: PeerLog::default(),
            host,
            inbox,
            has_messages: false,
        }
    }

    /// Serves each marked peer once within the budget. The others stay marked.
    fn serve(&mut self, state: &mut LoopState<N>) -> Budget {
        let mut handshakes = HANDSHAKE_BUDGET;
        let marked = self.host.begin_round();
        let mut budget = Budget::new(state.turn_bytes, marked, &state.reserve);
        for _ in 0..marked {
            if budget.is_spent(&state.reserve) {
                break;
            }
            let Some(key) = self.host.pop_marked() else { break };
            let is_pending = self.host.pending(key).is_some();
            if is_pending && W::HAS_HANDSHAKE {
                if handshakes == 0 {
                    self.host.mark(key);
                    continue;
                }
                handshakes -= 1;
                self.handshake(key, state);
            } else if is_pending {
                self.check_connected(key, state);
            }
            self.serve_one(key, &mut budget, state);
        }
        budget
    }

    /// Serves one peer, unless it is still pending.
    fn serve_one(&mut self, key: Key, budget: &mut Budget, state: &mut LoopState<N>) {
        let LoopState { scratch, reserve, now, .. } = state;
        let before = self.peer_log.is_active().then(|| self.host.counters().ledger);
        pump::serve(&mut self.host, key, budget, scratch, reserve, *now);
        if let Some(before) = before {
            self.peer_log.served(key, &before, &self.host.counters().ledger);
        }
    }

    /// Expires deadlines. This comes after serving: a peer with unread data is not idle.
    fn expire_deadlines(&mut self, state: &mut LoopState<N>) {
        if state.partial_poll.is_some() {
            return;
        }
        self.host.handle_deadlines(&mut state.reserve, state.now);
        self.expire_handshakes(state);
        self.expire_connects(state);
    }

    /// Drains a peer that was opened after the drain began.
    fn drain_if_draining(&mut self, key: Key, state: &mut LoopState<N>) {
        if self.listener.is_none()
            && let Some(peer_guard) = self.host.peer_guard(key, &mut state.reserve, state.now)
        {
            drain_peer(peer_guard.peer);
        }
    }
}

/// Finishes a peer once its input is served. Reads until the stream is empty, because data that the peer
/// sent before the drain may not have been reported, or may still be on its way.
fn drain_peer<S: Service, T>(peer: &mut Peer<S, Link<T>>) {
    peer.connection.handle_drain();
    peer.link.read_on();
}

impl<S: Service, N: Net, W: Layer<N::Stream>> AnyEndpoint<N> for Endpoint<S, N, W> {
    fn handle_event(&mut self, readiness: &Readiness) {
        if readiness.token == listener_token(self.index) {
            self.is_acceptable = true;
        } else {
            self.host.handle_event(key_of(readiness.token), |link| link.remember(readiness));
        }
    }

    fn deliver_messages(&mut self, state: &mut LoopState<N>) {
        // At most a full inbox: a thread that sends more meanwhile wakes the loop again.
        self.has_messages = true;
        for _ in 0..MESSAGES_WAITING_MAX {
            if self.host.is_outbox_full() {
                return;
            }
            let Ok(message) = self.inbox.try_recv() else { break };
            self.host.handle_message(message, state.now);
        }
        self.has_messages = false;
    }

    fn turn(&mut self, state: &mut LoopState<N>) {
        if self.has_messages {
            self.deliver_messages(state);
        }
        self.accept(state);
        self.connect(state);
        let mut budget = self.serve(state);
        self.expire_deadlines(state);
        self.host.handle_timers(&mut state.reserve, state.now);
        self.host.apply_orders(&mut state.reserve, state.now, &mut budget.orders, pump::write_queued);
        self.reap(state);
    }

    fn reap(&mut self, state: &mut LoopState<N>) {
        let LoopState { reserve, now, admission, closes, .. } = state;
        let Self { host, peer_log, panic_log, address, .. } = self;
        host.reap_closed(reserve, *now, |key, link, reason, close_mode| {
            peer_log.closed(key, reason, *now);
            if reason == CloseReason::Panicked
                && let Some(suppressed) = panic_log.permit(*now)
            {
                error!("the service on {address} panicked; its peer is closed{}", repeated_suffix(suppressed));
            }
            admission.release(link.group());
            *closes += 1;
            let mut stream = link.into_stream();
            if close_mode == CloseMode::Reset
                && let Err(error) = stream.reset_on_drop()
            {
                debug!("cannot reset {key}: {error}");
            }
        });
    }

    fn next_work(&self, state: &LoopState<N>) -> Instant {
        if self.host.marked_len() > 0 || self.host.wants_connect() || self.host.has_orders() || self.has_messages {
            return Instant::ORIGIN;
        }
        let accept_at = match self.accept_retry.until() {
            _ if !self.wants_accept(state) => Instant::NEVER,
            Some(until) if self.accept_retry.is_paused(state.now, state.closes) => until,
            Some(_) | None => Instant::ORIGIN,
        };
        let handshake_at = self.handshakes.deadline(self.host.limits().handshake_timeout);
        accept_at
            .min(handshake_at)
            .min(self.connector.next_work())
            .min(self.host.next_deadline().unwrap_or(Instant::NEVER))
            .min(self.host.next_timer().unwrap_or(Instant::NEVER))
    }

    fn drain(&mut self, state: &mut LoopState<N>) {
        self.accept_backlog(state);
        self.listener = None;
        self.host.handle_drain(state.now);
        self.host.for_peers_from(0, usize::MAX, &mut state.reserve, state.now, |peer, _| drain_peer(peer));
    }

    fn finish_all(&mut self, state: &mut LoopState<N>) {
        self.close_handshakes(CloseReason::Drained, state);
        self.abort_connects(state);
        self.host.for_peers_from(0, usize::MAX, &mut state.reserve, state.now, |peer, resources| {
            peer.connection.handle_drain_timeout(resources);
        });
    }

    fn stop(&mut self, state: &mut LoopState<N>) {
        self.listener = None;
        self.close_handshakes(CloseReason::Stopped, state);
        self.abort_connects(state);
        self.host.for_peers_from(0, usize::MAX, &mut state.reserve, state.now, |peer, _| {
            peer.connection.handle_error(CloseReason::Stopped);
        });
    }

    fn reload(&mut self) {
        match self.layer.reload() {
            None => {}
            Some(Ok(())) => info!("reloaded TLS certificate for {}", self.address),
            Some(Err(error)) => error!("kept the previous TLS certificate for {}: {error}", self.address),
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
            peers: self.host.peers().map(|(key, peer)| PeerSnapshot::of(key, peer, &self.host)).collect(),
            is_acceptable: self.is_acceptable,
            is_listening: self.listener.is_some(),
            marked: self.host.marked_len(),
            has_orders: self.host.has_orders(),
        }
    }
}

/// The token of a peer: the endpoint in the top byte, the slot below it, the generation in the low half.
fn token(index: u8, key: Key) -> Token {
    Token(u64::from(index) << 56 | key.to_bits())
}

fn key_of(token: Token) -> Key {
    Key::from_bits(token.0 & (u64::MAX >> 8))
}

/// The token of a listener. It has generation 0, which no peer has.
pub(super) fn listener_token(index: u8) -> Token {
    Token(u64::from(index) << 56)
}

/// The endpoint that a token belongs to.
pub(super) fn index_of(token: Token) -> usize {
    (token.0 >> 56) as usize
}
