//! What the loop has decided about a connection: the difference of its states after two turns, in words.

use super::ConnectionState;
use super::words::{Seconds, bytes};
use crate::connection::{CloseReason, Deadline, Limits, ReadHalf, ReadPause, WriteHalf};
use crate::event_loop::OpenStage;
use crate::instant::Instant;
use crate::net::PEER_BYTES_MIN;
use crate::trace::Lesson;

/// A decision in words, and the lesson that explains it.
pub(super) type Decision = (Option<Lesson>, String);

/// Compares the state of a connection with the one before. `limits` are those of its endpoint.
pub(super) fn compare(
    name: &str,
    before: &ConnectionState,
    after: &ConnectionState,
    limits: Option<&Limits>,
) -> Vec<Decision> {
    let mut comparison = Comparison { name, before, after, limits, decisions: Vec::new() };
    if !after.is_closed && after.stage.is_some() {
        comparison.compare_queue();
        comparison.compare_pause();
        comparison.compare_readiness();
        comparison.compare_halves();
        comparison.compare_timeout();
        comparison.explain_mark();
    }
    comparison.decisions
}

/// Two states of one connection, and the decisions that lead from one to the other.
struct Comparison<'a> {
    name: &'a str,
    before: &'a ConnectionState,
    after: &'a ConnectionState,
    limits: Option<&'a Limits>,
    decisions: Vec<Decision>,
}

impl Comparison<'_> {
    fn add(&mut self, lesson: Lesson, sentence: String) {
        self.decisions.push((Some(lesson), sentence));
    }

    fn compare_queue(&mut self) {
        let name = self.name;
        match (self.before.output_len, self.after.output_len) {
            (0, 0) => {}
            (_, 0) => self.add(Lesson::Queues, format!("the queue of {name} is empty again")),
            (0, queued) => {
                let until = if self.after.writable { "served again" } else { "writable" };
                let holds = format!("the queue of {name} holds {}, until {name} is {until}", bytes(queued));
                self.add(Lesson::Queues, holds);
            }
            (_, _) => {}
        }
    }

    fn compare_pause(&mut self) {
        let (name, after) = (self.name, self.after);
        if self.before.pause == after.pause {
            return;
        }
        let queued = bytes(after.output_len);
        let marks = self.limits.map(|limits| limits.reading_marks(after.role));
        let (high, low) = marks.map_or((0, 0), |marks| (marks.high(), marks.low()));
        let sentence = match after.pause {
            ReadPause::NotPaused => {
                format!("reading from {name} resumes: its queue holds {queued}, low watermark {low}")
            }
            ReadPause::OutputHigh | ReadPause::FramesHeld if after.output_len < high => {
                format!("reading from {name} pauses: its queue holds {queued}, and queue memory is scarce")
            }
            ReadPause::OutputHigh => {
                format!("reading from {name} pauses: its queue holds {queued}, high watermark {high}")
            }
            ReadPause::FramesHeld => {
                format!("frames of {name} are held back: its queue holds {queued}, high watermark {high}")
            }
            ReadPause::FramesReady => format!("held frames of {name} are served in the next turn"),
            ReadPause::ByService => format!("the service has paused {name}"),
            ReadPause::ForReply { .. } => format!("frames of {name} are held back until its deferred reply is sent"),
            ReadPause::DiscardLimit => format!("input of {name} stays in the kernel: the discard limit is reached"),
        };
        self.add(Lesson::Backpressure, sentence);
    }

    /// Readiness that is not used up while reading pauses.
    fn compare_readiness(&mut self) {
        let waits = |state: &ConnectionState| {
            state.readable && !matches!(state.pause, ReadPause::NotPaused | ReadPause::FramesReady)
        };
        if waits(self.after) && !waits(self.before) {
            let rest = "is readable and not read: no second event will come, so the loop remembers it";
            self.add(Lesson::Edges, format!("{} {rest}", self.name));
        }
    }

    fn compare_halves(&mut self) {
        let (name, before, after) = (self.name, self.before, self.after);
        if let Some(reason) = after.reason.filter(|_| before.reason.is_none()) {
            self.add(lesson_about(reason), format!("the connection of {name} ends: {reason}"));
        }
        if before.read != after.read {
            let write = after.write.name();
            let sentence = match after.read {
                ReadHalf::Open => format!("the direction from {name} is open"),
                ReadHalf::Discarding => format!("input of {name} is discarded until its FIN"),
                ReadHalf::Ending => format!("the FIN of {name} has arrived, and earlier frames are served first"),
                ReadHalf::Ended => format!("the direction from {name} has ended; the direction to it is {write}"),
                ReadHalf::Truncated => format!("the direction from {name} was cut off"),
            };
            self.add(Lesson::HalfClose, sentence);
        }
        if before.write != after.write && after.write == WriteHalf::Finishing {
            let queue = match after.output_len {
                0 => "is empty".to_owned(),
                queued => format!("holds {}", bytes(queued)),
            };
            self.add(Lesson::HalfClose, format!("the FIN to {name} follows its queue, which {queue}"));
        }
    }

    /// A timeout that begins. The idle timeout returns after each frame, so it is explained once for a connection.
    fn compare_timeout(&mut self) {
        let (before, after) = (self.before, self.after);
        let is_new = before.stage != Some(OpenStage::Open) && after.stage == Some(OpenStage::Open);
        let has_begun = before.timeout != after.timeout && after.deadline != Instant::NEVER;
        let Some(timeout) = after.timeout.filter(|_| has_begun) else { return };
        let may = match timeout {
            Deadline::Idle if !is_new => return,
            Deadline::Idle => "be idle until",
            Deadline::Frame | Deadline::FrameRate => "take for its frame until",
            Deadline::Write | Deadline::WriteRate => "leave its output unread until",
            Deadline::Linger => "take to end its direction until",
            Deadline::Lifetime => "stay open until",
            Deadline::Handshake => "take for its handshake until",
            Deadline::Connect => "take to answer until",
        };
        let (name, at, timeout) = (self.name, Seconds(after.deadline), timeout.name());
        self.add(Lesson::Deadlines, format!("{name} may {may} {at} ({timeout} timeout)"));
    }

    fn explain_mark(&mut self) {
        let (name, moved) = (self.name, self.after.moved_len);
        if !self.after.is_marked || self.after.pause == ReadPause::FramesReady {
            return;
        }
        if moved >= PEER_BYTES_MIN {
            let share = format!("{name} stays marked: it has moved {}, its share of this turn", bytes(moved));
            self.add(Lesson::Fairness, share);
        } else {
            self.decisions.push((None, format!("{name} stays marked: it is served again in the next turn")));
        }
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
