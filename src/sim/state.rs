//! `State`: everything that exists in a simulated world, and what happens while the server polls.
//!
//! Whatever a call of the server may meet is in `net`; what a peer does when it is its turn is in
//! `peer`. Time moves only here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::connect::Answer;
use super::datagrams::SocketState;
use super::faults::{Fault, FaultCounts, Faults};
use super::peer::PeerState;
use super::rng::Rng;
use super::trace::{Trace, TraceEvent};
use super::wire::{Level, Side, Wire};
use super::world::{Progress, WorldCounters};
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, Event, PollOutcome, Readiness, Token};

/// As many facts as one poll brings at most, in a kind world.
const BATCH_MAX: usize = 1024;
/// How many names of dropped streams are kept to be told again.
const FORMER_MAX: usize = 16;
/// What each kernel keeps in one direction of a connection, in a kind world.
const KERNEL_BUFFER_BYTES: usize = 64 * 1024;

/// Something that can be on epoll's ready list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener(usize),
    Wire(usize),
    Socket(usize),
}

/// How a source stands with epoll.
#[derive(Debug, Default)]
pub(super) struct Registration {
    /// Under which name it is told; none before `register` and after the drop.
    pub(super) token: Option<Token>,
    /// It is on the ready list.
    pub(super) is_listed: bool,
    /// The server was told that the peer's direction ended.
    pub(super) is_end_told: bool,
}

/// A wire with all that the world remembers of it.
#[derive(Debug)]
pub(super) struct WireState {
    pub(super) wire: Wire,
    /// Whose.
    pub(super) peer: usize,
    pub(super) registration: Registration,
    /// Bytes that the server moved since its last poll.
    pub(super) moved_in_turn: usize,
    /// In which poll that count began.
    pub(super) turn: u64,
    /// When the server accepted it, last read something or the end, or last wrote something.
    pub(super) moved_at: Instant,
    /// When the server last wrote something.
    pub(super) wrote_at: Instant,
}

/// A bound listener, or what is left of it.
#[derive(Debug)]
pub(super) struct ListenerState {
    pub(super) address: Address,
    pub(super) is_open: bool,
    /// Wires that nobody has accepted yet.
    pub(super) backlog: VecDeque<usize>,
    pub(super) backlog_max: usize,
    pub(super) registration: Registration,
}

impl ListenerState {
    /// An open listener with room for at least one in its backlog, as in Linux.
    pub(super) fn new(address: Address, backlog_max: usize) -> Self {
        Self {
            address,
            is_open: true,
            backlog: VecDeque::new(),
            backlog_max: backlog_max.max(1),
            registration: Registration::default(),
        }
    }
}

