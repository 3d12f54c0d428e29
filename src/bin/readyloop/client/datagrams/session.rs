//! The conversation: datagrams leave at their pace, replies are told apart, silence is noticed.
//!
//! One thread sleeps on one channel: for replies, for input, until a reply is due or the next
//! datagram may leave. How many datagrams are awaited at once is bounded, and with it the memory.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use readyloop::client::{Arrival, Sequence, SequenceCounters};
use readyloop::instant::Instant;

use super::EVENTS_MAX;
use super::reply_printer::{AfterFailure, ReplyPrinter};
use super::source::{Next, Source};
use super::udp_path::{Clock, Event, UdpPath};

/// How many may be awaited where the next leaves as replies come: enough to hide the round trip.
const AWAITED_MAX: usize = 16;

/// And how many bytes, of which a kernel's buffer holds three times as many.
const AWAITED_BYTES_MAX: usize = 64 * 1024;

/// And how soon after the one before: at half the rate at which `serve` answers one network.
const AS_ANSWERED_INTERVAL: Duration = Duration::from_micros(200);

/// How long a duplicate of the last reply is awaited, in round trips: it may have taken a longer way.
const LINGER_ROUND_TRIPS: u32 = 2;

/// And the bounds of that: what nobody notices, and what nobody minds.
const LINGER: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// When the next datagram leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// When few enough are awaited.
    AsAnswered,
    /// At these distances, whatever comes back.
    Every(Duration),
    /// At once: somebody types. At the end the last replies have so much time.
    AsTyped(Duration),
}

/// How it ended.
#[derive(Debug)]
pub(super) enum UdpSessionEnd {
    /// All was sent, and each was answered or held for lost.
    Done,
    /// Somebody typed `exit`.
    Left,
    /// A signal asked for the end.
    Interrupted,
    /// Nobody listens there.
    Refused(io::Error),
    /// The system could not send or receive.
    SocketFailed(io::Error),
    /// The input failed.
    InputFailed(io::Error),
    /// Nothing can be shown any more.
    OutputFailed(io::Error),
}

/// Round trips, in short.
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

/// How far the source has come.
#[derive(Debug, PartialEq, Eq)]
enum InputState {
    Open,
    /// This one waits until it may leave.
    Waiting(Vec<u8>),
    /// Nothing more comes; whatever is still awaited has until then.
    Ended {
        deadline: Instant,
    },
}

/// One conversation.
pub(super) struct UdpSession {
    path: UdpPath,
    sequence: Sequence,
    source: Source,
    input_state: InputState,
    pace: Pace,
    printer: ReplyPrinter,
    clock: Clock,
    /// Makes labels out of datagrams; seeded, so that no peer can make two of them alike.
    digest: RandomState,
    /// When the next may leave, as far as that is a matter of time.
    next_at: Instant,
    longest_sent: usize,
    /// The one datagram that was sent to find out whether this address is the one.
    probe: Option<Vec<u8>>,
    has_reply: bool,
    /// When the last answer came; what answers nothing does not keep us here.
    answered_at: Instant,
    round_trips: RoundTrips,
}

impl UdpSession {
    pub(super) fn new(
        path: UdpPath,
        sequence: Sequence,
        source: Source,
        pace: Pace,
        printer: ReplyPrinter,
        clock: Clock,
    ) -> Self {
        Self {
            path,
            sequence,
            source,
            input_state: InputState::Open,
            pace,
            printer,
            clock,
            digest: RandomState::new(),
            next_at: Instant::ORIGIN,
            longest_sent: 0,
            probe: None,
            has_reply: false,
            answered_at: Instant::ORIGIN,
            round_trips: RoundTrips::default(),
        }
    }

    /// Sends and listens to the end.
    pub(super) fn run(&mut self, events: &Receiver<Event>) -> UdpSessionEnd {
        loop {
            match self.turn(events) {
                Ok(None) => {}
                Ok(Some(ending)) | Err(ending) => return ending,
            }
        }
    }

