//! Counts, sizes and durations as people write them: `10k`, `64KiB`, `500ms`.
//!
//! Nothing here knows a flag: what is wrong is told of the text alone, with what to type instead.

use std::time::Duration;

use readyloop::net::Keepalive;
use thiserror::Error;

/// What is wrong with a text, and what to type instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}")]
pub(crate) struct ParseError {
    what: String,
    /// What to type instead.
    pub(crate) hint: String,
}

impl ParseError {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// Decimal, as one counts connections.
const COUNT_UNITS: [(&str, u64); 4] = [("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

/// Binary first: in this order a size is also printed.
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

/// A number of things: `1000`, `10k`, `1M`.
pub(crate) fn count<T: TryFrom<u64>>(text: &str) -> Result<T, ParseError> {
    scaled(text, &COUNT_UNITS, "not a count", "type a whole number such as 1000, 10k or 1M")
}

/// A number of things a second: `1000`, `0.5`, `2.5k`.
pub(crate) fn rate(text: &str) -> Result<f64, ParseError> {
    let hint = "type a number above zero such as 1000, 0.5 or 20k";
    let digits = text.find(|char: char| !(char.is_ascii_digit() || char == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = COUNT_UNITS.iter().find(|(name, _)| *name == unit).map(|&(_, scale)| scale as f64);
    match number.parse::<f64>().ok().zip(scale) {
        Some((number, scale)) if number > 0.0 => Ok(number * scale),
        Some(_) => Err(ParseError::new("zero would let nothing through", hint)),
        None => Err(ParseError::new("not a rate", hint)),
    }
}

/// A number of bytes: `64B`, `4KiB`, `1MiB`, `64kB`; without a unit, bytes.
pub(crate) fn size<T: TryFrom<u64>>(text: &str) -> Result<T, ParseError> {
    scaled(text, &SIZE_UNITS, "not a size", "type a number of bytes such as 512, 64KiB, 1MiB or 64kB")
}

fn scaled<T: TryFrom<u64>>(text: &str, units: &[(&str, u64)], what: &str, hint: &str) -> Result<T, ParseError> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit).map(|&(_, scale)| scale);
    let (Some(scale), false) = (scale, number.is_empty()) else { return Err(ParseError::new(what, hint)) };
    let scaled = number.parse().ok().and_then(|number: u64| number.checked_mul(scale));
    scaled.and_then(|number| T::try_from(number).ok()).ok_or_else(|| ParseError::new("too large a number", hint))
}

/// A size in the largest unit that has no fraction.
pub(crate) fn print_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let fits = |&&(_, scale): &&(&str, u64)| bytes >= scale && bytes.is_multiple_of(scale);
    let (unit, scale) = SIZE_UNITS.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / scale)
}

/// A switch: `true` or `false`, and the other words for them.
pub(crate) fn switch(text: &str) -> Result<bool, ParseError> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(ParseError::new("neither on nor off", "type true or false")),
    }
}

/// A span of time: `500ms`, `2s`, `1m 30s`; `never` and `off` are [`Duration::MAX`].
pub(crate) fn duration(text: &str) -> Result<Duration, ParseError> {
    if matches!(text, "never" | "off") {
        return Ok(Duration::MAX);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::new("a duration needs a unit", format!("type {text}s, {text}ms or {text}m")));
    }
    humantime::parse_duration(text).map_err(|_| {
        ParseError::new("not a duration", "type a number with its unit, such as 500ms, 2s, 1m or 1h, or never")
    })
}

/// The same reading, which also refuses zero.
pub(crate) fn above_zero<T: Default + PartialEq>(
    read: fn(&str) -> Result<T, ParseError>,
) -> impl Fn(&str) -> Result<T, ParseError> + Clone {
    move |text| match read(text)? {
        value if value == T::default() => Err(ParseError::new("zero would let nothing through", "type at least 1")),
        value => Ok(value),
    }
}

/// The most that Linux takes for `TCP_KEEPIDLE` and `TCP_KEEPINTVL`, in seconds (tcp(7)).
const KEEPALIVE_SECONDS_MAX: u64 = 32_767;
/// The most that Linux takes for `TCP_KEEPCNT`.
const KEEPALIVE_PROBES_MAX: u32 = 127;

