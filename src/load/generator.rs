//! `Generator`: drives a client's connections through a run: opening, warming up, measuring, and
//! waiting for the last answers.
//!
//! Every phase has an end: an answer is given up at its timeout, and a run without connections is over.

use std::io;
use std::time::Duration;

use crate::client::{Client, ClientLimits, Failure};
use crate::codec::Framing;
use crate::conn::{ENVELOPE_LEN_MAX, Ledger, Limits};
use crate::instant::Instant;
use crate::net::{Bare, Destination, Layer, Net, Notice, Reactor};
use crate::watermark::Watermarks;

use super::callers::{Asking, Callers, Clock};
use super::cost::Cost;
use super::failure::kind_of;
use super::flow::{Flow, Role};
use super::outcome::Outcome;
use super::plan::{Bound, Life, Pace, Plan, Schedule, nanos};
use super::record::{Connections, Ending, ErrorKind, Record};

/// Connections under way at once, at most: the backlog of many a listener.
const CONNECTING_MAX: usize = 128;

/// How long no connection is begun after one for a request has failed: a server that is gone is
/// asked a thousand times a second, not as often as a core can.
const FAILURE_PAUSE: Duration = Duration::from_millis(1);

/// How often within a timeout it is looked whose has passed.
const LOOKS_PER_TIMEOUT: u32 = 8;

/// Where a run stands.
///
/// ```text
/// Opening ──all are open──▶ Asking ──time or number is up──▶ Waiting ──all answered──▶ Over
///    └──────────────── nobody is left · interrupted ────────────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connections are made; nothing is asked.
    Opening,
    /// Requests leave: first to warm up, then to be measured.
    Asking,
    /// No more leave than are planned for the past; answers are awaited, at most until then.
    Waiting(Instant),
    Over(Ending),
}

/// How a run stands, for those who watch it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glance {
    /// Connections that are open.
    pub open: usize,
    /// Time that is measured so far; none while connections are made and all warms up.
    pub measured: Duration,
    /// Answers in it.
    pub answered: u64,
    /// What went wrong so far.
    pub errors: u64,
}

/// A run of the load generator.
pub struct Generator<N: Net, W: Layer<N::Stream> = Bare> {
    plan: Plan,
    to: Destination,
    client: Client<N, Callers, Framing, W>,
    phase: Phase,
    /// When connections may begin, where they have a rate.
    connects: Option<Schedule>,
    begun: u64,
    /// None begins before this.
    rests_until: Instant,
    began_at: Instant,
    opened_at: Instant,
    /// Planned requests: those of the measured time, and the next one that is due.
    planned: std::ops::Range<u64>,
    next_planned: u64,
    measure_from: Instant,
    measure_until: Instant,
    /// When a good answer came last, or the run began.
    looked_at: Instant,
    ledger: (Ledger, Ledger),
    cost: Cost,
}

impl<W: Layer<<Reactor as Net>::Stream>> Generator<Reactor, W> {
    /// A run over real sockets; `server` is the number of its process, if that is to be looked at.
    ///
    /// # Errors
    /// There is no process of that number, or no descriptor for an alarm.
    pub fn new(mut reactor: Reactor, layer: W, to: Destination, plan: Plan, server: Option<u32>) -> io::Result<Self> {
        if plan.pace.rate().is_some() || plan.connect_rate.is_some() {
            reactor.wake_in_time()?;
        }
        let cost = Cost::new(server)?;
        let clock = reactor.clock();
        Ok(Self::over(reactor, Box::new(move || clock.now()), layer, to, plan, cost))
    }
}

impl<N: Net, W: Layer<N::Stream>> Generator<N, W> {
    /// A run over any net, whose clock is `clock`.
    pub(super) fn over(net: N, clock: Clock, layer: W, to: Destination, plan: Plan, cost: Cost) -> Self {
        let now = net.now();
        let callers = Callers::new(&plan, clock);
        let client = Client::under(layer, net, plan.framing, callers, limits(&plan));
        Self {
            to,
            client,
            phase: Phase::Opening,
            connects: plan.connect_rate.map(|rate| Schedule::new(now, rate)),
            begun: 0,
            rests_until: Instant::ORIGIN,
            began_at: now,
            opened_at: now,
            planned: 0..0,
            next_planned: 0,
            measure_from: Instant::NEVER,
            measure_until: Instant::NEVER,
            looked_at: now,
            ledger: (Ledger::default(), Ledger::default()),
            cost,
            plan,
        }
    }

