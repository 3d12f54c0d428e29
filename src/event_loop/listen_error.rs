//! `ListenError`: why an endpoint could not be opened.

use std::convert::Infallible;
use std::io;

use thiserror::Error;

use crate::net::{Address, AddressError};

/// Why an endpoint could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The text is not an address.
    #[error(transparent)]
    BadAddress(#[from] AddressError),
    /// The host name has no address.
    #[error("cannot listen on {0}: the host name has no address")]
    NoAddress(Address, #[source] io::Error),
    /// Another socket is bound to the address.
    #[error("cannot listen on {0}: address in use")]
    InUse(Address, #[source] io::Error),
    /// The address does not belong to this machine.
    #[error("cannot listen on {0}: not an address of this machine")]
    NotAvailable(Address, #[source] io::Error),
    /// The process may not bind the address.
    #[error("cannot listen on {0}: permission denied")]
    PermissionDenied(Address, #[source] io::Error),
    /// The system failed in another way.
    #[error("cannot listen on {0}: {1}")]
    System(Address, #[source] io::Error),
    /// A `udp://` address carries datagrams, not connections; any other carries no datagrams.
    #[error("cannot listen on {0}: connections and datagrams have different addresses")]
    WrongKind(Address),
    /// A `tls://` address needs a certificate.
    #[error("cannot listen on {0} without a certificate")]
    NoCertificate(Address),
    /// This build or this design has no TLS.
    #[error("cannot listen on {0}: there is no TLS in this build or this design")]
    NoTls(Address),
    /// The loop has 255 endpoints already.
    #[error("an event loop has at most 255 endpoints")]
    TooManyEndpoints,
}

impl ListenError {
    /// Names the cause of an error of the system.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`io::ErrorKind` is non-exhaustive")]
    pub(crate) fn of(address: &Address, error: io::Error) -> Self {
        let address = address.clone();
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address, error),
            io::ErrorKind::AddrNotAvailable => Self::NotAvailable(address, error),
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(address, error),
            // A failed lookup has no number of the system.
            io::ErrorKind::InvalidInput => Self::System(address, error),
            _ if error.raw_os_error().is_none() => Self::NoAddress(address, error),
            _ => Self::System(address, error),
        }
    }
}

impl From<Infallible> for ListenError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<ListenError> for io::Error {
    /// Returns the error of the system, if there is one.
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::NoAddress(_, error)
            | ListenError::InUse(_, error)
            | ListenError::NotAvailable(_, error)
            | ListenError::PermissionDenied(_, error)
            | ListenError::System(_, error) => error,
            ListenError::NoTls(_) => Self::new(io::ErrorKind::Unsupported, error),
            ListenError::BadAddress(_)
            | ListenError::WrongKind(_)
            | ListenError::NoCertificate(_)
            | ListenError::TooManyEndpoints => Self::new(io::ErrorKind::InvalidInput, error),
        }
    }
}
