//! The way to the peer: a connected socket, which hears nobody else, and a thread that waits for replies.
//!
//! A name may stand for several addresses. There is no connection that could fail; so as long as
//! nobody has answered, a refusal leads to the next address.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Instant as SystemInstant;

use readyloop::instant::Instant;

/// More than any datagram holds: none is cut off here.
const BUFFER_BYTES: usize = 1 << 16;

/// What the loop is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A reply came, by that way, at that time.
    Reply { path: usize, bytes: Vec<u8>, at: Instant },
    /// The system could not receive on that way: most often, a datagram was refused.
    Failed { path: usize, error: io::Error },
    /// There is something new in the input.
    Input,
    /// A signal asks for the end.
    Interrupted,
}

/// The time, counted from the start.
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

/// Where datagrams go.
pub(super) struct UdpPath {
    socket: UdpSocket,
    /// Which one it is: the thread of one that was given up may still have something to tell.
    number: usize,
    untried: VecDeque<SocketAddr>,
    events: SyncSender<Event>,
    clock: Clock,
}

impl UdpPath {
    /// A way to the first address to which this machine knows one.
    ///
    /// # Errors
    /// It knows a way to none of them.
    pub(super) fn open(addresses: Vec<SocketAddr>, events: SyncSender<Event>, clock: Clock) -> io::Result<Self> {
        let mut untried = VecDeque::from(addresses);
        let socket = next_socket(&mut untried)?;
        listen(&socket, 0, &events, clock)?;
        Ok(Self { socket, number: 0, untried, events, clock })
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Whether there is an address left that was not tried.
    pub(super) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Goes by the next address from now on.
    ///
    /// # Errors
    /// This machine knows no way to any that is left.
    pub(super) fn switch_to_next(&mut self) -> io::Result<()> {
        self.socket = next_socket(&mut self.untried)?;
        self.number += 1;
        listen(&self.socket, self.number, &self.events, self.clock)
    }

    /// # Errors
    /// As `send(2)`; `ConnectionRefused`: one before it was refused, and this one has not left.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(datagram) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A datagram goes whole or not at all.
                sent => return sent.map(|_| ()),
            }
        }
    }
}

fn next_socket(untried: &mut VecDeque<SocketAddr>) -> io::Result<UdpSocket> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "the name stands for no address");
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
        return Err(io::Error::new(ErrorKind::InvalidInput, "a group has many members, and this speaks with one peer"));
    }
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

/// Starts a thread that tells what comes. It waits for the kernel and for nobody else: so when a
/// reply came is told to the microsecond, whatever the loop is doing.
fn listen(socket: &UdpSocket, path: usize, events: &SyncSender<Event>, clock: Clock) -> io::Result<()> {
    let (socket, events) = (socket.try_clone()?, events.clone());
    thread::Builder::new().name("replies".to_owned()).spawn(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let event = match socket.recv(&mut buffer) {
                Ok(len) => Event::Reply { path, bytes: buffer[..len].to_vec(), at: clock.now() },
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Event::Failed { path, error },
            };
            // The loop has ended, or will when it hears of the failure.
            if events.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