    /// One turn; sleeps until there is something to do. How the run ended, once it has.
    ///
    /// # Errors
    /// The poll itself is broken.
    pub fn turn(&mut self) -> io::Result<Option<Ending>> {
        if let Phase::Over(ending) = self.phase {
            return Ok(Some(ending));
        }
        let now = self.callers().now();
        self.begin_connections(now);
        self.send_planned(now);
        self.client.turn(Some(self.next_work()))?;
        while let Some(failure) = self.client.poll_failure() {
            self.handle_failure(failure);
        }
        while let Some(notice) = self.client.poll_notice() {
            match notice {
                Notice::Drain | Notice::Stop => self.interrupt(),
                Notice::Wake | Notice::Reload | Notice::Totals => {}
            }
        }
        let now = self.callers().now();
        self.client.service_mut().tally.advance(now);
        self.give_up_late(now);
        self.advance(now);
        Ok(match self.phase {
            Phase::Over(ending) => Some(ending),
            Phase::Opening | Phase::Asking | Phase::Waiting(_) => None,
        })
    }

    /// Ends the run now: what was measured so far stands.
    pub fn interrupt(&mut self) {
        let now = self.callers().now();
        self.end(now, Ending::Interrupted);
    }

    /// How the run stands.
    pub fn glance(&self) -> Glance {
        let callers = self.callers();
        Glance {
            open: callers.open,
            measured: callers.now().min(self.measure_until).since(self.measure_from),
            answered: callers.tally.answered_meanwhile(),
            errors: callers.tally.error_count(),
        }
    }

    // ── Connections ─────────────────────────────────────────────────────────────────────────────

    /// Begins one connection if one is due. No more than one a turn: so it begins at once, and
    /// the time that it takes is its own.
    fn begin_connections(&mut self, now: Instant) {
        if self.next_connect() > now {
            return;
        }
        let (serial, seats) = (self.begun, self.plan.connections as u64);
        let keeps = self.plan.life == Life::Kept;
        let flow = match self.phase {
            Phase::Opening if keeps && serial < seats => {
                Flow::new(Role::Asks, serial as usize, serial, self.plan.message_len, now)
            }
            Phase::Opening => Flow::new(Role::Idle, 0, serial, self.plan.message_len, now),
            Phase::Asking | Phase::Waiting(_) => {
                let Some(planned) = self.next_call(now) else { return };
                let callers = self.client.service_mut();
                let Some(seat) = callers.free.pop() else { return };
                callers.begin_call(seat, serial, planned)
            }
            Phase::Over(_) => return,
        };
        self.begun += 1;
        self.client.connect(self.to.clone(), self.plan.source(serial), flow);
    }

    /// When the next connection may begin, if one is wanted.
    fn next_connect(&self) -> Instant {
        let callers = self.callers();
        let is_wanted = match self.phase {
            Phase::Opening => self.begun < self.to_open(),
            Phase::Asking | Phase::Waiting(_) => !callers.free.is_empty() && self.next_call_at() != Instant::NEVER,
            Phase::Over(_) => false,
        };
        if !is_wanted || self.client.connecting() >= CONNECTING_MAX {
            return Instant::NEVER;
        }
        let paced =
            self.connects.map_or(self.rests_until, |connects| connects.planned(self.begun).max(self.rests_until));
        if self.phase == Phase::Opening { paced } else { paced.max(self.next_call_at()) }
    }

    /// How many connections are there before anything is asked.
    fn to_open(&self) -> u64 {
        let asking = if self.plan.life == Life::Kept { self.plan.connections } else { 0 };
        (asking + self.plan.idle) as u64
    }

    /// When the next connection for one request may begin.
    fn next_call_at(&self) -> Instant {
        match self.callers().asking {
            Asking::Loop { left } if left > 0 => Instant::ORIGIN,
            Asking::Planned { schedule, last, .. } if self.next_planned < last => schedule.planned(self.next_planned),
            Asking::Loop { .. } | Asking::Planned { .. } | Asking::Nothing => Instant::NEVER,
        }
    }

    /// For when it is planned, if it may begin now.
    fn next_call(&mut self, now: Instant) -> Option<Instant> {
        match self.callers().asking {
            Asking::Nothing => None,
            Asking::Loop { .. } => self.client.service_mut().next_in_loop(now),
            Asking::Planned { .. } => {
                let planned = self.next_call_at();
                self.next_planned += u64::from(planned <= now);
                (planned <= now).then_some(planned)
            }
        }
    }

    fn handle_failure(&mut self, failure: Failure<Flow>) {
        let Failure { peer: mut flow, to, error } = failure;
        let is_churn = self.plan.life == Life::Churn && flow.role == Role::Asks;
        if is_churn {
            self.rests_until = self.client.now() + FAILURE_PAUSE;
        }
        let kind = kind_of(&error);
        let callers = self.client.service_mut();
        callers.failed += 1;
        callers.lose(&mut flow, kind, || format!("{to}: {error}"));
        if is_churn {
            callers.free.push(flow.seat);
        } else if kind == ErrorKind::ConnectTimedOut && self.phase == Phase::Opening {
            self.begin_no_more_in_vain();
        }
    }

