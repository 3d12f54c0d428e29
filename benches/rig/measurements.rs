//! Measurements of one server in one cell, and the values derived from them.

use std::time::{Duration, Instant};

/// One CPU time for each round, and one round trip for each message.
#[derive(Default)]
pub(crate) struct Measurements {
    /// CPU for one message in nanoseconds, by round.
    pub(crate) cpu_ns: Vec<f64>,
    /// Round trips of all rounds in nanoseconds.
    pub(crate) round_trips_ns: Vec<u64>,
    /// The number of round trips to come that are a warm-up, so they are not recorded.
    pub(crate) unmeasured: usize,
    /// When the last of them ended.
    #[allow(dead_code, reason = "only the benchmark of generators reads it")]
    pub(crate) warm_at: Option<Instant>,
}

impl Measurements {
    /// Adds the CPU of one round.
    pub(crate) fn record_cpu(&mut self, spent: Duration, messages: usize) {
        self.cpu_ns.push(spent.as_nanos() as f64 / messages as f64);
    }

    pub(crate) fn record_round_trip(&mut self, began: Instant, ended: Instant) {
        if self.unmeasured == 0 {
            self.round_trips_ns.push((ended - began).as_nanos() as u64);
        } else {
            self.unmeasured -= 1;
            self.warm_at = Some(ended);
        }
    }

    /// The ratios of CPU to that of `baseline`, round by round, in ascending order.
    pub(crate) fn ratios(&self, baseline: &Self) -> Vec<f64> {
        sorted(&ratios(&self.cpu_ns, &baseline.cpu_ns))
    }

    /// The median over all rounds of the CPU for one message.
    pub(crate) fn cpu_median_ns(&self) -> f64 {
        median(&self.cpu_ns)
    }

    /// Percentiles of the round trips.
    pub(crate) fn percentiles_ns<const N: usize>(&mut self, percents: [usize; N]) -> [u64; N] {
        self.round_trips_ns.sort_unstable();
        let last = self.round_trips_ns.len() - 1;
        percents.map(|percent| self.round_trips_ns[last * percent / 100])
    }
}

/// The ratios, round by round.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

pub(crate) fn median(values: &[f64]) -> f64 {
    sorted(values)[values.len() / 2]
}
