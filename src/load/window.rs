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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_shares_together_plan_the_requests_of_the_whole_run(
            threads in 1_usize..8,
            rate in 1.0..1e6_f64,
            warm_up_us in 0_u64..3_000,
            requests in 0_u64..2_000,
            has_time in any::<bool>(),
        ) {
            let time = Duration::from_secs_f64(requests as f64 / rate);
            let run_length = if has_time { RunLength::Time(time) } else { RunLength::Requests(requests) };
            let warm_up = Duration::from_micros(warm_up_us);
            let address = "127.0.0.1:7".parse().unwrap();
            let plan = Plan { pace: Pace::Open(rate), run_length, warm_up, ..Plan::new(address) };
            let now = Instant::from_nanos(1_000);
            let whole = Window::new(&plan, Share::WHOLE, now);
            let times = |window: &Window, numbers: Range<u64>| -> Vec<Instant> {
                numbers.map(|number| window.schedule.unwrap().planned(number)).collect()
            };
            for select in [|window: &Window| window.planned.clone(), |window: &Window| 0..window.planned.start] {
                let mut planned = Vec::new();
                for share in Share::all(threads) {
                    let window = Window::new(&plan, share, now);
                    prop_assert_eq!((window.begin, window.end), (whole.begin, whole.end));
                    planned.extend(times(&window, select(&window)));
                }
                planned.sort_unstable();
                prop_assert_eq!(planned, times(&whole, select(&whole)));
            }
        }

        #[test]
        fn the_shares_of_a_closed_loop_send_every_request(threads in 1_usize..9, requests in any::<u64>()) {
            let run_length = RunLength::Requests(requests);
            let plan = Plan { run_length, ..Plan::new("127.0.0.1:7".parse().unwrap()) };
            let parts = Share::all(threads).map(|share| Window::new(&plan, share, Instant::ORIGIN).remaining);
            prop_assert_eq!(parts.map(u128::from).sum::<u128>(), u128::from(requests));
        }
    }
}
