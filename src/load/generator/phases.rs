//! The phases of a run, and when each one ends.
//!
//! Every phase ends: a connect or an answer that is not complete within the timeout is given up.

use std::time::Duration;

use crate::instant::Instant;
use crate::load::distribution::Distribution;
use crate::load::load_run::LoadRun as _;
use crate::load::plan::{ConnectionReuse, Ramp, RunLength};
use crate::load::progress::Phase;
use crate::load::record::RunEnd;
use crate::load::window::Window;
use crate::load::workload::SendMode;
use crate::net::Net;

use super::Generator;

impl<N: Net + 'static> Generator<N> {
    /// Moves from phase to phase, as long as the current one is over.
    pub(super) fn advance(&mut self, now: Instant) {
        loop {
            let phase = self.phase;
            self.advance_phase(now);
            if self.phase == phase {
                return;
            }
        }
    }

    fn advance_phase(&mut self, now: Instant) {
        match self.phase {
            Phase::Connecting => {
                let workload = self.workload();
                let is_open = workload.opened + workload.failed == self.connections_to_open();
                if is_open && workload.requesting_open == 0 && self.plan.reuse != ConnectionReuse::PerRequest {
                    self.end(now, RunEnd::Abandoned);
                } else if is_open && let Some(begin) = self.member.begin(now) {
                    self.begin_sending(begin);
                }
            }
            Phase::Sending => {
                if self.window.begin <= now && !self.member.is_measuring() {
                    self.next_planned = self.next_planned.max(self.window.planned.start);
                    self.ledger.0 = self.client.counters().ledger;
                    self.member.begin_measuring();
                }
                if self.is_all_sent(now) {
                    self.begin_waiting(now);
                } else if self.is_abandoned(now) {
                    self.end(now, RunEnd::Abandoned);
                }
            }
            Phase::Waiting(until) => {
                let is_idle = self.workload().in_flight == 0 && self.is_plan_sent() && !self.is_replacing();
                if is_idle || until <= now && !self.stop_sending(now) {
                    self.end(now, RunEnd::Done);
                }
            }
            Phase::Ended(_) => {}
        }
    }

    fn begin_sending(&mut self, begin: Instant) {
        self.opened_at = begin;
        self.phase = Phase::Sending;
        let step = self.plan.connections as u64;
        self.window = Window::new(&self.plan, self.member.share, begin);
        let send_mode = match self.window.schedule {
            None => SendMode::ClosedLoop { remaining: self.window.remaining },
            Some(schedule) => {
                let planned = &self.window.planned;
                SendMode::OpenLoop { schedule, step, first: planned.start, end: planned.end }
            }
        };
        let (begin, end) = (self.window.begin, self.window.end);
        let workload = self.client.service_mut();
        workload.send_mode = send_mode;
        workload.counters.begin(begin);
        workload.counters.end(end);
    }

    /// Whether no request will become due any more. Overdue ones may still be unsent.
    fn is_all_sent(&self, now: Instant) -> bool {
        match self.workload().send_mode {
            SendMode::ClosedLoop { remaining: 0 } => true,
            SendMode::OpenLoop { .. } if matches!(self.plan.run_length, RunLength::Requests(_)) => {
                self.is_plan_sent() || self.window.end <= now
            }
            SendMode::ClosedLoop { .. } | SendMode::OpenLoop { .. } | SendMode::Stopped => self.window.end <= now,
        }
    }

    fn begin_waiting(&mut self, now: Instant) {
        if let SendMode::ClosedLoop { .. } = self.workload().send_mode {
            self.client.service_mut().send_mode = SendMode::Stopped;
        }
        if let RunLength::Time(_) = self.plan.run_length {
            self.end_measuring();
        }
        self.phase = Phase::Waiting(now + self.plan.last_answers_timeout());
    }

    /// Drops the planned requests that were not sent. Returns whether the run was still sending them.
    fn stop_sending(&mut self, now: Instant) -> bool {
        let was_sending = matches!(self.workload().send_mode, SendMode::OpenLoop { .. });
        if was_sending {
            self.client.service_mut().send_mode = SendMode::Stopped;
            self.next_planned = self.window.planned.end;
            self.phase = Phase::Waiting(now + self.plan.last_answers_timeout());
        }
        was_sending
    }

    fn end_measuring(&mut self) {
        if self.member.end_measuring() {
            self.ledger.1 = self.client.counters().ledger;
        }
    }

    /// Whether every planned request became due and was considered.
    fn is_plan_sent(&self) -> bool {
        self.window.planned.end <= self.next_planned
    }

    /// Whether the next connection of a slot with planned requests is not open yet.
    fn is_replacing(&self) -> bool {
        let workload = self.workload();
        let is_planned = matches!(workload.send_mode, SendMode::OpenLoop { .. });
        let is_between = !workload.free_slots.is_empty() || self.client.connecting() > 0;
        is_planned && is_between && self.plan.reuse != ConnectionReuse::PerRequest
    }

    /// Whether no requesting connection is left. If more will be opened: whether the server has not answered for two
    /// timeouts, after an error.
    fn is_abandoned(&self, now: Instant) -> bool {
        let workload = self.workload();
        let is_opening = match self.plan.reuse {
            ConnectionReuse::Persistent => self.client.connecting() > 0 || self.is_ramp_rising(),
            ConnectionReuse::PerRequest | ConnectionReuse::Requests(_) | ConnectionReuse::Time(_) => true,
        };
        if !is_opening {
            return workload.requesting_open == 0;
        }
        let since = workload.counters.answered_at.max(self.opened_at);
        let patience = self.plan.timeout.saturating_mul(2).saturating_add(self.request_interval_max());
        workload.counters.error_count() > 0 && patience < now.since(since)
    }

    fn is_ramp_rising(&self) -> bool {
        self.plan.ramp.is_some_and(Ramp::is_rising) && self.next_ramp_change().is_some()
    }

    /// The longest time between an answer and the next request that the plan asks for.
    fn request_interval_max(&self) -> Duration {
        let thinks = self.plan.think.map_or(Duration::ZERO, Distribution::max);
        let planned = self.plan.pace.rate().map_or(0.0, |rate| self.plan.threads as f64 / rate);
        thinks.max(Duration::try_from_secs_f64(planned).unwrap_or(Duration::MAX))
    }

    pub(super) fn end(&mut self, now: Instant, ending: RunEnd) {
        if let Phase::Ended(_) = self.phase {
            return;
        }
        self.end_measuring();
        let is_done = ending == RunEnd::Done;
        let workload = self.client.service_mut();
        workload.counters.finish(now, is_done);
        workload.close();
        self.window.end = self.window.end.min(now);
        if is_done {
            // Each of these requests had a full timeout.
            for key in self.workload().sent_by(now) {
                self.client.call(key, |workload, exchange, cx| workload.expire(exchange, cx));
            }
        }
        self.phase = Phase::Ended(ending);
        self.client.stop();
        self.member.report(self.progress());
        self.member.end(now);
    }
}
