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

use super::arrivals::Arrivals;
use super::counters::{Request, RequestCounters};
use super::flow::{Flow, Role, Wrong};
use super::pattern::{PIECE_LEN_MAX, Pattern};
use super::plan::{Life, Plan, Schedule, Verify, nanos};
use super::record::ErrorKind;

/// What tells the time between two looks of the loop: a round trip can be shorter than a turn.
pub(super) type Clock = Box<dyn Fn() -> Instant>;

/// What may leave now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asking {
    /// Nothing.
    Nothing,
    /// A request for each answer, until so many have left that count.
    Loop { left: u64 },
    /// The requests of a plan, up to number `last`; each connection has every `step`th.
    Planned { schedule: Schedule, step: u64, last: u64 },
}

/// All connections of a run.
pub(super) struct Workload {
    clock: Clock,
    pattern: Pattern,
    framing: Framing,
    message_len: usize,
    pipeline: usize,
    life: Life,
    verify: Verify,
    pub(super) asking: Asking,
    pub(super) counters: RequestCounters,
    /// Who has each seat.
    keys: Vec<Option<Key>>,
    /// When the oldest request of each seat left.
    asked_at: Vec<Instant>,
    /// Seats without a connection, where each request has its own.
    pub(super) free: Vec<usize>,
    /// Requests under way.
    pub(super) under_way: usize,
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) broken: u64,
    /// Those that ask and have not had an answer yet.
    pub(super) silent: u64,
    pub(super) arrivals: Arrivals,
    pub(super) open: usize,
    pub(super) open_max: usize,
    /// Those among them that ask.
    pub(super) asking_open: usize,
    /// From now on every end is ours.
    is_closing: bool,
}

impl Workload {
    pub(super) fn new(plan: &Plan, clock: Clock) -> Self {
        let seats = plan.connections;
        Self {
            clock,
            pattern: Pattern::new(plan.framing),
            framing: plan.framing,
            message_len: plan.message_len,
            pipeline: plan.pipeline,
            life: plan.life,
            verify: plan.verify,
            asking: Asking::Nothing,
            counters: RequestCounters::new(plan.pace.rate().is_some()),
            keys: vec![None; seats],
            asked_at: vec![Instant::NEVER; seats],
            free: if plan.life == Life::Churn { (0..seats).rev().collect() } else { Vec::new() },
            under_way: 0,
            opened: 0,
            failed: 0,
            broken: 0,
            silent: 0,
            // A first retransmission, after a second, comes within half of most timeouts.
            arrivals: Arrivals::within(plan.timeout / 2),
            open: 0,
            open_max: 0,
            asking_open: 0,
            is_closing: false,
        }
    }

    #[inline]
    pub(super) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Who sits there.
    pub(super) fn key(&self, seat: usize) -> Option<Key> {
        self.keys[seat]
    }

    /// Those whose oldest request left at `since` or before.
    pub(super) fn asked_until(&self, since: Instant) -> Vec<Key> {
        let late = self.asked_at.iter().zip(&self.keys).filter(|(asked_at, _)| **asked_at <= since);
        late.filter_map(|(_, key)| *key).collect()
    }

    /// A connection for one request, which was planned for `planned`: it counts from now on.
    pub(super) fn begin_call(&mut self, seat: usize, serial: u64, planned: Instant) -> Flow {
        let now = self.now();
        let mut flow = Flow::new(Role::Asks, seat, serial, self.message_len, now);
        let request = Request { planned, departed: now };
        self.counters.count_sent(&request);
        self.under_way += 1;
        flow.push(request);
        flow
    }

    /// When the next request of a closed loop leaves, if it may.
    pub(super) fn next_in_loop(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.asking {
            Asking::Loop { left } if *left > 0 => {
                *left -= u64::from(self.counters.counts(&Request { planned: now, departed: now }));
                Some(now)
            }
            Asking::Loop { .. } | Asking::Nothing | Asking::Planned { .. } => None,
        }
    }

    /// Sends all that this connection may send now.
    #[inline]
    pub(super) fn go_on(&mut self, flow: &mut Flow, now: Instant, cx: &mut Context<'_, '_>) {
        while flow.waiting_len() < self.pipeline {
            let planned = match self.asking {
                Asking::Nothing => None,
                Asking::Loop { .. } => self.next_in_loop(now),
                Asking::Planned { schedule, step, last } => {
                    let planned = schedule.planned(flow.next);
                    let is_due = flow.next < last && planned <= now;
                    flow.next += if is_due { step } else { 0 };
                    is_due.then_some(planned)
                }
            };
            let Some(planned) = planned else { break };
            let request = Request { planned, departed: now };
            self.counters.count_sent(&request);
            self.under_way += 1;
            flow.push(request);
            self.send(flow, cx);
        }
        self.note(flow);
    }

