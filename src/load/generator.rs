//! `Generator`: drives a client's connections through a run, turn by turn.
//!
//! A turn begins what is due, sends what is planned, and hears what came. Which connections are due
//! is `connecting`'s part, when a run is over that of `phases`.

mod connecting;
mod phases;

use std::io;
use std::time::Duration;

use crate::client::Client;
use crate::codec::Framing;
use crate::connection::Ledger;
use crate::instant::Instant;
use crate::net::{ConnectOptions, ControlEvent, Destination, Layer, Net, Plain, PortSearch, Reactor};

use super::cost::Cost;
use super::outcome::RunOutcome;
use super::plan::{ConnectionReuse, Plan, RateSchedule, nanos};
use super::record::{Connections, Record, RunEnd};
use super::workload::{Clock, SendMode, Workload};

use phases::Phase;

/// How often within a timeout it is looked whose has passed.
const EXPIRY_CHECKS_PER_TIMEOUT: u32 = 8;

/// How a run stands, for those who watch it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunProgress {
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
pub struct Generator<N: Net, W: Layer<N::Stream> = Plain> {
    plan: Plan,
    to: Destination,
    client: Client<N, Workload, Framing, W>,
    phase: Phase,
    /// When connections may begin, where they have a rate.
    connects: Option<RateSchedule>,
    connects_begun: u64,
    /// None begins before this.
    retry_at: Instant,
    began_at: Instant,
    opened_at: Instant,
    /// Planned requests: those of the measured time, and the next one that is due.
    planned: std::ops::Range<u64>,
    next_planned: u64,
    measure_from: Instant,
    measure_until: Instant,
    /// When a good answer came last, or the run began.
    expiry_checked_at: Instant,
    ledger: (Ledger, Ledger),
    cost: Cost,
}

impl<W: Layer<<Reactor as Net>::Stream>> Generator<Reactor, W> {
    /// A run over real sockets; `server` is the number of its process, if that is to be looked at.
    ///
    /// # Errors
    /// There is no process of that number.
    pub fn new(reactor: Reactor, layer: W, to: Destination, plan: Plan, server: Option<u32>) -> io::Result<Self> {
        let cost = Cost::new(server)?;
        let clock = reactor.clock();
        Ok(Self::over(reactor, Box::new(move || clock.now()), layer, to, plan, cost))
    }
}

impl<N: Net, W: Layer<N::Stream>> Generator<N, W> {
    /// A run over any net, whose clock is `clock`.
    pub(super) fn over(net: N, clock: Clock, layer: W, to: Destination, plan: Plan, cost: Cost) -> Self {
        let now = net.now();
        let workload = Workload::new(&plan, clock);
        let client = Client::under(layer, net, plan.framing, workload, connecting::limits(&plan))
            .with_options(ConnectOptions { ports: PortSearch::All, ..ConnectOptions::default() });
        Self {
            to,
            client,
            phase: Phase::Connecting,
            connects: plan.connect_rate.map(|rate| RateSchedule::new(now, rate)),
            connects_begun: 0,
            retry_at: Instant::ORIGIN,
            began_at: now,
            opened_at: now,
            planned: 0..0,
            next_planned: 0,
            measure_from: Instant::NEVER,
            measure_until: Instant::NEVER,
            expiry_checked_at: now,
            ledger: (Ledger::default(), Ledger::default()),
            cost,
            plan,
        }
    }

    /// One turn; sleeps until there is something to do. How the run ended, once it has.
    ///
    /// # Errors
    /// The poll itself is broken.
    pub fn turn(&mut self) -> io::Result<Option<RunEnd>> {
        if let Phase::Ended(ending) = self.phase {
            return Ok(Some(ending));
        }
        let now = self.workload().now();
        self.begin_connect(now);
        self.send_planned(now);
        self.client.turn(Some(self.next_deadline()))?;
        while let Some(failure) = self.client.poll_failure() {
            self.handle_failure(failure);
        }
        while let Some(control_event) = self.client.poll_notice() {
            match control_event {
                ControlEvent::Drain | ControlEvent::Stop => self.interrupt(),
                ControlEvent::Wake | ControlEvent::Reload | ControlEvent::Totals => {}
            }
        }
        let now = self.workload().now();
        self.client.service_mut().counters.advance(now);
        self.expire_requests(now);
        self.advance(now);
        Ok(match self.phase {
            Phase::Ended(ending) => Some(ending),
            Phase::Connecting | Phase::Sending | Phase::Waiting(_) => None,
        })
    }

