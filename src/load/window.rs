//! `Window`: the measured time of a run, and the requests that belong to it.

use std::ops::Range;

use crate::instant::Instant;

use super::plan::{Pace, Plan, RunLength};
use super::schedule::RateSchedule;
use super::share::Share;

pub(super) struct Window {
    /// Start of the measured time.
    pub(super) begin: Instant,
    /// End of the measured time; [`Instant::NEVER`] if a number of requests ends a closed loop.
    pub(super) end: Instant,
    /// Planned times of an open loop.
    pub(super) schedule: Option<RateSchedule>,
    /// Numbers of the measured requests of an open loop.
    pub(super) planned: Range<u64>,
    /// Number of measured requests that a closed loop may still send.
    pub(super) remaining: u64,
}

impl Window {
    /// The window of a run that has sent no request yet.
    pub(super) fn unset() -> Self {
        Self { begin: Instant::NEVER, end: Instant::NEVER, schedule: None, planned: 0..0, remaining: 0 }
    }

    /// The window of a share of a run that sends its first request at `now`.
    pub(super) fn new(plan: &Plan, share: Share, now: Instant) -> Self {
        match plan.pace {
            Pace::Closed => {
                let begin = now + plan.warm_up;
                let (remaining, end) = match plan.run_length {
                    RunLength::Time(time) => (u64::MAX, begin + time),
                    RunLength::Requests(requests) => (share.part(requests), Instant::NEVER),
                };
                Self { begin, end, remaining, ..Self::unset() }
            }
            Pace::Open(rate) => {
                let (schedule, first) = RateSchedule::with_warm_up(now, plan.warm_up, rate);
                let begin = schedule.planned(first);
                let (count, end) = match plan.run_length {
                    RunLength::Time(time) => (schedule.count_in(time), begin + time),
                    RunLength::Requests(requests) => (requests, schedule.planned(first.saturating_add(requests))),
                };
                let planned = share.part(first)..share.part(first.saturating_add(count));
                Self { begin, end, schedule: Some(schedule.of_share(share)), planned, remaining: 0 }
            }
        }
    }

    /// Number of requests that are planned for the measured time; 0 in a closed loop.
    pub(super) fn planned_count(&self) -> u64 {
        self.planned.end - self.planned.start
    }
}
