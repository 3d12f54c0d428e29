//! [`RecordedError`]: an `io::Error` as a value that a recording can hold.

use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};

#[cfg(feature = "proxy-protocol")]
use crate::net::ProxyHeaderError;

/// The kinds of errors without an error number. Their position is part of the format.
const KINDS: [ErrorKind; 28] = [
    ErrorKind::Other,
    ErrorKind::WouldBlock,
    ErrorKind::Interrupted,
    ErrorKind::InvalidData,
    ErrorKind::UnexpectedEof,
    ErrorKind::ConnectionReset,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionRefused,
    ErrorKind::BrokenPipe,
    ErrorKind::NotConnected,
    ErrorKind::TimedOut,
    ErrorKind::AddrInUse,
    ErrorKind::AddrNotAvailable,
    ErrorKind::InvalidInput,
    ErrorKind::PermissionDenied,
    ErrorKind::NotFound,
    ErrorKind::HostUnreachable,
    ErrorKind::NetworkUnreachable,
    ErrorKind::OutOfMemory,
    ErrorKind::StorageFull,
    ErrorKind::QuotaExceeded,
    ErrorKind::FileTooLarge,
    ErrorKind::WriteZero,
    ErrorKind::Unsupported,
    ErrorKind::AlreadyExists,
    ErrorKind::ResourceBusy,
    ErrorKind::NetworkDown,
    ErrorKind::Deadlock,
];

/// An error of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RecordedError {
    /// An error of the system, with its number.
    System(i32),
    /// Any other error: the position of its kind, and its text if it has one.
    Other { kind: u8, text: Option<String> },
    /// There is no valid PROXY header, with the text of the reason.
    ProxyHeader(String),
}

impl RecordedError {
    pub(super) fn of(error: &io::Error) -> Self {
        if let Some(number) = error.raw_os_error() {
            return Self::System(number);
        }
        #[cfg(feature = "proxy-protocol")]
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<ProxyHeaderError>()) {
            return Self::ProxyHeader(inner.to_string());
        }
        let kind = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or(0) as u8;
        Self::Other { kind, text: error.get_ref().map(ToString::to_string) }
    }

    /// The number of the error, or that of the most similar error of the system.
    pub(super) fn errno(&self) -> i32 {
        const NUMBERS: [(ErrorKind, i32); 7] = [
            (ErrorKind::WouldBlock, libc::EAGAIN),
            (ErrorKind::Interrupted, libc::EINTR),
            (ErrorKind::InvalidData, libc::EBADMSG),
            (ErrorKind::ConnectionReset, libc::ECONNRESET),
            (ErrorKind::BrokenPipe, libc::EPIPE),
            (ErrorKind::TimedOut, libc::ETIMEDOUT),
            (ErrorKind::UnexpectedEof, libc::EPROTO),
        ];
        let error = self.to_io();
        let similar =
            || NUMBERS.iter().find(|(kind, _)| *kind == error.kind()).map_or(libc::EIO, |(_, number)| *number);
        error.raw_os_error().unwrap_or_else(similar)
    }

    /// An error of the same kind, with the same text.
    pub(super) fn to_io(&self) -> io::Error {
        match self {
            Self::System(number) => io::Error::from_raw_os_error(*number),
            Self::Other { kind, text } => {
                let kind = KINDS.get(usize::from(*kind)).copied().unwrap_or(ErrorKind::Other);
                text.as_ref().map_or_else(|| kind.into(), |text| io::Error::new(kind, text.clone()))
            }
            Self::ProxyHeader(text) => proxy_header_error(text),
        }
    }
}

#[cfg(feature = "proxy-protocol")]
fn proxy_header_error(text: &str) -> io::Error {
    use ProxyHeaderError::{Incomplete, Malformed, Missing, TooLong, WrongChecksum};

    let all = [Missing, Malformed, TooLong, WrongChecksum, Incomplete];
    let error = all.into_iter().find(|error| error.to_string() == text).unwrap_or(Malformed);
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(not(feature = "proxy-protocol"))]
fn proxy_header_error(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &io::Error) {
        let again = RecordedError::of(error).to_io();
        assert_eq!(
            (again.kind(), again.raw_os_error(), again.to_string()),
            (error.kind(), error.raw_os_error(), error.to_string())
        );
    }

    #[test]
    fn an_error_keeps_its_kind_its_number_and_its_text() {
        check(&io::Error::from_raw_os_error(libc::EAGAIN));
        check(&ErrorKind::WouldBlock.into());
        check(&io::Error::new(ErrorKind::InvalidData, "the record is too long"));
        check(&io::Error::other("a reason"));
        check(&ErrorKind::StorageFull.into());
    }

    #[test]
    #[cfg(feature = "proxy-protocol")]
    fn a_wrong_proxy_header_is_still_recognized() {
        let error = io::Error::new(ErrorKind::InvalidData, ProxyHeaderError::TooLong);
        check(&error);
        let again = RecordedError::of(&error).to_io();
        assert!(again.get_ref().is_some_and(|inner| inner.is::<ProxyHeaderError>()));
    }
}
