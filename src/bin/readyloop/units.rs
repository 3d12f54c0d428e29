//! Parsers for counts, sizes, durations and switches: `10k`, `64KiB`, `500ms`, `true`.
//!
//! The parsers do not know which flag the text is for.

use std::time::Duration;

use readyloop::net::Keepalive;
use thiserror::Error;

/// A text that is not a value, with the reason and a hint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub(crate) struct ParseError {
    message: String,
    /// What to type instead.
    pub(crate) hint: String,
}

impl ParseError {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Counts have decimal units only.
const COUNT_UNITS: [(&str, u64); 4] = [("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

/// Largest binary unit first: [`print_size`] takes the first one that fits.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
];

/// Parses a count: `1000`, `10k`, `1M`.
pub(crate) fn count<T: TryFrom<u64>>(text: &str) -> Result<T, ParseError> {
    scaled(text, &COUNT_UNITS, "not a whole number", "type a whole number such as 1000, 10k or 1M")
}

/// Parses a rate per second: `1000`, `0.5`, `2.5k`.
pub(crate) fn rate(text: &str) -> Result<f64, ParseError> {
    let hint = "type a number greater than zero, such as 1000, 0.5 or 20k";
    let digits = text.find(|char: char| !(char.is_ascii_digit() || char == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = COUNT_UNITS.iter().find(|(name, _)| *name == unit).map(|&(_, scale)| scale as f64);
    match number.parse::<f64>().ok().zip(scale) {
        Some((number, scale)) if number > 0.0 => Ok(number * scale),
        Some(_) => Err(ParseError::new(ZERO, hint)),
        None => Err(ParseError::new("not a rate", hint)),
    }
}

/// Parses a number of bytes: `64`, `64B`, `4KiB`, `1MiB`, `64kB`.
pub(crate) fn size<T: TryFrom<u64>>(text: &str) -> Result<T, ParseError> {
    scaled(text, &SIZE_UNITS, "not a size", "type a number of bytes such as 512, 64KiB, 1MiB or 64kB")
}

fn scaled<T: TryFrom<u64>>(text: &str, units: &[(&str, u64)], message: &str, hint: &str) -> Result<T, ParseError> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit).map(|&(_, scale)| scale);
    let (Some(scale), false) = (scale, number.is_empty()) else { return Err(ParseError::new(message, hint)) };
    let scaled = number.parse().ok().and_then(|number: u64| number.checked_mul(scale));
    scaled.and_then(|number| T::try_from(number).ok()).ok_or_else(|| ParseError::new("the number is too large", hint))
}

/// Formats a size in the largest binary unit that needs no fraction.
pub(crate) fn print_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let fits = |&&(_, scale): &&(&str, u64)| bytes >= scale && bytes.is_multiple_of(scale);
    let (unit, scale) = SIZE_UNITS.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / scale)
}

/// Parses a switch: `true`, `yes`, `on`, `1`, or the opposite.
pub(crate) fn switch(text: &str) -> Result<bool, ParseError> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(ParseError::new("not a switch", "type true or false")),
    }
}

/// Parses a duration: `500ms`, `2s`, `1m 30s`. `never` and `off` are [`Duration::MAX`].
pub(crate) fn duration(text: &str) -> Result<Duration, ParseError> {
    if matches!(text, "never" | "off") {
        return Ok(Duration::MAX);
    }
    let hint = "type a number with a unit, such as 500ms, 2s, 1m or 1h, or type never";
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_zero = text.bytes().all(|byte| byte == b'0');
        let hint = if is_zero { hint.to_owned() } else { format!("type {text}s, {text}ms or {text}m") };
        return Err(ParseError::new("a duration needs a unit", hint));
    }
    humantime::parse_duration(text).map_err(|_| ParseError::new("not a duration", hint))
}

const ZERO: &str = "must be greater than zero";

