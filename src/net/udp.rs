//! [`Datagrams`]: a UDP socket, and its implementation for the kernel's sockets.
//!
//! `datagram::Guard` decides which sources are answered.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::str::FromStr;

use mio::event::Source;
use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg, sendmsg};
use socket2::{Domain, Socket, Type};
use thiserror::Error;

use crate::datagram::{Reach, Source as DatagramSource};

use super::address::Address;
use super::listener::{apply_buffers, bind_first, new_socket};
use super::packet_info;

/// A bound UDP socket. It never blocks.
pub trait Datagrams {
    /// Receives one datagram: its length and its addresses. A longer datagram is truncated to `buf`, so a
    /// filled `buf` may be incomplete.
    ///
    /// # Errors
    /// As `recvmsg(2)`: `WouldBlock`, `Interrupted`, or an error that concerns one datagram. The
    /// socket stays usable.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, DatagramRoute)>;

    /// Sends one datagram, whole or not at all. With the route of a received datagram, it is an answer
    /// from the address that was asked.
    ///
    /// # Errors
    /// As `sendmsg(2)`: `WouldBlock`, `Interrupted`, or this datagram cannot be sent.
    fn send(&mut self, bytes: &[u8], route: &DatagramRoute) -> io::Result<()>;
}

/// The addresses of one datagram, on both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub struct DatagramRoute {
    /// The address of the other end. A received one can be forged.
    pub peer: SocketAddr,
    /// Our address, if the socket is bound to all addresses. A connected client drops an answer from
    /// another address than the one it asked. `None` leaves the choice to the kernel.
    pub local: Option<IpAddr>,
}

impl From<SocketAddr> for DatagramRoute {
    fn from(peer: SocketAddr) -> Self {
        Self { peer, local: None }
    }
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

/// A UDP socket of the kernel.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    /// A buffer for the address that a datagram was sent to. Empty if the socket is bound to one address.
    control: Vec<u8>,
}

impl DatagramSocket {
    /// Connects the socket: it receives from `peer` only, and reports that `peer` refused a datagram.
    ///
    /// # Errors
    /// As `connect(2)`: this machine has no route to `peer`.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    /// Sends one datagram to the connected peer, whole or not at all.
    ///
    /// # Errors
    /// As `send(2)`. `ConnectionRefused` is about an earlier datagram; this one was not sent.
    pub fn send_to_peer(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes).map(|_| ())
    }

    /// Receives one datagram of the connected peer, and returns its length.
    ///
    /// # Errors
    /// As `recv(2)`. `ConnectionRefused` is about a datagram that was sent.
    pub fn receive_from_peer(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

pub(super) fn bind(address: &Address, options: &DatagramOptions) -> io::Result<DatagramSocket> {
    let Address::Udp(host_port) = address else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "only a udp:// address receives datagrams"));
    };
    bind_first(host_port, |address| bind_one(address, options))
}

fn bind_one(address: &SocketAddr, options: &DatagramOptions) -> io::Result<DatagramSocket> {
    let socket = new_socket(Domain::for_address(*address), Type::DGRAM, options.recv_buffer, options.send_buffer)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&(*address).into())?;
    finish(socket, address, options)
}

/// A socket that another process has bound. Its options are changed as far as possible: not `reuse_port`.
pub(super) fn inherited(socket: Socket, options: &DatagramOptions) -> io::Result<DatagramSocket> {
    apply_buffers(&socket, options.recv_buffer, options.send_buffer)?;
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
    finish(socket, &address, options)
}

/// Joins the groups of a bound socket and prepares it for receiving.
fn finish(socket: Socket, address: &SocketAddr, options: &DatagramOptions) -> io::Result<DatagramSocket> {
    for group in &options.multicast {
        let joined = match group {
            MulticastGroup::V4(group, interface) => socket.join_multicast_v4(group, interface),
            MulticastGroup::V6(group, interface) => socket.join_multicast_v6(group, *interface),
        };
        match joined {
            // An inherited socket may be a member already.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            joined => joined?,
        }
    }
    let control = if address.ip().is_unspecified() { packet_info::request(&socket, address)? } else { Vec::new() };
    Ok(DatagramSocket { socket: UdpSocket::from_std(socket.into()), control })
}

impl Datagrams for DatagramSocket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, DatagramRoute)> {
        let mut slices = [IoSliceMut::new(buf)];
        let (fd, control) = (self.socket.as_raw_fd(), Some(&mut self.control[..]));
        let message = recvmsg::<SockaddrStorage>(fd, &mut slices, control, MsgFlags::empty())?;
        let peer = message.address.as_ref().and_then(socket_address).ok_or(io::ErrorKind::InvalidData)?;
        let local = message.cmsgs().ok().and_then(|mut found| found.find_map(|each| packet_info::local_of(&each)));
        Ok((message.bytes, DatagramRoute { peer, local }))
    }

    fn send(&mut self, bytes: &[u8], route: &DatagramRoute) -> io::Result<()> {
        let (fd, slices, peer) = (self.socket.as_raw_fd(), [IoSlice::new(bytes)], SockaddrStorage::from(route.peer));
        let send_from = |local| {
            packet_info::with_source(local, |control| sendmsg(fd, &slices, control, MsgFlags::empty(), Some(&peer)))
        };
        match send_from(route.local) {
            // Some addresses that receive cannot send, such as the broadcast address of a network.
            Err(Errno::EINVAL | Errno::EADDRNOTAVAIL | Errno::ENETUNREACH) if route.local.is_some() => send_from(None)?,
            sent => sent?,
        };
        Ok(())
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// The properties of a source address that decide whether it is answered.
pub(crate) fn source_of(address: &SocketAddr) -> DatagramSource {
    let (prefix, is_not_unicast) = match address.ip().to_canonical() {
        IpAddr::V4(v4) => {
            let is_not_unicast = v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified();
            (u64::from(v4.to_bits() >> 8), is_not_unicast)
        }
        // A prefix has 56 bits; the top bit of the number keeps the families apart.
        IpAddr::V6(v6) => ((v6.to_bits() >> 72) as u64 | 1 << 63, v6.is_multicast() || v6.is_unspecified()),
    };
    DatagramSource { prefix, port: address.port(), reach: if is_not_unicast { Reach::Other } else { Reach::Unicast } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> DatagramSource {
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
