//! [`InheritedSockets`]: sockets that another process has bound and passed on to this one.
//!
//! The form is that of socket activation (sd_listen_fds(3)): the descriptors begin at 3, `LISTEN_FDS` has their
//! number and `LISTEN_FDNAMES` their names. A process that passes on its own sockets uses the same form, so a
//! program is restarted without a closed port: see [`pass_sockets`].

use std::env::{self, VarError};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use listenfd::ListenFd;
use socket2::{SockAddr, Socket, Type};
use thiserror::Error;

use super::address::{Address, unix_address};

/// Most sockets that are passed on. A loop has at most 255 endpoints.
const SOCKETS_MAX: usize = 255;

/// The first descriptor that is passed on (sd_listen_fds(3)).
const FIRST: i32 = 3;

const COUNT: &str = "LISTEN_FDS";
const NAMES: &str = "LISTEN_FDNAMES";
const PID: &str = "LISTEN_PID";

/// Sockets that another process has bound. [`Reactor::inherit`](super::Reactor::inherit) makes a loop use them.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    sockets: Vec<InheritedSocket>,
}

/// A socket that another process has bound.
#[derive(Debug)]
pub struct InheritedSocket {
    name: String,
    address: Address,
    pub(super) socket: Socket,
}

/// Why the sockets of the environment cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InheritError {
    /// A variable is not a number, or it is too large.
    #[error("{0} is not a number from 0 to {SOCKETS_MAX}")]
    BadCount(&'static str),
    /// A descriptor is closed, or it is no listening socket of TCP or Unix and no socket of UDP.
    #[error("descriptor {0} is no listening socket of TCP or Unix and no UDP socket")]
    BadSocket(i32),
    /// A Unix socket has no address, so no configuration can name it.
    #[error("descriptor {0} is a Unix socket without a path")]
    NoAddress(i32),
}

impl InheritedSocket {
    fn of(descriptor: i32, name: String, socket: Socket) -> Result<Self, InheritError> {
        let bad = |_| InheritError::BadSocket(descriptor);
        let is_stream = socket.r#type().map_err(bad)? == Type::STREAM;
        if is_stream && !is_listening(&socket) {
            return Err(InheritError::BadSocket(descriptor));
        }
        socket.set_nonblocking(true).map_err(bad)?;
        let local = socket.local_addr().map_err(bad)?;
        let address = match local.as_socket() {
            Some(address) if is_stream => Address::Tcp(address.to_string()),
            Some(address) => Address::Udp(address.to_string()),
            None => Address::Unix(unix_path(&local).ok_or(InheritError::NoAddress(descriptor))?),
        };
        Ok(Self { name, address, socket })
    }

    /// The name that the other process has given it; `unknown` without one (sd_listen_fds(3)).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address that it is bound to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is bound to `address`. Port 0 is any port.
    fn is_bound_to(&self, address: &Address) -> bool {
        match (address, &self.address) {
            (Address::Tcp(wanted) | Address::Tls(wanted), Address::Tcp(_))
            | (Address::Udp(wanted), Address::Udp(_)) => {
                let local = self.socket.local_addr().ok().and_then(|local| local.as_socket());
                let wanted = Address::resolve(wanted).unwrap_or_default();
                local.is_some_and(|local| {
                    wanted.iter().any(|wanted| {
                        wanted.ip() == local.ip() && (wanted.port() == local.port() || wanted.port() == 0)
                    })
                })
            }
            (Address::Unix(wanted), Address::Unix(path)) => {
                wanted == path || unix_address(wanted).is_ok_and(|wanted| unix_path(&wanted).as_ref() == Some(path))
            }
            (_, _) => false,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn is_listening(socket: &Socket) -> bool {
    socket.is_listener().unwrap_or(false)
}

/// Other systems do not report it; the first accept fails there.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn is_listening(_socket: &Socket) -> bool {
    true
}

/// The path of a Unix socket, in the form of [`Address::Unix`]. `None` if it has none.
fn unix_path(address: &SockAddr) -> Option<PathBuf> {
    if let Some(path) = address.as_pathname() {
        return Some(path.to_owned());
    }
    let name = address.as_abstract_namespace()?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(&[b"@", name].concat())))
}