/// Wraps a parser so that it refuses zero.
pub(crate) fn above_zero<T: Default + PartialEq>(
    parse: fn(&str) -> Result<T, ParseError>,
) -> impl Fn(&str) -> Result<T, ParseError> + Clone {
    move |text| {
        let value = parse(text)?;
        if value != T::default() {
            return Ok(value);
        }
        // Only a duration needs a unit.
        let needs_unit = parse("1").is_err();
        let hint = if needs_unit { "type a duration such as 500ms or 5s" } else { "type 1 or more" };
        Err(ParseError::new(ZERO, hint))
    }
}

/// The largest `TCP_KEEPIDLE` and `TCP_KEEPINTVL` that Linux accepts, in seconds (tcp(7)).
const KEEPALIVE_SECONDS_MAX: u64 = 32_767;
/// The largest `TCP_KEEPCNT` that Linux accepts.
const KEEPALIVE_PROBES_MAX: u32 = 127;

/// Parses TCP keepalive settings: `60s,10s,6` is idle time, interval and number of probes.
pub(crate) fn keepalive(text: &str) -> Result<Keepalive, ParseError> {
    let hint = "type idle time, interval and number of probes, such as 60s,10s,6";
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [after, every, probes] = parts[..] else {
        return Err(ParseError::new("not three values separated by commas", hint));
    };
    let seconds = |text| {
        let seconds = duration(text)?;
        let is_whole = seconds.subsec_nanos() == 0;
        if is_whole && (1..=KEEPALIVE_SECONDS_MAX).contains(&seconds.as_secs()) {
            return Ok(seconds);
        }
        Err(ParseError::new(format!("`{text}` is not a whole number of seconds from 1 to 32767"), hint))
    };
    let (after, every) = (seconds(after)?, seconds(every)?);
    match count(probes)? {
        probes @ 1..=KEEPALIVE_PROBES_MAX => Ok(Keepalive { after, every, probes }),
        probes => Err(ParseError::new(format!("the number of probes must be 1 to 127, not {probes}"), hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(parse: fn(&str) -> Result<T, ParseError>, text: &str, expected: T) {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }

    #[track_caller]
    fn check_wrong<T: std::fmt::Debug>(parse: impl Fn(&str) -> Result<T, ParseError>, text: &str, message: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        assert!(error.hint.starts_with("type "), "{}", error.hint);
    }

    #[test]
    fn counts_are_decimal() {
        check(count::<usize>, "0", 0);
        check(count::<usize>, "1000", 1_000);
        check(count::<usize>, "10k", 10_000);
        check(count::<u64>, "2M", 2_000_000);
        check(count::<u32>, "4G", 4_000_000_000);
    }

    #[test]
    fn other_texts_are_not_counts() {
        for text in ["", "k", "-1", "1.5k", "1 k", "10K", "1KiB", "ten", "1k1", "١"] {
            check_wrong(count::<usize>, text, "not a whole number");
        }
        check_wrong(count::<u32>, "5G", "the number is too large");
        check_wrong(count::<u64>, "99999999999999999999", "the number is too large");
        check_wrong(count::<u64>, "99999999999G", "the number is too large");
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        check(size::<usize>, "512", 512);
        check(size::<usize>, "64B", 64);
        check(size::<usize>, "4KiB", 4_096);
        check(size::<usize>, "1MiB", 1_048_576);
        check(size::<usize>, "2GiB", 2_147_483_648);
        check(size::<usize>, "64kB", 64_000);
        check(size::<usize>, "64KB", 64_000);
        check(size::<usize>, "3MB", 3_000_000);
        for text in ["", "64k", "64K", "1mib", "-1B", "KiB", "1.5MiB"] {
            check_wrong(size::<usize>, text, "not a size");
        }
    }

    #[test]
    fn rates_may_have_a_fraction() {
        check(rate, "1000", 1_000.0);
        check(rate, "0.5", 0.5);
        check(rate, "2.5k", 2_500.0);
        check(rate, "1M", 1_000_000.0);
        for text in ["", "k", "-1", "1e3", "fast", "1.2.3", "10K"] {
            check_wrong(rate, text, "not a rate");
        }
        check_wrong(rate, "0", ZERO);
    }

    #[test]
    fn a_printed_size_can_be_parsed_again() {
        for text in ["0B", "1B", "1000B", "4KiB", "1025B", "1MiB", "3GiB"] {
            assert_eq!(print_size(size(text).unwrap()), text);
        }
    }

    #[test]
    fn a_switch_is_on_or_off() {
        check(switch, "true", true);
        check(switch, "1", true);
        check(switch, "off", false);
        check_wrong(switch, "maybe", "not a switch");
    }

    #[test]
    fn durations_need_a_unit_or_never() {
        check(duration, "500ms", Duration::from_millis(500));
        check(duration, "2s", Duration::from_secs(2));
        check(duration, "1m", Duration::from_secs(60));
        check(duration, "1h", Duration::from_secs(3_600));
        check(duration, "1m 30s", Duration::from_secs(90));
        check(duration, "0s", Duration::ZERO);
        check(duration, "never", Duration::MAX);
        check(duration, "off", Duration::MAX);
        check_wrong(duration, "5", "a duration needs a unit");
        for text in ["", "s", "-1s", "5 parsecs", "NEVER"] {
            check_wrong(duration, text, "not a duration");
        }
    }

    #[test]
    fn above_zero_refuses_zero() {
        check_wrong(above_zero(duration), "0s", ZERO);
        check_wrong(above_zero(count::<usize>), "0", ZERO);
        assert_eq!(above_zero(size::<usize>)("1"), Ok(1));
    }

    #[test]
    fn any_text_is_a_value_or_gets_a_hint() {
        let words: Vec<&str> = "1|0|500|18446744073709551615|k|M|KiB|B|ms|s|m|h|,| |never|on".split('|').collect();
        fn check<T>(parse: impl Fn(&str) -> Result<T, ParseError>, text: &str) {
            if let Err(error) = parse(text) {
                assert!(error.hint.starts_with("type ") && !error.to_string().is_empty(), "{text:?}: {error:?}");
            }
        }
        bolero::check!().with_iterations(3_000).with_max_len(12).for_each(|bytes: &[u8]| {
            // Half of the byte values stand for a word, so that many inputs are nearly valid.
            let part = |byte: &u8| match *byte {
                byte if byte < 128 => char::from(byte).to_string(),
                byte => words[usize::from(byte) % words.len()].to_owned(),
            };
            let text: String = bytes.iter().map(part).collect();
            check(count::<u64>, &text);
            check(count::<u8>, &text);
            check(above_zero(size::<usize>), &text);
            check(switch, &text);
            check(above_zero(duration), &text);
            check(keepalive, &text);
            if let Ok(bytes) = size::<usize>(&text) {
                assert_eq!(size(&print_size(bytes)), Ok(bytes), "{text:?}");
            }
        });
    }

    #[test]
    fn keepalive_has_three_values() {
        let sixty = Keepalive { after: Duration::from_secs(60), every: Duration::from_secs(10), probes: 6 };
        check(keepalive, "60s,10s,6", sixty);
        check(keepalive, "1m, 10s, 6", sixty);
        check_wrong(keepalive, "60s", "not three values separated by commas");
        check_wrong(keepalive, "60s,10s,6,7", "not three values separated by commas");
        check_wrong(keepalive, "60,10s,6", "a duration needs a unit");
        check_wrong(keepalive, "1500ms,10s,6", "`1500ms` is not a whole number of seconds from 1 to 32767");
        check_wrong(keepalive, "60s,never,6", "`never` is not a whole number of seconds from 1 to 32767");
        check_wrong(keepalive, "60s,10s,0", "the number of probes must be 1 to 127, not 0");
        check_wrong(keepalive, "60s,10s,many", "not a whole number");
    }
}
