//! `PeerInfo`: the addresses and the TLS session of a peer, as values.

use std::fmt;

use crate::connection::Role;
use crate::peer_address::PeerAddress;

/// The other end of a connection, for [`Service::on_open`](super::Service::on_open). It prints as its address.
pub struct PeerInfo<'a> {
    address: PeerAddress,
    role: Role,
    identity: &'a dyn Identity,
}

/// What a stream knows about its ends. The driver's links implement it.
pub trait Identity {
    /// Our own address of the connection. Reading it may be a system call.
    fn local_address(&self) -> Option<PeerAddress>;

    /// The result of the TLS handshake, or `None` without TLS.
    fn tls(&self) -> Option<TlsInfo>;
}

/// The result of a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version of the protocol.
    pub version: TlsVersion,
    /// The host name that the client asked for (SNI, RFC 6066); only at the accepting side.
    pub server_name: Option<String>,
    /// The protocol that both sides agreed on (ALPN, RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// The certificates that the peer presented, its own first, in DER. Empty if it presented none.
    pub certificates: Vec<Vec<u8>>,
}

impl TlsInfo {
    /// A handshake without a name, a protocol or certificates.
    pub const fn new(version: TlsVersion) -> Self {
        Self { version, server_name: None, alpn: None, certificates: Vec::new() }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl<'a> PeerInfo<'a> {
    /// The peer at `address`. Its stream, `identity`, answers the other questions.
    pub fn new(address: PeerAddress, role: Role, identity: &'a dyn Identity) -> Self {
        Self { address, role, identity }
    }

    /// The address of the peer. Behind a proxy that announces the original address, it is that one.
    pub fn address(&self) -> PeerAddress {
        self.address
    }

    /// Our own address of the connection, or `None` if the system does not report it.
    pub fn local_address(&self) -> Option<PeerAddress> {
        self.identity.local_address()
    }

    /// Which side opened the connection.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The result of the TLS handshake, or `None` without TLS.
    pub fn tls(&self) -> Option<TlsInfo> {
        self.identity.tls()
    }
}

impl fmt::Display for PeerInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
