//! `Search`: which rate is tried next, and between which two rates the limit of the server is.
//!
//! It measures nothing. Trials vary, so one trial at a rate decides nothing near the limit: both bounds of the
//! result are tried [`EDGE_TRIALS`] times, and most of these trials decide.

use readyloop::load::plan::RATE_MAX;

/// Trials at each bound of the result.
const EDGE_TRIALS: u32 = 3;

/// The two bounds of the result differ at most by this factor.
const PRECISION: f64 = 1.05;

/// The same, if the generator and not the server is the limit.
const GENERATOR_PRECISION: f64 = 1.25;

/// The first rates, as fractions of the rate of the closed loop. They show the curve below the limit.
const FIRST: [f64; 4] = [0.1, 0.25, 0.5, 0.75];

/// The next rate is higher by this factor, if all rates so far held.
const GROWTH: f64 = 1.5;

/// The next rate is lower by this factor, if no rate so far held.
const DECLINE: f64 = 4.0;

/// No lower rate is tried.
const RATE_MIN: f64 = 1.0;

/// The most trials of a search.
const TRIALS_MAX: u32 = 60;

/// The result of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrialResult {
    Held,
    Missed,
    /// It missed, and the generator was the bottleneck.
    MissedByGenerator,
}

/// All trials at one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tried {
    pub(super) rate: f64,
    pub(super) trials: u32,
    pub(super) held: u32,
    /// Trials that missed because of the generator.
    generator_misses: u32,
}

/// A search in progress.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// In ascending order of the rate.
    tried: Vec<Tried>,
    /// Rates that are tried first, the next one last.
    first: Vec<f64>,
}

impl Tried {
    /// Whether most trials held.
    pub(super) fn holds(&self) -> bool {
        self.held * 2 > self.trials
    }

    /// Whether the generator was the limit, and not the server.
    pub(super) fn is_generator_limit(&self) -> bool {
        !self.holds() && self.generator_misses == self.trials - self.held
    }

    fn is_undecided(&self) -> bool {
        self.held * 2 == self.trials
    }
}

impl Search {
    /// A search for a server that has answered this many requests per second in a closed loop.
    pub(super) fn new(closed_rate: f64) -> Self {
        let rates = FIRST.iter().rev().map(|part| rounded(part * closed_rate));
        Self { tried: Vec::new(), first: rates.map(|rate| rate.clamp(RATE_MIN, RATE_MAX)).collect() }
    }

    /// The next rate to try; `None` at the end of the search.
    pub(super) fn next_rate(&mut self) -> Option<f64> {
        if self.tried.iter().map(|tried| tried.trials).sum::<u32>() >= TRIALS_MAX {
            return None;
        }
        if let Some(tied) = self.tried.iter().find(|tried| tried.is_undecided()) {
            return Some(tied.rate);
        }
        let (lower, upper) = (self.lower().copied(), self.upper().copied());
        if upper.is_none()
            && let Some(first) = self.first.pop()
        {
            return Some(first);
        }
        match (lower, upper) {
            (None, None) => None,
            (Some(lower), None) => Some(rounded(lower.rate * GROWTH)).filter(|rate| *rate <= RATE_MAX),
            (None, Some(upper)) => Some(rounded(upper.rate / DECLINE)).filter(|rate| *rate >= RATE_MIN),
            (Some(lower), Some(upper)) => self.between(lower, upper),
        }
    }

    /// The next rate between two bounds, or one of them again.
    fn between(&self, lower: Tried, upper: Tried) -> Option<f64> {
        let middle = rounded((lower.rate * upper.rate).sqrt());
        let is_new = self.tried.iter().all(|tried| tried.rate != middle);
        let precision = if upper.is_generator_limit() { GENERATOR_PRECISION } else { PRECISION };
        if upper.rate / lower.rate > precision && is_new {
            return Some(middle);
        }
        let bounds = [lower, upper].into_iter().filter(|bound| !bound.is_generator_limit());
        bounds.min_by_key(|bound| bound.trials).filter(|bound| bound.trials < EDGE_TRIALS).map(|bound| bound.rate)
    }