/// Everything that exists.
#[derive(Debug)]
pub(super) struct State {
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) counts: FaultCounts,
    pub(super) trace: Trace,
    pub(super) counters: WorldCounters,
    pub(super) now: Instant,
    /// How far polls may move the clock; none: as far as they like.
    pub(super) horizon: Option<Instant>,
    /// How the last poll ended.
    pub(super) rest: Progress,
    pub(super) wires: Vec<WireState>,
    pub(super) listeners: Vec<ListenerState>,
    pub(super) peers: Vec<PeerState>,
    /// What becomes of who connects where.
    pub(super) answers: Vec<(Address, Answer)>,
    pub(super) sockets: Vec<SocketState>,
    /// Datagrams that were sent to where no socket of this world is: from, to, what.
    pub(super) sent_datagrams: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// epoll's ready list: each source at most once.
    ready: VecDeque<Source>,
    /// Names of dropped streams, the latest last.
    former: VecDeque<Token>,
    pub(super) notices: VecDeque<ControlEvent>,
    pub(super) is_woken: bool,
    pub(super) streams_open: usize,
    pub(super) descriptors_max: usize,
    /// Until when, and how, every accept fails.
    pub(super) spell: Option<(Instant, i32)>,
    pub(super) kernel_buffer: usize,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            faults: Faults::none(),
            counts: FaultCounts::default(),
            trace: Trace::default(),
            counters: WorldCounters::default(),
            now: Instant::ORIGIN,
            horizon: Some(Instant::ORIGIN),
            rest: Progress::Busy,
            wires: Vec::new(),
            listeners: Vec::new(),
            peers: Vec::new(),
            answers: Vec::new(),
            sockets: Vec::new(),
            sent_datagrams: Vec::new(),
            ready: VecDeque::new(),
            former: VecDeque::new(),
            notices: VecDeque::new(),
            is_woken: false,
            streams_open: 0,
            descriptors_max: usize::MAX,
            spell: None,
            kernel_buffer: KERNEL_BUFFER_BYTES,
        }
    }

    /// Whether that fault strikes now; it is counted, so ask only where it would do something.
    pub(super) fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.rng.chance(self.faults.probability(fault));
        if strikes {
            self.counts.count(fault);
            self.trace.strike(fault);
        }
        strikes
    }

    /// A new connection between that peer and the backlog of that listener.
    pub(super) fn add_wire(&mut self, peer: usize, listener: usize) -> usize {
        let wire = self.new_wire(peer);
        self.listeners[listener].backlog.push_back(wire);
        self.list(Source::Listener(listener));
        wire
    }

    /// A new connection of that peer, in nobody's backlog.
    pub(super) fn new_wire(&mut self, peer: usize) -> usize {
        let capacity = if self.strikes(Fault::SmallBuffer) { 1 << self.rng.below(14) } else { self.kernel_buffer };
        let wire = self.wires.len();
        self.wires.push(WireState {
            wire: Wire::new(capacity),
            peer,
            registration: Registration::default(),
            moved_in_turn: 0,
            turn: 0,
            moved_at: self.now,
            wrote_at: self.now,
        });
        wire
    }

    /// Puts a source on the ready list, unless it is there or not registered.
    pub(super) fn list(&mut self, source: Source) {
        let registration = self.registration(source);
        if registration.token.is_some() && !registration.is_listed {
            registration.is_listed = true;
            self.ready.push_back(source);
        }
    }

    /// Hands on the edge that something raised for the server's end of a wire.
    pub(super) fn list_edge(&mut self, wire: usize) {
        if self.wires[wire].wire.take_edge(Side::Server) {
            self.list(Source::Wire(wire));
        }
    }

    fn registration(&mut self, source: Source) -> &mut Registration {
        match source {
            Source::Listener(listener) => &mut self.listeners[listener].registration,
            Source::Wire(wire) => &mut self.wires[wire].registration,
            Source::Socket(socket) => &mut self.sockets[socket].registration,
        }
    }

    /// Registers a source. As `EPOLL_CTL_ADD` does, this tells at once what is ready already.
    pub(super) fn register(&mut self, source: Source, token: Token) {
        self.registration(source).token = Some(token);
        self.list(source);
    }

    /// Takes a source out of epoll; its name may still be told as a former one.
    pub(super) fn deregister(&mut self, source: Source) {
        let registration = self.registration(source);
        registration.is_listed = false;
        let token = registration.token.take();
        self.ready.retain(|listed| *listed != source);
        if let Source::Wire(_) = source {
            self.former.extend(token);
        }
        if self.former.len() > FORMER_MAX {
            self.former.pop_front();
        }
    }

    /// The whole of `Net::poll`.
    pub(super) fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> PollOutcome {
        let first = events.len();
        self.counters.polls += 1;
        self.trace.begin_turn(self.counters.polls);
        self.rest = Progress::Busy;
        self.move_clock();
        self.act_all();
        if !self.strikes(Fault::EmptyPoll) {
            self.collect(events);
            while events.len() == first && self.sleep(until) {
                self.act_all();
                self.collect(events);
            }
        }
        self.counters.events += (events.len() - first) as u64;
        self.add_untrue(events, first);
        self.trace.add(TraceEvent::Polled { now: self.now, events: events.len() - first });
        for event in &events[first..] {
            self.trace.add((*event).into());
        }
        if self.ready.is_empty() { PollOutcome::Complete } else { PollOutcome::Partial }
    }

    /// Time that passes while the server is not looking, unless the clock is held.
    fn move_clock(&mut self) {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        if self.horizon.is_some() || self.strikes(Fault::ClockStands) {
            return;
        }
        let span = if self.strikes(Fault::ClockCreeps) {
            Duration::from_nanos(1)
        } else if self.strikes(Fault::ClockJumpsHour) {
            HOUR
        } else if self.strikes(Fault::ClockJumpsDays) {
            HOUR * 24 * 50
        } else {
            self.rng.span(self.faults.turn_span_max)
        };
        self.now = self.now + span;
    }

    /// Moves the clock to whatever comes first: the next act of a peer, `until`, or how far the
    /// clock may go. `false` when the poll is over.
    fn sleep(&mut self, until: Option<Instant>) -> bool {
        let until = until.unwrap_or(Instant::NEVER);
        let horizon = self.horizon.unwrap_or(Instant::NEVER);
        let act = self.next_act().unwrap_or(Instant::NEVER);
        let next = act.min(until).min(horizon);
        if next == Instant::NEVER {
            self.rest = Progress::Idle;
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
        self.rest = Progress::Horizon;
        false
    }

    /// Moves what is ready from the ready list to `events`; all, or a random part of it.
    fn collect(&mut self, events: &mut Vec<Event>) {
        events.extend(self.notices.drain(..).map(Event::ControlEvent));
        if std::mem::take(&mut self.is_woken) {
            events.push(Event::ControlEvent(ControlEvent::Wake));
        }
        let mut batch = self.ready.len().min(BATCH_MAX);
        if batch > 1 && self.strikes(Fault::SmallBatch) {
            batch = self.rng.up_to(batch - 1);
        }
        if self.ready.len() > 1 && self.strikes(Fault::Shuffled) {
            self.rng.shuffle(self.ready.make_contiguous());
        }
        for _ in 0..batch {
            let Some(source) = self.ready.pop_front() else {
                break;
            };
            self.registration(source).is_listed = false;
            events.extend(self.event(source));
        }
    }

    /// What epoll_wait says of a source: its state now, not when it was listed; nothing, if by
    /// now there is nothing to say.
    fn event(&mut self, source: Source) -> Option<Event> {
        let level = match source {
            Source::Listener(listener) => {
                let readable = !self.listeners[listener].backlog.is_empty();
                Level { readable, writable: false, read_closed: false }
            }
            Source::Wire(wire) if self.is_under_way(wire) => return None,
            Source::Wire(wire) => self.wires[wire].wire.level(Side::Server),
            Source::Socket(socket) => {
                let readable = self.sockets[socket].has_datagrams();
                Level { readable, writable: true, read_closed: false }
            }
        };
        let registration = self.registration(source);
        registration.is_end_told |= level.read_closed;
        let token = registration.token?;
        let Level { readable, writable, read_closed } = level;
        (readable || writable).then_some(Event::Ready(Readiness { token, readable, writable, read_closed }))
    }

    /// Adds facts that a poll may bring though they say nothing new, or nothing true.
    fn add_untrue(&mut self, events: &mut Vec<Event>, first: usize) {
        if events.len() > first && self.strikes(Fault::Duplicate) {
            let twice = events[first + self.rng.below(events.len() - first)];
            // A second signal is not an untrue fact: it means something of its own.
            if let Event::Ready(_) = twice {
                events.push(twice);
            }
        }
        if !self.former.is_empty() && self.strikes(Fault::Former) {
            let token = self.former[self.rng.below(self.former.len())];
            events.push(self.any_fact(token));
        }
        if !self.wires.is_empty() && self.faults.probability(Fault::Spurious) > 0.0 {
            let token = self.wires[self.rng.below(self.wires.len())].registration.token;
            if let Some(token) = token
                && self.strikes(Fault::Spurious)
            {
                events.push(self.any_fact(token));
            }
        }
        if events.len() - first > 1 && self.strikes(Fault::Shuffled) {
            self.rng.shuffle(&mut events[first..]);
        }
    }

    fn any_fact(&mut self, token: Token) -> Event {
        let bits = self.rng.up_to(7);
        let (readable, writable, read_closed) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
        Event::Ready(Readiness { token, readable, writable, read_closed })
    }

    /// Every peer whose time has come acts.
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

    /// When the next peer acts that can.
    fn next_act(&self) -> Option<Instant> {
        let able = (0..self.peers.len()).filter(|&peer| self.can_act(peer));
        able.map(|peer| self.peers[peer].next_act.max(self.now)).min()
    }

    /// Between two calls of the server a peer may get its turn.
    pub(super) fn interleave(&mut self) {
        if self.faults.probability(Fault::Interleaved) == 0.0 || self.peers.is_empty() {
            return;
        }
        let peer = self.rng.below(self.peers.len());
        if self.is_due(peer) && self.strikes(Fault::Interleaved) {
            self.act(peer);
        }
    }

    /// The connection at the head of a backlog, or anywhere, dies by no fault of its ends.
    pub(super) fn harm(&mut self, wire: usize, errno: i32) {
        self.wires[wire].wire.break_with(Side::Server, errno);
        let peer = self.wires[wire].peer;
        self.peers[peer].is_harmed = true;
        self.list_edge(wire);
    }

    /// Ends all faults.
    pub(super) fn disable_faults(&mut self) {
        self.faults = Faults::none();
        self.spell = None;
        for wire in 0..self.wires.len() {
            self.wires[wire].wire.widen(self.kernel_buffer);
            self.list_edge(wire);
        }
    }

    /// Closes a listener: whoever still waits in its backlog is reset.
    pub(super) fn close_listener(&mut self, listener: usize) {
        self.deregister(Source::Listener(listener));
        let state = &mut self.listeners[listener];
        state.is_open = false;
        for wire in std::mem::take(&mut state.backlog) {
            self.wires[wire].wire.reset(Side::Server, 0);
        }
    }
}
