//! `DatagramGenerator`: a run over UDP: many sockets, each datagram with its number in front.
//!
//! A datagram without an answer in time is lost, which is counted and no error. What comes later
//! than that, or twice, is passed over.

use std::collections::VecDeque;
use std::io::{self, ErrorKind as Kind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::codec::{Framing, Raw};
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, DatagramOptions, Datagrams, Event, Net, Reactor, Token};

use super::cost::Cost;
use super::counters::{Request, RequestCounters};
use super::failure::kind_of;
use super::generator::RunProgress;
use super::outcome::RunOutcome;
use super::pattern::{Pattern, PatternOffset};
use super::plan::{DATAGRAM_LEN_MAX, DATAGRAM_LEN_MIN, Pace, Plan, RateSchedule, RunLength, Verify};
use super::record::{Connections, ErrorKind, Record, RunEnd};
use super::workload::Clock;

/// How often within a timeout it is looked which datagrams are lost.
const EXPIRY_CHECKS_PER_TIMEOUT: u32 = 8;

/// One socket and what is under way from it, the oldest first.
struct Caller<D> {
    socket: D,
    /// How many have left.
    count: u64,
    waiting: VecDeque<(u64, Request)>,
}

/// A run of the load generator over UDP.
pub struct DatagramGenerator<N: Net> {
    net: N,
    clock: Clock,
    plan: Plan,
    to: SocketAddr,
    callers: Vec<Caller<N::Datagrams>>,
    pattern: Pattern,
    counters: RequestCounters,
    lost: u64,
    /// Requests of a closed loop that may still leave.
    remaining: u64,
    schedule: Option<RateSchedule>,
    planned: std::ops::Range<u64>,
    next_planned: u64,
    measure_from: Instant,
    measure_until: Instant,
    /// Answers are awaited until then, once nothing more is asked.
    waits_until: Option<Instant>,
    ending: Option<RunEnd>,
    expiry_checked_at: Instant,
    sent_bytes: u64,
    received_bytes: u64,
    events: Vec<Event>,
    buffer: Vec<u8>,
    cost: Cost,
}

impl DatagramGenerator<Reactor> {
    /// A run over real sockets; `server` is the number of its process, if that is to be looked at.
    ///
    /// # Errors
    /// There is no process of that number, or the system has no room for the sockets.
    pub fn new(reactor: Reactor, to: SocketAddr, plan: Plan, server: Option<u32>) -> io::Result<Self> {
        let cost = Cost::new(server)?;
        let clock = reactor.clock();
        Self::over(reactor, Box::new(move || clock.now()), to, plan, cost)
    }
}

impl<N: Net> DatagramGenerator<N> {
    /// A run over any net, whose clock is `clock`.
    pub(super) fn over(mut net: N, clock: Clock, to: SocketAddr, plan: Plan, cost: Cost) -> io::Result<Self> {
        let any = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let mut callers = Vec::with_capacity(plan.connections);
        for place in 0..plan.connections as u64 {
            let source = SocketAddr::new(plan.source(place).unwrap_or(any), 0);
            let address = Address::Udp(source.to_string());
            let (socket, _) = net.bind(&address, &DatagramOptions::default(), Token(place))?;
            callers.push(Caller { socket, count: 0, waiting: VecDeque::with_capacity(plan.pipeline) });
        }
        let now = clock();
        let mut generator = Self {
            net,
            clock,
            to,
            callers,
            pattern: Pattern::new(Framing::Raw(Raw)),
            counters: RequestCounters::new(plan.pace.rate().is_some()),
            lost: 0,
            remaining: 0,
            schedule: None,
            planned: 0..0,
            next_planned: 0,
            measure_from: now,
            measure_until: Instant::NEVER,
            waits_until: None,
            ending: None,
            expiry_checked_at: now,
            sent_bytes: 0,
            received_bytes: 0,
            events: Vec::new(),
            buffer: vec![0; DATAGRAM_LEN_MAX + 1],
            cost,
            plan,
        };
        generator.cost.sample_when_open();
        generator.begin(now);
        Ok(generator)
    }

    fn begin(&mut self, now: Instant) {
        let (warm_up, run_length) = (self.plan.warm_up, self.plan.run_length);
        match self.plan.pace {
            Pace::Closed => {
                self.measure_from = now + warm_up;
                (self.remaining, self.measure_until) = match run_length {
                    RunLength::Time(time) => (u64::MAX, self.measure_from + time),
                    RunLength::Requests(requests) => (requests, Instant::NEVER),
                };
            }
            Pace::Open(rate) => {
                let schedule = RateSchedule::new(now, rate);
                let first = schedule.count_in(warm_up);
                let count = match run_length {
                    RunLength::Time(time) => schedule.count_in(time),
                    RunLength::Requests(requests) => requests,
                };
                self.planned = first..first.saturating_add(count);
                self.measure_from = schedule.planned(first);
                self.measure_until = schedule.planned(self.planned.end);
                self.schedule = Some(schedule);
            }
        }
        self.counters.begin(self.measure_from);
        self.counters.end(self.measure_until);
    }

