//! `UdpPath`: a connected UDP socket, which receives from one peer only.
//!
//! A name may have several addresses. UDP has no connection that could fail, so the session switches
//! to the next address when a datagram is refused before the first reply.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use readyloop::Reactor;
use readyloop::net::{Address, DatagramOptions, Net, Token};

/// The socket to one address, with the addresses to try next.
pub(super) struct UdpPath {
    socket: <Reactor as Net>::Datagrams,
    /// The number of this path. An event may still name an earlier one.
    number: u64,
    untried: VecDeque<SocketAddr>,
}

impl UdpPath {
    /// Opens a path to the first address to which this machine has a route.
    ///
    /// # Errors
    /// It has a route to none of them.
    pub(super) fn open(addresses: Vec<SocketAddr>, reactor: &mut Reactor) -> io::Result<Self> {
        let mut untried = VecDeque::from(addresses);
        let socket = next_socket(&mut untried, reactor, Token(0))?;
        Ok(Self { socket, number: 0, untried })
    }

    /// The token of its events.
    pub(super) fn token(&self) -> Token {
        Token(self.number)
    }

    /// Whether there are more addresses to try.
    pub(super) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Switches to the next address.
    ///
    /// # Errors
    /// No address is left to which this machine has a route.
    pub(super) fn switch_to_next(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        let number = self.number + 1;
        self.socket = next_socket(&mut self.untried, reactor, Token(number))?;
        self.number = number;
        Ok(())
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// Those of send(2). `ConnectionRefused` reports an earlier datagram, and this one was not sent.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        retry(|| self.socket.send_to_peer(datagram))
    }

    /// Receives one datagram and returns its length.
    ///
    /// # Errors
    /// Those of recv(2). `ConnectionRefused` reports a datagram that was sent.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(|| self.socket.receive_from_peer(buffer))
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn next_socket(
    untried: &mut VecDeque<SocketAddr>,
    reactor: &mut Reactor,
    token: Token,
) -> io::Result<<Reactor as Net>::Datagrams> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
    while let Some(address) = untried.pop_front() {
        if address.ip().is_multicast() {
            failed = io::Error::new(ErrorKind::InvalidInput, "a multicast group is not a single peer");
            continue;
        }
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let bound = reactor.bind(&Address::Udp(any.to_owned()), &DatagramOptions::default(), token);
        match bound.and_then(|(socket, _)| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
