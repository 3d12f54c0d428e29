//! `Workload`: the service of the generator's client: what leaves over each connection, and what
//! becomes of the answers.
//!
//! It decides neither when a run begins nor when it is over; it obeys what it is told to ask.

use std::fmt::Display;

use crate::codec::Framing;
use crate::connection::CloseReason;
use crate::instant::Instant;
use crate::service::{Context, Orders, Service};
use crate::slab::Key;

use super::counters::{Request, RequestCounters};
use super::exchange::{EchoMismatch, Exchange, Role};
use super::pattern::{CHUNK_LEN_MAX, Pattern};
use super::plan::{ConnectionReuse, Plan, RateSchedule, Verify, nanos};
use super::recent_connects::RecentConnects;
use super::record::ErrorKind;

/// What tells the time between two looks of the loop: a round trip can be shorter than a turn.
pub(super) type Clock = Box<dyn Fn() -> Instant>;

/// What may leave now.
#[derive(Clone, Copy, Debug)]
pub(super) enum SendMode {
    /// Nothing.
    Stopped,
    /// A request for each answer, until so many have left that count.
    ClosedLoop { remaining: u64 },
    /// The requests of a plan, up to number `end`; each connection has every `step`th.
    OpenLoop { schedule: RateSchedule, step: u64, end: u64 },
}

/// All connections of a run.
pub(super) struct Workload {
    clock: Clock,
    pattern: Pattern,
    framing: Framing,
    message_len: usize,
    pipeline: usize,
    reuse: ConnectionReuse,
    verify: Verify,
    pub(super) send_mode: SendMode,
    pub(super) counters: RequestCounters,
    /// Who has each seat.
    keys: Vec<Option<Key>>,
    /// When the oldest request of each seat left.
    oldest_sent_at: Vec<Instant>,
    /// Seats without a connection, where each request has its own.
    pub(super) free_slots: Vec<usize>,
    /// Requests under way.
    pub(super) in_flight: usize,
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) broken: u64,
    /// Those that ask and have not had an answer yet.
    pub(super) silent: u64,
    pub(super) recent_connects: RecentConnects,
    pub(super) open: usize,
    pub(super) open_max: usize,
    /// Those among them that ask.
    pub(super) requesting_open: usize,
    /// From now on every end is ours.
    is_closing: bool,
}

impl Workload {
    pub(super) fn new(plan: &Plan, clock: Clock) -> Self {
        let slots = plan.connections;
        Self {
            clock,
            pattern: Pattern::new(plan.framing),
            framing: plan.framing,
            message_len: plan.message_len,
            pipeline: plan.pipeline,
            reuse: plan.reuse,
            verify: plan.verify,
            send_mode: SendMode::Stopped,
            counters: RequestCounters::new(plan.pace.rate().is_some()),
            keys: vec![None; slots],
            oldest_sent_at: vec![Instant::NEVER; slots],
            free_slots: if plan.reuse == ConnectionReuse::PerRequest { (0..slots).rev().collect() } else { Vec::new() },
            in_flight: 0,
            opened: 0,
            failed: 0,
            broken: 0,
            silent: 0,
            // A first retransmission, after a second, comes within half of most timeouts.
            recent_connects: RecentConnects::within(plan.timeout / 2),
            open: 0,
            open_max: 0,
            requesting_open: 0,
            is_closing: false,
        }
    }

    #[inline]
    pub(super) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Who sits there.
    pub(super) fn key(&self, slot: usize) -> Option<Key> {
        self.keys[slot]
    }

    /// Those whose oldest request left at `since` or before.
    pub(super) fn sent_by(&self, since: Instant) -> Vec<Key> {
        let late = self.oldest_sent_at.iter().zip(&self.keys).filter(|(oldest_sent_at, _)| **oldest_sent_at <= since);
        late.filter_map(|(_, key)| *key).collect()
    }

