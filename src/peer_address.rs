//! `PeerAddress`: the address of the other end of a connection, as a plain value.

use core::net::{IpAddr, SocketAddr};
use std::fmt;

/// The address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum PeerAddress {
    /// The address of a peer over TCP.
    Tcp(SocketAddr),
    /// A peer over a Unix socket, which has no address.
    Unix,
}

impl PeerAddress {
    /// The group that this peer counts in.
    pub fn group(&self) -> AddressGroup {
        match self {
            Self::Tcp(address) => AddressGroup::of(address),
            Self::Unix => AddressGroup::UNIX,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("unix peer"),
        }
    }
}

/// The unit in which connections of one origin are counted: an IPv4 address or an IPv6 /64 prefix.
///
/// An IPv4 address fills the low half of the number. Its high half is zero, as in no /64 prefix in
/// use: `::/32` is reserved (RFC 4291). The largest numbers are free for the constants below, since no peer connects from a multicast address (`ff00::/8`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressGroup(u64);

impl AddressGroup {
    /// All peers of Unix sockets.
    pub const UNIX: Self = Self(u64::MAX);
    /// All connections that we opened.
    pub const OURS: Self = Self(u64::MAX - 1);
    /// The connections of administration endpoints.
    pub const ADMINISTRATION: Self = Self(u64::MAX - 2);

    /// Connections of proxies that have not announced the address of their peer yet.
    pub const PROXY: Self = Self(u64::MAX - 3);

    /// Whether a limit on connections per address applies to the group.
    pub const fn is_counted(self) -> bool {
        self.0 < Self::PROXY.0
    }

    /// The group of an address. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn of(address: &SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self((v6.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_counts_as_its_ipv4_address() {
        let group = |text: &str| AddressGroup::of(&text.parse().unwrap());
        assert_eq!(group("10.0.0.1:1"), group("[::ffff:10.0.0.1]:2"));
        assert_eq!(group("[2001:db8::1]:1"), group("[2001:db8::2]:1"));
        assert_ne!(group("[2001:db8::1]:1"), group("[2001:db8:0:1::1]:1"));
    }
}
