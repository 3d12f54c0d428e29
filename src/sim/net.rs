//! `SimNet`: the border, simulated: what each call of the server meets, faults included.
//!
//! Everything that a call may do wrong is something a kernel may do: after a `WouldBlock` that
//! was not true an edge follows, so nobody is stranded who keeps the rules.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use libc::{EADDRINUSE, EAGAIN, ECONNABORTED, ECONNRESET, EINTR, EINVAL, EMFILE, ENOMEM, ENOSPC, EPIPE, ETIMEDOUT};

use super::datagrams::SimDatagrams;
use super::faults::{ACCEPT_ERRORS, ACCEPT_EXHAUSTED, Fault, Head};
use super::outcome::{Outcome, told};
use super::state::{ListenerState, Source, State};
use super::trace::TraceEvent;
use super::wire::Side;
use super::world::Shared;
use crate::instant::Instant;
use crate::net::{
    Address, ConnectOptions, DatagramOptions, Destination, Event, ListenOptions, Net, PeerAddress, PollOutcome, Stream,
    Token, Wake,
};

/// The longest that accepts fail in a row for want of something.
const SPELL_MAX: Duration = Duration::from_secs(5);
/// Where ports that the kernel chooses begin, as in `ip_local_port_range`.
const FREE_PORT_FIRST: u16 = 32_768;

/// The reactor of a simulated world.
///
/// There is one in each world; all that [`World::net`](super::World::net) gives are handles on it.
#[derive(Clone, Debug)]
pub struct SimNet {
    pub(super) world: Shared,
}

/// A listener of a simulated world. To drop it closes it and resets its backlog.
#[derive(Debug)]
pub struct SimListener {
    world: Shared,
    number: usize,
}

/// Our end of a simulated connection. To drop it closes it, with all that close(2) does.
#[derive(Debug)]
pub struct SimStream {
    world: Shared,
    number: usize,
    drop_is_reset: bool,
}

/// Ends the sleep of a simulated world.
#[derive(Debug)]
struct SimWake {
    world: Shared,
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

