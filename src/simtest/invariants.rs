//! `Invariants`: what must hold after every turn of a simulated run, with all faults.
//!
//! It compares three independent sources: the server's snapshot, the simulated kernel's state and
//! the log of the services.

use std::collections::HashMap;

use super::close_invariants::{CloseInvariants, check_answer};
use super::log::{ClosedPeer, PeerName};
use super::peer_history::PeerHistory;
use super::run_state::RunState;
use super::turn_view::{TurnView, token_of};
use crate::admission::Totals;
use crate::connection::CloseReason;
use crate::event_loop::PeerSnapshot;
use crate::instant::Instant;
use crate::sim::{Fault, StreamView, WorldCounters};

/// The most consecutive turns without progress and without sleep. In such a turn, the server may find that
/// its marked peers have no work. Each of the last two stages of a shutdown marks them once more.
const IDLE_TURNS_MAX: u32 = 3;
/// The most turns in which a server may still run after its drain timeout.
const LATE_TURNS_MAX: u32 = 2;

/// What the checks remember from turn to turn.
#[derive(Default)]
pub(super) struct Invariants {
    histories: HashMap<PeerName, PeerHistory>,
    /// The close reason of each peer, by port.
    reasons: HashMap<u16, CloseReason>,
    before: Before,
    idle_turns: u32,
    pub(super) turns: u64,
    pub(super) turns_with_marks_left: u64,
    shutdown: ShutdownRecord,
}

/// The progress of a drain or stop.
#[derive(Default)]
struct ShutdownRecord {
    may_drain: bool,
    may_stop: bool,
    began_at: Option<Instant>,
    /// The turn in which the listeners were closed has been checked.
    is_backlog_checked: bool,
    late_turns: u32,
    /// The bytes that each peer had sent when the drain began, as far as they must be served.
    sent: Vec<u64>,
    /// The count of reads that blocked by a fault, when the drain began.
    blocked_reads: u64,
}

/// The state before the turn.
#[derive(Default)]
struct Before {
    counters: WorldCounters,
    totals: Totals,
    callbacks: u64,
    stale: u64,
    spurious: u64,
    backlog_len: usize,
    marked: usize,
    wants_sleep: bool,
}

impl Before {
    /// Stores the state after a turn, for the checks of the next one.
    fn new(view: TurnView<'_>) -> Self {
        Self {
            marked: view.marked(),
            spurious: view.fault_count(Fault::Spurious),
            stale: view.fault_count(Fault::Stale),
            callbacks: view.run.log.lock().callbacks,
            backlog_len: 0,
            wants_sleep: view.snapshot.sleeps_until.is_none_or(|at| at > view.run.world.now()),
            counters: view.counters,
            totals: view.totals,
        }
    }
}

impl Invariants {
    pub(super) fn drain_requested(&mut self) {
        // A second drain is a stop.
        self.shutdown.may_stop |= self.shutdown.may_drain;
        self.shutdown.may_drain = true;
    }

    pub(super) fn stop_requested(&mut self) {
        self.shutdown.may_stop = true;
    }

    pub(super) fn before_turn(&mut self, run: &RunState) {
        self.before.backlog_len = run.world.backlog_len();
        if self.shutdown.may_drain && self.shutdown.began_at.is_none() {
            self.shutdown.sent = run.peers.iter().map(|peer| peer.peer.sent_len()).collect();
            self.shutdown.blocked_reads = run.world.fault_counts().of(Fault::ReadBlocks);
        }
    }

    /// Checks everything that must hold after a turn.
    pub(super) fn after_turn(&mut self, run: &RunState) {
        self.turns += 1;
        let view = TurnView::new(run);
        self.turns_with_marks_left += u64::from(view.marked() > 0);
        view.check_agreement();
        view.check_memory();
        if let Some(datagrams) = &run.datagrams {
            datagrams.check(&view.totals.datagrams);
        }
        self.check_closed(&view);
        for (number, endpoint) in view.snapshot.endpoints.iter().enumerate() {
            for peer in &endpoint.peers {
                let name = (number, peer.key);
                let stream = &view.streams[&token_of(name)];
                view.check_work(name, peer, stream);
                self.check_deadlines(name, peer, stream, &view);
            }
        }
        run.world.for_each_listener(|listener| view.check_listener(&listener));
        self.check_progress(&view);
        self.check_stale(&view);
        self.check_shutdown(&view);
        self.before = Before::new(view);
    }

    /// Checks the reason and the time of each close in this turn.
    fn check_closed(&mut self, view: &TurnView<'_>) {
        let closed = std::mem::take(&mut view.run.log.lock().closed);
        let is_single = closed.len() == 1;
        for ClosedPeer { name, port, reason, is_end_reported } in closed {
            self.reasons.insert(port, reason);
            let peer = view.run.peer(port);
            let invariants = CloseInvariants {
                now: view.snapshot.now,
                history: self.histories.remove(&name).unwrap_or_else(|| PeerHistory::new(view.snapshot.now)),
                may_drain: self.shutdown.may_drain,
                may_stop: self.shutdown.may_stop || self.shutdown.is_time_over(view),
                has_little_memory: view.run.has_little_memory(),
                is_end_reported,
            };
            invariants.check(peer, reason);
            let unsent = view.totals.peers.ledger.bytes_unsent - self.before.totals.peers.ledger.bytes_unsent;
            if is_single && unsent > 0 {
                let is_connected = peer.peer.is_connected();
                assert!(!is_connected, "{unsent} unsent bytes lost without a reset, {reason}: {peer:?}");
            }
        }
    }

