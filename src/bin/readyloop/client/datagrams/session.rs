//! A session over UDP: sends datagrams at a pace, matches replies and detects losses.
//!
//! Each turn of the event loop sleeps until a reply, input, a signal, or the time of the next loss or the
//! next datagram. The number of datagrams in flight is bounded, and with it the memory.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write as _, stderr};
use std::mem;
use std::time::Duration;

use readyloop::Address;
use readyloop::client::{Arrival, Sequence};
use readyloop::instant::Instant;
use readyloop::net::{ControlEvent, Net as _};

use crate::cli_error::io_message;
use crate::client::input::Input;
use crate::client::outcome::{Ended, input_failed, loop_failed};
use crate::client::prompt::LAST_REPLIES_TIMEOUT;
use crate::client::view::View;

use super::DATAGRAM_LEN_MAX;
use super::summary::{self, RoundTrips, unreachable};
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
    /// At once, for a person at a prompt.
    AsTyped,
}

/// What a session sends, and how.
pub(super) struct Plan {
    /// The datagrams that are available. The event loop wakes when there is one.
    pub(super) source: Box<dyn Iterator<Item = Input>>,
    pub(super) pace: Pace,
    /// The datagrams have numbers, so a reply with other bytes answers none of them.
    pub(super) is_numbered: bool,
    /// The time to wait for each reply. With zero, no reply is expected.
    pub(super) timeout: Duration,
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
pub(super) struct UdpSession<'a> {
    address: &'a Address,
    path: UdpPath,
    plan: Plan,
    view: View,
    buffer: Vec<u8>,
    /// Whether a receive may succeed.
    is_readable: bool,
    /// Whether the socket takes no datagram until an event reports space.
    is_full: bool,
    sequence: Sequence,
    input_state: InputState,
    /// Hashes datagrams to labels. The seed is random, so that a peer cannot provoke collisions.
    digest: RandomState,
    /// The earliest time for the next datagram.
    next_at: Instant,
    longest_sent: usize,
    /// The datagram that tests this address, to be sent again to the next one.
    probe: Option<Vec<u8>>,
    /// The time of the last answer. Unmatched replies do not extend the session.
    answered_at: Instant,
    round_trips: RoundTrips,
}

impl<'a> UdpSession<'a> {
    /// Creates a session over a path to `address`.
    pub(super) fn new(address: &'a Address, path: UdpPath, plan: Plan, view: View) -> Self {
        Self {
            address,
            path,
            view,
            buffer: vec![0; BUFFER_BYTES],
            is_readable: false,
            is_full: false,
            sequence: Sequence::new(plan.timeout),
            plan,
            input_state: InputState::Open,
            digest: RandomState::new(),
            next_at: Instant::ORIGIN,
            longest_sent: 0,
            probe: None,
            answered_at: Instant::ORIGIN,
            round_trips: RoundTrips::default(),
        }
    }

    /// Sends and receives until the session ends, then prints the counts.
    pub(super) fn run(mut self) -> Ended {
        let ended = self.run_to_end();
        let ended = self.view.finish(ended);
        let counts = summary::counts(self.plan.timeout, self.sequence.counters(), &self.round_trips);
        // A closed standard error leaves no place to report to.
        let _ = writeln!(stderr(), "{counts}");
        ended
    }

