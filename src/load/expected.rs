//! `ExpectedAnswer`: where an answer ends, and which bytes it must have.

use std::fmt;
use std::sync::Arc;

/// Number of bytes that a description shows.
const SHOWN_LEN: usize = 64;

/// The answer that a server must send to each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedAnswer {
    /// The bytes of the request.
    Echo,
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// This number of any bytes.
    Length(usize),
    /// Any bytes, up to the first of these delimiters.
    Until(Arc<[u8]>),
}

impl fmt::Display for ExpectedAnswer {
    /// Describes it: `echo`, `bytes:+PONG\r\n`, `length:132`, `until:\r\n`. Of many bytes only the first are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("echo"),
            Self::Bytes(bytes) => write!(f, "bytes:{}", escaped(bytes)),
            Self::Length(len) => write!(f, "length:{len}"),
            Self::Until(delimiter) => write!(f, "until:{}", escaped(delimiter)),
        }
    }
}

/// The first bytes, with bytes that are not printable ASCII escaped.
pub(super) fn escaped(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_LEN) {
        Some(first) if first.len() < bytes.len() => format!("{}… ({} B)", first.escape_ascii(), bytes.len()),
        Some(_) | None => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_one_short_line() {
        assert_eq!(ExpectedAnswer::Bytes((*b"+PONG\r\n").into()).to_string(), "bytes:+PONG\\r\\n");
        let long = ExpectedAnswer::Until([b'a'; 100].into()).to_string();
        assert_eq!(long, format!("until:{}… (100 B)", "a".repeat(64)));
    }
}