    /// Checks that each peer has a deadline, no later than its limits allow, and that none was missed.
    fn check_deadlines(&mut self, name: PeerName, peer: &PeerSnapshot, stream: &StreamView, view: &TurnView<'_>) {
        let (now, limits) = (view.snapshot.now, &view.snapshot.endpoints[name.0].limits);
        let frames = view.run.log.lock().frames.get(&name).copied().unwrap_or(0);
        let history = self.histories.entry(name).or_insert_with(|| PeerHistory::new(now));
        history.update(peer, stream, now, frames);
        if peer.is_marked || peer.closed.is_some() {
            return;
        }
        let (at, what) = history.deadline(peer, limits);
        assert!(peer.deadline <= at, "{name:?} has the deadline {:?}, not {at:?} ({what}): {peer:?}", peer.deadline);
        assert!(peer.deadline > now || view.snapshot.deadlines_wait, "{name:?} is late at {now:?}: {peer:?}");
        assert!(peer.armed_at <= peer.deadline, "the timer of {name:?} is too late: {peer:?}");
    }

    /// Checks that the server sleeps if it makes no progress.
    fn check_progress(&mut self, view: &TurnView<'_>) {
        let (counters, before) = (&view.counters, &self.before);
        let has_moved = counters.progress > before.counters.progress || counters.events > before.counters.events;
        let new_spurious = (view.fault_count(Fault::Spurious) - before.spurious) as usize;
        let has_served = view.run.log.lock().callbacks > before.callbacks
            || view.totals.peers != before.totals.peers
            || view.totals.accept_errors > before.totals.accept_errors
            // A short turn finds that some marks have no work, and leaves the rest.
            || view.marked() < before.marked + new_spurious;
        // After an incomplete poll the server must not expire deadlines, and so it cannot sleep.
        let is_poll_incomplete = view.snapshot.deadlines_wait;
        let is_idle = !has_moved && !has_served && !before.wants_sleep && !is_poll_incomplete;
        self.idle_turns = if is_idle { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= IDLE_TURNS_MAX, "{} turns without sleep and progress", self.idle_turns);
    }

    /// Checks that stale events are counted and have no other effect.
    fn check_stale(&self, view: &TurnView<'_>) {
        let injected = view.fault_count(Fault::Stale) - self.before.stale;
        let counted = view.totals.peers.stale_events - self.before.totals.peers.stale_events;
        assert_eq!(counted, injected, "stale events");
    }

    /// Checks that a drain accepts the backlog and ends in time.
    fn check_shutdown(&mut self, view: &TurnView<'_>) {
        if !view.snapshot.is_draining {
            return;
        }
        if view.fault_count(Fault::ReadBlocks) > self.shutdown.blocked_reads {
            // After a false WouldBlock the server may finish the peer without another read.
            self.shutdown.sent.clear();
        }
        let is_listening = view.snapshot.endpoints.iter().any(|endpoint| endpoint.is_listening);
        if !self.shutdown.is_backlog_checked && !is_listening {
            self.shutdown.is_backlog_checked = true;
            let has_errors = view.totals.accept_errors != self.before.totals.accept_errors;
            let is_hindered = has_errors || view.fault_count(Fault::AcceptBlocks) > 0 || view.run.has_few_descriptors;
            if !self.shutdown.may_stop && !is_hindered {
                let accepted = (view.counters.accepted - self.before.counters.accepted) as usize;
                let waiting = self.before.backlog_len;
                assert!(accepted >= waiting, "the drain accepted {accepted} of {waiting} waiting connections");
            }
        }
        let Some(began_at) = self.shutdown.began_at else {
            self.shutdown.began_at = Some(view.snapshot.now);
            return;
        };
        let timeout = view.run.server_limits.drain_timeout;
        let lasted = view.snapshot.now.since(began_at);
        if lasted >= timeout / 2 {
            // From half of the drain timeout on, peers are finished with unread input.
            self.shutdown.sent.clear();
        }
        if view.run.server.is_done() {
            return;
        }
        self.shutdown.late_turns = if lasted < timeout { 0 } else { self.shutdown.late_turns + 1 };
        assert!(self.shutdown.late_turns <= LATE_TURNS_MAX, "still running {lasted:?} after the drain began");
    }

    /// Checks that nothing is left to do when the world is idle.
    pub(super) fn check_idle(&self, run: &RunState) {
        if !run.server.is_done() {
            assert_eq!(run.server.totals().open, 0, "a peer stays open forever");
            assert_eq!(run.world.backlog_len(), 0, "a connection stays in the backlog");
            assert_eq!(run.world.datagrams_len(), 0, "a datagram stays in its socket");
            assert_eq!(run.server.totals().datagrams.waiting, 0, "an answer waits for a writable socket");
        }
    }

    /// Checks after the end of the server that each peer received its answer.
    pub(super) fn check_end(&self, run: &RunState) {
        assert!(run.log.lock().open.is_empty(), "a service still has an open peer");
        for peer in &run.peers {
            let Some(&reason) = self.reasons.get(&peer.port) else { continue };
            check_answer(peer, reason);
            let sent = self.shutdown.sent.get(peer.peer.number()).copied().unwrap_or(0);
            if reason == CloseReason::Drained && peer.peer.is_ended() && !peer.peer.is_hit_by_fault() {
                assert!(peer.has_received_answer_to(sent), "the drain left out bytes sent before it: {peer:?}");
            }
        }
    }
}

impl ShutdownRecord {
    /// Whether the drain timeout has passed.
    fn is_time_over(&self, view: &TurnView<'_>) -> bool {
        let timeout = view.run.server_limits.drain_timeout;
        self.began_at.is_some_and(|at| view.snapshot.now.since(at) >= timeout)
    }
}
