//! `TurnView`: the state of server, simulated kernel and services after one turn, and its checks.
//!
//! Each check here looks at one turn. The checks that compare turns are in `invariants`.

use std::collections::HashMap;

use super::log::PeerName;
use super::peers::ServiceKind;
use super::run_state::RunState;
use crate::admission::Totals;
use crate::connection::{KIB, READ_LEN_MAX, WriteHalf};
use crate::event_loop::{EndpointSnapshot, PeerSnapshot, Snapshot, peer_token};
use crate::instant::Instant;
use crate::net::Token;
use crate::sim::{Fault, ListenerView, StreamView, WorldCounters};

/// The most bytes of a peer in one turn: four reads and their echo.
///
/// The last read, its echo and a full queue may exceed it.
const SERVE_BUDGET_BYTES: usize = 512 * KIB;

/// The state after one turn, as the server, the simulated kernel and the services report it.
pub(super) struct TurnView<'a> {
    pub(super) run: &'a RunState,
    pub(super) snapshot: Snapshot,
    pub(super) totals: Totals,
    pub(super) counters: WorldCounters,
    pub(super) streams: HashMap<Token, StreamView>,
}

/// The token of a peer's stream.
pub(super) fn token_of((endpoint, key): PeerName) -> Token {
    peer_token(endpoint, key)
}

impl<'a> TurnView<'a> {
    pub(super) fn new(run: &'a RunState) -> Self {
        let mut streams = HashMap::new();
        run.world.for_each_stream(|stream| {
            assert!(streams.insert(stream.token, stream).is_none(), "two streams have the same token");
        });
        let (snapshot, totals, counters) = (run.server.snapshot(), run.server.totals(), run.world.counters());
        Self { run, snapshot, totals, counters, streams }
    }

    /// The number of peers that are marked to be served.
    pub(super) fn marked(&self) -> usize {
        self.snapshot.endpoints.iter().map(|endpoint| endpoint.marked).sum()
    }