    /// Where one has waited in vain and so few come in that those under way will not all, the rest
    /// would wait as long, one lot behind another: they are not begun and count as if they had been.
    fn begin_no_more_in_vain(&mut self) {
        if self.client.connecting() < self.callers().arrivals.lately(self.client.now()) * 2 {
            return;
        }
        let left = self.to_open() - self.begun;
        self.begun += left;
        let callers = self.client.service_mut();
        callers.failed += left;
        for _ in 0..left {
            callers.tally.count_error(ErrorKind::ConnectTimedOut, || "hardly any came about any more".to_owned());
        }
    }

    // ── Requests ────────────────────────────────────────────────────────────────────────────────

    /// Lets every planned request leave whose time has come, as far as its connection has room.
    fn send_planned(&mut self, now: Instant) {
        let Asking::Planned { schedule, step, last } = self.callers().asking else { return };
        if self.plan.life == Life::Churn {
            return;
        }
        while self.next_planned < last && schedule.planned(self.next_planned) <= now {
            let seat = (self.next_planned % step) as usize;
            if let Some(key) = self.callers().key(seat) {
                self.client.call(key, |callers, flow, cx| callers.go_on(flow, now, cx));
            }
            self.next_planned += 1;
        }
    }

    /// Until when to sleep unless a fact comes.
    fn next_work(&self) -> Instant {
        let planned = match self.callers().asking {
            Asking::Planned { schedule, last, .. } if self.plan.life == Life::Kept && self.next_planned < last => {
                schedule.planned(self.next_planned)
            }
            Asking::Planned { .. } | Asking::Nothing | Asking::Loop { .. } => Instant::NEVER,
        };
        let phase = match self.phase {
            Phase::Opening => Instant::NEVER,
            Phase::Asking if self.callers().now() < self.measure_from => self.measure_from,
            Phase::Asking => self.measure_until,
            Phase::Waiting(until) => until,
            Phase::Over(_) => Instant::NEVER,
        };
        let look = self.looked_at + self.plan.timeout / LOOKS_PER_TIMEOUT;
        planned.min(self.next_connect()).min(phase).min(look)
    }

    fn give_up_late(&mut self, now: Instant) {
        if now < self.looked_at + self.plan.timeout / LOOKS_PER_TIMEOUT {
            return;
        }
        self.looked_at = now;
        let timeout_ns = nanos(self.plan.timeout);
        let Some(since) = now.as_nanos().checked_sub(timeout_ns) else { return };
        for key in self.callers().asked_until(Instant::from_nanos(since)) {
            self.client.call(key, |callers, flow, cx| callers.give_up(flow, cx));
        }
    }

    // ── Phases ──────────────────────────────────────────────────────────────────────────────────

