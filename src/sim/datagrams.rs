//! `SimDatagrams`: UDP sockets of a simulated world.
//!
//! No datagram is lost in the network. A full inbox drops datagrams, as a kernel does. Datagrams to
//! unknown addresses are kept for the test.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::{EADDRINUSE, EAGAIN, ECONNREFUSED, EINTR, EINVAL};

use super::faults::Fault;
use super::state::{EventSource, Registration, SharedWorld, SocketState, WorldState};
use super::sys_result::to_io;
use crate::net::{Address, DatagramRoute, Datagrams, Token};
use crate::trace::{SysResult, TraceEntry, TraceEvent};

/// The most datagrams in an inbox.
const INBOX_MAX: usize = 256;

/// A UDP socket of a simulated world.
#[derive(Debug)]
pub struct SimDatagrams {
    pub(super) world: SharedWorld,
    pub(super) number: usize,
}

impl Datagrams for SimDatagrams {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, DatagramRoute)> {
        let mut state = self.world.lock();
        let mut found = None;
        let socket = self.number;
        let result = state.receive_datagram(socket, |route, datagram| {
            let len = datagram.len().min(buf.len());
            buf[..len].copy_from_slice(&datagram[..len]);
            found = Some(route);
            len
        });
        state.trace.add(TraceEvent::Received { socket, result });
        let len = to_io(result)?;
        Ok((len, found.expect("a datagram has a route")))
    }

    fn send(&mut self, bytes: &[u8], route: &DatagramRoute) -> io::Result<()> {
        let mut state = self.world.lock();
        let socket = self.number;
        let result = state.send_datagram(socket, bytes, *route);
        state.trace.add(TraceEvent::Sent { socket, result });
        to_io(result).map(|_| ())
    }
}

impl Drop for SimDatagrams {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        state.deregister(EventSource::Socket(self.number));
        state.sockets[self.number].is_open = false;
        state.sockets[self.number].inbox.clear();
    }
}

impl WorldState {
    /// Binds a UDP socket. Port 0 selects a free port, counted from `free_port`.
    pub(super) fn bind(&mut self, address: &Address, token: Token, free_port: u16) -> SysResult {
        let Address::Udp(host_port) = address else { return Err(EINVAL) };
        let mut bound: SocketAddr = host_port.parse().map_err(|_| EINVAL)?;
        if bound.port() == 0 {
            bound.set_port(free_port + self.sockets.len() as u16);
        }
        if self.sockets.iter().any(|socket| socket.is_open && overlap(socket.address, bound)) {
            return Err(EADDRINUSE);
        }
        let number = self.sockets.len();
        let registration = Registration::default();
        self.sockets.push(SocketState { address: bound, is_open: true, inbox: VecDeque::new(), registration });
        let named = || TraceEntry::Named {
            token: token.0,
            listener: None,
            address: Address::Udp(bound.to_string()).to_string(),
        };
        self.trace.add_entry(named);
        self.register(EventSource::Socket(number), token);
        Ok(number)
    }

    fn socket_at(&self, address: SocketAddr) -> Option<usize> {
        self.sockets.iter().position(|socket| socket.is_open && overlap(socket.address, address))
    }

    fn receive_datagram(&mut self, number: usize, take: impl FnOnce(DatagramRoute, &[u8]) -> usize) -> SysResult {
        if self.inject(Fault::ReadInterrupted) {
            return Err(EINTR);
        }
        if self.sockets[number].inbox.is_empty() {
            return Err(EAGAIN);
        }
        if self.inject(Fault::ReadBlocks) {
            self.mark_ready(EventSource::Socket(number));
            return Err(EAGAIN);
        }
        // As after an ICMP error for an earlier answer.
        if self.inject(Fault::Reset) {
            return Err(ECONNREFUSED);
        }
        let (route, datagram) = self.sockets[number].inbox.pop_front().ok_or(EAGAIN)?;
        self.counters.progress += 1;
        Ok(take(route, &datagram))
    }

    fn send_datagram(&mut self, number: usize, bytes: &[u8], route: DatagramRoute) -> SysResult {
        if self.inject(Fault::WriteInterrupted) {
            return Err(EINTR);
        }
        if self.inject(Fault::WriteBlocks) {
            self.mark_ready(EventSource::Socket(number));
            return Err(EAGAIN);
        }
        // As after an ICMP error for an earlier answer.
        if self.inject(Fault::Reset) {
            return Err(ECONNREFUSED);
        }
        self.counters.progress += 1;
        let from = source_of_answer(self.sockets[number].address, route.local);
        self.deliver(from, route.peer, bytes.to_vec());
        Ok(bytes.len())
    }

    /// Puts a datagram into the inbox of its destination, or keeps it for the test.
    pub(super) fn deliver(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        match self.socket_at(to) {
            Some(number) if self.sockets[number].inbox.len() < INBOX_MAX => {
                let local = self.sockets[number].address.ip().is_unspecified().then_some(to.ip());
                self.sockets[number].inbox.push_back((DatagramRoute { peer: from, local }, datagram));
                self.mark_ready(EventSource::Socket(number));
            }
            Some(_) => {}
            None => self.sent_datagrams.push((from, to, datagram)),
        }
    }
}

/// Whether two addresses are the same, or one of them is a wildcard address that contains the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_family = one.is_ipv4() == other.is_ipv4();
    let is_same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && is_same_family && is_same_ip
}

/// The source of a datagram. A socket that is bound to all addresses sends from `local`, or else from the
/// address of the route, which is the loopback address here.
fn source_of_answer(bound: SocketAddr, local: Option<IpAddr>) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let chosen: IpAddr = if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    SocketAddr::new(local.unwrap_or(chosen), bound.port())
}
