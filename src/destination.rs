//! `Destination`: where to connect to, with nothing left to look up.
//!
//! An address is a value here: to name one takes neither a socket nor the system.

use core::net::SocketAddr;
use std::fmt;
use std::path::PathBuf;

/// Where to connect to; nothing is left to look up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Over TCP.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}
