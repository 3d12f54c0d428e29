//! Non-blocking connects: the options, the start, and whether the connection is established.
//!
//! Names are looked up elsewhere: a [`Destination`] is a socket address or a path.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Socket, Type};

use super::address::unix_address;
use super::listener::new_socket;
use crate::destination::Destination;

/// Options of a connecting socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The local address to connect from. Unset, the kernel chooses it. The kernel chooses the port.
    ///
    /// Each local address has about 28,000 ports for one destination (`ip_local_port_range`, ip(7)).
    /// More connections than that need several local addresses.
    pub source: Option<IpAddr>,
    /// Send small writes at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// `SO_RCVBUF` in bytes; unset lets the kernel tune it.
    pub recv_buffer: Option<usize>,
    /// `SO_SNDBUF` in bytes; unset lets the kernel tune it.
    pub send_buffer: Option<usize>,
    /// How the kernel searches for a local port.
    pub ports: PortSearch,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        let ports = PortSearch::HalfFirst;
        Self { source: None, nodelay: true, recv_buffer: None, send_buffer: None, ports }
    }
}

/// How the kernel searches for a local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortSearch {
    /// First every second port, then the others, which the kernel keeps for `bind(2)`. Once the
    /// first half is in use, every connect searches all of it again, which takes long.
    HalfFirst,
    /// All ports, from where the last search ended. For more than about 14,000 connections to one
    /// destination. Needs Linux 6.8; elsewhere it means `HalfFirst`.
    All,
}

/// Starts to connect, without blocking.
pub(super) fn begin(to: &Destination, options: &ConnectOptions) -> io::Result<Socket> {
    let new_socket = |domain| new_socket(domain, Type::STREAM, options.recv_buffer, options.send_buffer);
    match to {
        Destination::Tcp(address) => {
            let socket = new_socket(Domain::for_address(*address))?;
            socket.set_tcp_nodelay(options.nodelay)?;
            if options.ports == PortSearch::All {
                system::search_all_ports(&socket);
            }
            if let Some(source) = options.source {
                system::choose_port_at_connect(&socket)?;
                socket.bind(&SocketAddr::new(source, 0).into())?;
            }
            ignore_in_progress(socket.connect(&(*address).into()))?;
            Ok(socket)
        }
        Destination::Unix(path) => {
            let socket = new_socket(Domain::UNIX)?;
            ignore_in_progress(socket.connect(&unix_address(path)?))?;
            Ok(socket)
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use nix::sys::socket::setsockopt;
    use nix::sys::socket::sockopt::{IpBindAddressNoPort, SetUsize};
    use socket2::Socket;

    /// The socket option for the range of local ports: the first port, and shifted by 16 bits the last.
    #[derive(Clone, Copy)]
    struct LocalPortRange;

    nix::setsockopt_impl!(LocalPortRange, libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, usize, SetUsize);

    /// From `linux/in.h`; the libc crate does not have it.
    const IP_LOCAL_PORT_RANGE: libc::c_int = 51;

    /// Defers the choice of the port from `bind(2)` to `connect(2)`, so that a port in use for another
    /// destination can be chosen, and most ports of closed connections too (ip(7), `IP_BIND_ADDRESS_NO_PORT`).
    pub(super) fn choose_port_at_connect(socket: &Socket) -> io::Result<()> {
        setsockopt(socket, IpBindAddressNoPort, &true)?;
        Ok(())
    }

    /// Gives the socket a port range of its own, which makes the kernel search all ports. The kernel
    /// clamps this range to the system's `ip_local_port_range` (ip(7), `IP_LOCAL_PORT_RANGE`).
    pub(super) fn search_all_ports(socket: &Socket) {
        const FROM_1_TO_65535: usize = 0xffff << 16 | 1;
        // A kernel without the option only searches more slowly.
        if let Err(error) = setsockopt(socket, LocalPortRange, &FROM_1_TO_65535) {
            log::debug!("cannot search all ports: {error}");
        }
    }
}

/// Without these options, `bind(2)` chooses the port, and each search is the usual one of the system.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    use socket2::Socket;

    pub(super) fn choose_port_at_connect(_socket: &Socket) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn search_all_ports(_socket: &Socket) {}
}

fn ignore_in_progress(result: io::Result<()>) -> io::Result<()> {
    match result {
        // An interrupted connect continues in the kernel (connect(2)).
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
        result => result,
    }
}

/// Whether a connecting stream is established.
///
/// Being writable proves nothing: a refused stream is writable too. No error and a peer address
/// mean success; no error and no peer address mean that the connect is still in progress.
pub(super) fn is_connected(socket: &Socket) -> io::Result<bool> {
    match (socket.take_error()?, socket.peer_addr()) {
        (Some(error), _) => Err(error),
        (None, Ok(_)) => Ok(true),
        (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        (None, Err(error)) => Err(error),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// How many of 100 connections have an even local port, and how many an odd one.
    fn even_and_odd(ports: PortSearch) -> [usize; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Destination::Tcp(listener.local_addr().unwrap());
        let options = ConnectOptions { ports, ..ConnectOptions::default() };
        let streams: Vec<_> = (0..100).map(|_| begin(&to, &options).unwrap()).collect();
        let is_odd = |stream: &Socket| stream.local_addr().unwrap().as_socket().unwrap().port() % 2 == 1;
        let odd = streams.iter().filter(|stream| is_odd(stream)).count();
        [streams.len() - odd, odd]
    }

    #[test]
    fn a_search_of_all_ports_uses_both_halves_from_the_start() {
        let counts = even_and_odd(PortSearch::All);
        assert!(counts.iter().all(|&count| count > 20), "{counts:?}: a kernel before 6.8?");
    }

    #[test]
    fn a_search_of_half_the_ports_leaves_the_other_half_free() {
        assert!(even_and_odd(PortSearch::HalfFirst).contains(&0));
    }
}
