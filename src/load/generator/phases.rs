//! The phases of a run: what each leads to, and when.
//!
//! Every phase has an end: whoever opens or answers does so within a timeout, or is given up.

use crate::instant::Instant;
use crate::load::plan::{Bound, Life, Pace, Schedule};
use crate::load::record::Ending;
use crate::load::workload::Asking;
use crate::net::{Layer, Net};

use super::Generator;

/// Where a run stands.
///
/// ```text
/// Opening ──all are open──▶ Asking ──time or number is up──▶ Waiting ──all answered──▶ Over
///    └──────────────── nobody is left · interrupted ────────────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are made; nothing is asked.
    Opening,
    /// Requests leave: first to warm up, then to be measured.
    Asking,
    /// What is planned for the past may still leave, at most until then; those that have left by
    /// then have a whole timeout for their answers.
    Waiting(Instant),
    Over(Ending),
}

impl<N: Net, W: Layer<N::Stream>> Generator<N, W> {
    pub(super) fn advance(&mut self, now: Instant) {
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
                    self.ledger.0 = self.client.counters().ledger;
                    self.cost.begin();
                }
                if self.is_all_asked(now) {
                    self.begin_waiting(now);
                } else if self.is_deserted(now) {
                    self.end(now, Ending::Abandoned);
                }
            }
            Phase::Waiting(until) => {
                let is_idle = self.callers().under_way == 0 && self.is_plan_sent();
                if is_idle || until <= now && !self.stop_asking(now) {
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
        callers.counters.begin(from);
        callers.counters.end(until);
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

    /// What is planned and has not left does not leave any more; whether anything was planned.
    fn stop_asking(&mut self, now: Instant) -> bool {
        let was_asking = matches!(self.callers().asking, Asking::Planned { .. });
        if was_asking {
            self.client.service_mut().asking = Asking::Nothing;
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
    fn is_deserted(&self, now: Instant) -> bool {
        let callers = self.callers();
        match self.plan.life {
            Life::Kept => callers.asking_open == 0,
            Life::Churn => {
                let since = callers.counters.last_answer.max(self.opened_at);
                callers.counters.error_count() > 0 && self.plan.timeout * 2 < now.since(since)
            }
        }
    }

    pub(super) fn end(&mut self, now: Instant, ending: Ending) {
        if let Phase::Over(_) = self.phase {
            return;
        }
        self.end_measuring();
        self.cost.settle();
        let is_done = ending == Ending::Done;
        let callers = self.client.service_mut();
        callers.counters.end_at_last(now, is_done);
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
}
