//! `DatagramGenerator`: a run over UDP with many sockets. Each datagram begins with its number.
//!
//! A datagram without an answer in time is lost, which is counted and is no error. Late and repeated
//! answers are ignored.

use std::collections::VecDeque;
use std::io::{self, ErrorKind as Kind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::admission::ServerLimits;
use crate::codec::{Framing, Raw};
use crate::event_loop::EventLoop;
use crate::instant::Instant;
use crate::net::{Address, DatagramOptions, Datagrams, Net};
use crate::slab::Key;

use super::counters::{Request, RequestCounters};
use super::error_kind::ErrorKind;
use super::load_run::LoadRun;
use super::member::Member;
use super::outcome::RunOutcome;
use super::pattern::{Pattern, PatternOffset};
use super::plan::{DATAGRAM_LEN_MAX, DATAGRAM_LEN_MIN, Plan, RunLength, Verify};
use super::progress::RunProgress;
use super::record::{Connections, RunEnd};
use super::window::Window;

/// Maximum number of sockets that send unprompted in one turn, so that answers are not kept waiting.
const SLICE: usize = 128;

/// One socket and its requests in flight, the oldest first.
struct LoadSocket {
    key: Key,
    /// Number of the next request. The sockets send in rotation.
    next: u64,
    in_flight: VecDeque<(u64, Request)>,
}

/// The sockets of one thread in a run over UDP.
pub(super) struct DatagramGenerator<N: Net> {
    event_loop: EventLoop<N>,
    plan: Plan,
    server: SocketAddr,
    /// The sockets by the slot of their key.
    sockets: Vec<LoadSocket>,
    pattern: Pattern,
    counters: RequestCounters,
    window: Window,
    /// Number of the next planned request. In a closed loop, the next socket that sends its first one.
    next_planned: u64,
    /// Until when answers are awaited, once no more requests are sent.
    waits_until: Option<Instant>,
    run_end: Option<RunEnd>,
    expiry_checked_at: Instant,
    sent_bytes: u64,
    received_bytes: u64,
    /// The datagram that is sent, and the one that is received.
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    member: Member,
}

impl<N: Net + 'static> DatagramGenerator<N> {
    /// A run over any `Net`.
    ///
    /// # Errors
    /// A socket cannot be bound.
    pub(super) fn over(net: N, server: SocketAddr, plan: Plan, member: Member) -> io::Result<Self> {
        let mut event_loop = EventLoop::new(net, ServerLimits::default()).with_returned_control_events();
        member.register(event_loop.handle());
        let any = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let mut sockets = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections as u64 {
            let source = SocketAddr::new(plan.source(member.share.number_in_run(index)).unwrap_or(any), 0);
            let address = Address::Udp(source.to_string());
            let key = event_loop.bind_socket(&address, &DatagramOptions::default())?;
            sockets.push(LoadSocket { key, next: index, in_flight: VecDeque::new() });
        }
        let now = event_loop.net().now();
        Ok(Self {
            event_loop,
            server,
            sockets,
            pattern: Pattern::new(Framing::Raw(Raw)),
            counters: RequestCounters::new(plan.pace.rate().is_some()),
            window: Window::unset(),
            next_planned: 0,
            waits_until: None,
            run_end: None,
            expiry_checked_at: now,
            sent_bytes: 0,
            received_bytes: 0,
            outgoing: Vec::with_capacity(plan.message_len),
            incoming: vec![0; DATAGRAM_LEN_MAX + 1],
            member,
            plan,
        })
    }

    /// The time by the clock, which goes on within a turn.
    fn clock(&self) -> Instant {
        self.event_loop.net().now()
    }

    /// Sends requests that no answer triggers: planned ones, as far as the pipeline of their socket
    /// permits, and the first ones of a closed loop. One turn sends at most a slice of the due requests.
    fn send_unprompted(&mut self, now: Instant) {
        for _ in 0..SLICE {
            if self.next_unprompted() > now {
                return;
            }
            let index = (self.next_planned % self.sockets.len() as u64) as usize;
            self.next_planned += 1;
            self.fill_pipeline(index);
        }
    }

    /// When the next request may be sent without an answer before it.
    fn next_unprompted(&self) -> Instant {
        match self.window.schedule {
            None if self.window.remaining > 0
                && self.waits_until.is_none()
                && self.next_planned < self.sockets.len() as u64 =>
            {
                Instant::ORIGIN
            }
            Some(schedule) if self.next_planned < self.window.planned.end => schedule.planned(self.next_planned),
            Some(_) | None => Instant::NEVER,
        }
    }

    /// Sends every request that one socket may send.
    fn fill_pipeline(&mut self, index: usize) {
        while self.sockets[index].in_flight.len() < self.plan.pipeline && self.run_end.is_none() {
            let now = self.clock();
            let planned = match self.window.schedule {
                None if self.window.remaining == 0 || self.waits_until.is_some() => return,
                None => now,
                Some(schedule) => {
                    let (step, measured) = (self.sockets.len() as u64, &self.window.planned);
                    let next = schedule.without_overdue(self.sockets[index].next, step, measured.start, now);
                    self.sockets[index].next = next;
                    let planned = schedule.planned(next);
                    if measured.end <= next || now < planned {
                        return;
                    }
                    planned
                }
            };
            let request = Request { planned, sent_at: now };
            self.window.remaining -= u64::from(self.window.schedule.is_none() && self.counters.is_measured(&request));
            self.send(index, request);
        }
    }

    fn send(&mut self, index: usize, request: Request) {
        let step = self.sockets.len() as u64;
        let socket = &mut self.sockets[index];
        let serial = self.member.share.number_in_run(socket.next);
        let message_len = self.plan.lengths().of_request(serial, 0);
        socket.next += step;
        self.outgoing.clear();
        self.outgoing.extend_from_slice(&serial.to_le_bytes());
        let mut offset = PatternOffset::of_connection(serial);
        for chunk in self.pattern.chunks(&mut offset, message_len - DATAGRAM_LEN_MIN) {
            self.outgoing.extend_from_slice(chunk);
        }
        self.counters.count_sent(&request);
        match self.event_loop.socket(socket.key).send(&self.outgoing, &self.server.into()) {
            Ok(()) => self.sent_bytes += if self.counters.is_measured(&request) { message_len as u64 } else { 0 },
            // A datagram that does not fit into the send buffer is lost like any other.
            Err(error) if [Kind::WouldBlock, Kind::Interrupted].contains(&error.kind()) => {}
            // The next one would fail as well.
            Err(error) => {
                let now = request.sent_at;
                self.counters.count_error(now, ErrorKind::of_io(&error), || format!("{}: {error}", self.server));
                self.counters.count_failed(&request);
                return self.end(request.sent_at, RunEnd::Abandoned);
            }
        }
        socket.in_flight.push_back((serial, request));
    }

    /// Receives every queued datagram of one socket, then sends the requests that may follow. It sends nothing
    /// in between, so a server that answers at once cannot keep it from the other sockets.
    fn receive_all(&mut self, index: usize) {
        loop {
            match self.event_loop.socket(self.sockets[index].key).receive(&mut self.incoming) {
                Ok((len, route)) if route.peer == self.server => self.handle_answer(index, len),
                // A datagram of another sender.
                Ok(_) => {}
                Err(error) if error.kind() == Kind::Interrupted => {}
                Err(error) if error.kind() == Kind::WouldBlock => break,
                Err(error) => {
                    let now = self.clock();
                    self.counters.count_error(now, ErrorKind::of_io(&error), || format!("{}: {error}", self.server));
                    break;
                }
            }
        }
        self.fill_pipeline(index);
    }

    fn handle_answer(&mut self, index: usize, len: usize) {
        let now = self.clock();
        let bytes = &self.incoming[..len];
        let serial = bytes.first_chunk().map(|head| u64::from_le_bytes(*head));
        let in_flight = &mut self.sockets[index].in_flight;
        let found = in_flight.iter().position(|(number, _)| Some(*number) == serial);
        let Some((_, request)) = found.and_then(|at| in_flight.remove(at)) else { return };
        let mut offset = PatternOffset::of_connection(serial.unwrap_or_default());
        let is_right = len == self.plan.lengths().of_request(serial.unwrap_or_default(), 0)
            && (self.plan.verify == Verify::Length || self.pattern.matches(&mut offset, &bytes[DATAGRAM_LEN_MIN..]));
        if is_right {
            self.received_bytes += if self.counters.is_measured(&request) { len as u64 } else { 0 };
            self.counters.count_answer(&request, now);
        } else {
            self.counters.count_failed(&request);
            self.counters.count_error(now, ErrorKind::Mismatch, || {
                format!("socket {index}: received {len} bytes that differ from the sent datagram")
            });
        }
    }

    /// Counts requests without an answer in time as lost.
    fn expire_requests(&mut self, now: Instant) {
        if now < self.expiry_checked_at + self.plan.expiry_interval() {
            return;
        }
        self.expiry_checked_at = now;
        for index in 0..self.sockets.len() {
            while let Some((_, request)) = self.sockets[index].in_flight.front().copied()
                && request.sent_at + self.plan.timeout <= now
            {
                self.sockets[index].in_flight.pop_front();
                self.counters.lost += u64::from(self.counters.is_measured(&request));
                self.fill_pipeline(index);
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let is_warming_up = self.clock() < self.window.begin;
        let phase = if is_warming_up { self.window.begin } else { self.waits_until.unwrap_or(self.window.end) };
        self.next_unprompted().min(phase).min(self.expiry_checked_at + self.plan.expiry_interval())
    }

    /// Sets the window of the run, once all threads have bound their sockets. Returns whether it is set.
    fn has_begun(&mut self, now: Instant) -> bool {
        if self.window.begin == Instant::NEVER
            && let Some(begin) = self.member.begin(now)
        {
            self.window = Window::new(&self.plan, self.member.share, begin);
            self.counters.begin(self.window.begin);
            self.counters.end(self.window.end);
        }
        self.window.begin != Instant::NEVER
    }

    fn advance(&mut self, now: Instant) {
        if self.window.begin <= now && !self.member.is_measuring() {
            self.next_planned = self.next_planned.max(self.window.planned.start);
            self.member.begin_measuring();
        }
        let is_plan_sent = self.window.planned.end <= self.next_planned;
        let is_all_sent = match (self.window.schedule, self.plan.run_length) {
            (None, RunLength::Requests(_)) => self.window.remaining == 0,
            (Some(_), RunLength::Requests(_)) => is_plan_sent,
            (_, RunLength::Time(_)) => self.window.end <= now,
        };
        if is_all_sent && self.waits_until.is_none() {
            if let RunLength::Time(_) = self.plan.run_length {
                self.member.end_measuring();
            }
            self.waits_until = Some(now + self.plan.last_answers_timeout());
        }
        let is_idle = || self.sockets.iter().all(|socket| socket.in_flight.is_empty());
        if self.waits_until.is_some_and(|until| until <= now || is_plan_sent && is_idle()) {
            self.end(now, RunEnd::Done);
        }
    }

    fn end(&mut self, now: Instant, run_end: RunEnd) {
        if self.run_end.is_some() {
            return;
        }
        self.member.end_measuring();
        if run_end == RunEnd::Done {
            let in_flight = self.sockets.iter().flat_map(|socket| &socket.in_flight);
            self.counters.lost += in_flight.filter(|(_, request)| self.counters.is_measured(request)).count() as u64;
        }
        self.counters.finish(now, run_end == RunEnd::Done);
        self.window.end = self.window.end.min(now);
        self.run_end = Some(run_end);
        self.member.report(self.progress());
        self.member.end(now);
    }
}

impl<N: Net + 'static> LoadRun for DatagramGenerator<N> {
    fn turn(&mut self) -> io::Result<Option<RunEnd>> {
        let now = self.clock();
        if self.has_begun(now) {
            self.send_unprompted(now);
            // Directly before the sleep, so that no change that ends the run is slept over.
            self.advance(now);
        }
        if self.run_end.is_some() {
            return Ok(self.run_end);
        }
        self.event_loop.turn(Some(self.next_deadline()))?;
        while let Some((key, _)) = self.event_loop.poll_socket() {
            self.receive_all(key.slot());
        }
        while let Some(event) = self.event_loop.poll_control_event() {
            self.handle_control_event(event);
        }
        let now = self.clock();
        self.counters.advance(now, self.sockets.len());
        self.expire_requests(now);
        Ok(self.run_end)
    }

    fn interrupt(&mut self) {
        let now = self.clock();
        self.end(now, RunEnd::Interrupted);
    }

    fn progress(&self) -> RunProgress {
        RunProgress {
            open: self.sockets.len(),
            measured: self.clock().min(self.window.end).since(self.window.begin),
            answered: self.counters.answered_in_window(),
            errors: self.counters.error_count(),
        }
    }

    fn member(&self) -> &Member {
        &self.member
    }

    fn into_outcome(mut self) -> RunOutcome {
        self.interrupt();
        let cost = self.member.wait_for_all();
        let sockets = self.sockets.len() as u64;
        RunOutcome {
            ending: self.run_end.unwrap_or(RunEnd::Interrupted),
            planned_count: self.window.planned_count(),
            connections: Connections { opened: sockets, open_max: sockets, ..Connections::default() },
            sent_bytes: self.sent_bytes,
            received_bytes: self.received_bytes,
            counters: self.counters,
            tls_error: None,
            costs: vec![cost],
        }
    }
}

#[cfg(test)]
mod tests;
