//! `Workload`: the service of the generator's client. It sends requests and checks the answers.
//!
//! It does not decide when requests are sent: the generator chooses its [`SendMode`].

use std::collections::VecDeque;
use std::io;

use crate::codec::Framing;
use crate::connection::CloseReason;
use crate::instant::Instant;
use crate::service::{ConnectFailure, Context, Orders, PeerInfo, Service};
use crate::slab::Key;

use super::counters::{Request, RequestCounters};
use super::error_kind::ErrorKind;
use super::exchange::{EchoMismatch, Exchange, Purpose};
use super::pattern::{CHUNK_LEN_MAX, Pattern};
use super::plan::{ConnectionReuse, Plan, Verify};
use super::recent_connects::RecentConnects;
use super::schedule::{RateSchedule, nanos};

/// Reads the clock. A round trip can be shorter than a turn, so the clock of the turn is too coarse.
pub(super) type ClockFn = Box<dyn Fn() -> Instant>;

/// Which requests may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum SendMode {
    /// No request may be sent.
    Stopped,
    /// One request after each answer, until `remaining` measured requests have been sent.
    ClosedLoop { remaining: u64 },
    /// The planned requests below number `end`; each slot sends every `step`th one. Number `first` is the
    /// first measured one.
    OpenLoop { schedule: RateSchedule, step: u64, first: u64, end: u64 },
}

/// State of all connections of a run, which are numbered by slots.
pub(super) struct Workload {
    clock: ClockFn,
    pattern: Pattern,
    framing: Framing,
    message_len: usize,
    pipeline: usize,
    reuse: ConnectionReuse,
    verify: Verify,
    pub(super) send_mode: SendMode,
    pub(super) counters: RequestCounters,
    /// Key of the connection in each slot.
    keys: Vec<Option<Key>>,
    /// When the oldest request in flight of each slot was sent.
    oldest_sent_at: Vec<Instant>,
    /// Slots without a connection, if every request uses a new connection.
    pub(super) free_slots: Vec<usize>,
    /// Number of requests in flight.
    pub(super) in_flight: usize,
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) broken: u64,
    /// Requesting connections without any answer so far.
    pub(super) silent: u64,
    pub(super) recent_connects: RecentConnects,
    /// Failed connects that the generator has not handled.
    pub(super) failures: VecDeque<ConnectFailure<Exchange>>,
    /// Why the first TLS connection that broke did so.
    pub(super) tls_error: Option<io::Error>,
    pub(super) open: usize,
    pub(super) open_max: usize,
    /// Number of open connections that carry requests.
    pub(super) requesting_open: usize,
    /// The generator closes all connections; a close is not an error.
    is_closing: bool,
}

