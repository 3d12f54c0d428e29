//! `UdpPath`: a connected UDP socket, which receives from one peer only, and a thread that receives.
//!
//! A name may have several addresses. UDP has no connection that could fail, so the session switches
//! to the next address when a datagram is refused before the first reply.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Instant as SystemInstant;

use readyloop::instant::Instant;

/// Larger than any datagram, so that none is truncated.
const BUFFER_BYTES: usize = 1 << 16;

/// The most events in the channel: less than 4 MiB of the longest datagrams.
pub(super) const EVENTS_MAX: usize = 64;

/// An event for the session.
#[derive(Debug)]
pub(super) enum Event {
    /// A reply arrived on path number `path`.
    Reply { path: usize, bytes: Vec<u8>, at: Instant },
    /// Receiving failed on path number `path`, usually because a datagram was refused.
    Failed { path: usize, error: io::Error },
    /// The input has a new piece.
    Input,
    /// SIGINT or SIGTERM arrived.
    Interrupted,
}

/// A clock that starts at [`Instant::ORIGIN`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(SystemInstant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(SystemInstant::now())
    }

    pub(super) fn now(self) -> Instant {
        Instant::ORIGIN + self.0.elapsed()
    }
}

/// The socket to one address, with the addresses to try next.
pub(super) struct UdpPath {
    socket: UdpSocket,
    /// The number of this path. The thread of an earlier path may still send events.
    number: usize,
    untried: VecDeque<SocketAddr>,
    events: SyncSender<Event>,
    clock: Clock,
}

impl UdpPath {
    /// Opens a path to the first address to which this machine has a route.
    ///
    /// # Errors
    /// It has a route to none of them.
    pub(super) fn open(addresses: Vec<SocketAddr>, events: SyncSender<Event>, clock: Clock) -> io::Result<Self> {
        let mut untried = VecDeque::from(addresses);
        let socket = next_socket(&mut untried)?;
        start_receiver(&socket, 0, &events, clock)?;
        Ok(Self { socket, number: 0, untried, events, clock })
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Whether there are more addresses to try.
    pub(super) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Switches to the next address.
    ///
    /// # Errors
    /// No address is left to which this machine has a route.
    pub(super) fn switch_to_next(&mut self) -> io::Result<()> {
        self.socket = next_socket(&mut self.untried)?;
        self.number += 1;
        start_receiver(&self.socket, self.number, &self.events, self.clock)
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// Those of send(2). `ConnectionRefused` reports an earlier datagram, and this one was not sent.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(datagram) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A datagram is sent whole or not at all.
                sent => return sent.map(|_| ()),
            }
        }
    }
}

fn next_socket(untried: &mut VecDeque<SocketAddr>) -> io::Result<UdpSocket> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
    while let Some(address) = untried.pop_front() {
        match connect(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    if address.ip().is_multicast() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a multicast group is not a single peer"));
    }
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

/// Starts a thread that receives replies.
///
/// The thread only waits in recv(2), so that the arrival time is exact even while the session is busy.
fn start_receiver(socket: &UdpSocket, path: usize, events: &SyncSender<Event>, clock: Clock) -> io::Result<()> {
    let (socket, events) = (socket.try_clone()?, events.clone());
    thread::Builder::new().name("replies".to_owned()).spawn(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let event = match socket.recv(&mut buffer) {
                Ok(len) => Event::Reply { path, bytes: buffer[..len].to_vec(), at: clock.now() },
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Event::Failed { path, error },
            };
            // Fails if the session has ended.
            if events.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