    /// Writes one message.
    #[inline]
    fn send(&self, flow: &mut Flow, cx: &mut Context<'_, '_>) {
        let mut pieces = self.pattern.pieces(&mut flow.write_at, self.message_len);
        if self.message_len <= PIECE_LEN_MAX || matches!(self.framing, Framing::Raw(_)) {
            // Without a framing, any cut will do.
            pieces.for_each(|piece| cx.send(piece));
        } else {
            let mut parts = Vec::with_capacity(self.message_len.div_ceil(PIECE_LEN_MAX));
            parts.extend(&mut pieces);
            cx.send_parts(&parts);
        }
    }

    #[inline]
    fn note(&mut self, flow: &Flow) {
        self.asked_at[flow.seat] = flow.oldest().map_or(Instant::NEVER, |request| request.departed);
    }

    #[inline]
    fn receive(&mut self, flow: &mut Flow, bytes: &[u8], now: Instant) -> Result<(), Wrong> {
        let is_framed = !matches!(self.framing, Framing::Raw(_));
        if is_framed && bytes.len() != self.message_len {
            return Err(Wrong::Length(bytes.len()));
        }
        let pattern = (self.verify == Verify::EveryByte).then_some(&self.pattern);
        flow.check(bytes, pattern)?;
        let (counters, under_way) = (&mut self.counters, &mut self.under_way);
        let mut has_answer = flow.has_answer;
        let taken = flow.take(bytes.len(), self.message_len, |request| {
            has_answer = true;
            *under_way -= 1;
            counters.count_answer(&request, now);
        });
        self.silent -= u64::from(has_answer && !flow.has_answer);
        flow.has_answer = has_answer;
        taken
    }

    /// No answer comes over this connection any more, for this reason.
    pub(super) fn lose(&mut self, flow: &mut Flow, kind: ErrorKind, example: impl FnOnce() -> String) {
        self.counters.count_error(kind, example);
        while let Some(request) = flow.pop() {
            self.under_way -= 1;
            self.counters.count_failed(&request);
        }
        flow.is_over = true;
    }

    /// Its answer has not come in time.
    pub(super) fn give_up(&mut self, flow: &mut Flow, cx: &mut Context<'_, '_>) {
        if !flow.is_over {
            self.broken += 1;
            self.lose(flow, ErrorKind::TimedOut, || "no answer in time".to_owned());
            cx.close();
        }
    }

    /// From now on every end is ours.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        self.asking = Asking::Nothing;
    }
}

impl Service for Workload {
    type Peer = Flow;
    type Message = ();

    fn on_open(&mut self, flow: &mut Flow, _who: &dyn Display, cx: &mut Context<'_, '_>) {
        self.opened += 1;
        self.arrivals.count_one(cx.now());
        self.open += 1;
        self.open_max = self.open_max.max(self.open);
        let took = cx.now().since(flow.begun_at);
        if flow.oldest().is_none_or(|request| self.counters.counts(request)) {
            self.counters.connect.record(nanos(took));
        }
        if flow.role == Role::Asks {
            self.asking_open += 1;
            self.silent += 1;
            self.keys[flow.seat] = Some(cx.key());
            self.note(flow);
            if self.life == Life::Churn {
                self.send(flow, cx);
            }
        }
    }

    #[inline]
    fn on_frame(&mut self, flow: &mut Flow, frame: &[u8], cx: &mut Context<'_, '_>) {
        if flow.is_over {
            return;
        }
        let now = self.now();
        if let Err(wrong) = self.receive(flow, frame, now) {
            self.broken += 1;
            let seat = flow.seat;
            self.lose(flow, ErrorKind::Mismatch, || wrong_words(wrong, seat));
            cx.close();
        } else if self.life == Life::Kept {
            self.go_on(flow, now, cx);
        } else if flow.waiting_len() == 0 {
            flow.is_over = true;
            cx.close();
        }
    }

    fn on_close(&mut self, mut flow: Flow, _key: Key, reason: CloseReason, _orders: &mut Orders<'_>) {
        self.open -= 1;
        if !flow.is_over && !self.is_closing {
            self.broken += 1;
            self.lose(&mut flow, kind_of(reason), || format!("a connection ended: {reason}"));
        }
        if flow.role == Role::Asks {
            self.asking_open -= 1;
            self.keys[flow.seat] = None;
            self.asked_at[flow.seat] = Instant::NEVER;
            if self.life == Life::Churn {
                self.free.push(flow.seat);
            }
        }
    }
}

fn wrong_words(wrong: Wrong, seat: usize) -> String {
    match wrong {
        Wrong::TooMuch => format!("connection {seat}: more came back than was sent"),
        Wrong::Length(len) => format!("connection {seat}: a frame of {len} bytes came back"),
        Wrong::Bytes => format!("connection {seat}: other bytes came back than were sent"),
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
