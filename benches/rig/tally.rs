//! Numbers of one server in one cell, and what is derived from them.

use std::time::Duration;

/// What one server did in one cell: an entry a round, a latency a message.
#[derive(Default)]
pub(crate) struct Tally {
    /// Nanoseconds of CPU a message, by round.
    pub(crate) cpu_ns: Vec<f64>,
    /// Nanoseconds of each round trip, of all rounds.
    pub(crate) round_trips_ns: Vec<u64>,
}

impl Tally {
    /// Adds the CPU that a round cost.
    pub(crate) fn record_cpu(&mut self, spent: Duration, messages: usize) {
        self.cpu_ns.push(spent.as_nanos() as f64 / messages as f64);
    }

    /// Adds one round trip.
    pub(crate) fn record_round_trip(&mut self, took: Duration) {
        self.round_trips_ns.push(took.as_nanos() as u64);
    }

    /// The ratio of CPU to that of `baseline`, round by round, in rising order.
    pub(crate) fn ratios(&self, baseline: &Tally) -> Vec<f64> {
        let mut ratios: Vec<f64> =
            self.cpu_ns.iter().zip(&baseline.cpu_ns).map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// The median of the rounds' CPU a message.
    pub(crate) fn cpu_median_ns(&self) -> f64 {
        let mut sorted = self.cpu_ns.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    /// The round trips that `percents` of all messages did not exceed, each.
    pub(crate) fn percentiles_ns<const N: usize>(&mut self, percents: [usize; N]) -> [u64; N] {
        self.round_trips_ns.sort_unstable();
        let last = self.round_trips_ns.len() - 1;
        percents.map(|percent| self.round_trips_ns[last * percent / 100])
    }
}
