//! `Destination`: a resolved address to connect to.
//!
//! It is a plain value, which needs neither a socket nor the system.

use core::net::SocketAddr;
use std::fmt;
use std::path::PathBuf;

use crate::peer_address::PeerAddress;

/// A resolved address to connect to, which needs no further lookup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum Destination {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket. On Linux, `@name` is a name in the abstract namespace (unix(7)).
    Unix(PathBuf),
}

impl Destination {
    /// The address of the peer that a connection to here reaches.
    pub fn peer_address(&self) -> PeerAddress {
        match self {
            Self::Tcp(address) => PeerAddress::Tcp(*address),
            Self::Unix(_) => PeerAddress::Unix,
        }
    }
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
