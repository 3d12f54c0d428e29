//! Listening sockets: built with socket2, since the backlog and most options must be there before
//! the first connection is.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::{Address, PeerAddress};

/// Options of a listening socket.
///
/// Accepted streams inherit all but the backlog from it (tcp(7), socket(7)), so that an option
/// costs no system call per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections the kernel keeps for us while we do not accept; cut by `somaxconn`.
    pub backlog: u32,
    /// Send small replies at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// Probe silent peers (`SO_KEEPALIVE`).
    pub keepalive: Option<Keepalive>,
    /// Let other processes listen on the same port (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// `SO_RCVBUF` in bytes; unset lets the kernel tune it.
    pub recv_buffer: Option<usize>,
    /// `SO_SNDBUF` in bytes; unset lets the kernel tune it.
    pub send_buffer: Option<usize>,
}

/// When silent peers are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe (`TCP_KEEPIDLE`); whole seconds, at least one.
    pub after: Duration,
    /// Between probes (`TCP_KEEPINTVL`); whole seconds, at least one.
    pub every: Duration,
    /// Unanswered probes until the peer is gone (`TCP_KEEPCNT`).
    pub probes: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            // What Linux allows at most unless `net.core.somaxconn` was changed.
            backlog: 4096,
            nodelay: true,
            keepalive: None,
            reuse_port: false,
            recv_buffer: None,
            send_buffer: None,
        }
    }
}

/// One thing over TCP or the other over a Unix socket.
pub enum TcpOrUnix<T, U> {
    /// Over TCP.
    Tcp(T),
    /// Over a Unix socket.
    Unix(U),
}

impl<T: Source, U: Source> TcpOrUnix<T, U> {
    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Unix(unix) => unix,
        }
    }
}

/// A listening socket. Dropping one on a Unix path removes the path.
pub struct Listener {
    socket: TcpOrUnix<TcpListener, UnixListener>,
    address: Address,
}

impl Listener {
    pub(super) fn bind(address: &Address, options: &ListenOptions) -> io::Result<Self> {
        match address {
            Address::Tcp(host_port) => {
                let listener = bind_first(&Address::resolve(host_port)?, options)?;
                let address = listener.local_addr()?.into();
                Ok(Self { socket: TcpOrUnix::Tcp(listener), address })
            }
            Address::Udp(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a udp:// address has no connections")),
            Address::Unix(path) => {
                let listener = bind_unix(path, options)?;
                Ok(Self { socket: TcpOrUnix::Unix(listener), address: address.clone() })
            }
        }
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        self.socket.source()
    }

    pub(super) fn local_address(&self) -> &Address {
        &self.address
    }

    #[inline]
    pub(super) fn accept(&self) -> io::Result<(TcpOrUnix<TcpStream, UnixStream>, PeerAddress)> {
        match &self.socket {
            TcpOrUnix::Tcp(tcp) => {
                let (stream, address) = tcp.accept()?;
                Ok((TcpOrUnix::Tcp(stream), PeerAddress::Tcp(address)))
            }
            TcpOrUnix::Unix(unix) => Ok((TcpOrUnix::Unix(unix.accept()?.0), PeerAddress::Unix)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address
            && let Err(error) = fs::remove_file(path)
        {
            log::debug!("cannot remove {}: {error}", path.display());
        }
    }
}

/// Listens on the first of the addresses that lets us: a name may stand for several.
fn bind_first(addresses: &[SocketAddr], options: &ListenOptions) -> io::Result<TcpListener> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for address in addresses {
        match bind_tcp(address, options) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn bind_tcp(address: &SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections of the process before it (TIME_WAIT).
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if let Some(keepalive) = &options.keepalive {
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(keepalive.after)
                .with_interval(keepalive.every)
                .with_retries(keepalive.probes),
        )?;
    }
    socket.set_tcp_nodelay(options.nodelay)?;
    size_buffers(&socket, options)?;
    socket.set_nonblocking(true)?;
    socket.bind(&(*address).into())?;
    socket.listen(backlog(options))?;
    log_options(&socket);
    Ok(TcpListener::from_std(socket.into()))
}

fn bind_unix(path: &Path, options: &ListenOptions) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    size_buffers(&socket, options)?;
    socket.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    socket.listen(backlog(options))?;
    Ok(UnixListener::from_std(socket.into()))
}

/// Whether a socket file is left over from a process that has ended: nobody accepts on it.
fn is_abandoned(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn size_buffers(socket: &Socket, options: &ListenOptions) -> io::Result<()> {
    if let Some(bytes) = options.recv_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

fn backlog(options: &ListenOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

/// What the kernel made of the options; it rounds and cuts without a word.
fn log_options(socket: &Socket) {
    log::debug!(
        "socket options: nodelay {:?}, keepalive {:?} after {:?} every {:?} times {:?}, receive buffer {:?}, send buffer {:?}",
        socket.tcp_nodelay().ok(),
        socket.keepalive().ok(),
        socket.tcp_keepalive_time().ok(),
        socket.tcp_keepalive_interval().ok(),
        socket.tcp_keepalive_retries().ok(),
        socket.recv_buffer_size().ok(),
        socket.send_buffer_size().ok(),
    );
}
