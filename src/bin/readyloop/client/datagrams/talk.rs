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
use super::shown::{After, Shown};
use super::source::{Next, Source};
use super::way::{Clock, Event, Way};

/// How many may be awaited where the next leaves as replies come: enough to hide the round trip.
const AWAITED_MAX: usize = 16;

/// And how many bytes, of which a kernel's buffer holds three times as many.
const AWAITED_BYTES_MAX: usize = 64 * 1024;

/// And how soon after the one before: at half the rate at which `serve` answers one network.
const AS_ANSWERED_INTERVAL: Duration = Duration::from_micros(200);

/// How long a duplicate of the last reply is awaited, in round trips: it may have taken a longer way.
const LINGER_TRIPS: u32 = 2;

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
pub(super) enum Ending {
    /// All was sent, and each was answered or held for lost.
    Done,
    /// Somebody typed `exit`.
    Left,
    /// A signal asked for the end.
    Interrupted,
    /// Nobody listens there.
    Refused(io::Error),
    /// The system could not send or receive.
    Broken(io::Error),
    /// The input failed.
    Unread(io::Error),
    /// Nothing can be shown any more.
    Unseen(io::Error),
}

/// Round trips, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trips {
    pub(super) count: u32,
    pub(super) sum: Duration,
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
}

impl Trips {
    pub(super) fn add(&mut self, trip: Duration) {
        self.shortest = if self.count == 0 { trip } else { self.shortest.min(trip) };
        self.longest = self.longest.max(trip);
        self.sum += trip;
        self.count = self.count.saturating_add(1);
    }
}

/// How far the source has come.
#[derive(Debug, PartialEq, Eq)]
enum Supply {
    Open,
    /// This one waits until it may leave.
    Waiting(Vec<u8>),
    /// Nothing more comes; whatever is still awaited has until then.
    Ended {
        leave_at: Instant,
    },
}

/// One conversation.
pub(super) struct Talk {
    way: Way,
    sequence: Sequence,
    source: Source,
    supply: Supply,
    pace: Pace,
    shown: Shown,
    clock: Clock,
    /// Makes labels out of datagrams; seeded, so that no peer can make two of them alike.
    digest: RandomState,
    /// When the next may leave, as far as that is a matter of time.
    next_at: Instant,
    longest_sent: usize,
    /// The one datagram that was sent to find out whether this address is the one.
    probe: Option<Vec<u8>>,
    has_heard: bool,
    /// When the last answer came; what answers nothing does not keep us here.
    answered_at: Instant,
    trips: Trips,
}

impl Talk {
    pub(super) fn new(way: Way, sequence: Sequence, source: Source, pace: Pace, shown: Shown, clock: Clock) -> Self {
        Self {
            way,
            sequence,
            source,
            supply: Supply::Open,
            pace,
            shown,
            clock,
            digest: RandomState::new(),
            next_at: Instant::ORIGIN,
            longest_sent: 0,
            probe: None,
            has_heard: false,
            answered_at: Instant::ORIGIN,
            trips: Trips::default(),
        }
    }