    fn now(&self) -> Instant {
        self.world.lock().now
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome> {
        Ok(self.world.lock().poll(events, until))
    }

    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> io::Result<SimListener> {
        let mut state = self.world.lock();
        let outcome = state.listen(address, options, token);
        state.trace.add(TraceEvent::Listened { outcome });
        told(outcome).map(|number| SimListener { world: self.world.clone(), number })
    }

    fn bind(
        &mut self,
        address: &Address,
        _options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(SimDatagrams, SocketAddr)> {
        let mut state = self.world.lock();
        let number = told(state.bind(address, token, FREE_PORT_FIRST))?;
        let bound = state.sockets[number].address;
        Ok((SimDatagrams { world: self.world.clone(), number }, bound))
    }

    fn local_address(&self, listener: &SimListener) -> Address {
        self.world.lock().listeners[listener.number].address.clone()
    }

    fn accept(&mut self, listener: &mut SimListener) -> io::Result<(SimStream, PeerAddress)> {
        let mut state = self.world.lock();
        state.interleave();
        let outcome = state.accept(listener.number);
        state.trace.add(TraceEvent::Accepted { listener: listener.number, outcome });
        let number = told(outcome)?;
        let stream = SimStream { world: self.world.clone(), number, drop_is_reset: false };
        Ok((stream, state.peer_address(number)))
    }

    fn register(&mut self, stream: &mut SimStream, token: Token) -> io::Result<()> {
        let mut state = self.world.lock();
        state.interleave();
        let wire = stream.number;
        let outcome = if state.strikes(Fault::RegisterFails) {
            let peer = state.wires[wire].peer;
            state.peers[peer].is_harmed = true;
            Err(state.rng.pick(&[ENOMEM, ENOSPC]))
        } else {
            state.register(Source::Wire(wire), token);
            Ok(())
        };
        state.trace.add(TraceEvent::Registered { wire, token: token.0, outcome });
        told(outcome)
    }

    fn connect(&mut self, to: &Destination, _options: &ConnectOptions, token: Token) -> io::Result<SimStream> {
        let mut state = self.world.lock();
        let outcome = state.connect(to, token);
        state.trace.add(TraceEvent::Began { token: token.0, outcome });
        told(outcome).map(|number| SimStream { world: self.world.clone(), number, drop_is_reset: false })
    }

    fn is_connected(&mut self, stream: &mut SimStream) -> io::Result<bool> {
        let mut state = self.world.lock();
        let outcome = state.is_connected(stream.number);
        state.trace.add(TraceEvent::Asked { wire: stream.number, outcome });
        told(outcome)
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(SimWake { world: self.world.clone() })
    }
}

impl Stream for SimStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.world.lock();
        let outcome = state.read(self.number, buf);
        state.trace.add(TraceEvent::Read { wire: self.number, wanted: buf.len(), outcome });
        told(outcome)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.world.lock();
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        let outcome = state.write(self.number, slices, wanted);
        state.trace.add(TraceEvent::Wrote { wire: self.number, wanted, outcome });
        told(outcome)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut state = self.world.lock();
        state.interleave();
        state.break_perhaps(self.number);
        let outcome = state.wires[self.number].wire.finish(Side::Server);
        state.counters.progress += 1;
        state.trace.add(TraceEvent::Finished { wire: self.number, outcome });
        told(outcome)
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
        state.deregister(Source::Wire(wire));
        state.streams_open -= 1;
        state.counters.progress += 1;
        if self.drop_is_reset && state.wires[wire].wire.is_open(Side::Server) {
            state.counters.resets += 1;
            state.wires[wire].wire.reset(Side::Server, 0);
            state.trace.add(TraceEvent::Reset { wire });
        } else {
            let is_cut_off =
                state.wires[wire].wire.is_open(Side::Server) && state.wires[wire].wire.unread(Side::Server) > 0;
            let peer = state.wires[wire].peer;
            state.peers[peer].is_cut_off |= is_cut_off;
            state.wires[wire].wire.close(Side::Server);
            state.trace.add(TraceEvent::Dropped { wire });
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.world.lock().close_listener(self.number);
    }
}

impl State {
    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> Outcome {
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
        if self.listener_at(&address).is_some() {
            return Err(EADDRINUSE);
        }
        let number = self.listeners.len();
        self.listeners.push(ListenerState::new(address, options.backlog as usize));
        self.trace.meet_listener(number, token.0, &self.listeners[number].address);
        self.register(Source::Listener(number), token);
        Ok(number)
    }

    fn peer_address(&self, wire: usize) -> PeerAddress {
        let peer = &self.peers[self.wires[wire].peer];
        match peer.to {
            Address::Tcp(_) | Address::Tls(_) => PeerAddress::Tcp(peer.source),
            Address::Udp(_) | Address::Unix(_) => PeerAddress::Unix,
        }
    }

    fn accept(&mut self, listener: usize) -> Outcome {
        if let Some(errno) = self.accept_error(listener) {
            self.counts.count_accept_error(errno);
            return Err(errno);
        }
        if self.streams_open >= self.descriptors_max {
            return Err(EMFILE);
        }
        let is_anyone_there = !self.listeners[listener].backlog.is_empty();
        if is_anyone_there && self.strikes(Fault::AcceptBlocks) {
            self.list(Source::Listener(listener));
            return Err(EAGAIN);
        }
        let wire = self.listeners[listener].backlog.pop_front().ok_or(EAGAIN)?;
        self.streams_open += 1;
        self.counters.accepted += 1;
        self.counters.progress += 1;
        self.wires[wire].moved_at = self.now;
        Ok(wire)
    }