    fn advance(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening => {
                let callers = self.callers();
                let is_open = callers.opened + callers.failed == self.to_open();
                if is_open && callers.asking_open == 0 && self.plan.life == Life::Kept {
                    self.end(now, Ending::Abandoned);
                } else if is_open {
                    self.begin_asking(now);
                }
            }
            Phase::Asking => {
                if self.measure_from <= now && !self.cost.has_begun() {
                    self.ledger.0 = self.client.tally().ledger;
                    self.cost.begin();
                }
                if self.is_all_asked(now) {
                    self.begin_waiting(now);
                } else if self.is_deserted(now) {
                    self.end(now, Ending::Abandoned);
                }
            }
            Phase::Waiting(until) => {
                if until <= now || self.callers().under_way == 0 && self.is_plan_sent() {
                    self.end(now, Ending::Done);
                }
            }
            Phase::Over(_) => {}
        }
    }

    fn begin_asking(&mut self, now: Instant) {
        self.opened_at = now;
        self.cost.look_when_open();
        self.phase = Phase::Asking;
        let step = self.plan.connections as u64;
        let (warm_up, bound) = (self.plan.warm_up, self.plan.bound);
        let asking = match self.plan.pace {
            Pace::Closed => {
                self.measure_from = now + warm_up;
                match bound {
                    Bound::Time(time) => {
                        self.measure_until = self.measure_from + time;
                        Asking::Loop { left: u64::MAX }
                    }
                    Bound::Requests(left) => Asking::Loop { left },
                }
            }
            Pace::Open(rate) => {
                let schedule = Schedule::new(now, rate);
                let first = schedule.count_in(warm_up);
                let count = match bound {
                    Bound::Time(time) => schedule.count_in(time),
                    Bound::Requests(requests) => requests,
                };
                self.planned = first..first.saturating_add(count);
                self.measure_from = schedule.planned(first);
                self.measure_until = schedule.planned(self.planned.end);
                Asking::Planned { schedule, step, last: self.planned.end }
            }
        };
        let (from, until) = (self.measure_from, self.measure_until);
        let callers = self.client.service_mut();
        callers.asking = asking;
        callers.tally.begin(from);
        callers.tally.end(until);
        self.advance(now);
        if self.plan.life == Life::Kept && self.plan.pace == Pace::Closed {
            for seat in 0..self.plan.connections {
                if let Some(key) = self.callers().key(seat) {
                    self.client.call(key, |callers, flow, cx| callers.go_on(flow, callers.now(), cx));
                }
            }
        }
    }

    /// Whether nothing more is to be asked but what is due already.
    fn is_all_asked(&self, now: Instant) -> bool {
        match self.callers().asking {
            Asking::Loop { left: 0 } => true,
            Asking::Loop { .. } | Asking::Planned { .. } | Asking::Nothing => self.measure_until <= now,
        }
    }

    fn begin_waiting(&mut self, now: Instant) {
        if let Asking::Loop { .. } = self.callers().asking {
            self.client.service_mut().asking = Asking::Nothing;
        }
        if let Bound::Time(_) = self.plan.bound {
            self.end_measuring();
        }
        self.phase = Phase::Waiting(now + self.plan.timeout);
    }

    fn end_measuring(&mut self) {
        if self.cost.end() {
            self.ledger.1 = self.client.tally().ledger;
        }
    }

    /// Whether every request that is planned had its turn.
    fn is_plan_sent(&self) -> bool {
        self.planned.end <= self.next_planned
    }

    /// Whether nobody is left to ask, or nobody has answered for so long that nobody will.
    fn is_deserted(&self, now: Instant) -> bool {
        let callers = self.callers();
        match self.plan.life {
            Life::Kept => callers.asking_open == 0,
            Life::Churn => {
                let since = callers.tally.last_answer.max(self.opened_at);
                callers.tally.error_count() > 0 && self.plan.timeout * 2 < now.since(since)
            }
        }
    }

    fn end(&mut self, now: Instant, ending: Ending) {
        if let Phase::Over(_) = self.phase {
            return;
        }
        self.end_measuring();
        self.cost.settle();
        let is_done = ending == Ending::Done;
        let callers = self.client.service_mut();
        callers.tally.end_at_last(now, is_done);
        callers.close();
        self.measure_until = self.measure_until.min(now);
        if is_done {
            // Whoever was to answer has had a whole timeout for it.
            for key in self.callers().asked_until(now) {
                self.client.call(key, |callers, flow, cx| callers.give_up(flow, cx));
            }
        }
        self.phase = Phase::Over(ending);
        self.client.stop();
    }

    fn callers(&self) -> &Callers {
        self.client.service()
    }

    /// The whole run as plain data. An unfinished one ends by this.
    pub fn into_record(mut self, name: String, begun_unix_s: u64) -> Record {
        self.interrupt();
        let ending = match self.phase {
            Phase::Over(ending) => ending,
            Phase::Opening | Phase::Asking | Phase::Waiting(_) => Ending::Interrupted,
        };
        let (before, after) = self.ledger;
        let callers = self.client.into_service();
        let outcome = Outcome {
            ending,
            planned_len: self.planned.end - self.planned.start,
            lost: 0,
            connections: Connections {
                opened: callers.opened,
                failed: callers.failed,
                broken: callers.broken,
                silent: callers.silent,
                open_max: callers.open_max as u64,
                opening_ns: nanos(self.opened_at.since(self.began_at)),
                latency: callers.tally.connect.latencies(),
            },
            sent_bytes: after.bytes_written.saturating_sub(before.bytes_written),
            received_bytes: after.bytes_read.saturating_sub(before.bytes_read),
            plan: self.plan,
            tally: callers.tally,
            cost: self.cost,
        };
        outcome.into_record(name, begun_unix_s)
    }
}

/// The limits of a client that keeps its own time, and whose peers must always be read: were it to
/// pause one that does not read, both would wait for each other.
fn limits(plan: &Plan) -> ClientLimits {
    let frame_len = plan.message_len + ENVELOPE_LEN_MAX;
    let queue_max = plan.pipeline.saturating_mul(frame_len);
    let never = Duration::MAX;
    let peer = Limits {
        queue: Watermarks::new(queue_max / 2, queue_max),
        frame_len_max: frame_len,
        handshake_timeout: never,
        idle_timeout: never,
        frame_timeout: never,
        write_timeout: never,
        ..Limits::default()
    };
    ClientLimits {
        peer,
        connect_timeout: plan.timeout,
        connecting_max: CONNECTING_MAX,
        // What may be queued is bounded by the plan.
        queue_total_max: usize::MAX,
    }
}

#[cfg(test)]
mod tests;
