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
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { source: None, nodelay: true, recv_buffer: None, send_buffer: None }
    }
}

/// Begins to connect a stream that never blocks.
pub(super) fn begin(to: &Destination, options: &ConnectOptions) -> io::Result<TcpOrUnix<TcpStream, UnixStream>> {
    match to {
        Destination::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            apply(&socket, options)?;
            socket.set_tcp_nodelay(options.nodelay)?;
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
