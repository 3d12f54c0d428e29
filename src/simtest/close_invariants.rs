//! What must hold when a peer is closed: a possible reason, no early timeout, no lost answer.

use std::time::Duration;

use super::peer_history::PeerHistory;
use super::peers::{LastFrame, ServiceKind, TestPeer};
use crate::connection::{CloseReason, Limits};
use crate::instant::Instant;

/// The time that a frame has before its rate counts.
const FRAME_GRACE: Duration = Duration::from_secs(10);

/// What a run knows about a peer at its close.
#[derive(Debug)]
pub(super) struct CloseInvariants {
    pub(super) now: Instant,
    /// Its last turns.
    pub(super) history: PeerHistory,
    /// A drain was requested.
    pub(super) may_drain: bool,
    /// A stop was requested.
    pub(super) may_stop: bool,
    /// There is little memory for queues.
    pub(super) has_little_memory: bool,
    /// `on_end` was called.
    pub(super) is_end_reported: bool,
}

impl CloseInvariants {
    /// Checks a close at this moment.
    pub(super) fn check(&self, peer: &TestPeer, reason: CloseReason) {
        let is_possible = self.is_possible(peer, reason);
        assert!(is_possible, "closed for {reason}, which cannot have happened: {peer:?} {self:?}");
        self.check_probe(peer, reason);
        self.check_not_early(peer, reason);
        self.check_end_reported(peer, reason);
        self.check_lingered(peer, reason);
    }

    /// Whether this reason is possible for this peer.
    fn is_possible(&self, test_peer: &TestPeer, reason: CloseReason) -> bool {
        let TestPeer { peer, last, .. } = test_peer;
        let service = test_peer.endpoint.service;
        let misbehaves = service == ServiceKind::Misbehaving;
        // A service under test may close any peer for its frames, but it must not panic.
        let is_under_test = service == ServiceKind::Scenario;
        match reason {
            CloseReason::Probed => (peer.has_stopped_sending() || peer.is_hit_by_fault()) && peer.moved_len() == 0,
            CloseReason::Finished => {
                peer.has_stopped_sending() || peer.is_hit_by_fault() || *last == LastFrame::Exit || is_under_test
            }
            // A peer may end its direction at any byte, so also inside a frame.
            CloseReason::PartialFrame => peer.has_stopped_sending(),
            CloseReason::FrameTooLong => *last == LastFrame::TooLong || is_under_test,
            CloseReason::Reset => peer.is_hit_by_fault() || test_peer.has_left(),
            CloseReason::IdleTimeout | CloseReason::FrameTimeout | CloseReason::WriteTimeout => true,
            CloseReason::TooSlow => test_peer.endpoint.limits.min_rate.is_some(),
            CloseReason::MaxLifetime => test_peer.endpoint.limits.max_lifetime < Duration::MAX,
            CloseReason::QueueFull => misbehaves || is_under_test || service == ServiceKind::Chat,
            CloseReason::BudgetSpent => self.has_little_memory,
            CloseReason::Service => misbehaves || is_under_test,
            CloseReason::BadReply | CloseReason::Panicked => misbehaves,
            CloseReason::Drained => self.may_drain,
            CloseReason::Stopped => self.may_stop,
            // The built-in framings have no rules to break.
            CloseReason::BadFrame => is_under_test,
            // No simulated call returns an unexpected error.
            CloseReason::Failed => false,
            // There is no TLS here.
            CloseReason::BadTls
            | CloseReason::BadProxyHeader
            | CloseReason::UntrustedProxy
            | CloseReason::Truncated
            | CloseReason::HandshakeTimeout
            | CloseReason::HandshakesFull => false,
        }
    }

    /// Checks that a peer that leaves without a byte counts as a probe. A peer that the server has begun to
    /// finish is none, also if it did so in this turn because of the lifetime.
    fn check_probe(&self, TestPeer { peer, endpoint, .. }: &TestPeer, reason: CloseReason) {
        let is_echo = matches!(endpoint.service, ServiceKind::Echo { .. });
        let has_left = matches!(reason, CloseReason::Finished | CloseReason::Reset);
        let is_old = self.now.since(self.history.opened_at) >= endpoint.limits.max_lifetime / 10 * 9;
        if is_echo && has_left && self.history.finishing.is_none() && !self.may_drain && !is_old {
            assert!(peer.moved_len() > 0, "closed for {reason}, although no byte has moved: {}", peer.number());
        }
    }

    /// Checks that no deadline fired early.
    fn check_not_early(&self, peer: &TestPeer, reason: CloseReason) {
        let limits = &peer.endpoint.limits;
        let (elapsed, timeout) = if reason == CloseReason::IdleTimeout {
            let (at, active_at) = self.history.finishing.expect("an idle peer is finished first");
            (at.since(active_at), limits.idle_timeout)
        } else if reason == CloseReason::FrameTimeout {
            let (at, _) = self.history.finishing.expect("a slow peer is finished first");
            let frame = self.history.partial_frame.expect("a frame has begun");
            (frame.time_at(at), limits.frame_timeout)
        } else if reason == CloseReason::WriteTimeout {
            let start = self.history.queued_since.expect("the queue is not empty").max(self.history.wrote_at);
            (self.now.since(start), limits.write_timeout)
        } else if reason == CloseReason::MaxLifetime {
            let (at, _) = self.history.finishing.expect("an old peer is finished first");
            (at.since(self.history.opened_at), limits.max_lifetime / 10 * 9)
        } else if reason == CloseReason::TooSlow {
            return self.check_too_slow(limits);
        } else {
            return;
        };
        assert!(elapsed >= timeout, "closed for {reason} after {elapsed:?} of {timeout:?}: {peer:?}");
    }

