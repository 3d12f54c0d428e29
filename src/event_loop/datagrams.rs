//! A UDP endpoint: a socket and its service, without peers.
//!
//! The [`Guard`] decides which datagrams are answered. An error of one datagram never ends the server.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{debug, error};

use crate::admission::{LogThrottle, Totals, repeated_suffix};
use crate::datagram::{DatagramCounters, DatagramLimits, DatagramRefusal, DatagramService, Guard};
use crate::host::HostCounters;
use crate::instant::Instant;
use crate::net::{Address, DatagramRoute, Datagrams, Net, Readiness, udp};

use super::any_endpoint::{AnyEndpoint, EndpointCell, EndpointSocket};
use super::loop_state::LoopState;
use super::shutdown::Stage;
use super::snapshot::EndpointSnapshot;
use super::token::listener_token;

/// Most datagrams per turn. They take about as long as one peer may be served.
const DATAGRAM_BUDGET: usize = 128;

/// After this many failures in a row, the endpoint waits for the next event, so that a permanent error
/// cannot keep the event loop busy.
const ERRORS_IN_A_ROW_MAX: usize = 16;

/// Most datagrams received after a drain began. No socket holds more.
const DRAIN_MAX: usize = 1 << 16;

/// A socket, its service, and the answers that wait until the socket is writable.
pub(super) struct DatagramEndpoint<S, N: Net> {
    index: u8,
    bound: SocketAddr,
    address: Address,
    socket: Option<N::Datagrams>,
    /// Whether a receive may succeed.
    readable: bool,
    /// Whether a send may succeed.
    writable: bool,
    service: S,
    guard: Guard,
    limits: DatagramLimits,
    waiting: VecDeque<(DatagramRoute, Vec<u8>)>,
    waiting_bytes: usize,
    answer_buffer: Vec<u8>,
    panic_log: LogThrottle,
    counters: DatagramCounters,
    /// How many datagrams may still be received during a drain; `None` without a drain.
    drain_left: Option<usize>,
}

/// The result of an attempt to receive.
enum Received {
    Datagram,
    Failed,
    Nothing,
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
            answer_buffer: Vec::new(),
            panic_log: LogThrottle::default(),
            counters: DatagramCounters::default(),
            drain_left: None,
        }
    }

    fn has_work(&self) -> bool {
        let can_receive = self.readable && self.waiting.is_empty();
        let can_send = self.writable && !self.waiting.is_empty();
        self.socket.is_some() && (can_receive || can_send)
    }

    /// Receives and answers up to `budget` datagrams.
    fn serve(&mut self, budget: usize, state: &mut LoopState<N>) {
        self.flush();
        let mut errors = 0;
        for _ in 0..budget {
            if !self.readable || !self.waiting.is_empty() {
                return;
            }
            match self.receive_one(state) {
                Received::Datagram => errors = 0,
                Received::Failed if errors < ERRORS_IN_A_ROW_MAX => errors += 1,
                Received::Failed | Received::Nothing => self.readable = false,
            }
        }
    }

    fn receive_one(&mut self, state: &mut LoopState<N>) -> Received {
        let Some(socket) = &mut self.socket else { return Received::Nothing };
        let received = loop {
            match socket.receive(&mut state.scratch) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received,
            }
        };
        match received {
            Ok((len, route)) => {
                self.answer(&state.scratch[..len], len == state.scratch.len(), &route, state.now);
                Received::Datagram
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Nothing,
            Err(error) => {
                self.counters.receive_errors += 1;
                debug!("cannot receive on {}: {error}", self.address);
                Received::Failed
            }
        }
    }

    fn answer(&mut self, datagram: &[u8], fills_buffer: bool, route: &DatagramRoute, now: Instant) {
        self.counters.received += 1;
        self.counters.bytes_in += datagram.len() as u64;
        let admitted = if fills_buffer {
            Err(DatagramRefusal::Truncated)
        } else {
            self.guard.admit(&udp::source_of(&route.peer), now)
        };
        if let Err(refusal) = admitted {
            return self.refuse(refusal);
        }
        let mut buffer = std::mem::take(&mut self.answer_buffer);
        buffer.clear();
        let (service, borrowed) = (&mut self.service, &mut buffer);
        let answer = catch_unwind(AssertUnwindSafe(|| {
            // The closure takes the borrow by value, so that the answer may lie in the buffer.
            let buffer = borrowed;
            service.on_datagram(datagram, buffer)
        }));
        match answer {
            Ok(None) => self.counters.unanswered += 1,
            Ok(Some(answer)) if answer.len() > datagram.len() => self.refuse(DatagramRefusal::TooLong),
            Ok(Some(answer)) => self.send(answer, route),
            Err(_) => {
                self.refuse(DatagramRefusal::Panicked);
                if let Some(suppressed) = self.panic_log.permit(now) {
                    let suffix = repeated_suffix(suppressed);
                    error!("the service on {} panicked while it served a datagram{suffix}", self.address);
                }
            }
        }
        self.answer_buffer = buffer;
    }

    fn refuse(&mut self, refusal: DatagramRefusal) {
        self.counters.count_refused(refusal);
    }

    fn send(&mut self, answer: &[u8], route: &DatagramRoute) {
        if self.writable && self.try_send(answer, route) {
            return;
        }
        let fits = self.waiting.is_empty() || self.waiting_bytes + answer.len() <= self.limits.waiting_bytes_max;
        if !fits {
            return self.refuse(DatagramRefusal::QueueFull);
        }
        self.waiting_bytes += answer.len();
        self.counters.waiting += 1;
        self.waiting.push_back((*route, answer.to_vec()));
    }

    /// Returns `false` if the socket is full and the answer must wait.
    fn try_send(&mut self, answer: &[u8], route: &DatagramRoute) -> bool {
        let Some(socket) = &mut self.socket else { return true };
        loop {
            match socket.send(answer, route) {
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
                    debug!("cannot answer {}: {error}", route.peer);
                    return true;
                }
            }
        }
    }

    /// Sends waiting answers until the socket is full.
    fn flush(&mut self) {
        while self.writable
            && let Some((route, answer)) = self.waiting.pop_front()
        {
            if !self.try_send(&answer, &route) {
                self.waiting.push_front((route, answer));
                return;
            }
            self.waiting_bytes -= answer.len();
            self.counters.waiting -= 1;
        }
    }

    /// Closes the socket. Waiting answers are dropped and counted as lost.
    fn close(&mut self) {
        self.socket = None;
        self.counters.lost += self.waiting.len() as u64;
        self.counters.waiting = 0;
        self.waiting_bytes = 0;
        self.waiting.clear();
    }
}