    /// One turn; sleeps until there is something to do. How the run ended, once it has.
    ///
    /// # Errors
    /// The poll itself is broken.
    pub fn turn(&mut self) -> io::Result<Option<RunEnd>> {
        if self.ending.is_some() {
            return Ok(self.ending);
        }
        let now = (self.clock)();
        if self.measure_from <= now && !self.cost.has_begun() {
            self.cost.begin();
        }
        self.send_due(now);
        let mut events = std::mem::take(&mut self.events);
        self.net.poll(&mut events, Some(self.next_deadline()))?;
        for event in events.drain(..) {
            match event {
                Event::Ready(readiness) => self.receive_all(readiness.token.0 as usize),
                Event::ControlEvent(ControlEvent::Drain | ControlEvent::Stop) => self.interrupt(),
                Event::ControlEvent(ControlEvent::Wake | ControlEvent::Reload | ControlEvent::Totals) => {}
            }
        }
        self.events = events;
        let now = (self.clock)();
        self.counters.advance(now);
        self.expire_requests(now);
        self.advance(now);
        Ok(self.ending)
    }

    /// Ends the run now: what was measured so far stands.
    pub fn interrupt(&mut self) {
        let now = (self.clock)();
        self.end(now, RunEnd::Interrupted);
    }

    /// How the run stands.
    pub fn progress(&self) -> RunProgress {
        RunProgress {
            open: self.callers.len(),
            measured: (self.clock)().min(self.measure_until).since(self.measure_from),
            answered: self.counters.answered_in_window(),
            errors: self.counters.error_count(),
        }
    }

    // ── Out ─────────────────────────────────────────────────────────────────────────────────────

    /// Lets every datagram leave that is due and has room.
    fn send_due(&mut self, now: Instant) {
        let Some(schedule) = self.schedule else {
            if self.waits_until.is_none() {
                (0..self.callers.len()).for_each(|place| self.fill_up(place));
            }
            return;
        };
        while self.next_planned < self.planned.end && schedule.planned(self.next_planned) <= now {
            let place = (self.next_planned % self.callers.len() as u64) as usize;
            self.next_planned += 1;
            self.fill_up(place);
        }
    }

    /// Sends from one socket all that it may send now.
    fn fill_up(&mut self, place: usize) {
        while self.callers[place].waiting.len() < self.plan.pipeline {
            let now = (self.clock)();
            let planned = match self.schedule {
                None if self.remaining == 0 || self.waits_until.is_some() => return,
                None => now,
                Some(schedule) => {
                    let number = place as u64 + self.callers[place].count * self.callers.len() as u64;
                    let planned = schedule.planned(number);
                    if self.planned.end <= number || now < planned {
                        return;
                    }
                    planned
                }
            };
            let request = Request { planned, sent_at: now };
            self.remaining -= u64::from(self.schedule.is_none() && self.counters.is_measured(&request));
            self.send(place, request);
        }
    }

    fn send(&mut self, place: usize, request: Request) {
        let (callers_len, message_len) = (self.callers.len() as u64, self.plan.message_len);
        let caller = &mut self.callers[place];
        let serial = place as u64 + caller.count * callers_len;
        caller.count += 1;
        self.buffer.clear();
        self.buffer.extend_from_slice(&serial.to_le_bytes());
        let mut at = PatternOffset::of_connection(serial);
        for chunk in self.pattern.chunks(&mut at, message_len - DATAGRAM_LEN_MIN) {
            self.buffer.extend_from_slice(chunk);
        }
        self.counters.count_sent(&request);
        match caller.socket.send(&self.buffer, &self.to) {
            Ok(()) => self.sent_bytes += if self.counters.is_measured(&request) { message_len as u64 } else { 0 },
            // What the socket has no room for is lost like any other.
            Err(error) if [Kind::WouldBlock, Kind::Interrupted].contains(&error.kind()) => {}
            Err(error) => {
                self.counters.count_error(kind_of(&error), || format!("{}: {error}", self.to));
                self.counters.count_failed(&request);
                return;
            }
        }
        caller.waiting.push_back((serial, request));
    }

    // ── In ──────────────────────────────────────────────────────────────────────────────────────