impl Workload {
    pub(super) fn new(plan: &Plan, clock: ClockFn) -> Self {
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
            // The kernel retransmits a SYN after one second, which is within half of most timeouts.
            recent_connects: RecentConnects::new(plan.timeout / 2),
            failures: VecDeque::new(),
            tls_error: None,
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

    /// Key of the connection in this slot.
    pub(super) fn key(&self, slot: usize) -> Option<Key> {
        self.keys[slot]
    }

    /// Keys of the connections with an oldest request that was sent at `time` or earlier.
    pub(super) fn sent_by(&self, time: Instant) -> Vec<Key> {
        let late = self.oldest_sent_at.iter().zip(&self.keys).filter(|(oldest_sent_at, _)| **oldest_sent_at <= time);
        late.filter_map(|(_, key)| *key).collect()
    }

    /// State of a connection for one request that is planned at `planned`. The request counts as sent.
    pub(super) fn begin_request(&mut self, slot: usize, serial: u64, planned: Instant) -> Exchange {
        let now = self.now();
        let mut exchange = Exchange::new(Purpose::Requesting, slot, serial, self.message_len, now);
        let request = Request { planned, sent_at: now };
        self.counters.count_sent(&request);
        self.in_flight += 1;
        exchange.in_flight.push_back(request);
        exchange
    }

    /// Takes the next request of a closed loop, if there is one. Its planned time is `now`.
    pub(super) fn next_in_closed_loop(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.send_mode {
            SendMode::ClosedLoop { remaining } if *remaining > 0 => {
                *remaining -= u64::from(self.counters.is_measured(&Request { planned: now, sent_at: now }));
                Some(now)
            }
            SendMode::ClosedLoop { .. } | SendMode::Stopped | SendMode::OpenLoop { .. } => None,
        }
    }

    /// Sends every request that this connection may send at `now`.
    #[inline]
    pub(super) fn send_due(&mut self, exchange: &mut Exchange, now: Instant, cx: &mut Context<'_, Self>) {
        while exchange.in_flight.len() < self.pipeline {
            let planned = match self.send_mode {
                SendMode::Stopped => None,
                SendMode::ClosedLoop { .. } => self.next_in_closed_loop(now),
                SendMode::OpenLoop { schedule, step, first, end } => {
                    exchange.next = schedule.without_overdue(exchange.next, step, first, now);
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
            exchange.in_flight.push_back(request);
            self.send(exchange, cx);
        }
        self.update_oldest(exchange);
    }

    /// Queues one message.
    #[inline]
    fn send(&self, exchange: &mut Exchange, cx: &mut Context<'_, Self>) {
        let mut chunks = self.pattern.chunks(&mut exchange.write_at, self.message_len);
        if self.message_len <= CHUNK_LEN_MAX || matches!(self.framing, Framing::Raw(_)) {
            // Without framing, a message may be cut anywhere.
            chunks.for_each(|chunk| cx.send(chunk));
        } else {
            let mut parts = Vec::with_capacity(self.message_len.div_ceil(CHUNK_LEN_MAX));
            parts.extend(&mut chunks);
            cx.send_parts(&parts);
        }
    }

    #[inline]
    fn update_oldest(&mut self, exchange: &Exchange) {
        self.oldest_sent_at[exchange.slot] =
            exchange.in_flight.front().map_or(Instant::NEVER, |request| request.sent_at);
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
        let taken = exchange.receive(bytes.len(), self.message_len, |request| {
            has_answer = true;
            *in_flight -= 1;
            counters.count_answer(&request, now);
        });
        self.silent -= u64::from(has_answer && !exchange.has_answer);
        exchange.has_answer = has_answer;
        taken
    }

    /// Counts an error and fails every request in flight on this connection.
    pub(super) fn fail_requests(&mut self, exchange: &mut Exchange, kind: ErrorKind, example: impl FnOnce() -> String) {
        self.counters.count_error(kind, example);
        while let Some(request) = exchange.in_flight.pop_front() {
            self.in_flight -= 1;
            self.counters.count_failed(&request);
        }
        exchange.is_ended = true;
    }

    /// Closes a connection after its answer did not arrive in time.
    pub(super) fn expire(&mut self, exchange: &mut Exchange, cx: &mut Context<'_, Self>) {
        if !exchange.is_ended {
            self.broken += 1;
            self.fail_requests(exchange, ErrorKind::TimedOut, || "no answer in time".to_owned());
            cx.close();
        }
    }

    /// Stops sending, and stops counting closed connections as errors.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        self.send_mode = SendMode::Stopped;
    }
}

impl Service for Workload {
    type Codec = Framing;
    type Peer = Exchange;
    type Message = ();

    fn on_open(&mut self, exchange: &mut Exchange, _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.opened += 1;
        self.recent_connects.record(cx.now());
        self.open += 1;
        self.open_max = self.open_max.max(self.open);
        let took = cx.now().since(exchange.connect_begun_at);
        if exchange.in_flight.front().is_none_or(|request| self.counters.is_measured(request)) {
            self.counters.connect.record(nanos(took));
        }
        if exchange.purpose == Purpose::Requesting {
            self.requesting_open += 1;
            self.silent += 1;
            self.keys[exchange.slot] = Some(cx.key());
            self.update_oldest(exchange);
            if self.reuse == ConnectionReuse::PerRequest {
                self.send(exchange, cx);
            }
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<Exchange>, _orders: &mut Orders<'_, Self>) {
        self.failures.push_back(failure);
    }

    fn on_layer_error(&mut self, _key: Key, error: io::Error) {
        self.tls_error.get_or_insert(error);
    }

    #[inline]
    fn on_frame(&mut self, exchange: &mut Exchange, frame: &[u8], cx: &mut Context<'_, Self>) {
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
        } else if exchange.in_flight.is_empty() {
            exchange.is_ended = true;
            cx.close();
        }
    }

    fn on_close(&mut self, mut exchange: Exchange, _key: Key, reason: CloseReason, _orders: &mut Orders<'_, Self>) {
        self.open -= 1;
        if !exchange.is_ended && !self.is_closing {
            self.broken += 1;
            self.fail_requests(&mut exchange, ErrorKind::of_close(reason), || format!("connection closed: {reason}"));
        }
        if exchange.purpose == Purpose::Requesting {
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
        EchoMismatch::Excess => format!("connection {slot}: received more bytes than were sent"),
        EchoMismatch::Length(len) => {
            format!("connection {slot}: received a frame of {len} bytes, which is not the length of a request")
        }
        EchoMismatch::Bytes => format!("connection {slot}: received other bytes than were sent"),
    }
}
