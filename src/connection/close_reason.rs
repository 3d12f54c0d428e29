//! The reason why a peer was closed.
//!
//! A reason is an outcome, not an error. Every peer ends with exactly one, and the counters count each.

use std::fmt;

/// Why a peer was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both directions ended, and every whole frame was served.
    Finished,
    /// The peer left without a byte of data in either direction, as health checks and port scanners do. Under
    /// TLS, it left without a byte of the handshake, or with a complete end after it.
    Probed,
    /// The peer ended its direction inside a frame.
    PartialFrame,
    /// The peer broke the rules of the framing.
    BadFrame,
    /// The peer sent a frame longer than `frame_len_max`.
    FrameTooLong,
    /// The peer reset the connection, or was unreachable.
    Reset,
    /// The stream failed in another way.
    Failed,
    /// The peer does not speak TLS, or both sides have no TLS parameters in common.
    BadTls,
    /// The stream ended without the close_notify of TLS, so it may have been cut off on the path.
    Truncated,
    /// The connection does not begin with a valid PROXY header, which its endpoint requires.
    BadProxyHeader,
    /// The endpoint requires a PROXY header, and the connection does not come from a trusted proxy.
    UntrustedProxy,
    /// The PROXY header and the TLS handshake took longer than `handshake_timeout`.
    HandshakeTimeout,
    /// Too many handshakes were in progress, and this one was the oldest.
    HandshakesFull,
    /// The peer was idle for `idle_timeout`.
    IdleTimeout,
    /// A frame was not complete within `frame_timeout`.
    FrameTimeout,
    /// The peer took no output for `write_timeout`.
    WriteTimeout,
    /// The peer sent a frame or took output more slowly than `min_rate`.
    TooSlow,
    /// The connection was open for `max_lifetime`.
    MaxLifetime,
    /// The output queue of this peer reached its bound.
    QueueFull,
    /// The memory shared by all peers was exhausted.
    BudgetSpent,
    /// The service closed the peer.
    Service,
    /// The service sent a frame that the framing cannot carry.
    BadReply,
    /// The service or its codec panicked while it served this peer.
    Panicked,
    /// The server drained: this peer was served and finished.
    Drained,
    /// The server stopped before this peer was finished.
    Stopped,
}

impl CloseReason {
    /// Every reason in declaration order: `ALL[reason as usize] == reason`.
    pub const ALL: [Self; 25] = [
        Self::Finished,
        Self::Probed,
        Self::PartialFrame,
        Self::BadFrame,
        Self::FrameTooLong,
        Self::Reset,
        Self::Failed,
        Self::BadTls,
        Self::Truncated,
        Self::BadProxyHeader,
        Self::UntrustedProxy,
        Self::HandshakeTimeout,
        Self::HandshakesFull,
        Self::IdleTimeout,
        Self::FrameTimeout,
        Self::WriteTimeout,
        Self::TooSlow,
        Self::MaxLifetime,
        Self::QueueFull,
        Self::BudgetSpent,
        Self::Service,
        Self::BadReply,
        Self::Panicked,
        Self::Drained,
        Self::Stopped,
    ];

    /// The reason in lower case with hyphens, for logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Probed => "probed",
            Self::PartialFrame => "partial-frame",
            Self::BadFrame => "bad-frame",
            Self::FrameTooLong => "frame-too-long",
            Self::Reset => "reset",
            Self::Failed => "failed",
            Self::BadTls => "bad-tls",
            Self::Truncated => "truncated",
            Self::BadProxyHeader => "bad-proxy-header",
            Self::UntrustedProxy => "untrusted-proxy",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::HandshakesFull => "handshakes-full",
            Self::IdleTimeout => "idle-timeout",
            Self::FrameTimeout => "frame-timeout",
            Self::WriteTimeout => "write-timeout",
            Self::TooSlow => "too-slow",
            Self::MaxLifetime => "max-lifetime",
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
    fn reasons_are_listed_in_declaration_order() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
