//! `Workload`: the service of the generator's client. It sends requests and checks the answers.
//!
//! It does not decide when requests are sent: the generator chooses its [`SendMode`].

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use crate::codec::Framing;
use crate::connection::CloseReason;
use crate::instant::Instant;
use crate::service::{ConnectFailure, Context, Orders, PeerInfo, Service};
use crate::slab::Key;

use super::counters::{Request, RequestCounters};
use super::distribution::{Distribution, Draw};
use super::error_kind::ErrorKind;
use super::exchange::{Exchange, Purpose};
use super::messages::{Messages, Mismatch};
use super::plan::{ConnectionReuse, Plan};
use super::recent_connects::RecentConnects;
use super::schedule::{RateSchedule, nanos};
use super::share::Share;

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
    messages: Messages,
    pipeline: usize,
    think: Option<Distribution>,
    reuse: ConnectionReuse,
    pub(super) send_mode: SendMode,
    pub(super) counters: RequestCounters,
    /// Key of the connection in each slot.
    keys: Vec<Option<Key>>,
    /// When the oldest request in flight of each slot was sent.
    oldest_sent_at: Vec<Instant>,
    /// Number of slots in use, the first ones; a ramp changes it.
    pub(super) slots_in_use: usize,
    /// Connections with lower numbers carry requests from the start.
    first_serials_end: u64,
    /// Slots in use without a connection, each with the number of its next planned request.
    pub(super) free_slots: VecDeque<(usize, u64)>,
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
    pub(super) fn new(plan: &Plan, share: Share, clock: ClockFn) -> Self {
        let (slots, first) = (plan.connections, plan.connections_at_start(share));
        let is_per_request = plan.reuse == ConnectionReuse::PerRequest;
        Self {
            clock,
            messages: Messages::new(plan),
            pipeline: plan.pipeline,
            think: plan.think,
            reuse: plan.reuse,
            send_mode: SendMode::Stopped,
            counters: RequestCounters::new(plan.pace.rate().is_some()),
            keys: vec![None; slots],
            oldest_sent_at: vec![Instant::NEVER; slots],
            slots_in_use: first,
            first_serials_end: if is_per_request { 0 } else { share.number_in_run(first as u64) },
            free_slots: if is_per_request { (0..first).map(|slot| (slot, 0)).collect() } else { VecDeque::new() },
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

    /// Number of open connections that carry requests. With one connection per request, connects in progress count too.
    pub(super) fn in_use(&self) -> usize {
        match self.reuse {
            ConnectionReuse::PerRequest => self.slots_in_use.saturating_sub(self.free_slots.len()),
            ConnectionReuse::Persistent | ConnectionReuse::Requests(_) | ConnectionReuse::Time(_) => {
                self.requesting_open
            }
        }
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

    /// State of connection number `serial`, which carries the requests of a slot from number `next` on.
    pub(super) fn requesting(&self, slot: usize, next: u64, serial: u64) -> Exchange {
        let is_first = serial < self.first_serials_end;
        Exchange {
            purpose: Purpose::Requesting,
            slot,
            next,
            missing: self.messages.answer_len(serial, 0),
            sent_max: match self.reuse {
                ConnectionReuse::Persistent | ConnectionReuse::Time(_) => u64::MAX,
                ConnectionReuse::PerRequest => 1,
                ConnectionReuse::Requests(max) if is_first => {
                    let max = usize::try_from(max).unwrap_or(usize::MAX);
                    Draw::Lifetime.rng(serial, 0).up_to(max) as u64
                }
                ConnectionReuse::Requests(max) => max,
            },
            ..Exchange::idle(serial, self.now())
        }
    }

    /// Counts a request as sent.
    #[inline]
    pub(super) fn begin_request(&mut self, exchange: &mut Exchange, request: Request) {
        self.counters.count_sent(&request);
        self.in_flight += 1;
        exchange.sent += 1;
        exchange.in_flight.push_back(request);
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

    /// Sends every request that this connection may send at `now`, or starts its think time, or ends it after
    /// its last answer.
    #[inline]
    pub(super) fn advance(&mut self, exchange: &mut Exchange, now: Instant, cx: &mut Context<'_, Self>) {
        if exchange.is_complete() {
            exchange.is_ended = true;
            cx.close();
        } else if let Some(think) = self.think {
            self.update_oldest(exchange);
            if exchange.in_flight.is_empty() {
                cx.start_timer((now + think_time(think, exchange)).min(exchange.ends_at));
            }
        } else {
            self.send_due(exchange, now, cx);
        }
    }

    /// Sends every request that this connection may send at `now`.
    #[inline]
    fn send_due(&mut self, exchange: &mut Exchange, now: Instant, cx: &mut Context<'_, Self>) {
        while exchange.in_flight.len() < self.pipeline && exchange.sent < exchange.sent_max {
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
            self.begin_request(exchange, Request { planned, sent_at: now });
            self.messages.send(exchange, cx);
        }
        self.update_oldest(exchange);
        if let ConnectionReuse::Time(lifetime) = self.reuse
            && exchange.ends_at == Instant::NEVER
            && exchange.sent > 0
        {
            self.begin_lifetime(lifetime, exchange, now, cx);
        }
    }

    /// Sets the end of the lifetime of a connection.
    fn begin_lifetime(
        &self,
        lifetime: Distribution,
        exchange: &mut Exchange,
        now: Instant,
        cx: &mut Context<'_, Self>,
    ) {
        let mut rng = Draw::Lifetime.rng(exchange.serial, 0);
        let is_first = exchange.serial < self.first_serials_end;
        exchange.ends_at = now + if is_first { lifetime.draw_rest(&mut rng) } else { lifetime.draw(&mut rng) };
        cx.start_timer(exchange.ends_at);
    }

    /// Sends no more requests on a connection, and ends it after its last answer.
    pub(super) fn retire(&mut self, exchange: &mut Exchange, cx: &mut Context<'_, Self>) {
        exchange.sent_max = exchange.sent;
        if exchange.is_complete() {
            self.advance(exchange, self.now(), cx);
        }
    }

    #[inline]
    fn update_oldest(&mut self, exchange: &Exchange) {
        self.oldest_sent_at[exchange.slot] =
            exchange.in_flight.front().map_or(Instant::NEVER, |request| request.sent_at);
    }

    #[inline]
    fn receive(&mut self, exchange: &mut Exchange, bytes: &[u8], now: Instant) -> Result<(), Mismatch> {
        let (counters, in_flight) = (&mut self.counters, &mut self.in_flight);
        let mut has_answer = exchange.has_answer;
        let received = self.messages.receive(exchange, bytes, |request| {
            has_answer = true;
            *in_flight -= 1;
            counters.count_answer(&request, now);
        });
        self.silent -= u64::from(has_answer && !exchange.has_answer);
        exchange.has_answer = has_answer;
        received
    }

    /// Leaves a slot without a connection, if a new one is to be opened: connections are replaced, and the slot
    /// still has requests.
    pub(super) fn free_slot(&mut self, exchange: &Exchange) {
        let has_requests = match self.send_mode {
            SendMode::OpenLoop { end, .. } => exchange.next < end || self.reuse == ConnectionReuse::PerRequest,
            SendMode::ClosedLoop { .. } | SendMode::Stopped => true,
        };
        let is_replaced = self.reuse != ConnectionReuse::Persistent && exchange.slot < self.slots_in_use;
        if is_replaced && has_requests {
            self.free_slots.push_back((exchange.slot, exchange.next));
        }
    }

    /// Counts an error and fails every request in flight on this connection.
    pub(super) fn fail_requests(&mut self, exchange: &mut Exchange, kind: ErrorKind, example: impl FnOnce() -> String) {
        self.counters.count_error(self.now(), kind, example);
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
            if self.reuse == ConnectionReuse::PerRequest {
                self.update_oldest(exchange);
                self.messages.send(exchange, cx);
            } else if exchange.slot < self.slots_in_use {
                self.advance(exchange, self.now(), cx);
            } else {
                self.retire(exchange, cx);
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
            self.fail_requests(exchange, ErrorKind::Mismatch, || format!("connection {slot}: {mismatch}"));
            cx.close();
        } else {
            self.advance(exchange, now, cx);
        }
    }

    fn on_timer(&mut self, exchange: &mut Exchange, cx: &mut Context<'_, Self>) {
        let now = self.now();
        if !exchange.is_ended && exchange.ends_at <= now {
            self.retire(exchange, cx);
        } else if !exchange.is_ended {
            self.send_due(exchange, now, cx);
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
            self.free_slot(&exchange);
        }
    }
}

/// Time before the next request. Before the first one it is the rest of a think time, so that not all
/// connections send at once.
fn think_time(think: Distribution, exchange: &Exchange) -> Duration {
    let mut rng = Draw::Think.rng(exchange.serial, exchange.sent);
    if exchange.sent == 0 { think.draw_rest(&mut rng) } else { think.draw(&mut rng) }
}