    /// A connection for one request, which was planned for `planned`: it counts from now on.
    pub(super) fn begin_request(&mut self, slot: usize, serial: u64, planned: Instant) -> Exchange {
        let now = self.now();
        let mut exchange = Exchange::new(Role::Requesting, slot, serial, self.message_len, now);
        let request = Request { planned, sent_at: now };
        self.counters.count_sent(&request);
        self.in_flight += 1;
        exchange.push(request);
        exchange
    }

    /// When the next request of a closed loop leaves, if it may.
    pub(super) fn next_in_closed_loop(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.send_mode {
            SendMode::ClosedLoop { remaining } if *remaining > 0 => {
                *remaining -= u64::from(self.counters.is_measured(&Request { planned: now, sent_at: now }));
                Some(now)
            }
            SendMode::ClosedLoop { .. } | SendMode::Stopped | SendMode::OpenLoop { .. } => None,
        }
    }

    /// Sends all that this connection may send now.
    #[inline]
    pub(super) fn send_due(&mut self, exchange: &mut Exchange, now: Instant, cx: &mut Context<'_, '_>) {
        while exchange.in_flight_len() < self.pipeline {
            let planned = match self.send_mode {
                SendMode::Stopped => None,
                SendMode::ClosedLoop { .. } => self.next_in_closed_loop(now),
                SendMode::OpenLoop { schedule, step, end } => {
                    let planned = schedule.planned(exchange.next);
                    let is_due = exchange.next < end && planned <= now;
                    exchange.next += if is_due { step } else { 0 };
                    is_due.then_some(planned)
                }
            };
            let Some(planned) = planned else { break };
            let request = Request { planned, sent_at: now };
            self.counters.count_sent(&request);
            self.in_flight += 1;
            exchange.push(request);
            self.send(exchange, cx);
        }
        self.update_oldest(exchange);
    }

    /// Writes one message.
    #[inline]
    fn send(&self, exchange: &mut Exchange, cx: &mut Context<'_, '_>) {
        let mut chunks = self.pattern.chunks(&mut exchange.write_at, self.message_len);
        if self.message_len <= CHUNK_LEN_MAX || matches!(self.framing, Framing::Raw(_)) {
            // Without a framing, any cut will do.
            chunks.for_each(|chunk| cx.send(chunk));
        } else {
            let mut parts = Vec::with_capacity(self.message_len.div_ceil(CHUNK_LEN_MAX));
            parts.extend(&mut chunks);
            cx.send_parts(&parts);
        }
    }

    #[inline]
    fn update_oldest(&mut self, exchange: &Exchange) {
        self.oldest_sent_at[exchange.slot] = exchange.oldest().map_or(Instant::NEVER, |request| request.sent_at);
    }

    #[inline]
    fn receive(&mut self, exchange: &mut Exchange, bytes: &[u8], now: Instant) -> Result<(), EchoMismatch> {
        let is_framed = !matches!(self.framing, Framing::Raw(_));
        if is_framed && bytes.len() != self.message_len {
            return Err(EchoMismatch::Length(bytes.len()));
        }
        let pattern = (self.verify == Verify::EveryByte).then_some(&self.pattern);
        exchange.check(bytes, pattern)?;
        let (counters, in_flight) = (&mut self.counters, &mut self.in_flight);
        let mut has_answer = exchange.has_answer;
        let taken = exchange.take(bytes.len(), self.message_len, |request| {
            has_answer = true;
            *in_flight -= 1;
            counters.count_answer(&request, now);
        });
        self.silent -= u64::from(has_answer && !exchange.has_answer);
        exchange.has_answer = has_answer;
        taken
    }

    /// No answer comes over this connection any more, for this reason.
    pub(super) fn fail_requests(&mut self, exchange: &mut Exchange, kind: ErrorKind, example: impl FnOnce() -> String) {
        self.counters.count_error(kind, example);
        while let Some(request) = exchange.pop() {
            self.in_flight -= 1;
            self.counters.count_failed(&request);
        }
        exchange.is_ended = true;
    }