impl<S: DatagramService, N: Net> AnyEndpoint<N> for DatagramEndpoint<S, N> {
    fn handle_event(&mut self, readiness: &Readiness) {
        if readiness.token == listener_token(self.index) {
            self.readable |= readiness.readable | readiness.read_closed;
            self.writable |= readiness.writable;
        }
    }

    fn deliver_messages(&mut self, _state: &mut LoopState<N>) {}

    fn turn(&mut self, state: &mut LoopState<N>) {
        self.serve(DATAGRAM_BUDGET, state);
        if let Some(left) = &mut self.drain_left {
            *left = left.saturating_sub(DATAGRAM_BUDGET);
            // No more datagrams, or an answer that the socket does not take.
            if !self.readable || !self.waiting.is_empty() || *left == 0 {
                self.close();
            }
        }
    }

    fn next_work(&self, _state: &LoopState<N>) -> Instant {
        if self.has_work() || self.drain_left.is_some() && self.socket.is_some() {
            Instant::ORIGIN
        } else {
            Instant::NEVER
        }
    }

    fn enter_stage(&mut self, stage: Stage, _state: &mut LoopState<N>) {
        match stage {
            Stage::Running | Stage::NotReady | Stage::LameDuck => {}
            Stage::Draining => {
                // Datagrams may have arrived that are not yet reported.
                self.readable = true;
                self.drain_left = Some(DRAIN_MAX);
            }
            Stage::Finishing | Stage::Stopping => self.close(),
        }
    }

    fn advance_stage(&mut self, _state: &mut LoopState<N>) {}

    fn is_empty(&self) -> bool {
        self.socket.is_none()
    }

    fn local_address(&self) -> Option<&Address> {
        Some(&self.address)
    }

    fn socket(&self) -> Option<EndpointSocket<'_, N>> {
        self.socket.as_ref().map(EndpointSocket::Datagrams)
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.datagrams += &self.counters;
    }

    fn datagram_port(&self) -> Option<u16> {
        Some(self.bound.port())
    }

    fn refuse_own_ports(&mut self, ports: &[u16]) {
        self.guard.refuse_own_ports(ports);
    }

    fn change_datagram_limits(&mut self, limits: &DatagramLimits) {
        self.limits = *limits;
        self.guard.change_limits(*limits);
    }

    fn snapshot(&self) -> EndpointSnapshot {
        EndpointSnapshot {
            counters: HostCounters::default(),
            limits: crate::connection::Limits::default(),
            peers: Vec::new(),
            is_acceptable: self.has_work(),
            is_listening: self.socket.is_some(),
            marked: 0,
            has_orders: false,
        }
    }
}

impl<S: DatagramService + 'static, N: Net + 'static> EndpointCell<N> for DatagramEndpoint<S, N> {
    fn endpoint(&self) -> &dyn AnyEndpoint<N> {
        self
    }

    fn endpoint_mut(&mut self) -> &mut dyn AnyEndpoint<N> {
        self
    }
}

#[cfg(test)]
mod tests;
