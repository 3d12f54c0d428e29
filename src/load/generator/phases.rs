//! The phases of a run: what each leads to, and when.
//!
//! Every phase has an end: whoever opens or answers does so within a timeout, or is given up.

use crate::instant::Instant;
use crate::load::plan::{ConnectionReuse, Pace, RateSchedule, RunLength};
use crate::load::record::RunEnd;
use crate::load::workload::SendMode;
use crate::net::{Layer, Net};

use super::Generator;

/// Where a run stands.
///
/// ```text
/// Connecting ──all are open──▶ SendMode ──time or number is up──▶ Waiting ──all answered──▶ Ended
///    └──────────────── nobody is remaining · interrupted ────────────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are made; nothing is asked.
    Connecting,
    /// Requests leave: first to warm up, then to be measured.
    Sending,
    /// What is planned for the past may still leave, at most until then; those that have left by
    /// then have a whole timeout for their answers.
    Waiting(Instant),
    Ended(RunEnd),
}

impl<N: Net, W: Layer<N::Stream>> Generator<N, W> {
    pub(super) fn advance(&mut self, now: Instant) {
        match self.phase {
            Phase::Connecting => {
                let workload = self.workload();
                let is_open = workload.opened + workload.failed == self.connections_to_open();
                if is_open && workload.requesting_open == 0 && self.plan.reuse == ConnectionReuse::Persistent {
                    self.end(now, RunEnd::Abandoned);
                } else if is_open {
                    self.begin_sending(now);
                }
            }
            Phase::Sending => {
                if self.measure_from <= now && !self.cost.has_begun() {
                    self.ledger.0 = self.client.counters().ledger;
                    self.cost.begin();
                }
                if self.is_all_sent(now) {
                    self.begin_waiting(now);
                } else if self.is_abandoned(now) {
                    self.end(now, RunEnd::Abandoned);
                }
            }
            Phase::Waiting(until) => {
                let is_idle = self.workload().in_flight == 0 && self.is_plan_sent();
                if is_idle || until <= now && !self.stop_sending(now) {
                    self.end(now, RunEnd::Done);
                }
            }
            Phase::Ended(_) => {}
        }
    }

    fn begin_sending(&mut self, now: Instant) {
        self.opened_at = now;
        self.cost.sample_when_open();
        self.phase = Phase::Sending;
        let step = self.plan.connections as u64;
        let (warm_up, run_length) = (self.plan.warm_up, self.plan.run_length);
        let send_mode = match self.plan.pace {
            Pace::Closed => {
                self.measure_from = now + warm_up;
                match run_length {
                    RunLength::Time(time) => {
                        self.measure_until = self.measure_from + time;
                        SendMode::ClosedLoop { remaining: u64::MAX }
                    }
                    RunLength::Requests(remaining) => SendMode::ClosedLoop { remaining },
                }
            }
            Pace::Open(rate) => {
                let schedule = RateSchedule::new(now, rate);
                let first = schedule.count_in(warm_up);
                let count = match run_length {
                    RunLength::Time(time) => schedule.count_in(time),
                    RunLength::Requests(requests) => requests,
                };
                self.planned = first..first.saturating_add(count);
                self.measure_from = schedule.planned(first);
                self.measure_until = schedule.planned(self.planned.end);
                SendMode::OpenLoop { schedule, step, end: self.planned.end }
            }
        };
        let (from, until) = (self.measure_from, self.measure_until);
        let workload = self.client.service_mut();
        workload.send_mode = send_mode;
        workload.counters.begin(from);
        workload.counters.end(until);
        self.advance(now);
        if self.plan.reuse == ConnectionReuse::Persistent && self.plan.pace == Pace::Closed {
            for slot in 0..self.plan.connections {
                if let Some(key) = self.workload().key(slot) {
                    self.client.call(key, |workload, exchange, cx| workload.send_due(exchange, workload.now(), cx));
                }
            }
        }
    }

    /// Whether nothing more is to be asked but what is due already.
    fn is_all_sent(&self, now: Instant) -> bool {
        match self.workload().send_mode {
            SendMode::ClosedLoop { remaining: 0 } => true,
            SendMode::ClosedLoop { .. } | SendMode::OpenLoop { .. } | SendMode::Stopped => self.measure_until <= now,
        }
    }

    fn begin_waiting(&mut self, now: Instant) {
        if let SendMode::ClosedLoop { .. } = self.workload().send_mode {
            self.client.service_mut().send_mode = SendMode::Stopped;
        }
        if let RunLength::Time(_) = self.plan.run_length {
            self.end_measuring();
        }
        self.phase = Phase::Waiting(now + self.plan.timeout);
    }

    /// What is planned and has not left does not leave any more; whether anything was planned.
    fn stop_sending(&mut self, now: Instant) -> bool {
        let was_asking = matches!(self.workload().send_mode, SendMode::OpenLoop { .. });
        if was_asking {
            self.client.service_mut().send_mode = SendMode::Stopped;
            self.next_planned = self.planned.end;
            self.phase = Phase::Waiting(now + self.plan.timeout);
        }
        was_asking
    }

    fn end_measuring(&mut self) {
        if self.cost.end() {
            self.ledger.1 = self.client.counters().ledger;
        }
    }

    /// Whether every request that is planned had its turn.
    pub(super) fn is_plan_sent(&self) -> bool {
        self.planned.end <= self.next_planned
    }

    /// Whether nobody is left to ask, or nobody has answered for so long that nobody will.
    fn is_abandoned(&self, now: Instant) -> bool {
        let workload = self.workload();
        match self.plan.reuse {
            ConnectionReuse::Persistent => workload.requesting_open == 0,
            ConnectionReuse::PerRequest => {
                let since = workload.counters.last_answer.max(self.opened_at);
                workload.counters.error_count() > 0 && self.plan.timeout * 2 < now.since(since)
            }
        }
    }

    pub(super) fn end(&mut self, now: Instant, ending: RunEnd) {
        if let Phase::Ended(_) = self.phase {
            return;
        }
        self.end_measuring();
        self.cost.finish_sampling();
        let is_done = ending == RunEnd::Done;
        let workload = self.client.service_mut();
        workload.counters.finish(now, is_done);
        workload.close();
        self.measure_until = self.measure_until.min(now);
        if is_done {
            // Whoever was to answer has had a whole timeout for it.
            for key in self.workload().sent_by(now) {
                self.client.call(key, |workload, exchange, cx| workload.expire(exchange, cx));
            }
        }
        self.phase = Phase::Ended(ending);
        self.client.stop();
    }
}
