//! How each peer of a simulated run ended: for a reason that fits, not too early, and not robbed.

use std::time::Duration;

use super::crowd::{Guest, Last, Talk};
use crate::connection::CloseReason;
use crate::instant::Instant;

/// What a run knows of a peer at the moment of its close.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departure {
    pub(super) now: Instant,
    /// When it was first seen to be finishing, and when bytes had last moved by then.
    pub(super) finishing: Option<(Instant, Instant)>,
    /// When our end was first seen to be out.
    pub(super) finished_at: Option<Instant>,
    /// Since when the same frame had been stored in part.
    pub(super) begun_at: Option<Instant>,
    /// Since when something had been queued without a break.
    pub(super) queued_since: Option<Instant>,
    /// When something of that was last written.
    pub(super) wrote_at: Instant,
    /// Somebody asked the server to drain, and to stop.
    pub(super) may_drain: bool,
    pub(super) may_stop: bool,
    /// There is little memory for queues.
    pub(super) is_poor: bool,
    /// The service was told that this peer had ended its direction.
    pub(super) is_end_told: bool,
}

/// A close at that moment, for that reason, was right.
pub(super) fn check_close(guest: &Guest, reason: CloseReason, departure: &Departure) {
    let fits = does_fit(guest, reason, departure);
    assert!(fits, "closed for {reason}, which does not fit: {guest:?} {departure:?}");
    check_not_early(guest, reason, departure);
    check_end_told(guest, reason, departure.is_end_told);
    check_lingered(guest, reason, departure);
}

/// Whether that can have happened to this peer at all.
fn does_fit(guest: &Guest, reason: CloseReason, departure: &Departure) -> bool {
    let peer = &guest.peer;
    let is_mischief = guest.place.talk == Talk::Mischief;
    // It may show out whom it likes, for what it sent; but not panic.
    let is_foreign = guest.place.talk == Talk::PollOutcome;
    match reason {
        CloseReason::Finished => peer.has_ended() || peer.is_harmed() || guest.last == Last::Goodbye || is_foreign,
        // Where its direction is cut at any byte, a whole frame may be left in part.
        CloseReason::PartialFrame => peer.has_ended(),
        CloseReason::FrameTooLong => guest.last == Last::TooLongFrame || is_foreign,
        CloseReason::Reset => peer.is_harmed() || guest.has_left(),
        CloseReason::IdleTimeout | CloseReason::FrameTimeout | CloseReason::WriteTimeout => true,
        CloseReason::QueueFull => is_mischief || is_foreign || guest.place.talk == Talk::Chat,
        CloseReason::BudgetSpent => departure.is_poor,
        CloseReason::Service => is_mischief || is_foreign,
        CloseReason::BadReply | CloseReason::Panicked => is_mischief,
        CloseReason::Drained => departure.may_drain,
        CloseReason::Stopped => departure.may_stop,
        // No framing of the house has rules to break.
        CloseReason::BadFrame => is_foreign,
        // No call fails in a way that is not listed.
        CloseReason::Failed => false,
        // There is no TLS here.
        CloseReason::BadTls | CloseReason::Truncated | CloseReason::HandshakeTimeout | CloseReason::HandshakesFull => {
            false
        }
    }
}

/// No deadline fires early.
fn check_not_early(guest: &Guest, reason: CloseReason, departure: &Departure) {
    let limits = &guest.place.limits;
    let (since, span) = match reason {
        CloseReason::IdleTimeout => {
            let (at, moved_at) = departure.finishing.expect("who is idle finishes first");
            (at.since(moved_at), limits.idle_timeout)
        }
        CloseReason::FrameTimeout => {
            let (at, _) = departure.finishing.expect("who is slow finishes first");
            (at.since(departure.begun_at.expect("a frame had begun")), limits.frame_timeout)
        }
        CloseReason::WriteTimeout => {
            let since = departure.queued_since.expect("something was queued").max(departure.wrote_at);
            (departure.now.since(since), limits.write_timeout)
        }
        CloseReason::Finished
        | CloseReason::PartialFrame
        | CloseReason::BadFrame
        | CloseReason::FrameTooLong
        | CloseReason::Reset
        | CloseReason::Failed
        | CloseReason::QueueFull
        | CloseReason::BudgetSpent
        | CloseReason::Service
        | CloseReason::BadReply
        | CloseReason::Panicked
        | CloseReason::Drained
        | CloseReason::Stopped
        // Nothing here speaks TLS.
        | CloseReason::BadTls
        | CloseReason::Truncated
        | CloseReason::HandshakeTimeout
        | CloseReason::HandshakesFull => return,
    };
    assert!(since >= span, "closed for {reason} after {since:?} of {span:?}: {guest:?}");
}

