//! `ErrorKind`: what can go wrong with a connection, a request or the generator itself.
//!
//! It separates errors of the server and of the network from limits of the generator's machine.

use std::fmt;
use std::io::{self, ErrorKind as Kind};

use serde::{Deserialize, Serialize};

use crate::connection::CloseReason;

/// Number of errors of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCount {
    /// Kind of the errors.
    pub kind: ErrorKind,
    /// Number of errors.
    pub count: u64,
    /// Message of the first error.
    pub example: String,
}

/// Kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The connection was refused.
    Refused,
    /// The network or the host is unreachable.
    Unreachable,
    /// The connection was not established in time.
    ConnectTimedOut,
    /// The TLS handshake failed, or a TLS record is invalid.
    Tls,
    /// The server reset the connection.
    Reset,
    /// The server closed the connection too early.
    Ended,
    /// An answer did not arrive in time.
    TimedOut,
    /// The answer differs from the request.
    Mismatch,
    /// The generator reached its own descriptor limit (`EMFILE`, `ENFILE`).
    NoDescriptors,
    /// The generator's machine has no free local port (`EADDRNOTAVAIL`).
    NoPorts,
    /// Any other error.
    Other,
}

impl ErrorKind {
    /// All error kinds, in the order of their declaration.
    pub(super) const ALL: [Self; 11] = [
        Self::Refused,
        Self::Unreachable,
        Self::ConnectTimedOut,
        Self::Tls,
        Self::Reset,
        Self::Ended,
        Self::TimedOut,
        Self::Mismatch,
        Self::NoDescriptors,
        Self::NoPorts,
        Self::Other,
    ];

    /// Whether the generator's own machine is the cause, and not the server.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::NoDescriptors | Self::NoPorts)
    }

    /// Kind of an error of a connect or of a datagram socket.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`io::ErrorKind` is non-exhaustive")]
    pub(super) fn of_io(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => return Self::NoDescriptors,
            // `EADDRINUSE`: all ports of a given source address are in use, see bind(2).
            Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE) => return Self::NoPorts,
            Some(_) | None => {}
        }
        #[cfg(feature = "tls")]
        if crate::net::tls::TlsError::of(error).is_some() {
            return Self::Tls;
        }
        match error.kind() {
            Kind::ConnectionRefused | Kind::NotFound => Self::Refused,
            Kind::TimedOut => Self::ConnectTimedOut,
            Kind::NetworkUnreachable | Kind::HostUnreachable => Self::Unreachable,
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Self::Reset,
            Kind::UnexpectedEof => Self::Ended,
            Kind::InvalidData => Self::Tls,
            _ => Self::Other,
        }
    }

    /// Kind of error for a connection that closed while the generator still needed it.
    pub(super) fn of_close(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Finished | CloseReason::Probed | CloseReason::PartialFrame | CloseReason::Truncated => {
                Self::Ended
            }
            CloseReason::Reset => Self::Reset,
            CloseReason::BadFrame | CloseReason::FrameTooLong => Self::Mismatch,
            CloseReason::BadTls => Self::Tls,
            CloseReason::IdleTimeout | CloseReason::FrameTimeout | CloseReason::WriteTimeout | CloseReason::TooSlow => {
                Self::TimedOut
            }
            CloseReason::HandshakeTimeout => Self::ConnectTimedOut,
            CloseReason::Failed
            | CloseReason::BadProxyHeader
            | CloseReason::UntrustedProxy
            | CloseReason::HandshakesFull
            | CloseReason::MaxLifetime
            | CloseReason::QueueFull
            | CloseReason::BudgetSpent
            | CloseReason::Service
            | CloseReason::BadReply
            | CloseReason::Panicked
            | CloseReason::Drained
            | CloseReason::Stopped => Self::Other,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimedOut => "connect timed out",
            Self::Tls => "TLS failed",
            Self::Reset => "reset",
            Self::Ended => "closed by the server",
            Self::TimedOut => "timed out",
            Self::Mismatch => "mismatch",
            Self::NoDescriptors => "out of descriptors (generator)",
            Self::NoPorts => "out of local ports (generator)",
            Self::Other => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: i32, expected: ErrorKind) {
        assert_eq!(ErrorKind::of_io(&io::Error::from_raw_os_error(number)), expected);
    }

    #[test]
    fn limits_of_the_generator_differ_from_errors_of_the_server() {
        check(libc::EMFILE, ErrorKind::NoDescriptors);
        check(libc::ENFILE, ErrorKind::NoDescriptors);
        check(libc::EADDRNOTAVAIL, ErrorKind::NoPorts);
        check(libc::EADDRINUSE, ErrorKind::NoPorts);
        check(libc::ECONNREFUSED, ErrorKind::Refused);
        check(libc::ECONNRESET, ErrorKind::Reset);
        check(libc::ETIMEDOUT, ErrorKind::ConnectTimedOut);
        check(libc::EHOSTUNREACH, ErrorKind::Unreachable);
        check(libc::ENOMEM, ErrorKind::Other);
        assert_eq!(ErrorKind::of_io(&io::Error::new(Kind::TimedOut, "no answer")), ErrorKind::ConnectTimedOut);
        assert!(ErrorKind::NoPorts.is_own() && !ErrorKind::Reset.is_own());
    }
}
