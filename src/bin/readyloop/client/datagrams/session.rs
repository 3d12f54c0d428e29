//! A session over UDP: sends datagrams at a pace, matches replies and detects losses.
//!
//! It is driven by the poll of the reactor: replies, input, signals, and the time of the next loss or
//! the next datagram. The number of datagrams in flight is bounded, and with it the memory.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::ControlFlow;
use std::time::Duration;

use readyloop::Reactor;
use readyloop::client::{Arrival, Sequence, SequenceCounters};
use readyloop::instant::Instant;
use readyloop::net::{ControlEvent, Event, Net};

use super::reply_printer::ReplyPrinter;
use super::source::{Next, Source};
use super::udp_path::UdpPath;

/// The most datagrams in flight when replies pace them, enough to hide the round-trip time.
const IN_FLIGHT_MAX: usize = 16;

/// The most bytes in flight when replies pace them, a third of a receive buffer of the kernel.
const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024;

/// The shortest interval when replies pace them: half the rate at which `serve` answers one network.
const PACED_INTERVAL_MIN: Duration = Duration::from_micros(200);

/// The most datagrams that are received before other work, so that a flood does not delay it.
const RECEIVE_BUDGET: usize = 64;

/// Larger than any datagram, so that none is truncated.
const BUFFER_BYTES: usize = 1 << 16;

/// The time to wait for a duplicate of the last reply, in multiples of the longest round trip.
const LINGER_ROUND_TRIPS: u32 = 2;

/// The bounds of that time.
const LINGER: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// The time of the next datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// When few enough datagrams are in flight.
    AsAnswered,
    /// At this interval.
    Every(Duration),
    /// At once, for a person at a prompt. At the end, the last replies have this much time.
    AsTyped(Duration),
}

/// How a session ended.
#[derive(Debug)]
pub(super) enum UdpSessionEnd {
    /// All datagrams were sent, and each was answered or counted as lost.
    Done,
    /// The user left the prompt.
    Left,
    /// SIGINT or SIGTERM arrived.
    Interrupted,
    /// No server listens there.
    Refused(io::Error),
    /// The socket cannot send or receive.
    SocketFailed(io::Error),
    /// Standard input cannot be read.
    InputFailed(io::Error),
    /// Replies cannot be written.
    OutputFailed(io::Error),
}

/// Statistics of round trips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RoundTrips {
    pub(super) count: u32,
    pub(super) sum: Duration,
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
}

impl RoundTrips {
    pub(super) fn add(&mut self, trip: Duration) {
        self.shortest = if self.count == 0 { trip } else { self.shortest.min(trip) };
        self.longest = self.longest.max(trip);
        self.sum += trip;
        self.count = self.count.saturating_add(1);
    }
}

/// The state of the source.
#[derive(Debug, PartialEq, Eq)]
enum InputState {
    Open,
    /// This datagram waits to be sent.
    Pending(Vec<u8>),
    /// The source has ended. Outstanding replies have until `deadline`.
    Ended {
        deadline: Instant,
    },
}

/// A session with one server.
pub(super) struct UdpSession {
    reactor: Reactor,
    path: UdpPath,
    buffer: Vec<u8>,
    /// Whether a receive may succeed.
    is_readable: bool,
    /// Whether the socket takes no datagram until an event reports space.
    is_full: bool,
    sequence: Sequence,
    source: Source,
    input_state: InputState,
    pace: Pace,
    printer: ReplyPrinter,
    /// Hashes datagrams to labels. The seed is random, so that a peer cannot provoke collisions.
    digest: RandomState,
    /// The earliest time for the next datagram.
    next_at: Instant,
    longest_sent: usize,
    /// The datagram that tests this address, to be sent again to the next one.
    probe: Option<Vec<u8>>,
    has_reply: bool,
    /// The time of the last answer. Unmatched replies do not extend the session.
    answered_at: Instant,
    round_trips: RoundTrips,
}

impl UdpSession {
    pub(super) fn new(
        (reactor, path): (Reactor, UdpPath),
        sequence: Sequence,
        source: Source,
        pace: Pace,
        printer: ReplyPrinter,
    ) -> Self {
        Self {
            reactor,
            path,
            buffer: vec![0; BUFFER_BYTES],
            is_readable: false,
            is_full: false,
            sequence,
            source,
            input_state: InputState::Open,
            pace,
            printer,
            digest: RandomState::new(),
            next_at: Instant::ORIGIN,
            longest_sent: 0,
            probe: None,
            has_reply: false,
            answered_at: Instant::ORIGIN,
            round_trips: RoundTrips::default(),
        }
    }

