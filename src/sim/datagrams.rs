//! UDP in a simulated world: sockets with an inbox; what is sent to nobody's address is kept to be looked at.
//!
//! No datagram is lost on the way; what a full inbox cannot take is dropped, as in a kernel.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use libc::{EADDRINUSE, EAGAIN, ECONNREFUSED, EINTR, EINVAL};

use super::faults::Fault;
use super::outcome::{Outcome, told};
use super::state::{Registration, Source, State};
use super::trace::TraceEvent;
use super::world::Shared;
use crate::net::{Address, Datagrams, Token};

/// How many datagrams an inbox holds.
const INBOX_MAX: usize = 256;

/// A UDP socket of a simulated world.
#[derive(Debug)]
pub struct SimDatagrams {
    pub(super) world: Shared,
    pub(super) number: usize,
}

/// A bound UDP socket, or what is left of it.
#[derive(Debug)]
pub(super) struct SocketState {
    pub(super) address: SocketAddr,
    is_open: bool,
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(super) registration: Registration,
}

impl SocketState {
    pub(super) fn has_datagrams(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub(super) fn datagrams_len(&self) -> usize {
        self.inbox.len()
    }
}

impl Datagrams for SimDatagrams {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut state = self.world.lock();
        let mut from = None;
        let socket = self.number;
        let outcome = state.receive_datagram(socket, |source, datagram| {
            let len = datagram.len().min(buf.len());
            buf[..len].copy_from_slice(&datagram[..len]);
            from = Some(source);
            len
        });
        state.trace.add(TraceEvent::Received { socket, outcome });
        let len = told(outcome)?;
        Ok((len, from.expect("a datagram has a source")))
    }

    fn send(&mut self, bytes: &[u8], to: &SocketAddr) -> io::Result<()> {
        let mut state = self.world.lock();
        let socket = self.number;
        let outcome = state.send_datagram(socket, bytes, *to);
        state.trace.add(TraceEvent::Sent { socket, outcome });
        told(outcome).map(|_| ())
    }
}

impl Drop for SimDatagrams {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        state.deregister(Source::Socket(self.number));
        state.sockets[self.number].is_open = false;
        state.sockets[self.number].inbox.clear();
    }
}

impl State {
    /// Binds a UDP socket; a port of 0 becomes a free one.
    pub(super) fn bind(&mut self, address: &Address, token: Token, free_port: u16) -> Outcome {
        let Address::Udp(host_port) = address else { return Err(EINVAL) };
        let mut bound: SocketAddr = host_port.parse().map_err(|_| EINVAL)?;
        if bound.port() == 0 {
            bound.set_port(free_port + self.sockets.len() as u16);
        }
        if self.socket_at(bound).is_some() {
            return Err(EADDRINUSE);
        }
        let number = self.sockets.len();
        let registration = Registration::default();
        self.sockets.push(SocketState { address: bound, is_open: true, inbox: VecDeque::new(), registration });
        self.trace.meet_socket(token.0, &Address::Udp(bound.to_string()));
        self.register(Source::Socket(number), token);
        Ok(number)
    }

    fn socket_at(&self, address: SocketAddr) -> Option<usize> {
        self.sockets.iter().position(|socket| socket.is_open && socket.address == address)
    }

    fn receive_datagram(&mut self, number: usize, take: impl FnOnce(SocketAddr, &[u8]) -> usize) -> Outcome {
        if self.strikes(Fault::ReadInterrupted) {
            return Err(EINTR);
        }
        if self.sockets[number].inbox.is_empty() {
            return Err(EAGAIN);
        }
        if self.strikes(Fault::ReadBlocks) {
            self.list(Source::Socket(number));
            return Err(EAGAIN);
        }
        // As after an ICMP message about an earlier answer.
        if self.strikes(Fault::Reset) {
            return Err(ECONNREFUSED);
        }
        let (source, datagram) = self.sockets[number].inbox.pop_front().ok_or(EAGAIN)?;
        self.counters.progress += 1;
        Ok(take(source, &datagram))
    }

    fn send_datagram(&mut self, number: usize, bytes: &[u8], to: SocketAddr) -> Outcome {
        if self.strikes(Fault::WriteInterrupted) {
            return Err(EINTR);
        }
        if self.strikes(Fault::WriteBlocks) {
            self.list(Source::Socket(number));
            return Err(EAGAIN);
        }
        // As after an ICMP message about an earlier answer.
        if self.strikes(Fault::Reset) {
            return Err(ECONNREFUSED);
        }
        self.counters.progress += 1;
        self.deliver(self.sockets[number].address, to, bytes.to_vec());
        Ok(bytes.len())
    }

    /// Puts a datagram where it is sent to.
    pub(super) fn deliver(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        match self.socket_at(to) {
            Some(number) if self.sockets[number].inbox.len() < INBOX_MAX => {
                self.sockets[number].inbox.push_back((from, datagram));
                self.list(Source::Socket(number));
            }
            Some(_) => {}
            None => self.sent_datagrams.push((from, to, datagram)),
        }
    }
}
