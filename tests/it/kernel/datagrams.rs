//! Datagram sockets: which address an answer comes from.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

use crate::support::TIMEOUT;

const ASKED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The source of an answer to a datagram for [`ASKED`]. `answer` sends it with a socket for all addresses.
fn source_of_answer(answer: impl Fn(&UdpSocket, SocketAddr)) -> Ipv4Addr {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    }
    client.send_to(b"hello", (ASKED, server.local_addr().unwrap().port())).unwrap();
    let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
    answer(&server, from);
    let (_, SocketAddr::V4(source)) = client.recv_from(&mut [0; 8]).unwrap() else { unreachable!("both are IPv4") };
    *source.ip()
}

#[test]
fn a_socket_for_all_addresses_answers_from_the_address_of_the_route() {
    let source = source_of_answer(|server, to| {
        server.send_to(b"hello", to).unwrap();
    });
    assert_eq!(source, Ipv4Addr::LOCALHOST);
}

#[test]
#[cfg(target_os = "linux")]
fn a_control_message_selects_the_source_of_a_datagram() {
    let source = source_of_answer(|server, to| {
        let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(ASKED.octets()) };
        let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } };
        let (control, to) = ([ControlMessage::Ipv4PacketInfo(&info)], SockaddrStorage::from(to));
        sendmsg(server.as_raw_fd(), &[IoSlice::new(b"hello")], &control, MsgFlags::empty(), Some(&to)).unwrap();
    });
    assert_eq!(source, ASKED);
}