    /// Its answer has not come in time.
    pub(super) fn expire(&mut self, exchange: &mut Exchange, cx: &mut Context<'_, '_>) {
        if !exchange.is_ended {
            self.broken += 1;
            self.fail_requests(exchange, ErrorKind::TimedOut, || "no answer in time".to_owned());
            cx.close();
        }
    }

    /// From now on every end is ours.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        self.send_mode = SendMode::Stopped;
    }
}

impl Service for Workload {
    type Peer = Exchange;
    type Message = ();

    fn on_open(&mut self, exchange: &mut Exchange, _who: &dyn Display, cx: &mut Context<'_, '_>) {
        self.opened += 1;
        self.recent_connects.count_connect(cx.now());
        self.open += 1;
        self.open_max = self.open_max.max(self.open);
        let took = cx.now().since(exchange.connect_begun_at);
        if exchange.oldest().is_none_or(|request| self.counters.is_measured(request)) {
            self.counters.connect.record(nanos(took));
        }
        if exchange.role == Role::Requesting {
            self.requesting_open += 1;
            self.silent += 1;
            self.keys[exchange.slot] = Some(cx.key());
            self.update_oldest(exchange);
            if self.reuse == ConnectionReuse::PerRequest {
                self.send(exchange, cx);
            }
        }
    }

    #[inline]
    fn on_frame(&mut self, exchange: &mut Exchange, frame: &[u8], cx: &mut Context<'_, '_>) {
        if exchange.is_ended {
            return;
        }
        let now = self.now();
        if let Err(mismatch) = self.receive(exchange, frame, now) {
            self.broken += 1;
            let slot = exchange.slot;
            self.fail_requests(exchange, ErrorKind::Mismatch, || mismatch_message(mismatch, slot));
            cx.close();
        } else if self.reuse == ConnectionReuse::Persistent {
            self.send_due(exchange, now, cx);
        } else if exchange.in_flight_len() == 0 {
            exchange.is_ended = true;
            cx.close();
        }
    }

    fn on_close(&mut self, mut exchange: Exchange, _key: Key, reason: CloseReason, _orders: &mut Orders<'_>) {
        self.open -= 1;
        if !exchange.is_ended && !self.is_closing {
            self.broken += 1;
            self.fail_requests(&mut exchange, kind_of(reason), || format!("a connection ended: {reason}"));
        }
        if exchange.role == Role::Requesting {
            self.requesting_open -= 1;
            self.keys[exchange.slot] = None;
            self.oldest_sent_at[exchange.slot] = Instant::NEVER;
            if self.reuse == ConnectionReuse::PerRequest {
                self.free_slots.push(exchange.slot);
            }
        }
    }
}

fn mismatch_message(mismatch: EchoMismatch, slot: usize) -> String {
    match mismatch {
        EchoMismatch::Excess => format!("connection {slot}: more came back than was sent"),
        EchoMismatch::Length(len) => format!("connection {slot}: a frame of {len} bytes came back"),
        EchoMismatch::Bytes => format!("connection {slot}: other bytes came back than were sent"),
    }
}

/// What the end of a connection means to those who had more to ask.
fn kind_of(reason: CloseReason) -> ErrorKind {
    match reason {
        CloseReason::Finished | CloseReason::PartialFrame | CloseReason::Truncated => ErrorKind::Ended,
        CloseReason::Reset => ErrorKind::Reset,
        CloseReason::BadFrame | CloseReason::FrameTooLong => ErrorKind::Mismatch,
        CloseReason::BadTls => ErrorKind::Tls,
        CloseReason::IdleTimeout | CloseReason::FrameTimeout | CloseReason::WriteTimeout => ErrorKind::TimedOut,
        CloseReason::HandshakeTimeout => ErrorKind::ConnectTimedOut,
        CloseReason::Failed
        | CloseReason::HandshakesFull
        | CloseReason::QueueFull
        | CloseReason::BudgetSpent
        | CloseReason::Service
        | CloseReason::BadReply
        | CloseReason::Panicked
        | CloseReason::Drained
        | CloseReason::Stopped => ErrorKind::Other,
    }
}