    /// Whether this accept fails, and how; a connection whose own error it is, is lost.
    fn accept_error(&mut self, listener: usize) -> Option<i32> {
        self.spell = self.spell.filter(|(until, _)| self.now < *until);
        if self.spell.is_none() && self.strikes(Fault::AcceptSpell) {
            let errno = self.rng.pick(&ACCEPT_EXHAUSTED);
            self.spell = Some((self.now + self.rng.span(SPELL_MAX), errno));
        }
        if let Some((_, errno)) = self.spell {
            return Some(errno);
        }
        if self.listeners[listener].backlog.is_empty() || !self.strikes(Fault::AcceptFails) {
            return None;
        }
        let (errno, _, head) = self.rng.pick(ACCEPT_ERRORS);
        match head {
            Head::Kept => {}
            Head::Taken => {
                let wire = self.listeners[listener].backlog.pop_front().expect("somebody is there");
                self.harm(wire, ECONNABORTED);
                self.wires[wire].wire.close(Side::Server);
                self.counters.progress += 1;
            }
        }
        Some(errno)
    }

    /// The connection of that wire may die right before a call.
    pub(super) fn break_perhaps(&mut self, wire: usize) {
        const WAYS: [(Fault, i32); 3] =
            [(Fault::Reset, ECONNRESET), (Fault::BrokenPipe, EPIPE), (Fault::TimedOut, ETIMEDOUT)];
        for (fault, errno) in WAYS {
            if self.wires[wire].wire.is_open(Side::Server) && self.strikes(fault) {
                self.harm(wire, errno);
            }
        }
    }

    fn read(&mut self, wire: usize, buf: &mut [u8]) -> Outcome {
        self.interleave();
        if self.strikes(Fault::ReadInterrupted) {
            return Err(EINTR);
        }
        self.break_perhaps(wire);
        let is_readable = self.wires[wire].wire.level(Side::Server).readable;
        if is_readable && self.strikes(Fault::ReadBlocks) {
            self.list(Source::Wire(wire));
            return Err(EAGAIN);
        }
        let whole = buf.len().min(self.wires[wire].wire.unread(Side::Server));
        let is_short = whole > 1 && self.strikes(Fault::ShortRead);
        let len_max = if is_short { self.rng.up_to(whole - 1) } else { buf.len() };
        if is_short && !self.wires[wire].registration.is_end_told {
            // As if the rest had arrived only now. Whoever was told of the end must read on to it unasked.
            self.list(Source::Wire(wire));
        }
        let outcome = self.wires[wire].wire.read(Side::Server, &mut buf[..len_max]);
        self.list_edge(wire);
        self.count_move(wire, outcome);
        self.counters.bytes_read += outcome.unwrap_or(0) as u64;
        outcome
    }

    /// Notes what a read or a write of the server did.
    fn count_move(&mut self, wire: usize, outcome: Outcome) {
        self.counters.progress += u64::from(outcome != Err(EAGAIN));
        let Ok(len) = outcome else { return };
        let (polls, now) = (self.counters.polls, self.now);
        let state = &mut self.wires[wire];
        state.moved_at = now;
        if state.turn != polls {
            state.turn = polls;
            state.moved_in_turn = 0;
        }
        state.moved_in_turn += len;
    }

    fn write(&mut self, wire: usize, slices: &[IoSlice<'_>], wanted: usize) -> Outcome {
        self.interleave();
        if self.strikes(Fault::WriteInterrupted) {
            return Err(EINTR);
        }
        self.break_perhaps(wire);
        if self.peers[self.wires[wire].peer].behavior.read_len_max == 0 {
            self.counts.count(Fault::NeverReads);
        }
        let room = self.wires[wire].wire.room(Side::Server).min(wanted);
        if room > 0 && self.strikes(Fault::WriteBlocks) {
            // The edge comes at once, or when there is enough room to be told of.
            self.wires[wire].wire.await_room(Side::Server);
            self.list(Source::Wire(wire));
            return Err(EAGAIN);
        }
        let is_short = room > 1 && self.strikes(Fault::ShortWrite);
        let len_max = if is_short { self.rng.up_to(room - 1) } else { wanted };
        if is_short {
            // There is room left, and no read of the peer need come to tell of it.
            self.list(Source::Wire(wire));
        }
        let outcome = self.wires[wire].wire.write(Side::Server, slices, len_max);
        self.list_edge(wire);
        self.count_move(wire, outcome);
        if let Ok(len) = outcome {
            self.counters.bytes_written += len as u64;
            self.wires[wire].wrote_at = self.now;
        }
        outcome
    }
}
