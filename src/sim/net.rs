//! `SimNet`: the simulated implementation of `Net`, with faults in its calls.
//!
//! Each fault is something that a kernel may do. After an injected `WouldBlock` an edge follows, so
//! that a server which handles edges correctly never waits forever.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use libc::{EADDRINUSE, EAGAIN, ECONNABORTED, EINTR, EINVAL, EMFILE, ENOMEM, ENOSPC};

use super::datagrams::SimDatagrams;
use super::faults::{ACCEPT_ERRORS, ACCEPT_OUTAGE_ERRORS, BREAKS, BacklogEffect, Fault};
use super::state::{EventSource, ListenerState, SharedWorld, WorldState};
use super::sys_result::to_io;
use super::wire::Side;
use crate::instant::Instant;
use crate::net::{
    Address, ConnectOptions, DatagramOptions, Destination, Event, Layer, ListenOptions, Net, PeerAddress, PollOutcome,
    Stream, Token, Wake,
};
use crate::trace::{SysResult, TraceEntry, TraceEvent};

/// The longest accept outage.
const ACCEPT_OUTAGE_MAX: Duration = Duration::from_secs(5);
/// The first port that the kernel chooses for port 0, as in `ip_local_port_range`.
const FREE_PORT_FIRST: u16 = 32_768;

/// The `Net` of a simulated world.
///
/// It is a handle. All handles that [`World::net`](crate::sim::World::net) returns share the world.
#[derive(Clone, Debug)]
pub struct SimNet {
    pub(super) world: SharedWorld,
}

/// A listener of a simulated world. Dropping it closes it and resets its backlog.
#[derive(Debug)]
pub struct SimListener {
    world: SharedWorld,
    number: usize,
}

/// The server's end of a simulated connection. Dropping it has all effects of close(2).
#[derive(Debug)]
pub struct SimStream {
    world: SharedWorld,
    number: usize,
    drop_is_reset: bool,
}

/// Wakes the poll of a simulated world.
#[derive(Debug)]
struct SimWake {
    world: SharedWorld,
}

impl Wake for SimWake {
    fn wake(&self) {
        self.world.lock().is_woken = true;
    }
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;
    type Datagrams = SimDatagrams;
    type Layered<W: Layer<SimStream> + 'static> = W;

    fn prepare_layer<W: Layer<SimStream> + 'static>(&self, layer: W) -> W {
        layer
    }

    fn now(&self) -> Instant {
        self.world.lock().now
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome> {
        Ok(self.world.lock().poll(events, until))
    }

    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> io::Result<SimListener> {
        let mut state = self.world.lock();
        let result = state.listen(address, options, token);
        state.trace.add(TraceEvent::Listened { result });
        to_io(result).map(|number| SimListener { world: self.world.clone(), number })
    }

    fn bind(
        &mut self,
        address: &Address,
        _options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(SimDatagrams, SocketAddr)> {
        let mut state = self.world.lock();
        let number = to_io(state.bind(address, token, FREE_PORT_FIRST))?;
        let bound = state.sockets[number].address;
        Ok((SimDatagrams { world: self.world.clone(), number }, bound))
    }

    fn local_address(&self, listener: &SimListener) -> Address {
        self.world.lock().listeners[listener.number].address.clone()
    }

    fn hand_over(&mut self, listener: &mut SimListener) {
        self.world.lock().listeners[listener.number].is_handed_over = true;
    }

    fn accept(&mut self, listener: &mut SimListener) -> io::Result<(SimStream, PeerAddress)> {
        let mut state = self.world.lock();
        state.interleave();
        let result = state.accept(listener.number);
        state.trace.add(TraceEvent::Accepted { listener: listener.number, result });
        let number = to_io(result)?;
        let stream = SimStream { world: self.world.clone(), number, drop_is_reset: false };
        Ok((stream, state.peer_address(number)))
    }

    fn register(&mut self, stream: &mut SimStream, token: Token) -> io::Result<()> {
        let mut state = self.world.lock();
        state.interleave();
        let wire = stream.number;
        let result = if state.inject(Fault::RegisterFails) {
            let peer = state.wires[wire].peer;
            state.peers[peer].is_hit_by_fault = true;
            Err(state.rng.pick(&[ENOMEM, ENOSPC]))
        } else {
            state.register(EventSource::Wire(wire), token);
            Ok(())
        };
        state.trace.add(TraceEvent::Registered { wire, token: token.0, result });
        to_io(result)
    }

    fn connect(&mut self, to: &Destination, _options: &ConnectOptions, token: Token) -> io::Result<SimStream> {
        let mut state = self.world.lock();
        let result = state.connect(to, token);
        state.trace.add(TraceEvent::ConnectStarted { token: token.0, result });
        to_io(result).map(|number| SimStream { world: self.world.clone(), number, drop_is_reset: false })
    }

    fn is_connected(&mut self, stream: &mut SimStream) -> io::Result<bool> {
        let mut state = self.world.lock();
        let result = state.is_connected(stream.number);
        state.trace.add(TraceEvent::ConnectChecked { wire: stream.number, result });
        to_io(result)
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(SimWake { world: self.world.clone() })
    }
}

impl Stream for SimStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.world.lock();
        let result = state.read(self.number, buf);
        state.trace.add(TraceEvent::Read { wire: self.number, wanted: buf.len(), result });
        to_io(result)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.world.lock();
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        let result = state.write(self.number, slices, wanted);
        state.trace.add(TraceEvent::Wrote { wire: self.number, wanted, result });
        to_io(result)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut state = self.world.lock();
        state.interleave();
        state.inject_break(self.number);
        let result = state.wires[self.number].wire.finish(Side::Server);
        state.counters.progress += 1;
        state.trace.add(TraceEvent::Finished { wire: self.number, result });
        to_io(result)
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.drop_is_reset = true;
        Ok(())
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        let wire = self.number;
        state.deregister(EventSource::Wire(wire));
        state.streams_open -= 1;
        state.counters.progress += 1;
        if self.drop_is_reset && state.wires[wire].wire.is_open(Side::Server) {
            state.counters.resets += 1;
            state.wires[wire].wire.reset(Side::Server, 0);
            state.trace.add(TraceEvent::Reset { wire });
        } else {
            let has_unread =
                state.wires[wire].wire.is_open(Side::Server) && state.wires[wire].wire.unread(Side::Server) > 0;
            let peer = state.wires[wire].peer;
            state.peers[peer].is_reset_by_close |= has_unread;
            state.wires[wire].wire.close(Side::Server);
            state.trace.add(TraceEvent::Dropped { wire });
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        if !state.listeners[self.number].is_handed_over {
            state.close_listener(self.number);
        }
    }
}

