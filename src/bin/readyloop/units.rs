//! Parsers and printers for values of flags: counts, sizes, rates, durations, switches, addresses.
//!
//! The parsers do not know which flag the text is for. They refuse what the value cannot hold, so no
//! text wraps or panics.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use readyloop::codec::Framing;
use readyloop::net::{Address, Keepalive};
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

/// Counts have decimal units only. Largest unit first.
const COUNT_UNITS: [(&str, u64); 4] = [("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000), ("", 1)];

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

/// The rates per second that a flag accepts. Their intervals fit a [`Duration`].
const RATES: RangeInclusive<f64> = 0.000_001..=1_000_000_000.0;

/// Parses a rate per second: `1000`, `0.5`, `2.5k`.
pub(crate) fn rate(text: &str) -> Result<f64, ParseError> {
    let hint = "type a number such as 1000, 0.5 or 20k";
    let digits = text.find(|char: char| !(char.is_ascii_digit() || char == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = COUNT_UNITS.iter().find(|(name, _)| *name == unit).map(|&(_, scale)| scale as f64);
    match number.parse::<f64>().ok().zip(scale) {
        Some((number, scale)) if RATES.contains(&(number * scale)) => Ok(number * scale),
        Some((number, _)) if number <= 0.0 => Err(ParseError::new(ZERO, hint)),
        Some(_) => Err(ParseError::new("must be 0.000001 to 1G", hint)),
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
    scaled.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        // Every type of a value is an unsigned integer.
        let max = u64::MAX >> (u64::BITS as usize - 8 * size_of::<T>().min(8));
        ParseError::new(format!("must be at most {max}"), hint)
    })
}

/// Prints a number in the largest unit that needs no fraction. The units begin with the largest one.
fn print(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |&&(_, scale): &&(&str, u64)| number >= scale && number.is_multiple_of(scale);
    let smallest = units.last().unwrap_or(&("", 1));
    let (unit, scale) = units.iter().find(fits).unwrap_or(smallest);
    format!("{}{unit}", number / scale)
}

/// Prints a count: `200k`.
pub(crate) fn print_count(count: u64) -> String {
    print(count, &COUNT_UNITS)
}

/// Prints a size: `64KiB`.
pub(crate) fn print_size(bytes: usize) -> String {
    print(bytes as u64, &SIZE_UNITS[..4])
}

/// Parses a switch: `true`, `yes`, `on`, `1`, or the opposite.
pub(crate) fn switch(text: &str) -> Result<bool, ParseError> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(ParseError::new("not a switch", "type true or false")),
    }
}

/// Units of durations in nanoseconds, the largest first.
const DURATION_UNITS: [(&str, u64); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Other names of these units.
const DURATION_NAMES: [(&str, &[&str]); 8] = [
    ("w", &["week", "weeks"]),
    ("d", &["day", "days"]),
    ("h", &["hr", "hour", "hours"]),
    ("m", &["min", "minute", "minutes"]),
    ("s", &["sec", "second", "seconds"]),
    ("ms", &["msec"]),
    ("us", &["µs", "usec"]),
    ("ns", &["nsec"]),
];

/// The longest duration besides `never`: 100 years of 365.25 days, which a clock in nanoseconds can add.
const DURATION_MAX: Duration = Duration::from_secs(36_525 * 86_400);

/// Parses a duration: `500ms`, `2s`, `1m 30s`. `never` and `off` are [`Duration::MAX`].
pub(crate) fn duration(text: &str) -> Result<Duration, ParseError> {
    if matches!(text, "never" | "off") {
        return Ok(Duration::MAX);
    }
    let hint = "type a number with a unit, such as 500ms, 2s, 1m or 1h, or type never";
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_zero = text.bytes().all(|byte| byte == b'0');
        let is_long = text.len() > 9;
        let hint = if is_zero || is_long { hint.to_owned() } else { format!("type {text}s, {text}ms or {text}m") };
        return Err(ParseError::new("a duration needs a unit", hint));
    }
    let mut sum = Some(Duration::ZERO);
    for part in numbers_with_units(text) {
        let (number, scale) = part.ok_or_else(|| ParseError::new("not a duration", hint))?;
        let nanos = number.parse().ok().and_then(|number: u64| number.checked_mul(scale));
        sum = sum.zip(nanos).and_then(|(sum, nanos)| sum.checked_add(Duration::from_nanos(nanos)));
    }
    sum.filter(|sum| *sum <= DURATION_MAX)
        .ok_or_else(|| ParseError::new("must be at most 36525d (100 years), or never", hint))
}

/// Splits `1m 30s` into numbers, each with the nanoseconds of its unit. `None` is a part without both.
fn numbers_with_units(text: &str) -> impl Iterator<Item = Option<(&str, u64)>> {
    let mut rest = Some(text.trim());
    std::iter::from_fn(move || {
        let part = rest.take()?;
        let (number, unit) = part.split_at(part.find(|char: char| !char.is_ascii_digit()).unwrap_or(part.len()));
        let unit = unit.trim_start();
        let end = unit.find(|char: char| char.is_ascii_digit() || char.is_whitespace()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        rest = Some(next.trim_start()).filter(|next| !next.is_empty());
        let unit = DURATION_NAMES.iter().find(|(_, others)| others.contains(&unit)).map_or(unit, |(name, _)| name);
        let scale = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|&(_, scale)| scale);
        Some(scale.filter(|_| !number.is_empty()).map(|scale| (number, scale)))
    })
}

/// Prints a duration: `5m`. [`Duration::MAX`] is `never`.
pub(crate) fn print_duration(duration: Duration) -> String {
    u64::try_from(duration.as_nanos()).map_or_else(|_| "never".to_owned(), |nanos| print(nanos, &DURATION_UNITS))
}

/// Parses an address of a server.
pub(crate) fn address(text: &str) -> Result<Address, ParseError> {
    let hint = "type an address such as 127.0.0.1:7007, [::1]:7007 or unix:/tmp/echo.sock";
    text.trim().parse().map_err(|error: readyloop::net::AddressError| ParseError::new(error.to_string(), hint))
}

/// Parses a framing.
pub(crate) fn framing(text: &str) -> Result<Framing, ParseError> {
    let hint = "type raw for a stream of bytes, lines for text";
    text.parse().map_err(|error: readyloop::codec::UnknownFraming| ParseError::new(error.to_string(), hint))
}

/// Parses the name of a protocol for ALPN (RFC 7301).
pub(crate) fn alpn(text: &str) -> Result<String, ParseError> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        _ => Err(ParseError::new("a protocol name has 1 to 255 bytes", "type a name such as h2 or echo/1")),
    }
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

/// Wraps a parser so that it refuses values outside of `range`.
pub(crate) fn within<T: Display + PartialOrd + Clone + Send + Sync>(
    parse: fn(&str) -> Result<T, ParseError>,
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, ParseError> + Clone {
    move |text| {
        let value = parse(text)?;
        if range.contains(&value) {
            return Ok(value);
        }
        let (min, max) = (range.start(), range.end());
        Err(ParseError::new(format!("must be {min} to {max}"), format!("type a number from {min} to {max}")))
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
mod tests;