/// When silent peers are probed: `60s,10s,6`.
pub(crate) fn keepalive(text: &str) -> Result<Keepalive, ParseError> {
    let hint = "type the silence before the first probe, the time between probes and how many, such as 60s,10s,6";
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [after, every, probes] = parts[..] else {
        return Err(ParseError::new("not three parts with commas between", hint));
    };
    let seconds = |text| {
        let span = duration(text)?;
        let whole = span.subsec_nanos() == 0 && (1..=KEEPALIVE_SECONDS_MAX).contains(&span.as_secs());
        if whole { Ok(span) } else { Err(ParseError::new(format!("`{text}` is not 1 to 32767 whole seconds"), hint)) }
    };
    let (after, every) = (seconds(after)?, seconds(every)?);
    match count(probes)? {
        probes @ 1..=KEEPALIVE_PROBES_MAX => Ok(Keepalive { after, every, probes }),
        probes => Err(ParseError::new(format!("{probes} is not 1 to 127 probes"), hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(read: fn(&str) -> Result<T, ParseError>, text: &str, expected: T) {
        assert_eq!(read(text), Ok(expected), "{text}");
    }

    #[track_caller]
    fn check_wrong<T: std::fmt::Debug>(read: impl Fn(&str) -> Result<T, ParseError>, text: &str, what: &str) {
        let parse_error = read(text).unwrap_err();
        assert_eq!(parse_error.to_string(), what, "{text}");
        assert!(parse_error.hint.starts_with("type "), "{}", parse_error.hint);
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
    fn what_is_no_count_is_refused() {
        for text in ["", "k", "-1", "1.5k", "1 k", "10K", "1KiB", "ten", "1k1", "١"] {
            check_wrong(count::<usize>, text, "not a count");
        }
        check_wrong(count::<u32>, "5G", "too large a number");
        check_wrong(count::<u64>, "99999999999999999999", "too large a number");
        check_wrong(count::<u64>, "99999999999G", "too large a number");
    }

    #[test]
    fn sizes_are_binary_or_decimal_as_written() {
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
        check_wrong(rate, "0", "zero would let nothing through");
    }

    #[test]
    fn a_size_is_printed_as_it_would_be_typed() {
        for text in ["0B", "1B", "1000B", "4KiB", "1025B", "1MiB", "3GiB"] {
            assert_eq!(print_size(size(text).unwrap()), text);
        }
    }

    #[test]
    fn a_switch_is_on_or_off() {
        check(switch, "true", true);
        check(switch, "1", true);
        check(switch, "off", false);
        check_wrong(switch, "maybe", "neither on nor off");
    }

    #[test]
    fn durations_have_a_unit_or_never_end() {
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
    fn zero_is_refused_where_it_makes_no_sense() {
        check_wrong(above_zero(duration), "0s", "zero would let nothing through");
        check_wrong(above_zero(count::<usize>), "0", "zero would let nothing through");
        assert_eq!(above_zero(size::<usize>)("1"), Ok(1));
    }

    /// Whatever is typed, it is a value or it is told what to type instead.
    #[test]
    fn any_text_is_a_value_or_is_told_what_to_type() {
        const WORDS: [&str; 16] = [
            "1",
            "0",
            "500",
            "18446744073709551615",
            "k",
            "M",
            "KiB",
            "B",
            "ms",
            "s",
            "m",
            "h",
            ",",
            " ",
            "never",
            "on",
        ];
        fn check<T>(read: impl Fn(&str) -> Result<T, ParseError>, text: &str) {
            if let Err(parse_error) = read(text) {
                assert!(
                    parse_error.hint.starts_with("type ") && !parse_error.to_string().is_empty(),
                    "{text:?}: {parse_error:?}"
                );
            }
        }
        bolero::check!().with_iterations(3_000).with_max_len(12).for_each(|bytes: &[u8]| {
            // Every other byte stands for a word, so that much of what is tried is nearly right.
            let part = |byte: &u8| match *byte {
                byte if byte < 128 => char::from(byte).to_string(),
                byte => WORDS[usize::from(byte) % WORDS.len()].to_owned(),
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
    fn keepalive_has_three_parts() {
        let sixty = Keepalive { after: Duration::from_secs(60), every: Duration::from_secs(10), probes: 6 };
        check(keepalive, "60s,10s,6", sixty);
        check(keepalive, "1m, 10s, 6", sixty);
        check_wrong(keepalive, "60s", "not three parts with commas between");
        check_wrong(keepalive, "60s,10s,6,7", "not three parts with commas between");
        check_wrong(keepalive, "60,10s,6", "a duration needs a unit");
        check_wrong(keepalive, "1500ms,10s,6", "`1500ms` is not 1 to 32767 whole seconds");
        check_wrong(keepalive, "60s,never,6", "`never` is not 1 to 32767 whole seconds");
        check_wrong(keepalive, "60s,10s,0", "0 is not 1 to 127 probes");
        check_wrong(keepalive, "60s,10s,many", "not a count");
    }
}
