//! Parsers and printers for values of flags: counts, sizes, rates, durations, switches, addresses.
//!
//! The parsers do not know which flag the text is for. They refuse what the value cannot hold, so no
//! text wraps or panics.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use readyloop::codec::Framing;
use readyloop::net::{Address, Keepalive, TrustedProxies};
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

/// The names of a unit, of which the first one is printed, and its factor. Tables begin with the largest unit.
type Unit = (&'static [&'static str], u64);

/// Counts have decimal units only.
const COUNT_UNITS: [Unit; 4] = [(&["G"], 1_000_000_000), (&["M"], 1_000_000), (&["k"], 1_000), (&[""], 1)];

/// Units of sizes that are printed.
const BINARY_UNITS: [Unit; 4] = [(&["GiB"], 1 << 30), (&["MiB"], 1 << 20), (&["KiB"], 1 << 10), (&["B", ""], 1)];

/// Units of sizes that are only read.
const DECIMAL_UNITS: [Unit; 3] = [(&["GB"], 1_000_000_000), (&["MB"], 1_000_000), (&["kB", "KB"], 1_000)];

/// Units of durations in nanoseconds.
const DURATION_UNITS: [Unit; 8] = [
    (&["w", "week", "weeks"], 604_800_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["h", "hr", "hour", "hours"], 3_600_000_000_000),
    (&["m", "min", "minute", "minutes"], 60_000_000_000),
    (&["s", "sec", "second", "seconds"], 1_000_000_000),
    (&["ms", "msec"], 1_000_000),
    (&["us", "µs", "usec"], 1_000),
    (&["ns", "nsec"], 1),
];

/// Splits a text into its leading number, which may hold these characters, and the rest.
fn split_number(text: &str, is_of_number: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !is_of_number(char)).unwrap_or(text.len()))
}

fn factor(name: &str, units: &[Unit]) -> Option<u64> {
    units.iter().find(|(names, _)| names.contains(&name)).map(|&(_, factor)| factor)
}

/// Parses a count: `1000`, `10k`, `1M`.
pub(crate) fn count<T: TryFrom<u64>>(text: &str) -> Result<T, ParseError> {
    scaled(text, &COUNT_UNITS, "not a whole number", "type a whole number such as 1000, 10k or 1M")
}

/// The rates per second that a flag accepts. Their intervals fit a [`Duration`].
const RATES: RangeInclusive<f64> = 0.000_001..=1_000_000_000.0;

/// Parses a rate per second: `1000`, `0.5`, `2.5k`.
pub(crate) fn rate(text: &str) -> Result<f64, ParseError> {
    let hint = "type a number such as 1000, 0.5 or 20k";
    let (number, unit) = split_number(text, |char| char.is_ascii_digit() || char == '.');
    match number.parse::<f64>().ok().zip(factor(unit, &COUNT_UNITS)) {
        Some((number, factor)) if RATES.contains(&(number * factor as f64)) => Ok(number * factor as f64),
        Some((number, _)) if number <= 0.0 => Err(ParseError::new(ZERO, hint)),
        Some(_) => Err(ParseError::new("must be 0.000001 to 1G", hint)),
        None => Err(ParseError::new("not a rate", hint)),
    }
}

/// Parses a number of bytes: `64`, `64B`, `4KiB`, `1MiB`, `64kB`.
pub(crate) fn size<T: TryFrom<u64>>(text: &str) -> Result<T, ParseError> {
    let units = [BINARY_UNITS.as_slice(), &DECIMAL_UNITS].concat();
    scaled(text, &units, "not a size", "type a number of bytes such as 512, 64KiB, 1MiB or 64kB")
}

fn scaled<T: TryFrom<u64>>(text: &str, units: &[Unit], message: &str, hint: &str) -> Result<T, ParseError> {
    let (number, unit) = split_number(text, |char| char.is_ascii_digit());
    let factor = factor(unit, units).filter(|_| !number.is_empty());
    let factor = factor.ok_or_else(|| ParseError::new(message, hint))?;
    let scaled = number.parse().ok().and_then(|number: u64| number.checked_mul(factor));
    scaled.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        // Every type of a value is an unsigned integer.
        let max = u64::MAX >> (u64::BITS as usize - 8 * size_of::<T>().min(8));
        ParseError::new(format!("must be at most {max}"), hint)
    })
}

/// Prints a number in the largest unit that needs no fraction.
fn print(number: u64, units: &[Unit]) -> String {
    let fits = |&&(_, factor): &&Unit| number >= factor && number.is_multiple_of(factor);
    let (names, factor) = units.iter().find(fits).or(units.last()).expect("there is a unit");
    format!("{}{}", number / factor, names[0])
}

/// Prints a count: `200k`.
pub(crate) fn print_count(count: u64) -> String {
    print(count, &COUNT_UNITS)
}

/// Prints a size: `64KiB`.
pub(crate) fn print_size(bytes: usize) -> String {
    print(bytes as u64, &BINARY_UNITS)
}

/// Parses a switch: `true`, `yes`, `on`, `1`, or the opposite.
pub(crate) fn switch(text: &str) -> Result<bool, ParseError> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(ParseError::new("not a switch", "type true or false")),
    }
}

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
        let (number, factor) = part.ok_or_else(|| ParseError::new("not a duration", hint))?;
        let nanos = number.parse().ok().and_then(|number: u64| number.checked_mul(factor));
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
        let (number, unit) = split_number(part, |char| char.is_ascii_digit());
        let unit = unit.trim_start();
        let end = unit.find(|char: char| char.is_ascii_digit() || char.is_whitespace()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        rest = Some(next.trim_start()).filter(|next| !next.is_empty());
        let factor = factor(unit, &DURATION_UNITS).filter(|_| !number.is_empty());
        Some(factor.map(|factor| (number, factor)))
    })
}

/// Prints a duration: `5m`. [`Duration::MAX`] is `never`.
pub(crate) fn print_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
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

/// Parses one network, such as `10.1.0.0/16`, or one address.
pub(crate) fn trusted_proxies(text: &str) -> Result<TrustedProxies, ParseError> {
    text.parse().map_err(|_| ParseError::new("not a network", "type a network such as 10.1.0.0/16, or an IP address"))
}

/// A percentage as a fraction: `5%` is 0.05.
pub(crate) fn percent(text: &str) -> Result<f64, ParseError> {
    let hint = "type a percentage from 0% to 100%, such as 5%";
    text.strip_suffix('%')
        .and_then(|percent| fraction_of_percent(percent.trim()))
        .ok_or_else(|| ParseError::new("not a percentage", hint))
}

/// The fraction of a number from 0 to 100, which has digits and at most one point.
pub(crate) fn fraction_of_percent(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent = text.parse::<f64>().ok().filter(|percent| is_plain && (0.0..=100.0).contains(percent))?;
    Some(percent / 100.0)
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
