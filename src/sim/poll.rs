//! The simulated poll: it moves the clock, lets peers act and returns events.
//!
//! Time moves only here and in [`World::advance`](crate::sim::World::advance).

use std::time::Duration;

use super::faults::Fault;
use super::peer_state::PeerStage;
use super::state::{EventSource, WorldProgress, WorldState};
use super::wire::{EndReadiness, Side};
use crate::instant::Instant;
use crate::net::{ControlEvent, Event, PollOutcome, Readiness, Token};
use crate::trace::TraceEvent;

/// The most events that one poll takes from the ready list.
const BATCH_MAX: usize = 1024;

impl WorldState {
    /// Implements `Net::poll`.
    pub(super) fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> PollOutcome {
        let first = events.len();
        self.counters.polls += 1;
        self.progress = WorldProgress::Busy;
        self.move_clock();
        self.act_all();
        if !self.inject(Fault::EmptyPoll) {
            self.collect(events);
            while events.len() == first && self.sleep(until) {
                self.act_all();
                self.collect(events);
            }
        }
        self.counters.events += (events.len() - first) as u64;
        self.add_false_events(events, first);
        self.trace.add(TraceEvent::Polled { now: self.now, events: events.len() - first });
        for event in &events[first..] {
            self.trace.add((*event).into());
        }
        if self.ready.is_empty() { PollOutcome::Complete } else { PollOutcome::Partial }
    }

    /// Lets time pass between two polls, unless the clock has a limit.
    fn move_clock(&mut self) {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        if self.horizon.is_some() || self.inject(Fault::ClockStands) {
            return;
        }
        let span = if self.inject(Fault::ClockCreeps) {
            Duration::from_nanos(1)
        } else if self.inject(Fault::ClockJumpsHour) {
            HOUR
        } else if self.inject(Fault::ClockJumpsDays) {
            HOUR * 24 * 50
        } else {
            self.rng.span(self.faults.turn_span_max)
        };
        self.now = self.now + span;
    }

    /// Moves the clock to the next action of a peer, to `until` or to the horizon, whichever is first.
    ///
    /// Returns false when the poll is over.
    fn sleep(&mut self, until: Option<Instant>) -> bool {
        let until = until.unwrap_or(Instant::NEVER);
        let horizon = self.horizon.unwrap_or(Instant::NEVER);
        let act = self.next_act().unwrap_or(Instant::NEVER);
        let next = act.min(until).min(horizon);
        if next == Instant::NEVER {
            self.progress = WorldProgress::Idle;
            return false;
        }
        if next > self.now {
            self.now = next;
            self.counters.sleeps += 1;
        }
        if until <= self.now {
            return false;
        }
        if act <= self.now {
            return true;
        }
        self.progress = WorldProgress::Horizon;
        false
    }

    /// Moves the ready list, or a random part of it, to `events`.
    fn collect(&mut self, events: &mut Vec<Event>) {
        events.extend(self.control_events.drain(..).map(Event::Control));
        if std::mem::take(&mut self.is_woken) {
            events.push(Event::Control(ControlEvent::Wake));
        }
        let mut len = self.ready.len().min(BATCH_MAX);
        if len > 1 && self.inject(Fault::SmallBatch) {
            len = self.rng.up_to(len - 1);
        }
        if self.ready.len() > 1 && self.inject(Fault::Shuffled) {
            self.rng.shuffle(self.ready.make_contiguous());
        }
        for source in self.ready.drain(..len).collect::<Vec<_>>() {
            self.registration(source).is_ready = false;
            events.extend(self.event(source));
        }
    }

    /// The event that epoll_wait(2) returns for a source.
    ///
    /// It reports the readiness at this moment, not when the source was listed. Returns `None` if
    /// there is nothing to report any more.
    fn event(&mut self, source: EventSource) -> Option<Event> {
        let readiness = match source {
            EventSource::Listener(listener) => {
                let readable = !self.listeners[listener].backlog.is_empty();
                EndReadiness { readable, writable: false, read_closed: false }
            }
            EventSource::Wire(wire) if self.is_connecting(wire) => return None,
            EventSource::Wire(wire) => self.wires[wire].wire.readiness(Side::Server),
            EventSource::Socket(socket) => {
                let readable = !self.sockets[socket].inbox.is_empty();
                EndReadiness { readable, writable: true, read_closed: false }
            }
        };
        let registration = self.registration(source);
        registration.is_end_reported |= readiness.read_closed;
        let token = registration.token?;
        let EndReadiness { readable, writable, read_closed } = readiness;
        (readable || writable).then_some(Event::Ready(Readiness { token, readable, writable, read_closed }))
    }

    /// Whether this is an outbound connection of the server without an answer yet.
    fn is_connecting(&self, wire: usize) -> bool {
        let is_open = self.wires[wire].wire.is_open(Side::Server);
        is_open && matches!(self.peers[self.wires[wire].peer].stage, PeerStage::Answering(_) | PeerStage::Silent)
    }

    /// Adds duplicate, stale and spurious events, which a kernel may return too.
    fn add_false_events(&mut self, events: &mut Vec<Event>, first: usize) {
        if events.len() > first && self.inject(Fault::Duplicate) {
            let duplicate = events[first + self.rng.below(events.len() - first)];
            // A duplicate of a control event would be a second request.
            if let Event::Ready(_) = duplicate {
                events.push(duplicate);
            }
        }
        if !self.dropped_tokens.is_empty() && self.inject(Fault::Stale) {
            let token = self.dropped_tokens[self.rng.below(self.dropped_tokens.len())];
            events.push(self.random_event(token));
        }
        if !self.wires.is_empty() && self.faults.probability(Fault::Spurious) > 0.0 {
            let token = self.wires[self.rng.below(self.wires.len())].registration.token;
            if let Some(token) = token
                && self.inject(Fault::Spurious)
            {
                events.push(self.random_event(token));
            }
        }
        if events.len() - first > 1 && self.inject(Fault::Shuffled) {
            self.rng.shuffle(&mut events[first..]);
        }
    }

    fn random_event(&mut self, token: Token) -> Event {
        let bits = self.rng.up_to(7);
        let (readable, writable, read_closed) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
        Event::Ready(Readiness { token, readable, writable, read_closed })
    }

    /// Lets every due peer act.
    fn act_all(&mut self) {
        for peer in 0..self.peers.len() {
            if self.is_due(peer) {
                self.act(peer);
            }
        }
    }

    fn is_due(&self, peer: usize) -> bool {
        self.peers[peer].next_act <= self.now && self.can_act(peer)
    }

    /// The time of the next action of any peer.
    fn next_act(&self) -> Option<Instant> {
        let able = (0..self.peers.len()).filter(|&peer| self.can_act(peer));
        able.map(|peer| self.peers[peer].next_act.max(self.now)).min()
    }

    /// Lets a random peer act between two calls of the server.
    pub(super) fn interleave(&mut self) {
        if self.faults.probability(Fault::Interleaved) == 0.0 || self.peers.is_empty() {
            return;
        }
        let peer = self.rng.below(self.peers.len());
        if self.is_due(peer) && self.inject(Fault::Interleaved) {
            self.act(peer);
        }
    }
}