impl InheritedSockets {
    /// Takes the sockets that systemd or another process has passed on, at most once. Without any, it is empty.
    ///
    /// Call it first in the program, before other threads exist: it removes the variables, so that no child takes
    /// the sockets for its own. `LISTEN_PID` is the process that the sockets are for; without it they are for this one.
    ///
    /// # Errors
    /// A variable or a descriptor is not what it has to be. Then no socket is taken.
    pub fn from_environment() -> Result<Self, InheritError> {
        let count = count()?;
        // Without the check, the crate would reserve memory for any number.
        if env::var_os("LISTEN_FDS_FIRST_FD").is_some() {
            return Err(InheritError::BadCount("LISTEN_FDS_FIRST_FD"));
        }
        let names = env::var(NAMES).unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut descriptors = ListenFd::from_env();
        let mut sockets = Vec::with_capacity(count);
        for (index, descriptor) in (0..descriptors.len()).zip(FIRST..) {
            let name = names.next().unwrap_or("unknown").to_owned();
            let socket = take(&mut descriptors, index).ok_or(InheritError::BadSocket(descriptor))?;
            sockets.push(InheritedSocket::of(descriptor, name, socket)?);
        }
        Ok(Self { sockets })
    }

    /// Whether no socket is left.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The sockets that are left, in the order in which they were passed on.
    pub fn iter(&self) -> impl Iterator<Item = &InheritedSocket> {
        self.sockets.iter()
    }

    /// Takes the first socket that is bound to this address.
    pub(super) fn take(&mut self, address: &Address) -> Option<Socket> {
        let index = self.sockets.iter().position(|socket| socket.is_bound_to(address))?;
        Some(self.sockets.remove(index).socket)
    }
}

/// The number of sockets that the environment announces.
fn count() -> Result<usize, InheritError> {
    let bad = || InheritError::BadCount(COUNT);
    match env::var(COUNT) {
        Err(VarError::NotPresent) => Ok(0),
        Err(VarError::NotUnicode(_)) => Err(bad()),
        Ok(text) => text.parse().ok().filter(|count| *count <= SOCKETS_MAX).ok_or_else(bad),
    }
}

/// Takes a descriptor as the kind of socket that it is.
fn take(descriptors: &mut ListenFd, index: usize) -> Option<Socket> {
    if let Ok(Some(tcp)) = descriptors.take_tcp_listener(index) {
        return Some(tcp.into());
    }
    if let Ok(Some(unix)) = descriptors.take_unix_listener(index) {
        return Some(unix.into());
    }
    Some(descriptors.take_udp_socket(index).ok()??.into())
}

/// A socket of a loop that can be passed on to another process, with the address that it is bound to.
pub struct PassedSocket<'a> {
    /// The name that the other process gets for it, without colons.
    pub name: &'a str,
    /// The bound socket, which stays open in this process.
    pub socket: BorrowedFd<'a>,
}

impl fmt::Debug for PassedSocket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassedSocket").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Makes a command inherit these sockets, in the form that [`InheritedSockets::from_environment`] takes.
///
/// The command keeps its copies of the descriptors until it is dropped.
///
/// # Errors
/// No descriptor is free for a copy.
pub fn pass_sockets<'a>(command: &mut Command, sockets: impl IntoIterator<Item = PassedSocket<'a>>) -> io::Result<()> {
    let (mut mappings, mut names) = (Vec::new(), Vec::new());
    for (PassedSocket { name, socket }, child_fd) in sockets.into_iter().zip(FIRST..) {
        mappings.push(FdMapping { parent_fd: socket.try_clone_to_owned()?, child_fd });
        names.push(name);
    }
    // Only the process itself knows its number, and without the variable the sockets are for any process.
    command.env_remove(PID).env(COUNT, names.len().to_string()).env(NAMES, names.join(":"));
    command.fd_mappings(mappings).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(())
}
