//! The median of several rounds, and their minimum and maximum.
//!
//! One round allows no conclusion, and neither do rounds of two servers that overlap.

use crate::quantity::is_shown;

/// The minimum, median and maximum of a number of rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
}

/// The relation between the rounds of two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A single round does not show how much rounds vary.
    OneRound,
    /// The rounds of the two servers overlap.
    WithinNoise,
    /// Every round is below every round of the other.
    Less,
    /// Every round is above every round of the other.
    More,
}

impl Spread {
    /// The spread of all values that can be shown, or `None` if there is none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| is_shown(*value)).collect();
        sorted.sort_by(f64::total_cmp);
        let (&least, &most) = (sorted.first()?, sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { least, median, most, rounds: sorted.len() })
    }

    /// Compares these rounds with the rounds of another server.
    pub(crate) fn against(&self, other: &Self) -> Verdict {
        match () {
            () if self.rounds < 2 || other.rounds < 2 => Verdict::OneRound,
            () if self.most < other.least => Verdict::Less,
            () if other.most < self.least => Verdict::More,
            () => Verdict::WithinNoise,
        }
    }

    /// The ratio of the two medians.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        self.median / other.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values.iter().copied()).unwrap()
    }

    #[test]
    fn the_spread_has_the_median_and_both_ends() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { least: 1.0, median: 2.0, most: 3.0, rounds: 3 });
        assert_eq!(spread(&[4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[track_caller]
    fn check(ours: &[f64], theirs: &[f64], expected: Verdict) {
        assert_eq!(spread(ours).against(&spread(theirs)), expected);
    }

    #[test]
    fn rounds_that_overlap_are_within_noise() {
        check(&[1.0, 3.0], &[2.0, 4.0], Verdict::WithinNoise);
        check(&[1.0, 2.0], &[2.0, 4.0], Verdict::WithinNoise);
        check(&[1.0, 4.0], &[2.0, 3.0], Verdict::WithinNoise);
        check(&[5.0, 5.0], &[5.0, 5.0], Verdict::WithinNoise);
    }

    #[test]
    fn rounds_that_do_not_overlap_differ() {
        check(&[1.0, 1.9], &[2.0, 4.0], Verdict::Less);
        check(&[4.1, 5.0], &[2.0, 4.0], Verdict::More);
    }

    #[test]
    fn one_round_allows_no_verdict() {
        check(&[1.0], &[2.0, 4.0], Verdict::OneRound);
        check(&[1.0, 1.1], &[2.0], Verdict::OneRound);
    }
}
