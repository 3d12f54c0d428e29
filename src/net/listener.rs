//! Listening sockets, over TCP and Unix.
//!
//! They are built with socket2, since most options must be set before the socket listens.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use super::address::{Address, is_file_path, unix_address};
use crate::peer_address::PeerAddress;

/// Options of a listening socket.
///
/// Accepted streams inherit all of them except the backlog (tcp(7), socket(7)), so an option costs
/// no system call per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections the kernel queues until they are accepted; at most `somaxconn`.
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
    /// Permissions of the file of a Unix socket, such as `0o600`; unset leaves them to the umask.
    pub unix_mode: Option<u32>,
}

/// When the kernel probes silent peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe (`TCP_KEEPIDLE`); whole seconds, at least one.
    pub after: Duration,
    /// Time between probes (`TCP_KEEPINTVL`); whole seconds, at least one.
    pub every: Duration,
    /// Unanswered probes until the connection is dropped (`TCP_KEEPCNT`).
    pub probes: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            // The default of `net.core.somaxconn` on Linux.
            backlog: 4096,
            nodelay: true,
            keepalive: None,
            reuse_port: false,
            recv_buffer: None,
            send_buffer: None,
            unix_mode: None,
        }
    }
}

/// A listening socket. Dropping a Unix listener removes its path, unless another socket has replaced it.
pub struct Listener {
    socket: ListeningSocket,
    address: Address,
    file: Option<FileIdentity>,
}

/// mio accepts non-blocking streams, which takes one system call on most systems.
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn bind(address: &Address, options: &ListenOptions) -> io::Result<Self> {
        match address {
            Address::Tcp(host_port) | Address::Tls(host_port) => {
                let listener = bind_first(host_port, |address| bind_tcp(address, options))?;
                let address = address.bound_to(listener.local_addr()?);
                Ok(Self { socket: ListeningSocket::Tcp(listener), address, file: None })
            }
            Address::Udp(_) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "a udp:// address does not accept connections"))
            }
            Address::Unix(path) => {
                let listener = bind_unix(path, options)?;
                let mut listener =
                    Self { socket: ListeningSocket::Unix(listener), address: address.clone(), file: None };
                listener.remove_path();
                Ok(listener)
            }
        }
    }

    /// A listener on a socket that another process has bound. It keeps the path of a Unix socket. Its options are changed as far as possible: not
    /// `reuse_port` and not `unix_mode`.
    pub(super) fn inherited(socket: Socket, address: &Address, options: &ListenOptions) -> io::Result<Self> {
        apply_options(&socket, address, options)?;
        // Some systems need this for a changed backlog only.
        socket.listen(backlog(options))?;
        match address {
            Address::Unix(_) => {
                let listener = UnixListener::from_std(socket.into());
                Ok(Self { socket: ListeningSocket::Unix(listener), address: address.clone(), file: None })
            }
            Address::Tcp(_) | Address::Tls(_) | Address::Udp(_) => {
                let listener = TcpListener::from_std(socket.into());
                let address = address.bound_to(listener.local_addr()?);
                Ok(Self { socket: ListeningSocket::Tcp(listener), address, file: None })
            }
        }
    }

    /// Leaves the path of a Unix socket to another process that has inherited the socket.
    /// Removes the path of a Unix socket on drop, also if the socket was inherited.
    pub(super) fn remove_path(&mut self) {
        if let Address::Unix(path) = &self.address {
            self.file = FileIdentity::of(path).filter(|_| is_file_path(path));
        }
    }

    pub(super) fn keep_path(&mut self) {
        self.file = None;
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            ListeningSocket::Tcp(tcp) => tcp,
            ListeningSocket::Unix(unix) => unix,
        }
    }

    pub(super) fn local_address(&self) -> &Address {
        &self.address
    }

    #[inline]
    pub(super) fn accept(&self) -> io::Result<(Socket, PeerAddress)> {
        match &self.socket {
            ListeningSocket::Tcp(tcp) => {
                let (stream, address) = tcp.accept()?;
                Ok((OwnedFd::from(stream).into(), PeerAddress::Tcp(address)))
            }
            ListeningSocket::Unix(unix) => Ok((OwnedFd::from(unix.accept()?.0).into(), PeerAddress::Unix)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address
            && self.file.is_some()
            && FileIdentity::of(path) == self.file
            && let Err(error) = fs::remove_file(path)
        {
            log::debug!("cannot remove {}: {error}", path.display());
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            ListeningSocket::Tcp(tcp) => tcp.as_fd(),
            ListeningSocket::Unix(unix) => unix.as_fd(),
        }
    }
}

/// The identity of a file: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity(u64, u64);

impl FileIdentity {
    fn of(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|metadata| Self(metadata.dev(), metadata.ino()))
    }
}

