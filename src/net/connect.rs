//! Connecting: from where, and how far a connection under way has come.
//!
//! Nothing here waits and nothing looks a name up: a [`Destination`] is ready to be used.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::{TcpStream, UnixStream};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::listener::TcpOrUnix;
use crate::destination::Destination;

/// How a stream of ours is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The address to connect from; the kernel chooses the port, and without this the address too.
    ///
    /// Each address of ours has its own ports: who wants more than some 28,000 connections to one
    /// destination needs more than one.
    pub source: Option<IpAddr>,
    /// Send small writes at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// `SO_RCVBUF` in bytes; unset lets the kernel tune it.
    pub recv_buffer: Option<usize>,
    /// `SO_SNDBUF` in bytes; unset lets the kernel tune it.
    pub send_buffer: Option<usize>,
    /// Where the kernel looks for the port.
    pub ports: PortSearch,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        let ports = PortSearch::HalfFirst;
        Self { source: None, nodelay: true, recv_buffer: None, send_buffer: None, ports }
    }
}

/// Where the kernel looks for the port of a stream that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortSearch {
    /// Among every second of its ports, and only then among the others: those are left to who
    /// binds. Once the first half is taken each connect looks through all of it in vain, for a
    /// millisecond.
    HalfFirst,
    /// Among all of them, from where the last search ended: for who wants more than 14,000 to one
    /// destination. With the feature `load`, on Linux from 6.8 on; elsewhere as `HalfFirst`.
    All,
}

/// Begins to connect a stream that never blocks.
pub(super) fn begin(to: &Destination, options: &ConnectOptions) -> io::Result<TcpOrUnix<TcpStream, UnixStream>> {
    match to {
        Destination::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            apply(&socket, options)?;
            socket.set_tcp_nodelay(options.nodelay)?;
            if options.ports == PortSearch::All {
                search_all_ports(&socket);
            }
            if let Some(source) = options.source {
                choose_port_at_connect(&socket)?;
                socket.bind(&SocketAddr::new(source, 0).into())?;
            }
            under_way(socket.connect(&(*address).into()))?;
            Ok(TcpOrUnix::Tcp(TcpStream::from_std(socket.into())))
        }
        Destination::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            apply(&socket, options)?;
            under_way(socket.connect(&SockAddr::unix(path)?))?;
            Ok(TcpOrUnix::Unix(UnixStream::from_std(socket.into())))
        }
    }
}

fn apply(socket: &Socket, options: &ConnectOptions) -> io::Result<()> {
    if let Some(bytes) = options.recv_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

/// Lets the connect choose the port, so that only those are taken that lead to the same place;
/// among them are not even those that a closed connection still holds, if it is not too young
/// (ip(7), `IP_BIND_ADDRESS_NO_PORT`).
#[cfg(all(feature = "load", target_os = "linux"))]
fn choose_port_at_connect(socket: &Socket) -> io::Result<()> {
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
    Ok(())
}

/// Without that option each source has some 28,000 ports a minute.
#[cfg(not(all(feature = "load", target_os = "linux")))]
fn choose_port_at_connect(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// The ports that the kernel may give a socket: the first, and above 16 bits the last.
#[cfg(all(feature = "load", target_os = "linux"))]
#[derive(Clone, Copy)]
struct LocalPortRange;

#[cfg(all(feature = "load", target_os = "linux"))]
nix::setsockopt_impl!(
    LocalPortRange,
    libc::IPPROTO_IP,
    IP_LOCAL_PORT_RANGE,
    usize,
    nix::sys::socket::sockopt::SetUsize
);

/// Of linux/in.h; libc does not have it.
#[cfg(all(feature = "load", target_os = "linux"))]
const IP_LOCAL_PORT_RANGE: libc::c_int = 51;

/// A socket with a range of its own is given any port in it, and of a range as wide as this the
/// kernel takes those that it gives out anyway (ip(7), `IP_LOCAL_PORT_RANGE`).
#[cfg(all(feature = "load", target_os = "linux"))]
fn search_all_ports(socket: &Socket) {
    const FROM_1_TO_65535: usize = 0xffff << 16 | 1;
    // A kernel without the option searches as it always did: slower, and no less well.
    if let Err(error) = nix::sys::socket::setsockopt(socket, LocalPortRange, &FROM_1_TO_65535) {
        log::debug!("cannot search all ports: {error}");
    }
}

#[cfg(not(all(feature = "load", target_os = "linux")))]
fn search_all_ports(_socket: &Socket) {}

fn under_way(begun: io::Result<()>) -> io::Result<()> {
    match begun {
        // An interrupted connect goes on by itself (connect(2)).
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
        begun => begun,
    }
}

/// Whether a stream under way is through.
///
/// That it is writable says nothing: a refused one is, too. Only no error *and* a known peer is
/// success; no error and no peer yet means that it is still on its way.
pub(super) fn is_through(stream: &TcpOrUnix<TcpStream, UnixStream>) -> io::Result<bool> {
    let (error, peer) = match stream {
        TcpOrUnix::Tcp(tcp) => (tcp.take_error()?, tcp.peer_addr().map(drop)),
        TcpOrUnix::Unix(unix) => (unix.take_error()?, unix.peer_addr().map(drop)),
    };
    match (error, peer) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(true),
        (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        (None, Err(error)) => Err(error),
    }
}

#[cfg(test)]
#[cfg(all(feature = "load", target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// How many of many connections have a port with an even number, and how many an odd one.
    fn even_and_odd(ports: PortSearch) -> [usize; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Destination::Tcp(listener.local_addr().unwrap());
        let options = ConnectOptions { ports, ..ConnectOptions::default() };
        let streams: Vec<_> = (0..100).map(|_| begin(&to, &options).unwrap()).collect();
        let is_odd = |stream: &TcpOrUnix<TcpStream, UnixStream>| match stream {
            TcpOrUnix::Tcp(tcp) => tcp.local_addr().unwrap().port() % 2 == 1,
            TcpOrUnix::Unix(_) => unreachable!("the destination is TCP"),
        };
        let odd = streams.iter().filter(|stream| is_odd(stream)).count();
        [streams.len() - odd, odd]
    }

    #[test]
    fn who_wants_all_ports_is_given_both_halves_from_the_start() {
        let counts = even_and_odd(PortSearch::All);
        assert!(counts.iter().all(|&count| count > 20), "{counts:?}: a kernel before 6.8?");
    }

    #[test]
    fn who_does_not_leaves_a_half_to_those_who_bind() {
        assert!(even_and_odd(PortSearch::HalfFirst).contains(&0));
    }
}
