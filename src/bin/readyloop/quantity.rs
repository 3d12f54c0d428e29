//! Prints quantities for people: three significant digits and a fitting unit.
//!
//! The printed text cannot be parsed again. Numbers for programs are in the records.

/// The unit of a number, which is given in the base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Whole items: connections, threads.
    Count,
    /// Items per second.
    Rate,
    /// A time in nanoseconds.
    Time,
    /// Bytes, printed in decimal multiples, so that the decades of an axis are round.
    Bytes,
    /// System calls or context switches per request.
    Each,
    /// A ratio to the base server.
    Ratio,
    /// A percentile, given as the reciprocal of the share above it: 100 is the 99th percentile.
    Percentile,
}

/// Multiples of a unit with their names, from the smallest.
type Multiples = &'static [(f64, &'static str)];

const RATES: Multiples = &[(1.0, " /s"), (1e3, " k/s"), (1e6, " M/s")];
const TIMES: Multiples = &[(1.0, " ns"), (1e3, " µs"), (1e6, " ms"), (1e9, " s")];
const BYTES: Multiples = &[(1.0, " B"), (1e3, " kB"), (1e6, " MB"), (1e9, " GB")];

/// No measurement is so large, but a number of a file may be. It is printed as a dash.
const NUMBER_MAX: f64 = 1e21;

/// From this value on, the next multiple is used.
const NEXT_MULTIPLE: f64 = 999.5;

impl Unit {
    /// Prints a value for a table or a sentence.
    pub(crate) fn print(self, value: f64) -> String {
        match self {
            _ if !is_shown(value) => "–".to_owned(),
            Self::Count => grouped(format!("{value:.0}")),
            Self::Rate => scaled(value, RATES),
            Self::Time => scaled(value, TIMES),
            Self::Bytes => scaled(value, BYTES),
            Self::Each => digits(value),
            Self::Ratio => format!("{}×", digits(value)),
            Self::Percentile => percentile(value),
        }
    }

    /// Prints a round value for an axis.
    pub(crate) fn print_tick(self, value: f64) -> String {
        let text = match self {
            _ if value == 0.0 => "0".to_owned(),
            Self::Count if value >= 1e3 => scaled(value, &[(1e3, "k"), (1e6, "M")]),
            Self::Count => digits(value),
            Self::Rate | Self::Time | Self::Bytes | Self::Each | Self::Ratio | Self::Percentile => self.print(value),
        };
        let (number, unit) = text.split_at(text.find(|char: char| !is_of_number(char)).unwrap_or(text.len()));
        let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
        format!("{number}{unit}")
    }
}

fn is_of_number(char: char) -> bool {
    char.is_ascii_digit() || ".,-".contains(char)
}

/// Prints three significant digits, or all digits before the point.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    grouped(format!("{value:.decimals$}"))
}

fn scaled(value: f64, multiples: Multiples) -> String {
    let fits = |(scale, _): &&(f64, &str)| value.abs() / scale < NEXT_MULTIPLE;
    let (scale, name) = multiples.iter().find(fits).or(multiples.last()).expect("there is a multiple");
    let is_whole = *scale == 1.0 && value.fract() == 0.0;
    let number = if is_whole { grouped(format!("{value:.0}")) } else { digits(value / scale) };
    format!("{number}{name}")
}

/// Whether a value can be printed as a number.
pub(crate) fn is_shown(value: f64) -> bool {
    value.abs() < NUMBER_MAX
}

/// Prints a count with its noun: `1 connection`, `10,000 connections`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Prints a number with a comma before each group of three digits: `1,274,551`, `-1,000.5`.
pub(crate) fn grouped(number: impl ToString) -> String {
    let number = number.to_string();
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = String::new();
    for (place, digit) in whole.char_indices() {
        if text.ends_with(|char: char| char.is_ascii_digit()) && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

/// Prints a percentile: 2 is 50 %, 1,000 is 99.9 %.
fn percentile(one_in: f64) -> String {
    // A power of ten is not exact.
    let decimals = ((one_in.log10() - 1e-9).ceil() as usize).saturating_sub(2);
    let part = 100.0 - 100.0 / one_in;
    format!("{part:.decimals$} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unit: Unit, value: f64, printed: &str, tick: &str) {
        assert_eq!((unit.print(value).as_str(), unit.print_tick(value).as_str()), (printed, tick));
    }

    #[test]
    fn a_value_has_three_digits_and_a_fitting_unit() {
        check(Unit::Count, 10_000.0, "10,000", "10k");
        check(Unit::Count, 50.0, "50", "50");
        check(Unit::Count, 1_234_567.0, "1,234,567", "1.23M");
        check(Unit::Rate, 127_400.0, "127 k/s", "127 k/s");
        check(Unit::Rate, 2_000.0, "2.00 k/s", "2 k/s");
        check(Unit::Rate, 0.0, "0 /s", "0");
        check(Unit::Time, 97_000.0, "97.0 µs", "97 µs");
        check(Unit::Time, 1_160_000.0, "1.16 ms", "1.16 ms");
        check(Unit::Bytes, 124.0, "124 B", "124 B");
        check(Unit::Bytes, 14_300.0, "14.3 kB", "14.3 kB");
        check(Unit::Each, 2.008, "2.01", "2.01");
        check(Unit::Ratio, 1.0, "1.00×", "1×");
    }

    #[test]
    fn a_noun_agrees_with_its_count() {
        assert_eq!([0, 1, 2_000].map(|count| counted(count, "thread")), ["0 threads", "1 thread", "2,000 threads"]);
        assert_eq!([999, 1_000, 1_274_551].map(grouped), ["999", "1,000", "1,274,551"]);
        assert_eq!(grouped("-123456.7891"), "-123,456.7891");
    }

    #[test]
    fn rounding_up_moves_to_the_next_unit() {
        check(Unit::Time, 999_700.0, "1.00 ms", "1 ms");
        check(Unit::Time, 999_400.0, "999 µs", "999 µs");
        check(Unit::Each, 9.996, "10.0", "10");
        check(Unit::Time, 5e12, "5,000 s", "5,000 s");
    }

    #[test]
    fn a_value_that_is_no_measurement_is_a_dash() {
        check(Unit::Time, f64::NAN, "–", "–");
        check(Unit::Rate, f64::INFINITY, "–", "–");
        check(Unit::Rate, 1.7e308, "–", "–");
    }

    #[test]
    fn percentiles_have_as_many_nines_as_they_need() {
        check(Unit::Percentile, 1.0, "0 %", "0 %");
        check(Unit::Percentile, 2.0, "50 %", "50 %");
        check(Unit::Percentile, 10.0, "90 %", "90 %");
        check(Unit::Percentile, 200.0, "99.5 %", "99.5 %");
        check(Unit::Percentile, 1_000.0, "99.9 %", "99.9 %");
        check(Unit::Percentile, 1.0 / (1.0 - 0.9999), "99.99 %", "99.99 %");
        check(Unit::Percentile, 2_000.0, "99.95 %", "99.95 %");
        check(Unit::Percentile, 100_000.0, "99.999 %", "99.999 %");
    }
}
