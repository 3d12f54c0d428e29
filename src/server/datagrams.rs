//! A UDP endpoint: a socket and its service, without peers.
//!
//! Who is answered is the guard's to say. One datagram's error never ends the loop.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use log::{debug, error};

use crate::admission::{LogThrottle, Totals, repeated_suffix};
use crate::datagram::{DatagramCounters, DatagramLimits, DatagramRefusal, DatagramService, Guard};
use crate::host::HostCounters;
use crate::instant::Instant;
use crate::net::{Address, Datagrams, Event, Net, udp};

use super::endpoint::{AnyEndpoint, LoopState, listener_token};
use super::snapshot::EndpointSnapshot;

/// Datagrams per turn: as many as take about as long as one peer's whole budget.
const DATAGRAM_BUDGET: usize = 128;

/// Failures to receive in a row after which the socket is left alone until something new comes:
/// an error that stays must not become a spin.
const ERRORS_IN_A_ROW_MAX: usize = 16;

/// A datagram in the socket when a drain begins is answered; no socket holds more than that.
const DRAIN_MAX: usize = 1 << 16;

/// A socket, its service, and the answers that wait for room in the socket.
pub(super) struct DatagramEndpoint<S, N: Net> {
    index: u8,
    bound: SocketAddr,
    address: Address,
    socket: Option<N::Datagrams>,
    /// A receive may succeed, as far as we know.
    readable: bool,
    /// A send may succeed, as far as we know.
    writable: bool,
    service: S,
    guard: Guard,
    limits: DatagramLimits,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    waiting_bytes: usize,
    room: Vec<u8>,
    panics: LogThrottle,
    counters: DatagramCounters,
}

/// What came out of trying to receive.
enum Received {
    One,
    Failed,
    Dry,
}

impl<S: DatagramService, N: Net> DatagramEndpoint<S, N> {
    pub(super) fn new(index: u8, bound: SocketAddr, socket: N::Datagrams, service: S, limits: DatagramLimits) -> Self {
        Self {
            index,
            bound,
            address: Address::Udp(bound.to_string()),
            socket: Some(socket),
            readable: false,
            writable: true,
            service,
            guard: Guard::new(limits),
            limits,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            room: Vec::new(),
            panics: LogThrottle::default(),
            counters: DatagramCounters::default(),
        }
    }

    fn has_work(&self) -> bool {
        let can_receive = self.readable && self.waiting.is_empty();
        let can_send = self.writable && !self.waiting.is_empty();
        self.socket.is_some() && (can_receive || can_send)
    }

    /// Receives and answers up to `budget` datagrams.
    fn serve(&mut self, budget: usize, shared: &mut LoopState<N>) {
        self.flush();
        let mut errors = 0;
        for _ in 0..budget {
            if !self.readable || !self.waiting.is_empty() {
                return;
            }
            match self.receive_one(shared) {
                Received::One => errors = 0,
                Received::Failed if errors < ERRORS_IN_A_ROW_MAX => errors += 1,
                Received::Failed | Received::Dry => self.readable = false,
            }
        }
    }

    fn receive_one(&mut self, shared: &mut LoopState<N>) -> Received {
        let Some(socket) = &mut self.socket else { return Received::Dry };
        let received = loop {
            match socket.receive(&mut shared.scratch) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received,
            }
        };
        match received {
            Ok((len, from)) => {
                self.answer(&shared.scratch[..len], len == shared.scratch.len(), &from, shared.now);
                Received::One
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Dry,
            Err(error) => {
                self.counters.receive_errors += 1;
                debug!("cannot receive on {}: {error}", self.address);
                Received::Failed
            }
        }
    }

    fn answer(&mut self, datagram: &[u8], fills_buffer: bool, from: &SocketAddr, now: Instant) {
        self.counters.received += 1;
        self.counters.bytes_in += datagram.len() as u64;
        let admitted =
            if fills_buffer { Err(DatagramRefusal::Truncated) } else { self.guard.admit(&udp::source_of(from), now) };
        if let Err(refusal) = admitted {
            return self.refuse(refusal);
        }
        let mut room = std::mem::take(&mut self.room);
        room.clear();
        match ask(&mut self.service, datagram, &mut room) {
            Ok(None) => self.counters.unanswered += 1,
            Ok(Some(answer)) if answer.len() > datagram.len() => self.refuse(DatagramRefusal::TooLong),
            Ok(Some(answer)) => self.send(answer, from),
            Err(_) => {
                self.refuse(DatagramRefusal::Panicked);
                if let Some(more) = self.panics.permit(now) {
                    error!("the service on {} panicked over a datagram{}", self.address, repeated_suffix(more));
                }
            }
        }
        self.room = room;
    }