/// The service was told of the peer's end where there was one, and of no other.
fn check_end_told(guest: &Guest, reason: CloseReason, is_told: bool) {
    assert!(!is_told || guest.peer.has_ended(), "told of an end that did not come: {guest:?}");
    match reason {
        CloseReason::Finished => {
            // In a framing of somebody else's, it may have said goodbye in any letter.
            let is_goodbye = guest.last == Last::Goodbye || guest.place.talk == Talk::PollOutcome;
            assert!(is_told || is_goodbye, "not told of the end that finished it: {guest:?}");
        }
        CloseReason::PartialFrame | CloseReason::FrameTooLong | CloseReason::FrameTimeout => {
            assert!(!is_told, "told of an end inside a frame, {reason}: {guest:?}");
        }
        CloseReason::BadFrame
        | CloseReason::Reset
        | CloseReason::Failed
        | CloseReason::BadTls
        | CloseReason::Truncated
        | CloseReason::HandshakeTimeout
        | CloseReason::HandshakesFull
        | CloseReason::IdleTimeout
        | CloseReason::WriteTimeout
        | CloseReason::QueueFull
        | CloseReason::BudgetSpent
        | CloseReason::Service
        | CloseReason::BadReply
        | CloseReason::Panicked
        | CloseReason::Drained
        | CloseReason::Stopped => {}
    }
}

/// Who is let go gently is waited for: our close comes after its end, or after long enough.
fn check_lingered(guest: &Guest, reason: CloseReason, departure: &Departure) {
    // A stop, or a service that closes, cuts off whom it finds, whatever they were about to be closed for.
    if !is_gentle(reason) || departure.may_stop || guest.place.talk == Talk::Mischief {
        return;
    }
    let lingered = departure.finished_at.map_or(Duration::ZERO, |at| departure.now.since(at));
    let is_patience_over = lingered >= guest.place.limits.linger_timeout;
    let is_flooded = guest.peer.sent_len() > u64::from(guest.place.limits.linger_bytes_max);
    let has_ended = guest.peer.has_ended() && !guest.peer.is_cut_off();
    let is_right = has_ended || guest.peer.is_harmed() || is_patience_over || is_flooded;
    assert!(is_right, "{reason}, and its own end not awaited for more than {lingered:?}: {guest:?}");
}

/// After the end: who behaved and met no fault was not robbed of its answer.
pub(super) fn check_answer(guest: &Guest, reason: CloseReason) {
    let peer = &guest.peer;
    let is_spared = guest.is_patient() && !guest.has_left() && !peer.is_harmed();
    if !is_spared || !guest.has_said_all() {
        return;
    }
    let is_well = reason == CloseReason::Finished;
    assert!(!is_well || (peer.is_ended() && !peer.is_broken()), "all was served, and the end was a reset: {guest:?}");
    // A script says what is heard whoever ends it, unless that was a deadline, a drain or a lack of room.
    let is_choice = matches!(reason, CloseReason::Service | CloseReason::FrameTooLong | CloseReason::BadFrame);
    let is_owed = is_well || (is_choice && guest.place.talk == Talk::PollOutcome);
    assert!(!is_owed || guest.has_heard_all(), "closed for {reason}, and heard only part of its answer: {guest:?}");
}

/// Whether all that was queued leaves before the end.
fn is_gentle(reason: CloseReason) -> bool {
    match reason {
        CloseReason::Finished
        | CloseReason::PartialFrame
        | CloseReason::BadFrame
        | CloseReason::FrameTooLong
        | CloseReason::IdleTimeout
        | CloseReason::FrameTimeout
        | CloseReason::BadReply
        | CloseReason::Truncated
        | CloseReason::Drained => true,
        CloseReason::Reset
        | CloseReason::Failed
        | CloseReason::BadTls
        | CloseReason::HandshakeTimeout
        | CloseReason::HandshakesFull
        | CloseReason::WriteTimeout
        | CloseReason::QueueFull
        | CloseReason::BudgetSpent
        | CloseReason::Service
        | CloseReason::Panicked
        | CloseReason::Stopped => false,
    }
}
