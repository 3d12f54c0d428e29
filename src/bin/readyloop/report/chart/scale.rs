//! Maps values to positions along an axis, and chooses the round values that are labeled.
//!
//! A position is between 0 and 1, not in pixels.

use std::ops::RangeInclusive;

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Linear, beginning at zero.
    Linear,
    /// Logarithmic. A value that is not above zero has no position.
    Log,
}

/// The range of values that an axis shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    scale: Scale,
    low: f64,
    high: f64,
}

/// With more labels than this, the labels of an axis would overlap.
const TICKS_MAX: usize = 8;

/// The values that have a position, beside 0 on a linear axis. No measurement is outside of this range, but
/// the numbers of a file may be.
const PLAUSIBLE: RangeInclusive<f64> = 1e-9..=1e21;

/// Tick values within a decade.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

impl Span {
    /// The smallest range between round values that holds all values with a position; `None` without one.
    pub(super) fn around(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let is_zero = |value| value == 0.0 && scale == Scale::Linear;
        let shown = values.filter(|value| PLAUSIBLE.contains(value) || is_zero(*value));
        let (least, most) =
            shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
        if least > most {
            return None;
        }
        let (low, high) = match scale {
            Scale::Linear => (0.0, multiple_above(most.max(*PLAUSIBLE.start()))),
            Scale::Log => (round_below(least), round_above(most)),
        };
        // A single value is in the middle.
        Some(if low < high { Self { scale, low, high } } else { Self { scale, low: low / 2.0, high: high * 2.0 } })
    }

    /// The position of a value, if the axis shows it.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        // Rounding may put the ends slightly outside.
        (-1e-9..=1.0 + 1e-9).contains(&place).then(|| place.clamp(0.0, 1.0))
    }

    /// The round values to label, in ascending order.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = linear_step(self.high);
                (0..TICKS_MAX).map(|count| count as f64 * step).filter(|tick| *tick <= self.high * 1.000_001).collect()
            }
            Scale::Log => {
                let first = self.low.log10().floor() as i32;
                let last = self.high.log10().ceil() as i32;
                let decades = |every: usize, steps: &[f64]| -> Vec<f64> {
                    let each = (first..=last).step_by(every);
                    let values = each.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
                    values.filter(|tick| self.place(*tick).is_some()).collect()
                };
                let sparse = (1..32).map(|every| decades(every, &STEPS[..1]));
                let mut sets = std::iter::once(decades(1, &STEPS)).chain(sparse);
                sets.find(|ticks| ticks.len() <= TICKS_MAX).unwrap_or_default()
            }
        }
    }
}

/// The distance of the ticks on an axis from zero to `high`.
fn linear_step(high: f64) -> f64 {
    round_above(high / (TICKS_MAX as f64 - 2.0))
}

/// The last tick of an axis from zero that holds this value.
fn multiple_above(value: f64) -> f64 {
    let step = linear_step(value);
    (value / step * (1.0 - 1e-9)).ceil() * step
}

/// The largest 1, 2 or 5 of a decade that is not above a value above zero.
fn round_below(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    // Powers of ten are not exact, and a round value must map to itself.
    let fits = |step: &&f64| **step * decade <= value * (1.0 + 1e-9);
    STEPS.iter().rev().find(fits).map_or(decade, |step| step * decade)
}

/// The smallest 1, 2, 5 or 10 of a decade that is not below a value above zero.
fn round_above(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let fits = |step: &&f64| **step * decade >= value * (1.0 - 1e-9);
    STEPS.iter().find(fits).map_or(10.0 * decade, |step| step * decade)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(scale: Scale, values: &[f64]) -> Span {
        Span::around(scale, values.iter().copied()).unwrap()
    }

    #[track_caller]
    fn check_ticks(scale: Scale, values: &[f64], expected: &[f64]) {
        let ticks = span(scale, values).ticks();
        let alike = |(tick, expected): (&f64, &f64)| (tick - expected).abs() <= expected.abs() * 1e-9;
        assert!(ticks.len() == expected.len() && ticks.iter().zip(expected).all(alike), "{ticks:?}");
    }

    #[test]
    fn a_log_axis_labels_decades_or_their_parts() {
        check_ticks(Scale::Log, &[10.0, 10_000.0], &[10.0, 100.0, 1_000.0, 10_000.0]);
        check_ticks(Scale::Log, &[30.0, 400.0], &[20.0, 50.0, 100.0, 200.0, 500.0]);
        check_ticks(Scale::Log, &[1.0, 1e16], &[1.0, 1e3, 1e6, 1e9, 1e12, 1e15]);
    }

    #[test]
    fn a_linear_axis_begins_at_zero() {
        check_ticks(Scale::Linear, &[3.0, 9.0], &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        check_ticks(Scale::Linear, &[100.0], &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        check_ticks(Scale::Linear, &[2.9], &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
    }

    #[test]
    fn a_single_value_is_in_the_middle() {
        assert_eq!(span(Scale::Log, &[100.0]).place(100.0), Some(0.5));
        assert!(span(Scale::Log, &[100.0, f64::NAN, -1.0, 0.0]).ticks().contains(&100.0));
    }

    #[test]
    fn values_without_a_position_have_no_span() {
        assert_eq!(Span::around(Scale::Log, [0.0, -1.0, f64::NAN].into_iter()), None);
        assert_eq!(Span::around(Scale::Linear, [f64::INFINITY].into_iter()), None);
        assert_eq!(span(Scale::Log, &[1.0, 10.0]).place(0.0), None);
        assert_eq!(span(Scale::Log, &[1.0, 10.0]).place(f64::NAN), None);
        assert_eq!(span(Scale::Linear, &[0.0]).place(0.0), Some(0.0));
    }

    proptest! {
        #[test]
        fn every_value_has_a_position_and_the_order_is_kept(
            values in prop::collection::vec(1e-9..1e21_f64, 1..20),
            others in prop::collection::vec(any::<f64>(), 0..3),
            is_log: bool,
        ) {
            let scale = if is_log { Scale::Log } else { Scale::Linear };
            let all = values.iter().chain(&others).copied();
            let span = Span::around(scale, all).expect("there are values");
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let places: Vec<f64> = sorted.iter().map(|value| span.place(*value).expect("it is shown")).collect();
            prop_assert!(places.is_sorted());
            let ticks = span.ticks();
            prop_assert!((2..=TICKS_MAX).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.is_sorted() && ticks.iter().all(|tick| span.place(*tick).is_some()));
        }
    }
}
