//! [`Datagrams`]: a UDP socket. It is bound with socket2, then read and written through mio.
//!
//! `datagram::Guard` decides which sources are answered.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::datagram::{Reach, Source};

use super::address::Address;
use super::listener::{apply_buffer_sizes, bind_first};

/// A bound UDP socket. It never blocks.
pub trait Datagrams {
    /// Receives one datagram: its length, and the source address that it claims, which can be forged.
    /// A longer datagram is truncated to `buf`, so a filled `buf` may be incomplete.
    ///
    /// # Errors
    /// As `recvfrom(2)`: `WouldBlock`, `Interrupted`, or an error that concerns one datagram. The
    /// socket stays usable.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends one datagram, whole or not at all.
    ///
    /// # Errors
    /// As `sendto(2)`: `WouldBlock`, `Interrupted`, or this datagram cannot be sent.
    fn send(&mut self, bytes: &[u8], to: &SocketAddr) -> io::Result<()>;
}

/// Options of a UDP socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatagramOptions {
    /// Let other processes bind the same port (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// `SO_RCVBUF` in bytes; unset leaves the kernel's default.
    pub recv_buffer: Option<usize>,
    /// `SO_SNDBUF` in bytes; unset leaves the kernel's default.
    pub send_buffer: Option<usize>,
    /// Multicast groups to join.
    pub multicast: Vec<MulticastGroup>,
}

/// A multicast group and the interface to join it on: `239.1.1.1`, `239.1.1.1@127.0.0.1`, `ff02::1@2`.
///
/// Without `@` the kernel chooses the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MulticastGroup {
    /// An IPv4 group, and an address of the interface. `0.0.0.0` lets the kernel choose.
    V4(Ipv4Addr, Ipv4Addr),
    /// An IPv6 group, and the index of the interface. 0 lets the kernel choose.
    V6(Ipv6Addr, u32),
}

/// The text is not a multicast group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a multicast group: write 239.1.1.1, 239.1.1.1@ADDRESS, ff02::1 or ff02::1@NUMBER")]
pub struct UnknownGroup(String);

impl FromStr for MulticastGroup {
    type Err = UnknownGroup;

    fn from_str(text: &str) -> Result<Self, UnknownGroup> {
        let unknown = || UnknownGroup(text.to_owned());
        let (group, interface) = text.split_once('@').map_or((text, None), |(group, at)| (group, Some(at)));
        match group.parse().map_err(|_| unknown())? {
            IpAddr::V4(group) if group.is_multicast() => {
                let interface = interface.map_or(Ok(Ipv4Addr::UNSPECIFIED), str::parse);
                Ok(Self::V4(group, interface.map_err(|_| unknown())?))
            }
            IpAddr::V6(group) if group.is_multicast() => {
                let interface = interface.map_or(Ok(0), str::parse);
                Ok(Self::V6(group, interface.map_err(|_| unknown())?))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => Err(unknown()),
        }
    }
}

impl fmt::Display for MulticastGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(group, interface) if interface.is_unspecified() => write!(f, "{group}"),
            Self::V4(group, interface) => write!(f, "{group}@{interface}"),
            Self::V6(group, 0) => write!(f, "{group}"),
            Self::V6(group, interface) => write!(f, "{group}@{interface}"),
        }
    }
}

pub(super) fn bind(address: &Address, options: &DatagramOptions) -> io::Result<UdpSocket> {
    let Address::Udp(host_port) = address else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "only a udp:// address receives datagrams"));
    };
    bind_first(host_port, |address| bind_one(address, options))
}

fn bind_one(address: &SocketAddr, options: &DatagramOptions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, Some(Protocol::UDP))?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    apply_buffer_sizes(&socket, options.recv_buffer, options.send_buffer)?;
    socket.set_nonblocking(true)?;
    socket.bind(&(*address).into())?;
    for group in &options.multicast {
        match group {
            MulticastGroup::V4(group, interface) => socket.join_multicast_v4(group, interface)?,
            MulticastGroup::V6(group, interface) => socket.join_multicast_v6(group, *interface)?,
        }
    }
    Ok(UdpSocket::from_std(socket.into()))
}

impl Datagrams for UdpSocket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buf)
    }

    fn send(&mut self, bytes: &[u8], to: &SocketAddr) -> io::Result<()> {
        self.send_to(bytes, *to).map(|_| ())
    }
}

/// The properties of a source address that decide whether it is answered.
pub(crate) fn source_of(address: &SocketAddr) -> Source {
    let (prefix, is_not_unicast) = match address.ip().to_canonical() {
        IpAddr::V4(v4) => {
            let is_not_unicast = v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified();
            (u64::from(v4.to_bits() >> 8), is_not_unicast)
        }
        // A prefix has 56 bits; the top bit of the number keeps the families apart.
        IpAddr::V6(v6) => ((v6.to_bits() >> 72) as u64 | 1 << 63, v6.is_multicast() || v6.is_unspecified()),
    };
    Source { prefix, port: address.port(), reach: if is_not_unicast { Reach::Other } else { Reach::Unicast } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        source_of(&text.parse().unwrap())
    }

    #[test]
    fn hosts_of_one_network_share_a_prefix() {
        assert_eq!(source("192.0.2.1:5").prefix, source("192.0.2.200:6").prefix);
        assert_ne!(source("192.0.2.1:5").prefix, source("192.0.3.1:5").prefix);
        assert_eq!(source("[2001:db8::1]:5").prefix, source("[2001:db8:0:ff::2]:5").prefix);
        assert_ne!(source("[2001:db8::1]:5").prefix, source("[2001:db8:0:100::1]:5").prefix);
        assert_eq!(source("192.0.2.1:5").prefix, source("[::ffff:192.0.2.1]:5").prefix);
    }

    #[test]
    fn a_multicast_group_is_parsed_and_printed_in_one_form() {
        for text in ["239.1.1.1", "239.1.1.1@127.0.0.1", "ff02::1", "ff02::1@2"] {
            assert_eq!(text.parse::<MulticastGroup>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.1", "239.1.1.1@", "239.1.1.1@lo", "ff02::1@lo", "2001:db8::1", "all"] {
            assert_eq!(text.parse::<MulticastGroup>(), Err(UnknownGroup(text.to_owned())));
        }
    }

    #[test]
    fn only_unicast_addresses_have_unicast_reach() {
        for text in ["224.0.0.1:5", "255.255.255.255:5", "0.0.0.0:5", "[ff02::1]:5", "[::]:5"] {
            assert_eq!(source(text).reach, Reach::Other, "{text}");
        }
        assert_eq!(source("127.0.0.1:5").reach, Reach::Unicast);
    }
}
