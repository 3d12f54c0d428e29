//! The connection state machine: one peer, as a value without a socket and without a clock.
//!
//! Bytes and times go in by `handle_*`; work for the driver comes out by `wants_*` and `poll_*`. The
//! reactor, a blocking thread and the simulated world drive the same value. It does no I/O, calls no
//! service by itself, and allocates nothing except storage lent by the reserve.
//!
//! ```text
//!            bytes read                                frames
//! stream ──▶ handle_input ──▶ codec ──▶ (input queue) ────────▶ on_frame
//!                                                                  │ Reply
//! stream ◀── unsent + input_range ◀── output queue ◀───────────────┘
//! ```
//!
//! This file has the state of a connection. Its behavior is in `callbacks` (input, frames, requests
//! of the service), `read_pause` (when input waits), `closing` (how it ends) and `deadline` (timeouts).

mod callbacks;
mod close_reason;
mod closing;
mod deadline;
mod frames;
mod halves;
mod ledger;
mod limits;
mod read_pause;
mod reply;
mod small;

use crate::buffer::{ByteQueue, Reserve};
use crate::codec::Codec;
use crate::instant::Instant;

pub use close_reason::CloseReason;
pub use deadline::Deadline;
pub use halves::{Halves, ReadHalf, WriteHalf};
pub use ledger::Ledger;
pub use limits::{ENVELOPE_LEN_MAX, KIB, Limits, READ_LEN_MAX, Role};
pub use read_pause::ReadPause;
pub use reply::{InputRange, NO_INPUT_RANGE, Reply};

use deadline::FrameClock;
use small::{Debt, PeerFlags};

/// What a connection borrows for one call: settings, memory, counters and the time.
pub struct Resources<'a, C> {
    /// The framing of the endpoint.
    pub codec: &'a C,
    /// The limits of the endpoint.
    pub limits: &'a Limits,
    /// The shared buffer pool.
    pub reserve: &'a mut Reserve,
    /// The byte counters of the endpoint.
    pub ledger: &'a mut Ledger,
    /// The time of this turn.
    pub now: Instant,
}

/// The state machine for one peer.
///
/// It stores only incomplete frames and output that the stream has not taken, so an idle connection
/// holds no buffer.
pub struct Connection<C: Codec> {
    role: Role,
    halves: Halves,
    read_pause: ReadPause,
    draining: Draining,
    flags: PeerFlags,
    debt: Debt,
    discarded: u32,
    codec_state: C::State,
    /// An incomplete frame, or whole frames while frames are held back.
    input: ByteQueue,
    output: ByteQueue,
    /// When a byte last moved in either direction.
    last_activity: Instant,
    frame_clock: FrameClock,
    /// Since when we wait for the peer to take output or, after our FIN, to send its own. With
    /// [`Limits::min_rate`], a byte that the stream takes moves it only by the time that the byte is worth.
    waiting_since: Instant,
}

/// Whether the connection ends when its input is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draining {
    No,
    /// The whole server drains.
    Server,
    /// Only this connection does, at the end of its lifetime.
    Lifetime,
}

impl<C: Codec> Connection<C> {
    /// A connection that was opened at `now`.
    pub fn new(role: Role, now: Instant) -> Self {
        Self {
            role,
            halves: Halves::new(),
            read_pause: ReadPause::NotPaused,
            draining: Draining::No,
            flags: PeerFlags::default(),
            debt: Debt::NONE,
            discarded: 0,
            codec_state: C::State::default(),
            input: ByteQueue::new(),
            output: ByteQueue::new(),
            last_activity: now,
            frame_clock: FrameClock::start(now),
            waiting_since: now,
        }
    }

    /// The stream took `from_queue` bytes of the output queue and `from_input` bytes of the input range.
    pub fn handle_written(&mut self, from_queue: usize, from_input: usize, resources: &mut Resources<'_, C>) {
        self.output.consume(from_queue, resources.reserve);
        resources.ledger.bytes_written += (from_queue + from_input) as u64;
        self.flags.add(PeerFlags::MOVED_BYTES, true);
        self.last_activity = resources.now;
        let credit = resources.limits.slowest_time(from_queue + from_input);
        self.waiting_since = credit.map_or(resources.now, |credit| resources.now.min(self.waiting_since + credit));
        if self.output.is_empty() {
            self.debt = Debt::of(resources.now - self.waiting_since, resources.limits.write_timeout);
            if self.halves.write() != WriteHalf::Open {
                // Our end has the whole timeout.
                self.waiting_since = resources.now;
            }
        }
    }

    /// Stores the part of an input range that the stream did not take, before its buffer is used again.
    #[inline]
    pub fn store(&mut self, rest: &[u8], resources: &mut Resources<'_, C>) {
        if self.output.push(rest, resources.reserve).is_err() {
            resources.ledger.bytes_unsent += rest.len() as u64;
            self.halves.close_incomplete(CloseReason::BudgetSpent);
        }
    }

    /// Returns all storage to the reserve; the last call. Unserved input and unsent output are lost.
    pub fn release(&mut self, reserve: &mut Reserve, ledger: &mut Ledger) {
        ledger.bytes_discarded += self.input.clear(reserve) as u64;
        ledger.bytes_unsent += self.output.clear(reserve) as u64;
    }

    /// The output queue.
    pub fn unsent(&self) -> &[u8] {
        self.output.as_slice()
    }

    /// Whether `on_writable` is due: the service requested it and the queue is low enough.
    ///
    /// Returns `true` once for each request.
    pub fn poll_writable(&mut self, limits: &Limits) -> bool {
        let is_due = self.is_writable_due(limits);
        if is_due {
            self.flags.remove(PeerFlags::WRITABLE);
        }
        is_due
    }

    /// Whether [`Self::poll_writable`] would return `true`.
    pub fn is_writable_due(&self, limits: &Limits) -> bool {
        self.flags.has(PeerFlags::WRITABLE)
            && self.halves.write() == WriteHalf::Open
            && self.closed().is_none()
            && self.output.len() <= limits.queue.low()
    }

    /// Whether only input or the idle deadline can cause work: both halves are open, and nothing is
    /// stored, queued, paused, requested or draining.
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.halves.are_open()
            && self.read_pause == ReadPause::NotPaused
            && self.draining == Draining::No
            && !self.flags.has(PeerFlags::WRITABLE)
            && self.input.is_empty()
            && self.output.is_empty()
    }

    /// The states of both halves.
    pub fn halves(&self) -> &Halves {
        &self.halves
    }

    /// Our side of the connection.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The number of bytes read and not served yet.
    pub fn input_len(&self) -> usize {
        self.input.len()
    }

    /// The number of bytes queued and not written yet.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// What holds input back.
    pub fn read_pause(&self) -> ReadPause {
        self.read_pause
    }

    /// When a byte last moved in either direction.
    pub fn last_activity(&self) -> Instant {
        self.last_activity
    }

    /// Starts the write timeout for bytes that are queued next, if the queue is empty. Call it before
    /// `last_activity` changes, since silence restores credit.
    fn start_waiting(&mut self, resources: &Resources<'_, C>) {
        if self.output.is_empty() && self.halves.write() == WriteHalf::Open {
            let (now, timeout) = (resources.now, resources.limits.write_timeout);
            let debt = self.debt.time(timeout).saturating_sub(now - self.last_activity);
            self.debt = Debt::of(debt, timeout);
            let debt = u64::try_from(debt.as_nanos()).unwrap_or(u64::MAX);
            self.waiting_since = Instant::from_nanos(now.as_nanos().saturating_sub(debt));
        }
    }
}

#[cfg(test)]
mod tests;