impl WorldState {
    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> SysResult {
        let address = match address {
            Address::Udp(_) => return Err(EINVAL),
            Address::Unix(_) => address.clone(),
            Address::Tcp(host_port) | Address::Tls(host_port) => {
                let host_port = host_port.replace("localhost", "127.0.0.1");
                let mut bound: SocketAddr = host_port.parse().map_err(|_| EINVAL)?;
                if bound.port() == 0 {
                    bound.set_port(FREE_PORT_FIRST + self.listeners.len() as u16);
                }
                address.bound_to(bound)
            }
        };
        if let Some(number) = self.listener_at(&address) {
            return self.take_over(number, token);
        }
        let number = self.listeners.len();
        self.listeners.push(ListenerState::new(address, options.backlog as usize));
        self.register_listener(number, token);
        Ok(number)
    }

    /// Registers a listener that another loop has left to this one. Connections may wait in its backlog.
    fn take_over(&mut self, number: usize, token: Token) -> SysResult {
        if !std::mem::take(&mut self.listeners[number].is_handed_over) {
            return Err(EADDRINUSE);
        }
        self.register_listener(number, token);
        Ok(number)
    }

    fn register_listener(&mut self, number: usize, token: Token) {
        let address = &self.listeners[number].address;
        let named = || TraceEntry::Named { token: token.0, listener: Some(number), address: address.to_string() };
        self.trace.add_entry(named);
        self.register(EventSource::Listener(number), token);
    }

    fn peer_address(&self, wire: usize) -> PeerAddress {
        let peer = &self.peers[self.wires[wire].peer];
        match peer.address {
            Address::Tcp(_) | Address::Tls(_) => PeerAddress::Tcp(peer.source),
            Address::Udp(_) | Address::Unix(_) => PeerAddress::Unix,
        }
    }

    fn accept(&mut self, listener: usize) -> SysResult {
        if let Some(errno) = self.accept_error(listener) {
            self.fault_counts.count_accept_error(errno);
            return Err(errno);
        }
        if self.streams_open >= self.descriptors_max {
            return Err(EMFILE);
        }
        let has_connection = !self.listeners[listener].backlog.is_empty();
        if has_connection && self.inject(Fault::AcceptBlocks) {
            self.mark_ready(EventSource::Listener(listener));
            return Err(EAGAIN);
        }
        let wire = self.listeners[listener].backlog.pop_front().ok_or(EAGAIN)?;
        self.streams_open += 1;
        self.counters.accepted += 1;
        self.counters.progress += 1;
        self.wires[wire].active_at = self.now;
        Ok(wire)
    }