    pub(super) fn counters(&self) -> &SequenceCounters {
        self.sequence.counters()
    }

    pub(super) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    /// Leaves the terminal as it was, unless its user has left it.
    pub(super) fn leave(self) {
        if !matches!(self.input_state, InputState::Ended { .. }) {
            self.printer.leave();
        }
    }

    fn turn(&mut self, events: &Receiver<Event>) -> Result<Option<UdpSessionEnd>, UdpSessionEnd> {
        // First: what came while we were busy came in time. No more than was there: who floods us
        // must not keep us from all else.
        for event in events.try_iter().take(EVENTS_MAX) {
            self.handle(event)?;
        }
        let now = self.clock.now();
        while let Some(number) = self.sequence.poll_lost(now) {
            self.printer.lost(number).map_err(UdpSessionEnd::OutputFailed)?;
        }
        let has_sent = self.send_one(now)?;
        if let Some(ending) = self.ending(now) {
            return Ok(Some(ending));
        }
        let until = if has_sent { now } else { self.next_work() };
        match events.recv_timeout(until.since(now)) {
            Ok(event) => self.handle(event)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        Ok(None)
    }

    fn ending(&self, now: Instant) -> Option<UdpSessionEnd> {
        let InputState::Ended { deadline } = self.input_state else { return None };
        let is_settled = self.sequence.counters().awaited == 0 && now >= self.answered_at + self.linger();
        let ending = if let Pace::AsTyped(_) = self.pace { UdpSessionEnd::Left } else { UdpSessionEnd::Done };
        (is_settled || now >= deadline).then_some(ending)
    }

    fn linger(&self) -> Duration {
        if self.round_trips.count == 0 {
            Duration::ZERO
        } else {
            (self.round_trips.longest * LINGER_ROUND_TRIPS).clamp(LINGER.0, LINGER.1)
        }
    }

    /// When there is something to do though nothing comes.
    fn next_work(&self) -> Instant {
        let work = match &self.input_state {
            InputState::Open => Instant::NEVER,
            // Where it is not for time to say, a reply or a loss comes first.
            InputState::Waiting(datagram) if self.has_room(datagram.len()) => self.next_at,
            InputState::Waiting(_) => Instant::NEVER,
            InputState::Ended { deadline } if self.sequence.counters().awaited == 0 => {
                (*deadline).min(self.answered_at + self.linger())
            }
            InputState::Ended { deadline } => *deadline,
        };
        work.min(self.sequence.poll_deadline())
    }

    /// Whether a datagram so long may leave as far as others are concerned.
    fn has_room(&self, len: usize) -> bool {
        let awaited = self.sequence.counters().awaited as usize;
        if self.is_probing() {
            return awaited == 0;
        }
        let has_room = match self.pace {
            Pace::AsAnswered => awaited < (AWAITED_BYTES_MAX / self.longest_sent.max(len).max(1)).clamp(1, AWAITED_MAX),
            Pace::Every(_) | Pace::AsTyped(_) => true,
        };
        has_room && !self.sequence.is_full()
    }

    /// Whether another address may yet turn out to be the one.
    fn is_probing(&self) -> bool {
        !self.has_reply && self.path.has_untried()
    }

    /// Sends the next datagram if it may leave: whether it did.
    fn send_one(&mut self, now: Instant) -> Result<bool, UdpSessionEnd> {
        if self.input_state == InputState::Open {
            match self.source.next() {
                Next::Datagram(datagram) => self.input_state = InputState::Waiting(datagram),
                Next::NotYet => {}
                Next::End => self.end(now),
                Next::Failed(error) => return Err(UdpSessionEnd::InputFailed(error)),
            }
        }
        match &self.input_state {
            InputState::Waiting(datagram) if self.next_at <= now && self.has_room(datagram.len()) => {}
            InputState::Waiting(_) | InputState::Open | InputState::Ended { .. } => return Ok(false),
        }
        let InputState::Waiting(datagram) = mem::replace(&mut self.input_state, InputState::Open) else {
            return Ok(false);
        };
        self.send(datagram)?;
        let interval = match self.pace {
            Pace::AsAnswered => AS_ANSWERED_INTERVAL,
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

    fn send(&mut self, datagram: Vec<u8>) -> Result<(), UdpSessionEnd> {
        loop {
            // Before it leaves: its reply may be here before we are back.
            let now = self.clock.now();
            match self.path.send(&datagram) {
                Ok(()) => {
                    self.sequence.handle_sent(self.digest.hash_one(&datagram[..]), now);
                    self.longest_sent = self.longest_sent.max(datagram.len());
                    self.probe = self.is_probing().then_some(datagram);
                    return Ok(());
                }
                // Of one before it: this one has not left.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.handle_failure(error)?,
                Err(error) => return self.report_failure(error, UdpSessionEnd::SocketFailed),
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), UdpSessionEnd> {
        match event {
            Event::Reply { path, bytes, at } if path == self.path.number() => self.handle_reply(&bytes, at),
            Event::Failed { path, error } if path == self.path.number() => self.handle_failure(error),
            Event::Reply { .. } | Event::Failed { .. } | Event::Input => Ok(()),
            Event::Interrupted => Err(UdpSessionEnd::Interrupted),
        }
    }

    fn handle_reply(&mut self, bytes: &[u8], at: Instant) -> Result<(), UdpSessionEnd> {
        (self.has_reply, self.probe) = (true, None);
        let label = self.digest.hash_one(bytes);
        let is_labelled = match self.source {
            Source::Numbered(_) => true,
            // Whoever is no echo answers one after another, as far as anybody can tell.
            Source::Input(_) => self.sequence.knows(label),
        };
        let arrival =
            if is_labelled { self.sequence.handle_reply(label, at) } else { self.sequence.handle_unlabelled(at) };
        match arrival {
            Arrival::Answer { round_trip, .. }
            | Arrival::Overtaken { round_trip, .. }
            | Arrival::Late { round_trip, .. } => {
                self.answered_at = at;
                self.round_trips.add(round_trip);
            }
            Arrival::Duplicate { .. } | Arrival::Unknown => {}
        }
        self.printer.reply(bytes, &arrival).map_err(UdpSessionEnd::OutputFailed)
    }

    /// Where nobody listens at this address, somebody may at another one that the name stands for.
    fn handle_failure(&mut self, error: io::Error) -> Result<(), UdpSessionEnd> {
        if error.kind() != ErrorKind::ConnectionRefused {
            return self.report_failure(error, UdpSessionEnd::SocketFailed);
        }
        if self.is_probing() && self.path.switch_to_next().is_ok() {
            let Some(probe) = self.probe.take() else { return Ok(()) };
            // It was refused: nobody has seen it yet.
            self.path.send(&probe).map_err(UdpSessionEnd::SocketFailed)?;
            self.probe = self.is_probing().then_some(probe);
            return Ok(());
        }
        self.sequence.give_up();
        self.report_failure(error, UdpSessionEnd::Refused)
    }

    /// Goes on after a failure where a person has been told of it.
    fn report_failure(
        &mut self,
        error: io::Error,
        ending: fn(io::Error) -> UdpSessionEnd,
    ) -> Result<(), UdpSessionEnd> {
        match self.printer.failure(&error).map_err(UdpSessionEnd::OutputFailed)? {
            AfterFailure::Continue => Ok(()),
            AfterFailure::Stop => Err(ending(error)),
        }
    }
}

/// When the next one leaves, behind one that was planned for then and has left now. Who is a little
/// late keeps to the plan; what is long past is not made up for.
fn next_send_at(planned: Instant, interval: Duration, now: Instant) -> Instant {
    let next = planned + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests;
