//! `Summary`: the results of many runs together.

use std::fmt;
use std::time::Duration;

use super::outcome::{Failure, SimOutcome};

/// The results of many runs together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The number of runs without failure.
    pub runs: u64,
    /// The number of their turns.
    pub turns: u64,
    /// The wall-clock time of all runs.
    pub took: Duration,
    /// The failures. After a few of them no more runs start.
    pub failures: Vec<Failure>,
    names: Vec<&'static str>,
    counts: Vec<u64>,
    /// The number of runs in which two kinds both occurred, as a square matrix over `names`.
    pairs: Vec<u64>,
}

/// Two kinds of events that may occur in the same run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name of the first one.
    pub one: &'static str,
    /// The name of the second one.
    pub other: &'static str,
    /// The number of runs in which both occurred.
    pub runs: u64,
}

impl Summary {
    pub(super) fn add(&mut self, outcome: &SimOutcome) {
        self.runs += 1;
        self.turns += outcome.turns;
        let (names, counts): (Vec<_>, Vec<_>) = outcome.rows().unzip();
        let width = names.len();
        if self.names.is_empty() {
            self.counts = vec![0; width];
            self.pairs = vec![0; width * width];
            self.names = names;
        }
        for (total, count) in self.counts.iter_mut().zip(&counts) {
            *total += count;
        }
        let occurred: Vec<usize> = (0..width).filter(|&index| counts[index] > 0).collect();
        for (rank, &one) in occurred.iter().enumerate() {
            for &other in &occurred[rank + 1..] {
                self.pairs[one * width + other] += 1;
            }
        }
    }

    /// The name and count of everything that runs may inject or cause.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names.iter().copied().zip(self.counts.iter().copied())
    }

    /// All pairs of rows, with the number of runs in which both occurred.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> {
        let width = self.names.len();
        (0..width).flat_map(move |one| {
            (one + 1..width).map(move |other| {
                let runs = self.pairs[one * width + other];
                Pair { one: self.names[one], other: self.names[other], runs }
            })
        })
    }

    /// Turns per second of wall-clock time, on all cores together.
    pub fn turns_per_second(&self) -> f64 {
        self.turns as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.rows() {
            writeln!(f, "  {name:<30} {count:>12}")?;
        }
        if let Some(Pair { one, other, runs }) = self.pairs().min_by_key(|pair| pair.runs) {
            let (pairs, noun) = (self.pairs().count(), if runs == 1 { "run" } else { "runs" });
            writeln!(f, "{pairs} pairs; the rarest is `{one}` with `{other}`, together in {runs} {noun}")?;
        }
        let Self { runs, turns, took, .. } = self;
        let (speed, noun) = (self.turns_per_second() / 1000.0, if *runs == 1 { "seed" } else { "seeds" });
        write!(f, "{runs} {noun}, {turns} turns in {took:.1?}: {speed:.0} thousand turns per second")
    }
}
