//! Why a peer was closed: exactly one reason each.
//!
//! A reason is an outcome, not an error; the tallies count every one of them.

use std::fmt;

/// Why a peer was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both directions ended, every whole frame was served.
    Finished,
    /// The peer ended its direction inside a frame.
    PartialFrame,
    /// The peer broke the rules of the framing.
    BadFrame,
    /// The peer's frame is longer than `frame_len_max`.
    FrameTooLong,
    /// The peer reset the connection, or was found gone.
    Reset,
    /// The stream failed in another way.
    Failed,
    /// What the peer says is no TLS, or there was nothing to agree on with it.
    BadTls,
    /// The stream ended without the close_notify of TLS: somebody may have cut it off.
    Truncated,
    /// `handshake_timeout`.
    HandshakeTimeout,
    /// There were more handshakes at once than may be, and this one had gone on for the longest.
    HandshakesFull,
    /// `idle_timeout`.
    IdleTimeout,
    /// `frame_timeout`.
    FrameTimeout,
    /// `write_timeout`: the peer does not read.
    WriteTimeout,
    /// More waits to leave than one peer may have waiting.
    QueueFull,
    /// More is stored than all peers together may have stored.
    BudgetSpent,
    /// The service asked for it.
    Service,
    /// The service sent what its framing cannot carry.
    BadReply,
    /// The service or its codec panicked while it served this peer.
    Panicked,
    /// The server drained: this peer was served and finished.
    Drained,
    /// The server stopped before this peer was done.
    Stopped,
}

impl CloseReason {
    /// Every reason, in the order of their declaration: `ALL[reason as usize] == reason`.
    pub const ALL: [Self; 20] = [
        Self::Finished,
        Self::PartialFrame,
        Self::BadFrame,
        Self::FrameTooLong,
        Self::Reset,
        Self::Failed,
        Self::BadTls,
        Self::Truncated,
        Self::HandshakeTimeout,
        Self::HandshakesFull,
        Self::IdleTimeout,
        Self::FrameTimeout,
        Self::WriteTimeout,
        Self::QueueFull,
        Self::BudgetSpent,
        Self::Service,
        Self::BadReply,
        Self::Panicked,
        Self::Drained,
        Self::Stopped,
    ];

    /// The reason as one lower-case word for logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::PartialFrame => "partial-frame",
            Self::BadFrame => "bad-frame",
            Self::FrameTooLong => "frame-too-long",
            Self::Reset => "reset",
            Self::Failed => "failed",
            Self::BadTls => "bad-tls",
            Self::Truncated => "truncated",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::HandshakesFull => "handshakes-full",
            Self::IdleTimeout => "idle-timeout",
            Self::FrameTimeout => "frame-timeout",
            Self::WriteTimeout => "write-timeout",
            Self::QueueFull => "queue-full",
            Self::BudgetSpent => "budget-spent",
            Self::Service => "service",
            Self::BadReply => "bad-reply",
            Self::Panicked => "panicked",
            Self::Drained => "drained",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_own_place() {
        for (place, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
