//! Parsers for the values of the flags that shape a workload: ranges, distributions, lifetimes and answers.

use std::path::PathBuf;
use std::time::Duration;

use readyloop::load::plan::{ConnectionReuse, Distribution};

use crate::units::{ParseError, above_zero, count, duration, size};

/// One value, or a range `FROM..TO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends<T> {
    pub(super) from: T,
    pub(super) to: T,
}

/// The value of `--expect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// The bytes of this file.
    File(PathBuf),
    /// This number of bytes.
    Length(usize),
    /// Bytes up to this delimiter.
    Until(Vec<u8>),
}

fn ends<T: Copy>(text: &str, parse: impl Fn(&str) -> Result<T, ParseError>) -> Result<Ends<T>, ParseError> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    Ok(Ends { from: parse(from.trim())?, to: parse(to.trim())? })
}

fn ascending<T: PartialOrd>(ends: Ends<T>, hint: &str) -> Result<Ends<T>, ParseError> {
    if ends.from <= ends.to { Ok(ends) } else { Err(ParseError::new("a range with its end below its start", hint)) }
}

/// Parses a number of connections: `50`, or `10..10k` for a ramp.
pub(super) fn connections(text: &str) -> Result<Ends<usize>, ParseError> {
    ends(text, above_zero(count::<usize>))
}

/// Parses a length: `64B`, or `64B..16KiB`.
pub(super) fn sizes(text: &str) -> Result<Ends<usize>, ParseError> {
    ascending(ends(text, above_zero(size::<usize>))?, "type a range such as 64B..16KiB")
}

/// Parses a distribution: `10ms`, `5ms..20ms`, `exp:10ms`.
pub(super) fn distribution(text: &str) -> Result<Distribution, ParseError> {
    if let Some(mean) = text.strip_prefix("exp:") {
        return above_zero(duration)(mean.trim()).map(Distribution::Exponential);
    }
    if !text.contains("..") {
        return above_zero(duration)(text).map(Distribution::Constant);
    }
    let Ends { from, to } = ascending(ends(text, duration)?, "type a range such as 5ms..20ms")?;
    if to == Duration::ZERO {
        return Err(ParseError::new("must be greater than zero", "type a range such as 5ms..20ms"));
    }
    Ok(Distribution::Uniform(from, to))
}

/// Parses a lifetime: a number of requests such as `100`, or a distribution.
pub(super) fn lifetime(text: &str) -> Result<ConnectionReuse, ParseError> {
    match count::<u64>(text) {
        Ok(0) => {
            Err(ParseError::new("must be greater than zero", "type a number of requests such as 100, or a duration"))
        }
        Ok(requests) => Ok(ConnectionReuse::Requests(requests)),
        Err(_) => distribution(text).map(ConnectionReuse::Time),
    }
}

/// Parses an expected answer: `file:FILE`, `length:132B`, `until:\r\n`.
pub(super) fn expectation(text: &str) -> Result<Expectation, ParseError> {
    let error = |message: &str| {
        ParseError::new(message, r#"type file:FILE, length:132B, or "until:\r\n" with the escapes \r \n \t \0 \xHH \\"#)
    };
    match text.split_once(':') {
        Some(("file", "")) => Err(error("no name of a file")),
        Some(("file", path)) => Ok(Expectation::File(path.into())),
        Some(("length", len)) => above_zero(size::<usize>)(len).map(Expectation::Length),
        Some(("until", "")) => Err(error("no delimiter")),
        Some(("until", delimiter)) => {
            unescaped(delimiter).map(Expectation::Until).ok_or_else(|| error("an unknown escape in the delimiter"))
        }
        Some(_) | None => Err(error("not an answer")),
    }
}

/// The bytes of a text with escapes; `None` if one is unknown.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        let (byte, len) = match (first, others) {
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'0', ..]) => (b'\0', 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [b'x', high, low, ..]) => (digit(*high)? * 16 + digit(*low)?, 4),
            (b'\\', _) => return None,
            (other, _) => (*other, 1),
        };
        bytes.push(byte);
        rest = &rest[len..];
    }
    Some(bytes)
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn message<T: std::fmt::Debug>(parsed: Result<T, ParseError>) -> String {
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn a_range_has_two_ends() {
        assert_eq!(connections("10..10k"), Ok(Ends { from: 10, to: 10_000 }));
        assert_eq!(connections("10k..10"), Ok(Ends { from: 10_000, to: 10 }));
        assert_eq!(connections("50"), Ok(Ends { from: 50, to: 50 }));
        assert_eq!(sizes("64B..16KiB"), Ok(Ends { from: 64, to: 16_384 }));
        for wrong in ["", "..", "1..", "..1", "0..5", "5..0", "1..2..3", "-1..5", "1-5", "NaN..5"] {
            assert!(connections(wrong).is_err() && sizes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(message(sizes("2..1")), "a range with its end below its start");
    }

    #[test]
    fn a_duration_may_be_drawn_from_a_distribution() {
        assert_eq!(distribution("10ms"), Ok(Distribution::Constant(10 * MS)));
        assert_eq!(distribution("0s..20ms"), Ok(Distribution::Uniform(Duration::ZERO, 20 * MS)));
        assert_eq!(distribution("exp:1s"), Ok(Distribution::Exponential(1000 * MS)));
        for wrong in ["", "0s", "10", "exp:", "exp:0s", "exp:1s..2s", "0s..0s", "2s..1s", "normal:1s", "1s..never.."] {
            assert!(distribution(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lifetime_is_a_number_of_requests_or_a_time() {
        assert_eq!(lifetime("100"), Ok(ConnectionReuse::Requests(100)));
        assert_eq!(lifetime("10k"), Ok(ConnectionReuse::Requests(10_000)));
        assert_eq!(lifetime("5m"), Ok(ConnectionReuse::Time(Distribution::Constant(300_000 * MS))));
        assert_eq!(lifetime("exp:5s"), Ok(ConnectionReuse::Time(Distribution::Exponential(5_000 * MS))));
        for wrong in ["", "0", "-1", "0s", "5x", "1..2"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_a_file_a_length_or_a_delimiter() {
        assert_eq!(expectation("file:a:b"), Ok(Expectation::File("a:b".into())));
        assert_eq!(expectation("length:132B"), Ok(Expectation::Length(132)));
        let delimiter = Expectation::Until(b"\r\n\t\0\\\xffa:".to_vec());
        assert_eq!(expectation(r"until:\r\n\t\0\\\xFfa:"), Ok(delimiter));
        for wrong in
            ["", "file:", "length:0", "length:x", "until:", r"until:\", r"until:\q", r"until:\x1", r"until:\xgg", "\n"]
        {
            assert!(expectation(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_an_error(text in ".*", range in "[0-9a-z:.\\\\]*") {
            for text in [&text, &range] {
                let _ = (connections(text), sizes(text), lifetime(text), expectation(text));
                let _ = expectation(&format!("until:{text}"));
            }
        }
    }
}