    /// Takes in all that has come to one socket, and sends what may follow it.
    fn receive_all(&mut self, place: usize) {
        loop {
            self.buffer.resize(DATAGRAM_LEN_MAX + 1, 0);
            match self.callers[place].socket.receive(&mut self.buffer) {
                Ok((len, from)) if from == self.to => self.take_in(place, len),
                // Somebody else's.
                Ok(_) => {}
                Err(error) if error.kind() == Kind::Interrupted => {}
                Err(error) if error.kind() == Kind::WouldBlock => return,
                Err(error) => {
                    self.counters.count_error(kind_of(&error), || format!("{}: {error}", self.to));
                    return;
                }
            }
            self.fill_up(place);
        }
    }

    fn take_in(&mut self, place: usize, len: usize) {
        let now = (self.clock)();
        let bytes = &self.buffer[..len];
        let serial = bytes.first_chunk().map(|head| u64::from_le_bytes(*head));
        let waiting = &mut self.callers[place].waiting;
        let found = waiting.iter().position(|(number, _)| Some(*number) == serial);
        let Some((_, request)) = found.and_then(|at| waiting.remove(at)) else { return };
        let mut at = PatternOffset::of_connection(serial.unwrap_or_default());
        let is_right = len == self.plan.message_len
            && (self.plan.verify == Verify::Length || self.pattern.matches(&mut at, &bytes[DATAGRAM_LEN_MIN..]));
        if is_right {
            self.received_bytes += if self.counters.is_measured(&request) { len as u64 } else { 0 };
            self.counters.count_answer(&request, now);
        } else {
            self.counters.count_failed(&request);
            self.counters.count_error(ErrorKind::Mismatch, || {
                format!("socket {place}: {len} bytes came back that are not those that were sent")
            });
        }
    }

    fn expire_requests(&mut self, now: Instant) {
        if now < self.expiry_checked_at + self.plan.timeout / EXPIRY_CHECKS_PER_TIMEOUT {
            return;
        }
        self.expiry_checked_at = now;
        for place in 0..self.callers.len() {
            while let Some((_, request)) = self.callers[place].waiting.front().copied()
                && request.sent_at + self.plan.timeout <= now
            {
                self.callers[place].waiting.pop_front();
                self.lost += u64::from(self.counters.is_measured(&request));
                self.fill_up(place);
            }
        }
    }

    // ── Phases ──────────────────────────────────────────────────────────────────────────────────

    fn next_deadline(&self) -> Instant {
        let planned = match self.schedule {
            Some(schedule) if self.next_planned < self.planned.end => schedule.planned(self.next_planned),
            Some(_) | None => Instant::NEVER,
        };
        let is_warming_up = (self.clock)() < self.measure_from;
        let phase = if is_warming_up { self.measure_from } else { self.waits_until.unwrap_or(self.measure_until) };
        planned.min(phase).min(self.expiry_checked_at + self.plan.timeout / EXPIRY_CHECKS_PER_TIMEOUT)
    }

    fn advance(&mut self, now: Instant) {
        let is_idle = || self.callers.iter().all(|caller| caller.waiting.is_empty());
        match self.waits_until {
            Some(until) if until <= now || self.planned.end <= self.next_planned && is_idle() => {
                self.end(now, RunEnd::Done);
            }
            Some(_) => {}
            None if self.measure_until <= now || self.remaining == 0 && self.schedule.is_none() => {
                if let RunLength::Time(_) = self.plan.run_length {
                    self.cost.end();
                }
                // Whatever left last has its whole time.
                self.waits_until = Some(now + self.plan.timeout + self.plan.timeout / EXPIRY_CHECKS_PER_TIMEOUT);
            }
            None => {}
        }
    }

    fn end(&mut self, now: Instant, ending: RunEnd) {
        if self.ending.is_some() {
            return;
        }
        self.cost.end();
        if ending == RunEnd::Done {
            let waiting = self.callers.iter().flat_map(|caller| &caller.waiting);
            self.lost += waiting.filter(|(_, request)| self.counters.is_measured(request)).count() as u64;
        }
        self.counters.finish(now, ending == RunEnd::Done);
        self.measure_until = self.measure_until.min(now);
        self.ending = Some(ending);
    }

    /// The whole run as plain data. An unfinished one ends by this.
    pub fn into_record(mut self, name: String, begun_unix_s: u64) -> Record {
        self.interrupt();
        let sockets = self.callers.len() as u64;
        let outcome = RunOutcome {
            ending: self.ending.unwrap_or(RunEnd::Interrupted),
            planned_count: self.planned.end - self.planned.start,
            lost: self.lost,
            connections: Connections { opened: sockets, open_max: sockets, ..Connections::default() },
            sent_bytes: self.sent_bytes,
            received_bytes: self.received_bytes,
            plan: self.plan,
            counters: self.counters,
            cost: self.cost,
        };
        outcome.into_record(name, begun_unix_s)
    }
}

#[cfg(test)]
mod tests;