    fn peers(&self) -> impl Iterator<Item = &PeerSnapshot> {
        self.snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.peers)
    }

    /// How often a fault was injected so far.
    pub(super) fn fault_count(&self, fault: Fault) -> u64 {
        self.run.world.fault_counts().of(fault)
    }

    /// Checks that the three reports agree on every peer and byte.
    pub(super) fn check_agreement(&self) {
        let (ledger, log, streams) = (&self.totals.peers.ledger, self.run.log.lock(), self.streams.len());
        if let Some(violation) = &log.violation {
            panic!("{violation}");
        }
        assert!(self.totals.reconciles(), "{:?}", self.totals);
        let stored: usize = self.peers().map(|peer| peer.input_len).sum();
        let waiting: usize = self.peers().map(|peer| peer.output_len).sum();
        assert_eq!(self.totals.bytes_stored, stored as u64, "bytes stored");
        assert_eq!(self.totals.bytes_waiting, waiting as u64, "bytes waiting");
        assert_eq!(ledger.bytes_read, self.counters.bytes_read, "bytes read");
        assert_eq!(ledger.bytes_written, self.counters.bytes_written, "bytes written");
        let peers = self.peers().count();
        let open = streams - self.totals.connecting as usize;
        assert_eq!((peers, self.snapshot.open, log.open.len()), (open, streams, open), "peers, admitted, open");
        assert_eq!(self.totals.peers.opened, log.opened, "opened");
        let lost = self.fault_count(Fault::RegisterFails);
        let refused = self.totals.refused_full + self.totals.refused_address;
        assert_eq!(self.counters.accepted, self.totals.peers.opened + refused + lost, "accepted");
        assert!(self.counters.resets <= self.totals.peers.resets + refused, "resets without a reason");
        let has_stream = |name: &PeerName| self.streams.contains_key(&token_of(*name));
        assert!(log.open.keys().all(has_stream), "a service knows a peer that the server does not have");
        let still_open = log.panicked.iter().find(|name| log.open.contains_key(name));
        assert_eq!(still_open, None, "a peer is still open after a panic of its callback");
    }

    /// Checks the bounds of each queue and of all queues together.
    pub(super) fn check_memory(&self) {
        assert!(self.snapshot.lent_bytes <= self.snapshot.lent_bytes_max, "{} bytes lent", self.snapshot.lent_bytes);
        for endpoint in &self.snapshot.endpoints {
            for peer in &endpoint.peers {
                assert!(
                    peer.output_len <= endpoint.limits.queue_len_max(peer.role),
                    "too much output is queued: {peer:?}"
                );
                assert!(peer.input_len <= endpoint.limits.input_len_max(), "too much input is stored: {peer:?}");
            }
        }
        if self.streams.is_empty() {
            assert_eq!(self.snapshot.lent_bytes, 0, "memory is lent without a peer");
            // After the last backlog the listener is closed, in the next turn.
            let is_closing = !self.snapshot.stage.accepts();
            let has_work = |endpoint: &EndpointSnapshot| {
                !endpoint.is_listening
                    || is_closing
                    || endpoint.is_acceptable
                    || endpoint.marked > 0
                    || endpoint.has_orders
            };
            let is_shutdown = |at| at == self.snapshot.next_stage_at;
            assert!(
                self.snapshot.endpoints.iter().any(has_work) || self.snapshot.sleeps_until.is_none_or(is_shutdown),
                "a timer of a closed peer is left: {:#?}",
                self.snapshot
            );
        }
    }

    /// Checks that a peer with work is marked, or that an event or a timer will come for it.
    pub(super) fn check_work(&self, name: PeerName, peer: &PeerSnapshot, stream: &StreamView) {
        let (snapshot, endpoint) = (&self.snapshot, &self.run.endpoints[name.0]);
        let endpoint_view = &snapshot.endpoints[name.0];
        let limits = &endpoint_view.limits;
        let moved_max = limits.queue_len_max(peer.role).saturating_add(SERVE_BUDGET_BYTES + 2 * READ_LEN_MAX);
        assert!(stream.bytes_in_turn <= moved_max, "{} bytes in one turn: {peer:?}", stream.bytes_in_turn);
        if peer.is_marked || peer.closed.is_some() {
            // A shutdown closes peers at the end of a turn. The next turn reaps them.
            let may_be_closed = !endpoint_view.is_listening || endpoint_view.has_orders;
            assert!(peer.closed.is_none() || may_be_closed, "closed and not reaped: {peer:?}");
            assert_eq!(snapshot.sleeps_until, Some(Instant::ORIGIN), "the server would sleep with work for {peer:?}");
            return;
        }
        assert!(snapshot.sleeps_until.is_some_and(|at| at <= peer.armed_at), "no timer is armed for {peer:?}");
        let (queued, write) = (peer.output_len, peer.halves.write());
        let forgotten = if peer.wants_read && (stream.unread > 0 || stream.is_read_closed) && !stream.is_ready {
            Some("input")
        } else if queued > 0 && !stream.is_ready && !stream.awaits_space {
            Some("output")
        } else if (peer.wants_read && peer.readable) || (queued > 0 && peer.writable) {
            Some("readiness")
        } else if peer.is_paused && queued == 0 && !peer.is_held_by_service {
            Some("the pause with an empty queue")
        } else if write == WriteHalf::Finishing && queued == 0 {
            Some("the FIN")
        } else if endpoint.service == ServiceKind::Chargen && write == WriteHalf::Open && queued <= limits.queue.low() {
            Some("the on_writable callback")
        } else {
            None
        };
        if let Some(what) = forgotten {
            panic!("{what} of a peer is forgotten: {peer:?} {stream:?}");
        }
    }

    /// Checks that the server knows of a backlog with connections, or that an event will come.
    pub(super) fn check_listener(&self, listener: &ListenerView) {
        let endpoint = &self.snapshot.endpoints[(listener.token.0 >> 56) as usize];
        let is_known = listener.is_ready || endpoint.is_acceptable;
        assert!(listener.backlog_len == 0 || is_known, "a backlog is forgotten: {listener:?}");
    }
}
