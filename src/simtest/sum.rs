//! `Sum`: many runs on every core, and what came together in them.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::scene::Outcome;
use super::{Failure, Trial};

/// More failures than this tell nothing new.
const FAILURES_MAX: usize = 5;

/// What many runs were, together.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// How many runs there were.
    pub runs: u64,
    /// How many turns they took.
    pub turns: u64,
    /// How long they took, by the clock on the wall.
    pub took: Duration,
    /// What does not hold; no more runs are begun after a few.
    pub failures: Vec<Failure>,
    names: Vec<&'static str>,
    counts: Vec<u64>,
    /// In how many runs two things happened: a square, as wide as there are names.
    pairs: Vec<u64>,
}

/// Two things that may happen in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// One.
    pub one: &'static str,
    /// The other.
    pub other: &'static str,
    /// In how many runs both happened.
    pub runs: u64,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.turns += outcome.turns;
        let (names, counts): (Vec<_>, Vec<_>) = outcome.rows().unzip();
        let width = names.len();
        if self.names.is_empty() {
            self.counts = vec![0; width];
            self.pairs = vec![0; width * width];
            self.names = names;
        }
        for (sum, count) in self.counts.iter_mut().zip(&counts) {
            *sum += count;
        }
        let struck: Vec<usize> = (0..width).filter(|&place| counts[place] > 0).collect();
        for (rank, &one) in struck.iter().enumerate() {
            for &other in &struck[rank + 1..] {
                self.pairs[one * width + other] += 1;
            }
        }
    }

    /// Everything that can go wrong or be brought about, by name, and how often it was.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names.iter().copied().zip(self.counts.iter().copied())
    }

    /// Every two of them, and in how many runs both were.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> {
        let width = self.names.len();
        (0..width).flat_map(move |one| {
            (one + 1..width).map(move |other| {
                let runs = self.pairs[one * width + other];
                Pair { one: self.names[one], other: self.names[other], runs }
            })
        })
    }

    /// Turns per second of the wall's clock, all cores together.
    pub fn turns_per_second(&self) -> f64 {
        self.turns as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.rows() {
            writeln!(f, "  {name:<28} {count:>12}")?;
        }
        if let Some(Pair { one, other, runs }) = self.pairs().min_by_key(|pair| pair.runs) {
            let pairs = self.pairs().count();
            writeln!(f, "{pairs} pairs; the rarest, `{one}` with `{other}`, met in {runs} runs")?;
        }
        let Self { runs, turns, took, .. } = self;
        let speed = self.turns_per_second() / 1000.0;
        write!(f, "{runs} seeds, {turns} turns in {took:.1?}: {speed:.0} thousand turns a second")
    }
}

impl Trial<'_> {
    /// Runs seeds on every core, and tells `on_run` after each how many are done. A few failures
    /// end it.
    pub fn sweep(&self, seeds: impl IntoIterator<Item = u64, IntoIter: Send>, on_run: impl Fn(u64) + Sync) -> Sum {
        let began_at = Instant::now();
        let sum = Mutex::new(Sum::default());
        let seeds = Mutex::new(seeds.into_iter());
        let next = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some(seed) = next() {
                let outcome = self.run(seed);
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                match outcome {
                    Ok(outcome) => sum.add(&outcome),
                    Err(failure) => sum.failures.push(failure),
                }
                if sum.failures.len() >= FAILURES_MAX {
                    return;
                }
                on_run(sum.runs);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
        sum.took = began_at.elapsed();
        sum
    }
}