    /// Returns the error if this accept fails. The first connection of the backlog may be lost.
    fn accept_error(&mut self, listener: usize) -> Option<i32> {
        self.accept_outage = self.accept_outage.filter(|(until, _)| self.now < *until);
        if self.accept_outage.is_none() && self.inject(Fault::AcceptOutage) {
            let errno = self.rng.pick(&ACCEPT_OUTAGE_ERRORS);
            self.accept_outage = Some((self.now + self.rng.span(ACCEPT_OUTAGE_MAX), errno));
        }
        if let Some((_, errno)) = self.accept_outage {
            return Some(errno);
        }
        if self.listeners[listener].backlog.is_empty() || !self.inject(Fault::AcceptFails) {
            return None;
        }
        let (errno, _, effect) = self.rng.pick(ACCEPT_ERRORS);
        match effect {
            BacklogEffect::Kept => {}
            BacklogEffect::Removed => {
                let wire = self.listeners[listener].backlog.pop_front().expect("the backlog is not empty");
                self.break_connection(wire, ECONNABORTED);
                self.wires[wire].wire.close(Side::Server);
                self.counters.progress += 1;
            }
        }
        Some(errno)
    }

    /// May break the connection right before a call.
    pub(super) fn inject_break(&mut self, wire: usize) {
        for (fault, errno) in BREAKS {
            if self.wires[wire].wire.is_open(Side::Server) && self.inject(fault) {
                self.break_connection(wire, errno);
            }
        }
    }

    fn read(&mut self, wire: usize, buf: &mut [u8]) -> SysResult {
        self.interleave();
        if self.inject(Fault::ReadInterrupted) {
            return Err(EINTR);
        }
        self.inject_break(wire);
        let is_readable = self.wires[wire].wire.readiness(Side::Server).readable;
        if is_readable && self.inject(Fault::ReadBlocks) {
            self.mark_ready(EventSource::Wire(wire));
            return Err(EAGAIN);
        }
        let available = buf.len().min(self.wires[wire].wire.unread(Side::Server));
        let is_short = available > 1 && self.inject(Fault::ShortRead);
        let len_max = if is_short { self.rng.up_to(available - 1) } else { buf.len() };
        if is_short && !self.wires[wire].registration.is_end_reported {
            // An event follows, as if the rest arrived later. After an event with read-closed none
            // follows, and the server must read to the end without one.
            self.mark_ready(EventSource::Wire(wire));
        }
        let result = self.wires[wire].wire.read(Side::Server, &mut buf[..len_max]);
        self.forward_edge(wire);
        self.record_transfer(wire, result);
        self.counters.bytes_read += result.unwrap_or(0) as u64;
        result
    }

    /// Records the effect of a read or write of the server.
    fn record_transfer(&mut self, wire: usize, result: SysResult) {
        self.counters.progress += u64::from(result != Err(EAGAIN));
        let Ok(len) = result else { return };
        let (polls, now) = (self.counters.polls, self.now);
        let state = &mut self.wires[wire];
        state.active_at = now;
        if state.turn != polls {
            state.turn = polls;
            state.bytes_in_turn = 0;
        }
        state.bytes_in_turn += len;
        let peer = state.peer;
        self.peers[peer].moved += len as u64;
    }

    fn write(&mut self, wire: usize, slices: &[IoSlice<'_>], wanted: usize) -> SysResult {
        self.interleave();
        if self.inject(Fault::WriteInterrupted) {
            return Err(EINTR);
        }
        self.inject_break(wire);
        if self.peers[self.wires[wire].peer].behavior.read_len_max == 0 {
            self.fault_counts.count(Fault::NeverReads);
        }
        let free_space = self.wires[wire].wire.free_space(Side::Server).min(wanted);
        if free_space > 0 && self.inject(Fault::WriteBlocks) {
            // The edge comes at once, or when enough space is free.
            self.wires[wire].wire.await_space(Side::Server);
            self.mark_ready(EventSource::Wire(wire));
            return Err(EAGAIN);
        }
        let is_short = free_space > 1 && self.inject(Fault::ShortWrite);
        let len_max = if is_short { self.rng.up_to(free_space - 1) } else { wanted };
        if is_short {
            // There is space left, and the peer may never read more.
            self.mark_ready(EventSource::Wire(wire));
        }
        let result = self.wires[wire].wire.write(Side::Server, slices, len_max);
        self.forward_edge(wire);
        self.record_transfer(wire, result);
        if let Ok(len) = result {
            self.counters.bytes_written += len as u64;
            self.wires[wire].wrote_at = self.now;
        }
        result
    }
}