    /// Sends and receives until the session ends.
    pub(super) fn run(&mut self) -> UdpSessionEnd {
        loop {
            if let Err(end) = self.turn() {
                return end;
            }
        }
    }

    pub(super) fn statistics(&self) -> (SequenceCounters, RoundTrips) {
        (*self.sequence.counters(), self.round_trips)
    }

    /// Restores the terminal, unless the user has left the prompt.
    pub(super) fn leave(self) {
        if !matches!(self.input_state, InputState::Ended { .. }) {
            self.printer.leave();
        }
    }

    fn turn(&mut self) -> Result<(), UdpSessionEnd> {
        // Received replies come first, so that they are not counted as lost.
        self.receive()?;
        let now = self.reactor.now();
        while let Some(number) = self.sequence.poll_lost(now) {
            self.printer.lost(number).map_err(UdpSessionEnd::OutputFailed)?;
        }
        let has_sent = self.send_one(now)?;
        if let Some(end) = self.session_end(now) {
            return Err(end);
        }
        self.wait(if has_sent || self.is_readable { Instant::ORIGIN } else { self.next_work() })
    }

    /// Sleeps until an event or `until`, and remembers the readiness of the socket.
    fn wait(&mut self, until: Instant) -> Result<(), UdpSessionEnd> {
        let mut events = Vec::new();
        let until = (until != Instant::NEVER).then_some(until);
        self.reactor.poll(&mut events, until).map_err(UdpSessionEnd::SocketFailed)?;
        for event in events {
            match event {
                Event::Ready(ready) if ready.token == self.path.token() => {
                    self.is_readable |= ready.readable || ready.read_closed;
                    self.is_full &= !ready.writable;
                }
                Event::Control(ControlEvent::Stop) => return Err(UdpSessionEnd::Interrupted),
                Event::Ready(_) | Event::Control(_) => {}
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), UdpSessionEnd> {
        for _ in 0..RECEIVE_BUDGET {
            if !self.is_readable {
                break;
            }
            match self.path.receive(&mut self.buffer) {
                Ok(len) => self.handle_reply(len)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) => self.handle_failure(error)?,
            }
        }
        Ok(())
    }

    fn session_end(&self, now: Instant) -> Option<UdpSessionEnd> {
        let InputState::Ended { deadline } = self.input_state else { return None };
        let is_settled = self.sequence.counters().awaited == 0 && now >= self.answered_at + self.linger();
        let end = if let Pace::AsTyped(_) = self.pace { UdpSessionEnd::Left } else { UdpSessionEnd::Done };
        (is_settled || now >= deadline).then_some(end)
    }

    fn linger(&self) -> Duration {
        if self.round_trips.count == 0 {
            Duration::ZERO
        } else {
            (self.round_trips.longest * LINGER_ROUND_TRIPS).clamp(LINGER.0, LINGER.1)
        }
    }

    /// The next time at which there is work without an event.
    fn next_work(&self) -> Instant {
        let work = match &self.input_state {
            InputState::Open => Instant::NEVER,
            // A full window waits for a reply or a loss, and a full socket for an event.
            InputState::Pending(datagram) if !self.is_full && self.has_space(datagram.len()) => self.next_at,
            InputState::Pending(_) => Instant::NEVER,
            InputState::Ended { deadline } if self.sequence.counters().awaited == 0 => {
                (*deadline).min(self.answered_at + self.linger())
            }
            InputState::Ended { deadline } => *deadline,
        };
        work.min(self.sequence.poll_deadline())
    }

    /// Whether the datagrams in flight leave space for one of this length.
    fn has_space(&self, len: usize) -> bool {
        let awaited = self.sequence.counters().awaited as usize;
        if self.is_probing() {
            return awaited == 0;
        }
        let has_space = match self.pace {
            Pace::AsAnswered => {
                awaited < (IN_FLIGHT_BYTES_MAX / self.longest_sent.max(len).max(1)).clamp(1, IN_FLIGHT_MAX)
            }
            Pace::Every(_) | Pace::AsTyped(_) => true,
        };
        has_space && !self.sequence.is_full()
    }

    /// Whether no reply has arrived and there are other addresses to try.
    fn is_probing(&self) -> bool {
        !self.has_reply && self.path.has_untried()
    }

    /// Sends the next datagram if its time has come. Returns whether it did.
    fn send_one(&mut self, now: Instant) -> Result<bool, UdpSessionEnd> {
        if self.input_state == InputState::Open {
            match self.source.next() {
                Next::Datagram(datagram) => self.input_state = InputState::Pending(datagram),
                Next::NotYet => {}
                Next::End => self.end(now),
                Next::Failed(error) => return Err(UdpSessionEnd::InputFailed(error)),
            }
        }
        match &self.input_state {
            InputState::Pending(datagram) if self.next_at <= now && !self.is_full && self.has_space(datagram.len()) => {
            }
            InputState::Pending(_) | InputState::Open | InputState::Ended { .. } => return Ok(false),
        }
        let InputState::Pending(datagram) = mem::replace(&mut self.input_state, InputState::Open) else {
            return Ok(false);
        };
        if !self.send(datagram)? {
            return Ok(false);
        }
        let interval = match self.pace {
            Pace::AsAnswered => PACED_INTERVAL_MIN,
            Pace::Every(interval) => interval,
            Pace::AsTyped(_) => Duration::ZERO,
        };
        self.next_at = next_send_at(self.next_at, interval, now);
        Ok(true)
    }

    fn end(&mut self, now: Instant) {
        let last_replies_timeout = match self.pace {
            Pace::AsTyped(last_replies_timeout) => last_replies_timeout,
            Pace::AsAnswered | Pace::Every(_) => Duration::MAX,
        };
        self.input_state = InputState::Ended { deadline: now + last_replies_timeout };
    }

    /// Sends a datagram, or keeps it if the socket is full. Returns whether it is sent.
    fn send(&mut self, datagram: Vec<u8>) -> Result<bool, UdpSessionEnd> {
        loop {
            // Taken before sending: the reply may arrive before send(2) returns.
            let now = self.reactor.now();
            match self.path.send(&datagram) {
                Ok(()) => {
                    self.sequence.handle_sent(self.digest.hash_one(&datagram[..]), now);
                    self.longest_sent = self.longest_sent.max(datagram.len());
                    self.probe = self.is_probing().then_some(datagram);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    self.input_state = InputState::Pending(datagram);
                    return Ok(false);
                }
                // The error is about an earlier datagram. This one was not sent.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.handle_failure(error)?,
                Err(error) => return self.report_failure(error, UdpSessionEnd::SocketFailed).map(|()| true),
            }
        }
    }

    fn handle_reply(&mut self, len: usize) -> Result<(), UdpSessionEnd> {
        let (bytes, at) = (&self.buffer[..len], self.reactor.now());
        (self.has_reply, self.probe) = (true, None);
        let label = self.digest.hash_one(bytes);
        let is_labelled = match self.source {
            Source::Numbered(_) => true,
            // A server that is no echo is assumed to answer in order.
            Source::Input(_) => self.sequence.contains(label),
        };
        let arrival =
            if is_labelled { self.sequence.handle_reply(label, at) } else { self.sequence.handle_unlabeled_reply(at) };
        match arrival {
            Arrival::Answer { round_trip, .. }
            | Arrival::Reordered { round_trip, .. }
            | Arrival::Late { round_trip, .. } => {
                self.answered_at = at;
                self.round_trips.add(round_trip);
            }
            Arrival::Duplicate { .. } | Arrival::Unknown => {}
        }
        self.printer.reply(bytes, &arrival).map_err(UdpSessionEnd::OutputFailed)
    }

    /// Handles an error of the socket. After a refusal, another address of the name may have a server.
    fn handle_failure(&mut self, error: io::Error) -> Result<(), UdpSessionEnd> {
        if error.kind() != ErrorKind::ConnectionRefused {
            return self.report_failure(error, UdpSessionEnd::SocketFailed);
        }
        if self.is_probing() && self.path.switch_to_next(&mut self.reactor).is_ok() {
            let Some(probe) = self.probe.take() else { return Ok(()) };
            // The probe was refused, so no server has received it.
            self.path.send(&probe).map_err(UdpSessionEnd::SocketFailed)?;
            self.probe = self.is_probing().then_some(probe);
            return Ok(());
        }
        self.sequence.give_up();
        self.report_failure(error, UdpSessionEnd::Refused)
    }

    /// Reports a failure at the prompt and continues, or ends the session.
    fn report_failure(&mut self, error: io::Error, end: fn(io::Error) -> UdpSessionEnd) -> Result<(), UdpSessionEnd> {
        match self.printer.failure(&error).map_err(UdpSessionEnd::OutputFailed)? {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(end(error)),
        }
    }
}

/// The time of the next datagram, after one that was planned for `planned` and sent `now`.
///
/// A small delay keeps the schedule. A delay of an interval or more shifts it, so that there is no burst.
fn next_send_at(planned: Instant, interval: Duration, now: Instant) -> Instant {
    let next = planned + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests;
