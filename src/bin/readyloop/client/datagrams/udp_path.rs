//! `UdpPath`: a connected UDP socket on an event loop, which receives from one peer only.
//!
//! A name may have several addresses. UDP has no connection that could fail, so the session switches
//! to the next address when a datagram is refused before the first reply.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;

use readyloop::net::{Address, DatagramOptions, DatagramSocket};
use readyloop::{EventLoop, Key, Reactor, ServerLimits};

/// The socket to one address, with the addresses to try next.
pub(super) struct UdpPath {
    pub(super) event_loop: EventLoop<Reactor>,
    socket: Key,
    untried: VecDeque<SocketAddr>,
}

impl UdpPath {
    /// Opens a path to the first address to which this machine has a route.
    ///
    /// # Errors
    /// It has a route to none of them.
    pub(super) fn open(addresses: Vec<SocketAddr>, reactor: Reactor) -> io::Result<Self> {
        let mut event_loop = EventLoop::new(reactor, ServerLimits::default()).with_returned_control_events();
        let mut untried = addresses.into();
        let socket = next_socket(&mut event_loop, &mut untried)?;
        Ok(Self { event_loop, socket, untried })
    }

    pub(super) fn socket(&mut self) -> &mut DatagramSocket {
        self.event_loop.socket(self.socket)
    }

    /// Whether there are more addresses to try.
    pub(super) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Stays with this address, because it has a server.
    pub(super) fn keep(&mut self) {
        self.untried.clear();
    }

    /// Switches to the next address.
    ///
    /// # Errors
    /// No address is left to which this machine has a route.
    pub(super) fn switch_to_next(&mut self) -> io::Result<()> {
        let next = next_socket(&mut self.event_loop, &mut self.untried)?;
        self.event_loop.close_socket(mem::replace(&mut self.socket, next));
        Ok(())
    }
}

fn next_socket(event_loop: &mut EventLoop<Reactor>, untried: &mut VecDeque<SocketAddr>) -> io::Result<Key> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
    while let Some(address) = untried.pop_front() {
        if address.ip().is_multicast() {
            failed = io::Error::new(ErrorKind::InvalidInput, "a multicast group is not a single peer");
            continue;
        }
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = event_loop.bind_socket(&Address::Udp(any.to_owned()), &DatagramOptions::default())?;
        match event_loop.socket(socket).connect(address) {
            Ok(()) => return Ok(socket),
            Err(error) => failed = error,
        }
        event_loop.close_socket(socket);
    }
    Err(failed)
}
