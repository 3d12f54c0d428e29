//! Why a connection did not come about: the server's doing, the way's, or our own machine's.

use std::io::{self, ErrorKind as Kind};

use super::record::ErrorKind;

/// What an error of connecting is.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of the system's errors are not ours, and grow")]
pub(super) fn kind_of(error: &io::Error) -> ErrorKind {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => return ErrorKind::NoDescriptors,
        // A source address of ours whose ports are all in use is `EADDRINUSE` (bind(2)).
        Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE) => return ErrorKind::NoPorts,
        Some(_) | None => {}
    }
    #[cfg(feature = "tls")]
    if crate::net::tls::TlsError::of(error).is_some() {
        return ErrorKind::Tls;
    }
    match error.kind() {
        Kind::ConnectionRefused | Kind::NotFound => ErrorKind::Refused,
        Kind::TimedOut => ErrorKind::ConnectTimedOut,
        Kind::NetworkUnreachable | Kind::HostUnreachable => ErrorKind::Unreachable,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => ErrorKind::Reset,
        Kind::UnexpectedEof => ErrorKind::Ended,
        Kind::InvalidData => ErrorKind::Tls,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: i32, expected: ErrorKind) {
        assert_eq!(kind_of(&io::Error::from_raw_os_error(number)), expected);
    }

    #[test]
    fn our_own_limits_are_told_from_the_doings_of_a_server() {
        check(libc::EMFILE, ErrorKind::NoDescriptors);
        check(libc::ENFILE, ErrorKind::NoDescriptors);
        check(libc::EADDRNOTAVAIL, ErrorKind::NoPorts);
        check(libc::EADDRINUSE, ErrorKind::NoPorts);
        check(libc::ECONNREFUSED, ErrorKind::Refused);
        check(libc::ECONNRESET, ErrorKind::Reset);
        check(libc::ETIMEDOUT, ErrorKind::ConnectTimedOut);
        check(libc::EHOSTUNREACH, ErrorKind::Unreachable);
        check(libc::ENOMEM, ErrorKind::Other);
        assert_eq!(kind_of(&io::Error::new(Kind::TimedOut, "nothing came")), ErrorKind::ConnectTimedOut);
    }
}