    /// Ends the run now: what was measured so far stands.
    pub fn interrupt(&mut self) {
        let now = self.workload().now();
        self.end(now, RunEnd::Interrupted);
    }

    /// How the run stands.
    pub fn progress(&self) -> RunProgress {
        let workload = self.workload();
        RunProgress {
            open: workload.open,
            measured: workload.now().min(self.measure_until).since(self.measure_from),
            answered: workload.counters.answered_in_window(),
            errors: workload.counters.error_count(),
        }
    }

    /// Lets every planned request leave whose time has come, as far as its connection has room.
    fn send_planned(&mut self, now: Instant) {
        let SendMode::OpenLoop { schedule, step, end } = self.workload().send_mode else { return };
        if self.plan.reuse == ConnectionReuse::PerRequest {
            return;
        }
        while self.next_planned < end && schedule.planned(self.next_planned) <= now {
            let slot = (self.next_planned % step) as usize;
            if let Some(key) = self.workload().key(slot) {
                self.client.call(key, |workload, exchange, cx| workload.send_due(exchange, now, cx));
            }
            self.next_planned += 1;
        }
    }

    /// Until when to sleep unless a fact comes.
    fn next_deadline(&self) -> Instant {
        let planned = match self.workload().send_mode {
            SendMode::OpenLoop { schedule, end, .. }
                if self.plan.reuse == ConnectionReuse::Persistent && self.next_planned < end =>
            {
                schedule.planned(self.next_planned)
            }
            SendMode::OpenLoop { .. } | SendMode::Stopped | SendMode::ClosedLoop { .. } => Instant::NEVER,
        };
        let phase = match self.phase {
            Phase::Connecting => Instant::NEVER,
            Phase::Sending if self.workload().now() < self.measure_from => self.measure_from,
            Phase::Sending => self.measure_until,
            Phase::Waiting(until) => until,
            Phase::Ended(_) => Instant::NEVER,
        };
        let look = self.expiry_checked_at + self.plan.timeout / EXPIRY_CHECKS_PER_TIMEOUT;
        planned.min(self.next_connect()).min(phase).min(look)
    }

    fn expire_requests(&mut self, now: Instant) {
        if now < self.expiry_checked_at + self.plan.timeout / EXPIRY_CHECKS_PER_TIMEOUT {
            return;
        }
        self.expiry_checked_at = now;
        let timeout_ns = nanos(self.plan.timeout);
        let Some(since) = now.as_nanos().checked_sub(timeout_ns) else { return };
        for key in self.workload().sent_by(Instant::from_nanos(since)) {
            self.client.call(key, |workload, exchange, cx| workload.expire(exchange, cx));
        }
    }

    fn workload(&self) -> &Workload {
        self.client.service()
    }

    /// The whole run as plain data. An unfinished one ends by this.
    pub fn into_record(mut self, name: String, begun_unix_s: u64) -> Record {
        self.interrupt();
        let ending = match self.phase {
            Phase::Ended(ending) => ending,
            Phase::Connecting | Phase::Sending | Phase::Waiting(_) => RunEnd::Interrupted,
        };
        let (before, after) = self.ledger;
        let workload = self.client.into_service();
        let outcome = RunOutcome {
            ending,
            planned_count: self.planned.end - self.planned.start,
            lost: 0,
            connections: Connections {
                opened: workload.opened,
                failed: workload.failed,
                broken: workload.broken,
                silent: workload.silent,
                open_max: workload.open_max as u64,
                opening_ns: nanos(self.opened_at.since(self.began_at)),
                latency: workload.counters.connect.latencies(),
            },
            sent_bytes: after.bytes_written.saturating_sub(before.bytes_written),
            received_bytes: after.bytes_read.saturating_sub(before.bytes_read),
            plan: self.plan,
            counters: workload.counters,
            cost: self.cost,
        };
        outcome.into_record(name, begun_unix_s)
    }
}

#[cfg(test)]
mod tests;