    fn refuse(&mut self, refusal: DatagramRefusal) {
        self.counters.refused[refusal as usize] += 1;
    }

    fn send(&mut self, answer: &[u8], to: &SocketAddr) {
        if self.writable && self.try_send(answer, to) {
            return;
        }
        let fits = self.waiting.is_empty() || self.waiting_bytes + answer.len() <= self.limits.waiting_bytes_max;
        if !fits {
            return self.refuse(DatagramRefusal::QueueFull);
        }
        self.waiting_bytes += answer.len();
        self.counters.waiting += 1;
        self.waiting.push_back((*to, answer.to_vec()));
    }

    /// Whether that answer is done with: taken by the kernel, or never to be.
    fn try_send(&mut self, answer: &[u8], to: &SocketAddr) -> bool {
        let Some(socket) = &mut self.socket else { return true };
        loop {
            match socket.send(answer, to) {
                Ok(()) => {
                    self.counters.answered += 1;
                    self.counters.bytes_out += answer.len() as u64;
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    return false;
                }
                Err(error) => {
                    self.counters.lost += 1;
                    debug!("cannot answer {to}: {error}");
                    return true;
                }
            }
        }
    }

    /// Sends answers that wait, as long as the socket takes them.
    fn flush(&mut self) {
        while self.writable
            && let Some((to, answer)) = self.waiting.pop_front()
        {
            if !self.try_send(&answer, &to) {
                self.waiting.push_front((to, answer));
                return;
            }
            self.waiting_bytes -= answer.len();
            self.counters.waiting -= 1;
        }
    }

    /// Closes the socket; answers that still wait are lost, and counted.
    fn close(&mut self) {
        self.socket = None;
        self.counters.lost += self.waiting.len() as u64;
        self.counters.waiting = 0;
        self.waiting_bytes = 0;
        self.waiting.clear();
    }
}

impl<S: DatagramService, N: Net> AnyEndpoint<N> for DatagramEndpoint<S, N> {
    fn remember(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Ready(readiness) = event
                && readiness.token == listener_token(self.index)
            {
                self.readable |= readiness.readable | readiness.read_closed;
                self.writable |= readiness.writable;
            }
        }
    }

    fn deliver_messages(&mut self, _shared: &mut LoopState<N>) {}

    fn turn(&mut self, shared: &mut LoopState<N>) {
        self.serve(DATAGRAM_BUDGET, shared);
    }

    fn reap_closed(&mut self, _shared: &mut LoopState<N>) {}

    fn next_work(&self, _shared: &LoopState<N>) -> Instant {
        if self.has_work() { Instant::ORIGIN } else { Instant::NEVER }
    }

    fn drain(&mut self, shared: &mut LoopState<N>) {
        // What was sent before may not have been told yet.
        self.readable = true;
        self.serve(DRAIN_MAX, shared);
        self.close();
    }

    fn finish_all(&mut self, _shared: &mut LoopState<N>) {
        self.close();
    }

    fn stop(&mut self, _shared: &mut LoopState<N>) {
        self.close();
    }

    fn is_empty(&self) -> bool {
        self.socket.is_none()
    }

    fn local_address(&self) -> &Address {
        &self.address
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.datagrams += self.counters;
    }

    fn datagram_port(&self) -> Option<u16> {
        Some(self.bound.port())
    }

    fn learn_own_ports(&mut self, ports: &[u16]) {
        self.guard.learn_own_ports(ports);
    }

    fn snapshot(&self) -> EndpointSnapshot {
        EndpointSnapshot {
            counters: HostCounters::default(),
            limits: crate::connection::Limits::default(),
            peers: Vec::new(),
            is_acceptable: self.has_work(),
            is_listening: self.socket.is_some(),
            marked: 0,
        }
    }
}

/// What the service answers; an error if it panicked.
fn ask<'a, S: DatagramService>(
    service: &mut S,
    datagram: &'a [u8],
    room: &'a mut Vec<u8>,
) -> thread::Result<Option<&'a [u8]>> {
    let lent = AssertUnwindSafe((service, room));
    catch_unwind(move || {
        // As one piece, for only so is it asserted.
        let AssertUnwindSafe((service, room)) = { lent };
        service.on_datagram(datagram, room)
    })
}

#[cfg(test)]
mod tests;