/// Binds the first address that can be bound; a name may resolve to several.
pub(super) fn bind_first<T>(host_port: &str, bind: impl Fn(&SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address");
    for address in Address::resolve(host_port)? {
        match bind(&address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

fn bind_tcp(address: &SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let socket = new_socket(Domain::for_address(*address), Type::STREAM, options.recv_buffer, options.send_buffer)?;
    // A restart must not wait for closed connections of the previous process (TIME_WAIT).
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    apply_tcp_options(&socket, options)?;
    socket.bind(&(*address).into())?;
    socket.listen(backlog(options))?;
    log_options(&socket);
    Ok(TcpListener::from_std(socket.into()))
}

fn apply_tcp_options(socket: &Socket, options: &ListenOptions) -> io::Result<()> {
    if let Some(keepalive) = &options.keepalive {
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(keepalive.after)
                .with_interval(keepalive.every)
                .with_retries(keepalive.probes),
        )?;
    }
    socket.set_tcp_nodelay(options.nodelay)
}

/// Applies the options that can be changed after the socket was bound.
fn apply_options(socket: &Socket, address: &Address, options: &ListenOptions) -> io::Result<()> {
    if !matches!(address, Address::Unix(_)) {
        apply_tcp_options(socket, options)?;
    }
    apply_buffers(socket, options.recv_buffer, options.send_buffer)
}

fn bind_unix(path: &Path, options: &ListenOptions) -> io::Result<UnixListener> {
    let socket = new_socket(Domain::UNIX, Type::STREAM, options.recv_buffer, options.send_buffer)?;
    let address = unix_address(path)?;
    let mode = options.unix_mode.filter(|_| is_file_path(path)).map(Permissions::from_mode);
    // Linux gives the file the mode of the socket, so it never has another one. Other systems refuse this.
    let socket = fs::File::from(OwnedFd::from(socket));
    let is_set = mode.as_ref().is_some_and(|mode| socket.set_permissions(mode.clone()).is_ok());
    let socket = Socket::from(OwnedFd::from(socket));
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path, &address) => {
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    if let Some(mode) = mode
        && !is_set
    {
        fs::set_permissions(path, mode)?;
    }
    socket.listen(backlog(options))?;
    Ok(UnixListener::from_std(socket.into()))
}

/// Whether the path is a socket file without a listener, left over from a process that has ended.
/// Other kinds of files refuse a connect in the same way, so the type is checked first.
///
/// The connect does not block, although the backlog of a listener may be full.
fn is_abandoned(path: &Path, address: &SockAddr) -> bool {
    let is_socket = is_file_path(path) && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let connect = || new_socket(Domain::UNIX, Type::STREAM, None, None)?.connect(address);
    is_socket && connect().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A socket that does not block, with these sizes of its buffers, in bytes, if they are given.
pub(super) fn new_socket(domain: Domain, kind: Type, recv: Option<usize>, send: Option<usize>) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    apply_buffers(&socket, recv, send)?;
    Ok(socket)
}

pub(super) fn apply_buffers(socket: &Socket, recv: Option<usize>, send: Option<usize>) -> io::Result<()> {
    if let Some(bytes) = recv {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = send {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

fn backlog(options: &ListenOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

/// Logs the effective options, since the kernel rounds and clamps them silently.
fn log_options(socket: &Socket) {
    fn shown<T: std::fmt::Debug>(option: io::Result<T>) -> String {
        option.map_or_else(|_| "unknown".to_owned(), |value| format!("{value:?}"))
    }
    log::debug!(
        "socket options: nodelay {}, keepalive {} after {} every {}, {} probes, receive buffer {} bytes, send buffer {} bytes",
        shown(socket.tcp_nodelay()),
        shown(socket.keepalive()),
        shown(socket.tcp_keepalive_time()),
        shown(socket.tcp_keepalive_interval()),
        shown(socket.tcp_keepalive_retries()),
        shown(socket.recv_buffer_size()),
        shown(socket.send_buffer_size()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary directory, removed on drop.
    struct TempDir(std::path::PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("readyloop-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bind(path: &Path) -> io::Result<Listener> {
        Listener::bind(&Address::Unix(path.to_owned()), &ListenOptions::default())
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_never_replaced() {
        let dir = TempDir::new("no-socket");
        let path = dir.0.join("precious");
        fs::write(&path, "data").unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn an_abandoned_socket_is_replaced_and_a_listening_one_is_not() {
        let dir = TempDir::new("abandoned");
        let path = dir.0.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = bind(&path).unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_listener_with_a_full_backlog_is_not_waited_for() {
        let dir = TempDir::new("full-backlog");
        let path = dir.0.join("socket");
        let stopped = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        stopped.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        stopped.listen(0).unwrap();
        let waiting = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&SockAddr::unix(&path).unwrap()).map(|()| socket)
        };
        let _waiting: Vec<Socket> = std::iter::from_fn(|| waiting().ok()).take(100).collect();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_abstract_name_has_no_file() {
        let name = format!("@readyloop-{}", std::process::id());
        let listener = bind(Path::new(&name)).unwrap();
        assert_eq!(bind(Path::new(&name)).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert!(!Path::new(&name).exists());
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.connect(&unix_address(Path::new(&name)).unwrap()).unwrap();
        drop(listener);
        assert!(bind(Path::new(&name)).is_ok());
    }

    #[test]
    fn a_path_that_another_server_has_replaced_is_not_removed() {
        let dir = TempDir::new("taken-over");
        let path = dir.0.join("socket");
        let listener = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        drop(other);
    }
}
