//! `RowRun`: one row against one server. It opens the connections of the row.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::Socket;

use super::connection::{Connection, begin_connect, finish_connect};
use super::datagram::DatagramPeer;
use super::server::StartedServer;
use super::verdict::{Checked, Stop};
use super::wait::Wait;
use crate::child::{Interrupt, ServerCommand, StartError, StartOptions};
use crate::quantity::counted;

/// Descriptors of this program for other uses than connections, with a reserve.
const OTHER_DESCRIPTORS: u64 = 64;

/// A row in progress.
pub(super) struct RowRun<'a> {
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

impl<'a> RowRun<'a> {
    /// The server as a process.
    pub(super) fn server(&self) -> Checked<&StartedServer> {
        self.server.as_ref().ok_or_else(|| Stop::skipped("it needs --server"))
    }

    /// Connects to the server.
    pub(super) fn connect(&self) -> Checked<Connection<'a>> {
        self.connected(begin_connect(self.address, None)?, &self.wait)
    }

    /// Connects to the server, and fails after `timeout`.
    pub(super) fn connect_within(&self, timeout: Duration) -> Checked<Connection<'a>> {
        self.connected(begin_connect(self.address, None)?, &Wait::new(timeout, self.interrupt))
    }

    /// Connects with a small receive buffer of `len` bytes.
    pub(super) fn connect_with_buffer(&self, len: usize) -> Checked<Connection<'a>> {
        self.connected(begin_connect(self.address, Some(len))?, &self.wait)
    }

    fn connected(&self, socket: Socket, wait: &Wait<'_>) -> Checked<Connection<'a>> {
        finish_connect(&socket, wait)?;
        Connection::new(socket, self.serial.fetch_add(1, Ordering::Relaxed), self.wait)
    }

    /// Opens connections one after another.
    pub(super) fn connect_each(&self, count: u64) -> Checked<Vec<Connection<'a>>> {
        self.check_descriptors(count)?;
        (0..count)
            .map(|_| {
                let all = || counted(count, "connection");
                self.wait.check(|| format!("{} were not open within {}", all(), self.wait.timeout()))?;
                self.connect()
            })
            .collect()
    }

    /// Begins all connects at once, and waits until all are established.
    pub(super) fn connect_at_once(&self, count: u64) -> Checked<Vec<Connection<'a>>> {
        self.check_descriptors(count)?;
        let begun: Vec<Socket> = (0..count).map(|_| begin_connect(self.address, None)).collect::<Checked<_>>()?;
        begun.into_iter().map(|socket| self.connected(socket, &self.wait)).collect()
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

    /// Waits until the server answers datagrams at all: its TCP socket may be bound first.
    pub(super) fn wait_for_datagrams(&self) -> Checked {
        self.datagram_peer()?.echo(b"?")
    }

    /// Starts the server again, with other options than the present one, which ends first.
    pub(super) fn restart(&mut self, options: StartOptions<'_>) -> Result<(), StartError> {
        self.server = None;
        let command = self.command.ok_or_else(|| StartError::Server("it needs --server".to_owned()))?;
        let server = StartedServer::start(command, options, self.interrupt)?;
        self.address = server.address;
        self.server = Some(server);
        Ok(())
    }
}