    /// Sends and listens to the end.
    pub(super) fn run(&mut self, events: &Receiver<Event>) -> Ending {
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

    pub(super) fn trips(&self) -> &Trips {
        &self.trips
    }

    /// Leaves the terminal as it was, unless its user has left it.
    pub(super) fn leave(self) {
        if !matches!(self.supply, Supply::Ended { .. }) {
            self.shown.leave();
        }
    }

    fn turn(&mut self, events: &Receiver<Event>) -> Result<Option<Ending>, Ending> {
        // First: what came while we were busy came in time. No more than was there: who floods us
        // must not keep us from all else.
        for event in events.try_iter().take(EVENTS_MAX) {
            self.handle(event)?;
        }
        let now = self.clock.now();
        while let Some(number) = self.sequence.poll_lost(now) {
            self.shown.lost(number).map_err(Ending::Unseen)?;
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

    fn ending(&self, now: Instant) -> Option<Ending> {
        let Supply::Ended { leave_at } = self.supply else { return None };
        let is_settled = self.sequence.counters().awaited == 0 && now >= self.answered_at + self.linger();
        let ending = if let Pace::AsTyped(_) = self.pace { Ending::Left } else { Ending::Done };
        (is_settled || now >= leave_at).then_some(ending)
    }

    fn linger(&self) -> Duration {
        if self.trips.count == 0 {
            Duration::ZERO
        } else {
            (self.trips.longest * LINGER_TRIPS).clamp(LINGER.0, LINGER.1)
        }
    }

    /// When there is something to do though nothing comes.
    fn next_work(&self) -> Instant {
        let work = match &self.supply {
            Supply::Open => Instant::NEVER,
            // Where it is not for time to say, a reply or a loss comes first.
            Supply::Waiting(datagram) if self.has_room(datagram.len()) => self.next_at,
            Supply::Waiting(_) => Instant::NEVER,
            Supply::Ended { leave_at } if self.sequence.counters().awaited == 0 => {
                (*leave_at).min(self.answered_at + self.linger())
            }
            Supply::Ended { leave_at } => *leave_at,
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
        !self.has_heard && self.way.has_others()
    }

    /// Sends the next datagram if it may leave: whether it did.
    fn send_one(&mut self, now: Instant) -> Result<bool, Ending> {
        if self.supply == Supply::Open {
            match self.source.next() {
                Next::Datagram(datagram) => self.supply = Supply::Waiting(datagram),
                Next::NotYet => {}
                Next::End => self.end(now),
                Next::Failed(error) => return Err(Ending::Unread(error)),
            }
        }
        match &self.supply {
            Supply::Waiting(datagram) if self.next_at <= now && self.has_room(datagram.len()) => {}
            Supply::Waiting(_) | Supply::Open | Supply::Ended { .. } => return Ok(false),
        }
        let Supply::Waiting(datagram) = mem::replace(&mut self.supply, Supply::Open) else { return Ok(false) };
        self.send(datagram)?;
        let interval = match self.pace {
            Pace::AsAnswered => AS_ANSWERED_INTERVAL,
            Pace::Every(interval) => interval,
            Pace::AsTyped(_) => Duration::ZERO,
        };
        self.next_at = next_after(self.next_at, interval, now);
        Ok(true)
    }

    fn end(&mut self, now: Instant) {
        let patience = match self.pace {
            Pace::AsTyped(patience) => patience,
            Pace::AsAnswered | Pace::Every(_) => Duration::MAX,
        };
        self.supply = Supply::Ended { leave_at: now + patience };
    }

    fn send(&mut self, datagram: Vec<u8>) -> Result<(), Ending> {
        loop {
            // Before it leaves: its reply may be here before we are back.
            let now = self.clock.now();
            match self.way.send(&datagram) {
                Ok(()) => {
                    self.sequence.handle_sent(self.digest.hash_one(&datagram[..]), now);
                    self.longest_sent = self.longest_sent.max(datagram.len());
                    self.probe = self.is_probing().then_some(datagram);
                    return Ok(());
                }
                // Of one before it: this one has not left.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.handle_failure(error)?,
                Err(error) => return self.tell(error, Ending::Broken),
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Ending> {
        match event {
            Event::Reply { way, bytes, at } if way == self.way.number() => self.handle_reply(&bytes, at),
            Event::Failed { way, error } if way == self.way.number() => self.handle_failure(error),
            Event::Reply { .. } | Event::Failed { .. } | Event::Input => Ok(()),
            Event::Interrupted => Err(Ending::Interrupted),
        }
    }

    fn handle_reply(&mut self, bytes: &[u8], at: Instant) -> Result<(), Ending> {
        (self.has_heard, self.probe) = (true, None);
        let label = self.digest.hash_one(bytes);
        let is_labelled = match self.source {
            Source::Numbers(_) => true,
            // Whoever is no echo answers one after another, as far as anybody can tell.
            Source::Input(_) => self.sequence.contains(label),
        };
        let arrival =
            if is_labelled { self.sequence.handle_reply(label, at) } else { self.sequence.handle_unlabeled_reply(at) };
        match arrival {
            Arrival::Answer { round_trip, .. }
            | Arrival::Reordered { round_trip, .. }
            | Arrival::Late { round_trip, .. } => {
                self.answered_at = at;
                self.trips.add(round_trip);
            }
            Arrival::Duplicate { .. } | Arrival::Unknown => {}
        }
        self.shown.reply(bytes, &arrival).map_err(Ending::Unseen)
    }

    /// Where nobody listens at this address, somebody may at another one that the name stands for.
    fn handle_failure(&mut self, error: io::Error) -> Result<(), Ending> {
        if error.kind() != ErrorKind::ConnectionRefused {
            return self.tell(error, Ending::Broken);
        }
        if self.is_probing() && self.way.turn_to_the_next().is_ok() {
            let Some(probe) = self.probe.take() else { return Ok(()) };
            // It was refused: nobody has seen it yet.
            self.way.send(&probe).map_err(Ending::Broken)?;
            self.probe = self.is_probing().then_some(probe);
            return Ok(());
        }
        self.sequence.give_up();
        self.tell(error, Ending::Refused)
    }

    /// Goes on after a failure where a person has been told of it.
    fn tell(&mut self, error: io::Error, ending: fn(io::Error) -> Ending) -> Result<(), Ending> {
        match self.shown.failure(&error).map_err(Ending::Unseen)? {
            After::GoOn => Ok(()),
            After::Leave => Err(ending(error)),
        }
    }
}

/// When the next one leaves, behind one that was planned for then and has left now. Who is a little
/// late keeps to the plan; what is long past is not made up for.
fn next_after(planned: Instant, interval: Duration, now: Instant) -> Instant {
    let next = planned + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests;