    /// Adds the result of a trial.
    pub(super) fn add(&mut self, rate: f64, result: TrialResult) {
        let place = self.tried.partition_point(|tried| tried.rate < rate);
        if self.tried.get(place).is_none_or(|tried| tried.rate != rate) {
            self.tried.insert(place, Tried { rate, trials: 0, held: 0, generator_misses: 0 });
        }
        let tried = &mut self.tried[place];
        tried.trials += 1;
        match result {
            TrialResult::Held => tried.held += 1,
            TrialResult::Missed => {}
            TrialResult::MissedByGenerator => tried.generator_misses += 1,
        }
    }

    /// The lowest rate that does not hold.
    pub(super) fn upper(&self) -> Option<&Tried> {
        self.tried.iter().find(|tried| !tried.holds())
    }

    /// The highest rate that holds, below all rates that do not.
    pub(super) fn lower(&self) -> Option<&Tried> {
        self.tried.iter().take_while(|tried| tried.holds()).last()
    }
}

/// A rate with three significant digits, which is easy to type again.
fn rounded(rate: f64) -> f64 {
    if !rate.is_finite() || rate <= 0.0 {
        return RATE_MIN;
    }
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use readyloop::sim::Rng;

    use super::*;

    /// Searches for the limit of a server. A trial at a rate within `noise` of the limit has a random result.
    fn search(closed_rate: f64, limit: f64, noise: f64, rng: &mut Rng) -> Search {
        let mut search = Search::new(closed_rate);
        while let Some(rate) = search.next_rate() {
            let is_random = (rate / limit - 1.0).abs() < noise;
            let is_held = if is_random { rng.below(2) == 0 } else { rate < limit };
            search.add(rate, if is_held { TrialResult::Held } else { TrialResult::Missed });
        }
        search
    }

    #[test]
    fn the_limit_is_found_wherever_it_is() {
        let rng = &mut Rng::new(1);
        for (closed_rate, limit) in [(1e5, 8e4), (1e5, 2.3e5), (1e5, 1.5e3), (100.0, 31.0), (1e6, 5e6), (3.0, 2.0)] {
            let search = search(closed_rate, limit, 0.0, rng);
            let (lower, upper) = (search.lower().unwrap(), search.upper().unwrap());
            assert!((lower.rate..=upper.rate).contains(&limit), "{lower:?} {upper:?} {limit}");
            assert!(upper.rate / lower.rate <= PRECISION * 1.01, "{lower:?} {upper:?}");
            assert_eq!((lower.trials, lower.held, upper.trials, upper.held), (3, 3, 3, 0));
        }
    }

    #[test]
    fn noise_moves_the_bounds_no_further_than_its_own_width() {
        let rng = &mut Rng::new(2);
        for _ in 0..500 {
            let search = search(1e5, 8e4, 0.1, rng);
            let (lower, upper) = (search.lower().unwrap(), search.upper().unwrap());
            assert!(lower.rate <= 8.8e4 * 1.01 && upper.rate >= 7.2e4 * 0.99, "{lower:?} {upper:?}");
            assert!(upper.rate / lower.rate <= PRECISION * 1.01, "{lower:?} {upper:?}");
            assert!(search.tried.iter().map(|tried| tried.trials).sum::<u32>() <= TRIALS_MAX);
        }
    }

    #[test]
    fn a_server_that_never_holds_ends_the_search() {
        let search = search(1e5, 0.0, 0.0, &mut Rng::new(3));
        assert_eq!(search.lower(), None);
        assert!(search.upper().unwrap().rate < RATE_MIN * DECLINE);
    }

    #[test]
    fn a_server_that_always_holds_ends_the_search() {
        let search = search(1e5, f64::INFINITY, 0.0, &mut Rng::new(4));
        assert_eq!(search.upper(), None);
        assert!(search.lower().unwrap().rate * GROWTH > RATE_MAX);
    }

    #[test]
    fn a_limit_of_the_generator_is_not_measured_more_exactly() {
        let mut search = Search::new(1e5);
        let mut trials = 0;
        while let Some(rate) = search.next_rate() {
            search.add(rate, if rate < 9e4 { TrialResult::Held } else { TrialResult::MissedByGenerator });
            trials += 1;
        }
        assert!(search.upper().unwrap().is_generator_limit());
        assert!(trials <= 9, "{trials} trials");
    }

    #[test]
    fn any_rate_of_the_closed_loop_gives_rates_in_range() {
        for closed_rate in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-300, 1e300] {
            let rate = Search::new(closed_rate).next_rate().unwrap();
            assert!((RATE_MIN..=RATE_MAX).contains(&rate), "{closed_rate}: {rate}");
        }
    }
}
