//! One peer: a value without a socket and without a clock.
//!
//! Bytes and times go in by `handle_*`, what is to be done comes out by `wants_*` and `poll_*`. The
//! reactor, a blocking thread and the simulated world drive the same value. It does no input or
//! output, calls no service by itself and allocates nothing but storage lent by the reserve.
//!
//! ```text
//!            bytes read                                frames
//! stream ──▶ handle_input ──▶ codec ──▶ (input queue) ────────▶ on_frame
//!                                                                  │ Reply
//! stream ◀── unsent + input_range ◀── output queue ◀─────────────────────┘
//! ```
//!
//! Here is what it remembers; what it does lies in `serving` (input, frames, the service's wishes),
//! `read_pause` (when input waits), `ending` (how it ends) and `deadline` (how long it may take).

mod close;
mod deadline;
mod ending;
mod frames;
mod halves;
mod ledger;
mod limits;
mod read_pause;
mod reply;
mod serving;

use crate::buffer::{ByteQueue, Reserve};
use crate::codec::Codec;
use crate::instant::Instant;

pub use close::CloseReason;
pub use halves::{Halves, ReadHalf, WriteHalf};
pub use ledger::Ledger;
pub use limits::{ENVELOPE_LEN_MAX, KIB, Limits, READ_LEN_MAX};
pub use reply::{InputRange, NO_INPUT_RANGE, Reply};

use read_pause::ReadPause;

/// What a connection is lent for the length of one call: the rules, the memory, the books, the time.
pub struct Resources<'a, C> {
    /// The framing of the endpoint.
    pub codec: &'a C,
    /// The limits of the endpoint.
    pub limits: &'a Limits,
    /// Where storage comes from.
    pub reserve: &'a mut Reserve,
    /// Where bytes are accounted for.
    pub ledger: &'a mut Ledger,
    /// The time of this turn.
    pub now: Instant,
}

/// The machine for one peer.
///
/// Idle it holds no storage: what is not a whole frame yet, and what the stream does not take yet,
/// are the only bytes kept.
pub struct Connection<C: Codec> {
    halves: Halves,
    read_pause: ReadPause,
    is_draining: bool,
    wants_room: bool,
    promised: u16,
    discarded: u32,
    codec: C::State,
    /// A frame that has begun; while frames are held back, whole ones too.
    input: ByteQueue,
    output: ByteQueue,
    /// When a byte last moved either way.
    moved_at: Instant,
    /// When the frame at the front of `input` began, or reading it was resumed.
    begun_at: Instant,
    /// Since when we wait for the peer: to take a byte of our output or, our FIN out, for its own.
    waiting_since: Instant,
}

impl<C: Codec> Connection<C> {
    /// A connection that was opened at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            halves: Halves::new(),
            read_pause: ReadPause::Nothing,
            is_draining: false,
            wants_room: false,
            promised: 0,
            discarded: 0,
            codec: C::State::default(),
            input: ByteQueue::new(),
            output: ByteQueue::new(),
            moved_at: now,
            begun_at: now,
            waiting_since: now,
        }
    }

    // ── In ──────────────────────────────────────────────────────────────────────────────────────

    /// `count` bytes of the output queue were taken by the stream, and `quoted` bytes of the quote.
    pub fn handle_written(&mut self, count: usize, quoted: usize, resources: &mut Resources<'_, C>) {
        self.output.consume(count, resources.reserve);
        resources.ledger.bytes_written += (count + quoted) as u64;
        self.moved_at = resources.now;
        self.waiting_since = resources.now;
    }

    /// Stores `rest`, what the stream did not take of a quote, before the buffer it lies in is
    /// used again.
    #[inline]
    pub fn store(&mut self, rest: &[u8], resources: &mut Resources<'_, C>) {
        if self.output.push(rest, resources.reserve).is_err() {
            resources.ledger.bytes_unsent += rest.len() as u64;
            self.halves.fall_short(CloseReason::BudgetSpent);
        }
    }

    /// Gives all storage back; the last call. Unserved input and unsent output are written off.
    pub fn release(&mut self, reserve: &mut Reserve, ledger: &mut Ledger) {
        ledger.bytes_discarded += self.input.clear(reserve) as u64;
        ledger.bytes_unsent += self.output.clear(reserve) as u64;
    }

    // ── Out ─────────────────────────────────────────────────────────────────────────────────────

    /// What waits to be written.
    pub fn unsent(&self) -> &[u8] {
        self.output.as_slice()
    }

    /// Whether the service asked for room and there is some; asks once.
    pub fn poll_room(&mut self, limits: &Limits) -> bool {
        let is_due = self.is_room_due(limits);
        if is_due {
            self.wants_room = false;
        }
        is_due
    }

    /// Whether [`Self::poll_room`] would say so.
    pub fn is_room_due(&self, limits: &Limits) -> bool {
        self.wants_room
            && self.halves.write() == WriteHalf::Open
            && self.closed().is_none()
            && self.output.len() <= limits.queue.low()
    }

    /// Whether it is between two messages: nothing stored, queued, held back, asked for or ending.
    /// The next thing to come is input, or the end of its idle time.
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.halves.are_open()
            && self.read_pause == ReadPause::Nothing
            && !self.is_draining
            && !self.wants_room
            && self.input.is_empty()
            && self.output.is_empty()
    }

    /// Both halves.
    pub fn halves(&self) -> &Halves {
        &self.halves
    }

    /// Bytes read and not served yet.
    pub fn input_len(&self) -> usize {
        self.input.len()
    }

    /// Bytes queued and not written yet.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// With nothing queued, whatever is queued next starts its wait now.
    fn start_waiting(&mut self, now: Instant) {
        if self.output.is_empty() && self.halves.write() == WriteHalf::Open {
            self.waiting_since = now;
        }
    }
}

#[cfg(test)]
mod tests;
