//! What the loop has decided about a connection: the difference of its states after two turns, in words.

use super::words::{Seconds, bytes};
use super::{ConnectionState, LineKind};
use crate::connection::{CloseReason, Deadline, Limits, ReadHalf, ReadPause, WriteHalf};
use crate::event_loop::OpenStage;
use crate::instant::Instant;
use crate::net::PEER_BYTES_MIN;
use crate::trace::Lesson;

/// A decision in words, and the lesson that explains it.
pub(super) type Decision = (Option<Lesson>, String);

/// The kind of all decisions.
pub(super) const KIND: LineKind = LineKind::Decision;

/// Compares the state of a connection with the one before. `limits` are those of its endpoint.
pub(super) fn compare(
    name: &str,
    before: &ConnectionState,
    after: &ConnectionState,
    limits: Option<&Limits>,
) -> Vec<Decision> {
    if after.is_closed || after.stage.is_none() {
        return Vec::new();
    }
    let mut decisions = Vec::new();
    queue(name, before, after, &mut decisions);
    pause(name, before, after, limits, &mut decisions);
    remembered(name, before, after, &mut decisions);
    halves(name, before, after, &mut decisions);
    timeout(name, before, after, &mut decisions);
    if after.is_marked && after.pause != ReadPause::FramesReady {
        decisions.push(match after.moved_len {
            moved @ PEER_BYTES_MIN.. => {
                let share = format!("{name} stays marked: it has moved {}, its share of this turn", bytes(moved));
                (Some(Lesson::Fairness), share)
            }
            _ => (None, format!("{name} stays marked: it is served again in the next turn")),
        });
    }
    decisions
}

fn queue(name: &str, before: &ConnectionState, after: &ConnectionState, decisions: &mut Vec<Decision>) {
    let lesson = Some(Lesson::Queues);
    match (before.output_len, after.output_len) {
        (0, 0) => {}
        (_, 0) => decisions.push((lesson, format!("the queue of {name} is empty again"))),
        (0, queued) => {
            let until = if after.writable { "until its next turn" } else { "until it is writable" };
            decisions.push((lesson, format!("{} wait in the queue of {name}, {until}", bytes(queued))));
        }
        (_, _) => {}
    }
}

fn pause(
    name: &str,
    before: &ConnectionState,
    after: &ConnectionState,
    limits: Option<&Limits>,
    decisions: &mut Vec<Decision>,
) {
    if before.pause == after.pause {
        return;
    }
    let queued = bytes(after.output_len);
    let marks = limits.map(|limits| (limits.queue.high(), limits.queue.low()));
    let (high, low) = marks.unwrap_or_default();
    let sentence = match after.pause {
        ReadPause::NotPaused => format!("reading from {name} resumes: {queued} are queued, low watermark {low}"),
        ReadPause::OutputHigh | ReadPause::FramesHeld if after.output_len < high => {
            format!("reading from {name} pauses: {queued} are queued for it, and queue memory is scarce")
        }
        ReadPause::OutputHigh => {
            format!("reading from {name} pauses: {queued} are queued for it, high watermark {high}")
        }
        ReadPause::FramesHeld => {
            format!("frames of {name} are held back: {queued} are queued for it, high watermark {high}")
        }
        ReadPause::FramesReady => format!("held frames of {name} are served in the next turn"),
        ReadPause::ByService => format!("the service has paused {name}"),
        ReadPause::ForReply { .. } => format!("frames of {name} are held back until its deferred reply is sent"),
        ReadPause::DiscardLimit => format!("input of {name} is left in the kernel: the discard limit is reached"),
    };
    decisions.push((Some(Lesson::Backpressure), sentence));
}

/// Readiness that is not used up while reading pauses.
fn remembered(name: &str, before: &ConnectionState, after: &ConnectionState, decisions: &mut Vec<Decision>) {
    let waits = |state: &ConnectionState| {
        state.readable && !matches!(state.pause, ReadPause::NotPaused | ReadPause::FramesReady)
    };
    if waits(after) && !waits(before) {
        let sentence = format!("{name} is readable and not read: no second event will come, so the loop remembers it");
        decisions.push((Some(Lesson::Edges), sentence));
    }
}

fn halves(name: &str, before: &ConnectionState, after: &ConnectionState, decisions: &mut Vec<Decision>) {
    if let Some(reason) = after.reason.filter(|_| before.reason.is_none()) {
        decisions.push((Some(lesson_about(reason)), format!("the connection of {name} ends: {reason}")));
    }
    let lesson = Some(Lesson::HalfClose);
    if before.read != after.read {
        let sentence = match after.read {
            ReadHalf::Open => format!("the direction from {name} is open"),
            ReadHalf::Discarding => format!("input of {name} is discarded until its FIN"),
            ReadHalf::Ending => format!("the FIN of {name} has arrived, and earlier frames are served first"),
            ReadHalf::Ended => {
                format!("the direction from {name} has ended; the direction to it is {}", after.write.name())
            }
            ReadHalf::Truncated => format!("the direction from {name} was cut off"),
        };
        decisions.push((lesson, sentence));
    }
    if before.write != after.write && after.write == WriteHalf::Finishing {
        decisions.push((lesson, format!("the FIN to {name} follows its {}", queued_in_words(after.output_len))));
    }
}

/// The lesson about the end of a connection.
fn lesson_about(reason: CloseReason) -> Lesson {
    let timeouts = [
        CloseReason::IdleTimeout,
        CloseReason::FrameTimeout,
        CloseReason::WriteTimeout,
        CloseReason::HandshakeTimeout,
        CloseReason::TooSlow,
        CloseReason::MaxLifetime,
    ];
    if timeouts.contains(&reason) { Lesson::Deadlines } else { Lesson::HalfClose }
}

fn queued_in_words(len: usize) -> String {
    if len == 0 { "empty queue".to_owned() } else { format!("{len} queued bytes") }
}

/// A timeout that begins. The idle timeout is only reported for a new connection, since it returns after each frame.
fn timeout(name: &str, before: &ConnectionState, after: &ConnectionState, decisions: &mut Vec<Decision>) {
    let is_new = before.stage != Some(OpenStage::Open) && after.stage == Some(OpenStage::Open);
    let Some(timeout) = after.timeout.filter(|_| before.timeout != after.timeout && after.deadline != Instant::NEVER)
    else {
        return;
    };
    let must = match timeout {
        Deadline::Idle if !is_new => return,
        Deadline::Idle => "be idle until",
        Deadline::Frame | Deadline::FrameRate => "take for its frame until",
        Deadline::Write | Deadline::WriteRate => "leave its output unread until",
        Deadline::Linger => "take to end its direction until",
        Deadline::Lifetime => "stay open until",
        Deadline::Handshake => "take for its handshake until",
        Deadline::Connect => "take to answer until",
    };
    let at = Seconds(after.deadline);
    decisions.push((Some(Lesson::Deadlines), format!("{name} may {must} {at} ({} timeout)", timeout.name())));
}
