//! Listening sockets: built with socket2, since the backlog and most options must be there before
//! the first connection is.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
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

/// A listening socket. Dropping one on a Unix path removes the path, if it is still its own.
pub struct Listener {
    socket: TcpOrUnix<TcpListener, UnixListener>,
    address: Address,
    file: Option<FileIdentity>,
}

impl Listener {
    pub(super) fn bind(address: &Address, options: &ListenOptions) -> io::Result<Self> {
        match address {
            Address::Tcp(host_port) | Address::Tls(host_port) => {
                let listener = bind_first(&Address::resolve(host_port)?, options)?;
                let address = address.bound_to(listener.local_addr()?);
                Ok(Self { socket: TcpOrUnix::Tcp(listener), address, file: None })
            }
            Address::Udp(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a udp:// address has no connections")),
            Address::Unix(path) => {
                let listener = bind_unix(path, options)?;
                let file = FileIdentity::of(path);
                Ok(Self { socket: TcpOrUnix::Unix(listener), address: address.clone(), file })
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
        // Another server may have taken the path over since.
        if let Address::Unix(path) = &self.address
            && self.file.is_some()
            && FileIdentity::of(path) == self.file
            && let Err(error) = fs::remove_file(path)
        {
            log::debug!("cannot remove {}: {error}", path.display());
        }
    }
}

/// Which file a path names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity(u64, u64);

impl FileIdentity {
    fn of(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|metadata| Self(metadata.dev(), metadata.ino()))
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

/// Whether a socket file is left over from a process that has ended: nobody accepts on it. Any
/// other file is somebody's, though connecting to it fails in the same way.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own, gone with the value.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("readyloop-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bind(path: &Path) -> io::Result<Listener> {
        Listener::bind(&Address::Unix(path.to_owned()), &ListenOptions::default())
    }

    #[test]
    fn a_file_that_is_no_socket_is_not_taken_for_an_abandoned_one() {
        let scratch = Scratch::new("no-socket");
        let path = scratch.0.join("precious");
        fs::write(&path, "data").unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn an_abandoned_socket_is_replaced_and_a_served_one_is_not() {
        let scratch = Scratch::new("abandoned");
        let path = scratch.0.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = bind(&path).unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_another_server_took_over_is_left_alone() {
        let scratch = Scratch::new("taken-over");
        let path = scratch.0.join("socket");
        let listener = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        drop(other);
    }
}
