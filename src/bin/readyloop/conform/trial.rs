//! `Trial`: one row against one server. It opens the connections of the row.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

use super::connection::{Connection, socket};
use super::datagram::DatagramPeer;
use super::server::StartedServer;
use super::verdict::{Checked, Stop};
use super::wait::{CHECK_INTERVAL, Wait};
use crate::child::{Interrupt, ServerCommand, StartOptions};
use crate::quantity::counted;

/// Descriptors of this program for other uses than connections, with a reserve.
const OTHER_DESCRIPTORS: u64 = 64;

/// A row in progress.
pub(super) struct Trial<'a> {
    /// The address of the server.
    pub(super) address: SocketAddr,
    /// The server, if this program has started it.
    pub(super) server: Option<StartedServer>,
    /// The command that has started it.
    pub(super) command: Option<&'a ServerCommand>,
    pub(super) wait: Wait<'a>,
    pub(super) interrupt: &'a Interrupt,
    /// The connections of the row with the most connections.
    pub(super) connections: u64,
    /// The most descriptors of this process.
    pub(super) descriptors: u64,
    /// The number of the next connection.
    pub(super) serial: AtomicU64,
}

impl<'a> Trial<'a> {
    /// The server as a process.
    pub(super) fn server(&self) -> Checked<&StartedServer> {
        self.server.as_ref().ok_or_else(|| Stop::skipped("it needs --server"))
    }

    /// Connects to the server.
    pub(super) fn connect(&self) -> Checked<Connection<'a>> {
        self.connect_within(self.wait.left())
    }

    /// Connects to the server, and fails after `timeout`.
    pub(super) fn connect_within(&self, timeout: Duration) -> Checked<Connection<'a>> {
        self.connect_over(socket(self.address, None)?, timeout)
    }

    /// Connects with a small receive buffer of `len` bytes.
    pub(super) fn connect_with_buffer(&self, len: usize) -> Checked<Connection<'a>> {
        self.connect_over(socket(self.address, Some(len))?, self.wait.left())
    }

    fn connect_over(&self, socket: Socket, timeout: Duration) -> Checked<Connection<'a>> {
        // A timeout of zero is an error.
        let connected = socket.connect_timeout(&self.address.into(), timeout.max(CHECK_INTERVAL));
        connected.map_err(|error| Stop::of_call("cannot connect", &error))?;
        self.connection(socket)
    }

    fn connection(&self, socket: Socket) -> Checked<Connection<'a>> {
        Connection::new(socket, self.serial.fetch_add(1, Ordering::Relaxed), self.wait)
    }

    /// Opens connections one after another.
    pub(super) fn connect_each(&self, count: u64) -> Checked<Vec<Connection<'a>>> {
        self.check_descriptors(count)?;
        (0..count)
            .map(|_| {
                self.wait.check(|| {
                    format!("{} were not open within {:?}", counted(count, "connection"), self.wait.timeout())
                })?;
                self.connect()
            })
            .collect()
    }

    /// Begins all connects at once, and waits until all are established.
    pub(super) fn connect_at_once(&self, count: u64) -> Checked<Vec<Connection<'a>>> {
        self.check_descriptors(count)?;
        let begin = |_| {
            let socket = socket(self.address, None)?;
            socket.set_nonblocking(true).map_err(|error| Stop::of_call("cannot set up a connection", &error))?;
            match socket.connect(&self.address.into()) {
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
                result => result.map(|()| socket).map_err(|error| Stop::of_call("cannot connect", &error)),
            }
        };
        let sockets: Vec<Socket> = (0..count).map(begin).collect::<Checked<_>>()?;
        sockets.into_iter().map(|socket| self.established(socket)).collect()
    }

    /// Waits until a connect has ended well.
    fn established(&self, socket: Socket) -> Checked<Connection<'a>> {
        let interval = Timespec::try_from(CHECK_INTERVAL).ok();
        let is_over = || {
            let events = poll(&mut [PollFd::new(&socket, PollFlags::OUT)], interval.as_ref());
            Ok(events.is_ok_and(|count| count > 0).then_some(()))
        };
        self.wait.until(|| format!("a connection was not accepted within {:?}", self.wait.timeout()), is_over)?;
        match socket.take_error() {
            Ok(None) => self.connection(socket),
            Ok(Some(error)) | Err(error) => Err(Stop::of_call("cannot connect", &error)),
        }
    }

    fn check_descriptors(&self, count: u64) -> Checked {
        if count.saturating_add(OTHER_DESCRIPTORS) <= self.descriptors {
            return Ok(());
        }
        let limit = self.descriptors;
        Err(Stop::Skipped(format!("{} need more descriptors than the limit of {limit}", counted(count, "connection"))))
    }

    /// Opens a socket for datagrams to the server, at any port of this machine.
    pub(super) fn datagram_peer(&self) -> Checked<DatagramPeer<'a>> {
        let any: SocketAddr = if self.address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
        let bound = UdpSocket::bind(any).map_err(|error| Stop::of_call("cannot open a UDP socket", &error))?;
        DatagramPeer::new(bound, self.address, self.wait)
    }

    /// Starts the server again, with other options than the present one, which ends first.
    pub(super) fn restart(&mut self, options: StartOptions<'_>) -> Result<(), String> {
        self.server = None;
        let command = self.command.ok_or("it needs --server")?;
        let server = StartedServer::start(command, options, self.interrupt)?;
        self.address = server.address()?;
        self.server = Some(server);
        Ok(())
    }
}
