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
use super::outcome::Outcome;
use super::plan::{Life, Plan, Schedule, nanos};
use super::record::{Connections, Ending, Record};
use super::workload::{Asking, Clock, Workload};

use phases::Phase;

/// How often within a timeout it is looked whose has passed.
const LOOKS_PER_TIMEOUT: u32 = 8;

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
        let callers = Workload::new(&plan, clock);
        let client = Client::with_layer(layer, net, plan.framing, callers, connecting::limits(&plan))
            .with_options(ConnectOptions { ports: PortSearch::All, ..ConnectOptions::default() });
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
        while let Some(control_event) = self.client.poll_control_event() {
            match control_event {
                ControlEvent::Drain | ControlEvent::Stop => self.interrupt(),
                ControlEvent::Wake | ControlEvent::Reload | ControlEvent::Totals => {}
            }
        }
        let now = self.callers().now();
        self.client.service_mut().counters.advance(now);
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
    pub fn glance(&self) -> RunProgress {
        let callers = self.callers();
        RunProgress {
            open: callers.open,
            measured: callers.now().min(self.measure_until).since(self.measure_from),
            answered: callers.counters.answered_meanwhile(),
            errors: callers.counters.error_count(),
        }
    }

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

    fn callers(&self) -> &Workload {
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
                latency: callers.counters.connect.latencies(),
            },
            sent_bytes: after.bytes_written.saturating_sub(before.bytes_written),
            received_bytes: after.bytes_read.saturating_sub(before.bytes_read),
            plan: self.plan,
            counters: callers.counters,
            cost: self.cost,
        };
        outcome.into_record(name, begun_unix_s)
    }
}

#[cfg(test)]
mod tests;
