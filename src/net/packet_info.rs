//! Our address of one datagram, as a control message of `recvmsg(2)` and `sendmsg(2)`.
//!
//! The messages differ between systems: see ip(7) and ipv6(7) for Linux, ip(4) for FreeBSD.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, setsockopt, sockopt};

/// Makes each receive on a socket report the address that the datagram was sent to. Returns a buffer for
/// the control messages.
pub(super) fn request(socket: &impl AsFd, bound: &SocketAddr) -> io::Result<Vec<u8>> {
    match bound {
        SocketAddr::V4(_) => setsockopt(socket, ipv4::Requested, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    // The longest of the messages.
    Ok(nix::cmsg_space!(libc::in6_pktinfo))
}

/// Our address in a received message. `None` if no datagram can have it as its source.
pub(super) fn local_of(message: &ControlMessageOwned) -> Option<IpAddr> {
    let ip = if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
        IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))
    } else {
        IpAddr::V4(ipv4::local_of(message)?)
    };
    let canonical = ip.to_canonical();
    let is_unicast =
        !canonical.is_multicast() && !canonical.is_unspecified() && canonical != std::net::Ipv4Addr::BROADCAST;
    is_unicast.then_some(ip)
}

/// Calls `send` with the message that makes `local` the source of a datagram.
pub(super) fn with_source<T>(local: Option<IpAddr>, send: impl FnOnce(&[ControlMessage<'_>]) -> T) -> T {
    match local {
        None => send(&[]),
        Some(IpAddr::V4(ip)) => ipv4::with_source(libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) }, send),
        Some(IpAddr::V6(ip)) => {
            let ipi6_addr = libc::in6_addr { s6_addr: ip.octets() };
            send(&[ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 })])
        }
    }
}

#[cfg(not(target_os = "freebsd"))]
mod ipv4 {
    use std::net::Ipv4Addr;

    use nix::sys::socket::{ControlMessage, ControlMessageOwned};

    pub(super) use nix::sys::socket::sockopt::Ipv4PacketInfo as Requested;

    pub(super) fn local_of(message: &ControlMessageOwned) -> Option<Ipv4Addr> {
        let ControlMessageOwned::Ipv4PacketInfo(info) = message else { return None };
        // Linux also reports the source of an answer to a multicast or broadcast address. Apple systems do not.
        let reported = [info.ipi_spec_dst, info.ipi_addr].into_iter().find(|ip| ip.s_addr != 0)?;
        Some(Ipv4Addr::from(reported.s_addr.to_ne_bytes()))
    }

    pub(super) fn with_source<T>(ip: libc::in_addr, send: impl FnOnce(&[ControlMessage<'_>]) -> T) -> T {
        let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ip, ipi_addr: libc::in_addr { s_addr: 0 } };
        send(&[ControlMessage::Ipv4PacketInfo(&info)])
    }
}

#[cfg(target_os = "freebsd")]
mod ipv4 {
    use std::net::Ipv4Addr;

    use nix::sys::socket::{ControlMessage, ControlMessageOwned};

    pub(super) use nix::sys::socket::sockopt::Ipv4RecvDstAddr as Requested;

    pub(super) fn local_of(message: &ControlMessageOwned) -> Option<Ipv4Addr> {
        let ControlMessageOwned::Ipv4RecvDstAddr(ip) = message else { return None };
        Some(Ipv4Addr::from(ip.s_addr.to_ne_bytes()))
    }

    pub(super) fn with_source<T>(ip: libc::in_addr, send: impl FnOnce(&[ControlMessage<'_>]) -> T) -> T {
        send(&[ControlMessage::Ipv4SendSrcAddr(&ip)])
    }
}