    /// Checks that a peer that was too slow had its grace, for a frame or for its output.
    fn check_too_slow(&self, limits: &Limits) {
        let begun = self.history.finishing.zip(self.history.partial_frame);
        let is_frame_late = begun.is_some_and(|((at, _), frame)| frame.time_at(at) >= FRAME_GRACE);
        // The queue may have been empty meanwhile, which restores no credit.
        let is_output_late = self.now.since(self.history.opened_at) >= limits.write_timeout;
        assert!(is_frame_late || is_output_late, "too slow without its grace: {self:?}");
    }

    /// Checks that `on_end` was called if the peer's end closed it, and not without an end.
    fn check_end_reported(&self, peer: &TestPeer, reason: CloseReason) {
        let is_reported = self.is_end_reported;
        assert!(!is_reported || peer.peer.has_stopped_sending(), "on_end without an end: {peer:?}");
        if reason == CloseReason::Finished {
            // A service under test may finish a peer before its end.
            let may_end_early = peer.last == LastFrame::Exit || peer.endpoint.service == ServiceKind::Scenario;
            assert!(is_reported || may_end_early, "finished without on_end: {peer:?}");
        }
        if matches!(reason, CloseReason::PartialFrame | CloseReason::FrameTooLong | CloseReason::FrameTimeout) {
            assert!(!is_reported, "on_end inside a frame, {reason}: {peer:?}");
        }
    }

    /// Checks that a graceful close waited for the peer's end, within the bounds of lingering.
    fn check_lingered(&self, TestPeer { peer, endpoint, .. }: &TestPeer, reason: CloseReason) {
        // A stop, or a service that closes its peers, cuts a graceful close short.
        if !is_graceful(reason) || self.may_stop || endpoint.service == ServiceKind::Misbehaving {
            return;
        }
        let lingered = self.history.finished_at.map_or(Duration::ZERO, |at| self.now.since(at));
        let is_time_over = lingered >= endpoint.limits.linger_timeout;
        let is_limit_exceeded = peer.sent_len() > u64::from(endpoint.limits.linger_bytes_max);
        let has_ended = peer.has_stopped_sending() && !peer.is_reset_by_close();
        let is_right = has_ended || peer.is_hit_by_fault() || is_time_over || is_limit_exceeded;
        let number = peer.number();
        assert!(is_right, "closed for {reason} after lingering only {lingered:?}: peer {number} of {endpoint:?}");
    }
}

/// Checks at the end of a run that a well-behaved peer without faults received its whole answer.
pub(super) fn check_answer(test_peer: &TestPeer, reason: CloseReason) {
    let peer = &test_peer.peer;
    let is_unharmed = test_peer.behavior.is_well_behaved() && !test_peer.has_left() && !peer.is_hit_by_fault();
    if !is_unharmed || !test_peer.has_sent_all() {
        return;
    }
    let is_finished = reason == CloseReason::Finished;
    assert!(
        !is_finished || (peer.is_ended() && !peer.is_broken()),
        "closed for {reason}, but the peer saw a reset: {test_peer:?}"
    );
    // A scenario is complete even if the service ends the peer. Deadlines, drains and limits may cut it short.
    let is_choice = matches!(reason, CloseReason::Service | CloseReason::FrameTooLong | CloseReason::BadFrame);
    let is_complete = is_finished || (is_choice && test_peer.endpoint.service == ServiceKind::Scenario);
    assert!(
        !is_complete || test_peer.has_received_all(),
        "closed for {reason}, but the peer received only part of its answer: {test_peer:?}"
    );
}

/// Whether the whole queue is sent before the end.
fn is_graceful(reason: CloseReason) -> bool {
    match reason {
        CloseReason::Finished
        | CloseReason::PartialFrame
        | CloseReason::BadFrame
        | CloseReason::FrameTooLong
        | CloseReason::IdleTimeout
        | CloseReason::FrameTimeout
        | CloseReason::MaxLifetime
        | CloseReason::BadReply
        | CloseReason::Truncated
        | CloseReason::Drained => true,
        CloseReason::Probed
        | CloseReason::Reset
        | CloseReason::Failed
        | CloseReason::BadTls
        | CloseReason::BadProxyHeader
        | CloseReason::UntrustedProxy
        | CloseReason::HandshakeTimeout
        | CloseReason::HandshakesFull
        | CloseReason::WriteTimeout
        // If its frame is too slow, the peer is finished. If its output is, the peer is closed.
        | CloseReason::TooSlow
        | CloseReason::QueueFull
        | CloseReason::BudgetSpent
        | CloseReason::Service
        | CloseReason::Panicked
        | CloseReason::Stopped => false,
    }
}