    fn run_to_end(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.turn() {
                return ended;
            }
        }
    }

    fn turn(&mut self) -> Result<(), Ended> {
        // Received replies come first, so that they are not counted as lost.
        self.receive()?;
        if self.view.is_full() {
            // No reply counts as lost while the reader of standard output delays it.
            return self.wait(Instant::NEVER);
        }
        let now = self.now();
        while let Some(number) = self.sequence.poll_lost(now) {
            self.report_loss(number)?;
        }
        self.fetch(now)?;
        if self.next_send_at() <= now {
            self.send_pending(now)?;
            self.fetch(now)?;
        }
        if self.end_at() <= now {
            // A person has seen the losses.
            return Err(if self.plan.pace == Pace::AsTyped { Ok(()) } else { self.result() });
        }
        let next = self.next_send_at().min(self.end_at()).min(self.sequence.poll_deadline());
        self.wait(if self.is_readable { Instant::ORIGIN } else { next })
    }

    /// The time by the clock, which goes on within a turn.
    fn now(&self) -> Instant {
        self.path.event_loop.net().now()
    }

    /// Writes output, sleeps until an event or `until`, and remembers the readiness of the socket.
    fn wait(&mut self, until: Instant) -> Result<(), Ended> {
        self.view.flush()?;
        self.path.event_loop.turn(Some(until)).map_err(loop_failed)?;
        while let Some((_, ready)) = self.path.event_loop.poll_socket() {
            self.is_readable |= ready.readable;
            self.is_full &= !ready.writable;
        }
        while let Some(event) = self.path.event_loop.poll_control_event() {
            if event == ControlEvent::Stop {
                return Err(self.result());
            }
        }
        Ok(())
    }

    /// The result of a session that has ended as planned or by a signal.
    fn result(&self) -> Ended {
        summary::check_losses(self.address, self.plan.timeout, self.sequence.counters())
    }

    fn receive(&mut self) -> Result<(), Ended> {
        for _ in 0..RECEIVE_BUDGET {
            if !self.is_readable || self.view.is_full() {
                break;
            }
            match self.path.socket().receive_from_peer(&mut self.buffer) {
                Ok(len) => self.handle_reply(len)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.handle_failure(&error)?,
            }
        }
        Ok(())
    }

    /// When the session ends, if nothing happens before.
    fn end_at(&self) -> Instant {
        match self.input_state {
            InputState::Ended { deadline } if self.sequence.counters().awaited == 0 => {
                deadline.min(self.answered_at + self.linger())
            }
            InputState::Ended { deadline } => deadline,
            InputState::Open | InputState::Pending(_) => Instant::NEVER,
        }
    }

    fn linger(&self) -> Duration {
        if self.round_trips.count == 0 {
            Duration::ZERO
        } else {
            (self.round_trips.longest * LINGER_ROUND_TRIPS).clamp(LINGER.0, LINGER.1)
        }
    }

    /// When the pending datagram may be sent, if no event comes before. A full window waits for a reply or a
    /// loss, and a full socket for an event.
    fn next_send_at(&self) -> Instant {
        match &self.input_state {
            InputState::Pending(datagram) if !self.is_full && self.has_space(datagram.len()) => self.next_at,
            InputState::Open | InputState::Pending(_) | InputState::Ended { .. } => Instant::NEVER,
        }
    }

    /// Whether the datagrams in flight leave space for one of this length.
    fn has_space(&self, len: usize) -> bool {
        let awaited = self.sequence.counters().awaited as usize;
        match self.plan.pace {
            // One datagram at a time tests an address.
            _ if self.path.has_untried() => awaited == 0,
            _ if self.sequence.is_full() => false,
            Pace::AsAnswered => {
                awaited < (IN_FLIGHT_BYTES_MAX / self.longest_sent.max(len).max(1)).clamp(1, IN_FLIGHT_MAX)
            }
            Pace::Every(_) | Pace::AsTyped => true,
        }
    }

    /// Takes the next datagram of the source, unless one is pending.
    fn fetch(&mut self, now: Instant) -> Result<(), Ended> {
        if self.input_state != InputState::Open {
            return Ok(());
        }
        match self.plan.source.next() {
            None => {}
            Some(Input::Frame(frame)) if frame.len() > DATAGRAM_LEN_MAX => {
                let text = format!("the input is longer than a datagram can be ({DATAGRAM_LEN_MAX} bytes)");
                return Err(input_failed(io::Error::new(ErrorKind::InvalidData, text)));
            }
            Some(Input::Frame(frame)) => self.input_state = InputState::Pending(frame),
            Some(Input::End) => {
                let is_typed = self.plan.pace == Pace::AsTyped;
                let deadline = if is_typed { now + LAST_REPLIES_TIMEOUT } else { Instant::NEVER };
                self.input_state = InputState::Ended { deadline };
            }
            Some(Input::Failed(error)) => return Err(input_failed(error)),
        }
        Ok(())
    }

    /// Sends the pending datagram, or keeps it if the socket is full.
    fn send_pending(&mut self, now: Instant) -> Result<(), Ended> {
        let InputState::Pending(datagram) = mem::replace(&mut self.input_state, InputState::Open) else {
            return Ok(());
        };
        let sent_at = loop {
            // Taken before sending: the reply may arrive before send(2) returns.
            let sent_at = self.now();
            match self.path.socket().send_to_peer(&datagram) {
                Ok(()) => break sent_at,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    self.input_state = InputState::Pending(datagram);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The error is about an earlier datagram. This one was not sent.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.handle_failure(&error)?,
                Err(error) => return self.handle_failure(&error),
            }
        };
        self.sequence.handle_sent(self.digest.hash_one(&datagram[..]), sent_at);
        self.longest_sent = self.longest_sent.max(datagram.len());
        self.probe = self.path.has_untried().then_some(datagram);
        let interval = match self.plan.pace {
            Pace::AsAnswered => PACED_INTERVAL_MIN,
            Pace::Every(interval) => interval,
            Pace::AsTyped => Duration::ZERO,
        };
        self.next_at = next_send_at(self.next_at, interval, now);
        Ok(())
    }

    fn handle_reply(&mut self, len: usize) -> Result<(), Ended> {
        let (bytes, at) = (&self.buffer[..len], self.now());
        self.path.keep();
        let label = self.digest.hash_one(bytes);
        // A server that is no echo is assumed to answer in order.
        let is_labeled = self.plan.is_numbered || self.sequence.contains(label);
        let arrival =
            if is_labeled { self.sequence.handle_reply(label, at) } else { self.sequence.handle_unlabeled_reply(at) };
        match arrival {
            Arrival::Answer { round_trip, .. }
            | Arrival::Reordered { round_trip, .. }
            | Arrival::Late { round_trip, .. } => {
                self.answered_at = at;
                self.round_trips.add(round_trip);
            }
            Arrival::Duplicate { .. } | Arrival::Unknown => {}
        }
        if self.plan.is_numbered {
            self.view.print(&summary::numbered_line(len, &arrival))
        } else {
            self.view.show(bytes, summary::remarks(&arrival))
        }
    }

    fn report_loss(&mut self, number: u64) -> Result<(), Ended> {
        let timeout = self.plan.timeout;
        match (self.plan.is_numbered, self.view.is_prompt()) {
            (false, false) => Ok(()),
            // No reply is expected.
            (_, _) if timeout.is_zero() => Ok(()),
            (true, _) => self.view.print(&format!("number {number}: no reply within {timeout:?}")),
            (false, true) => self.view.print(&format!("no reply within {timeout:?}")),
        }
    }

    /// Handles an error of the socket. After a refusal, another address of the name may have a server. At the
    /// prompt, the session continues.
    fn handle_failure(&mut self, error: &io::Error) -> Result<(), Ended> {
        if error.kind() == ErrorKind::ConnectionRefused {
            if self.path.has_untried() && self.path.switch_to_next().is_ok() {
                let Some(probe) = self.probe.take() else { return Ok(()) };
                // The probe was refused, so no server has received it.
                let sent = self.path.socket().send_to_peer(&probe);
                sent.map_err(|error| Err(unreachable(self.address, &error)))?;
                self.probe = self.path.has_untried().then_some(probe);
                return Ok(());
            }
            self.sequence.give_up();
        }
        if self.view.is_prompt() {
            self.view.print(&io_message(error))
        } else {
            Err(Err(unreachable(self.address, error)))
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
