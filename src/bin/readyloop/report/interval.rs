//! The interval of the ratio of two medians, by the bootstrap: how much the ratio varies when the rounds are drawn
//! again from themselves (Efron, 1979).

use readyloop::sim::Rng;

use super::spread::Spread;

/// How often the rounds are drawn.
const DRAWS: usize = 2_000;

/// The part of the ratios outside of the interval, at each end.
const TAIL: f64 = 0.025;

/// The 95 % interval of the ratio of the two medians. The same rounds give the same interval.
///
/// With one round it has no width, so it says nothing.
pub(super) fn ratio_interval(ours: &[f64], theirs: &[f64]) -> Option<(f64, f64)> {
    let mut rng = Rng::new(1);
    let mut median = |values: &[f64]| {
        let drawn = values.iter().map(|_| values[rng.below(values.len())]);
        Spread::of(drawn).map(|spread| spread.median)
    };
    let mut ratios = (0..DRAWS).map(|_| Some(median(ours)? / median(theirs)?)).collect::<Option<Vec<f64>>>()?;
    ratios.sort_by(f64::total_cmp);
    let tail = (DRAWS as f64 * TAIL) as usize;
    Some((ratios[tail], ratios[DRAWS - 1 - tail])).filter(|(low, high)| low.is_finite() && high.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_has_the_ratio_inside_and_the_extremes_at_its_ends() {
        let (low, high) = ratio_interval(&[2.0, 2.2, 2.1, 1.9, 2.0], &[1.0, 1.1, 0.9, 1.0, 1.0]).unwrap();
        assert!((1.9 / 1.1..2.0).contains(&low) && (2.0..=2.2 / 0.9).contains(&high), "{low} {high}");
        assert_eq!(ratio_interval(&[3.0, 3.0], &[1.5, 1.5]), Some((2.0, 2.0)));
        assert_eq!(ratio_interval(&[3.0], &[1.5]), Some((2.0, 2.0)));
    }

    #[test]
    fn rounds_without_a_ratio_have_no_interval() {
        assert_eq!(ratio_interval(&[], &[1.0]), None);
        assert_eq!(ratio_interval(&[1.0, 2.0], &[0.0, 0.0]), None);
        assert_eq!(ratio_interval(&[f64::NAN], &[1.0]), None);
    }

    #[test]
    fn the_interval_holds_the_true_ratio_in_most_cases() {
        let mut rng = Rng::new(7);
        let mut draw = |middle: f64| -> Vec<f64> {
            (0..9).map(|_| middle * (0.9 + 0.2 * (rng.below(1_000) as f64 / 999.0))).collect()
        };
        let holds = (0..200).filter(|_| {
            let (ours, theirs) = (draw(2.0), draw(1.0));
            ratio_interval(&ours, &theirs).is_some_and(|(low, high)| low <= 2.0 && 2.0 <= high)
        });
        let count = holds.count();
        assert!(count >= 170, "{count} of 200");
    }
}
