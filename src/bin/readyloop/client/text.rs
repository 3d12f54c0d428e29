//! Formats text for a terminal: bytes of a peer, and durations.

use std::fmt::Write as _;
use std::time::Duration;

use crate::quantity::Unit;

/// Escapes control characters and invalid UTF-8, so that a peer cannot send commands to the terminal.
///
/// Line feeds and tabs stay.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' | '\t' => text.push(char),
                char if char.is_control() => text.extend(char.escape_default()),
                char => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            // Writing into a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Formats a short duration: `131 µs`, `1.31 ms`, `2.50 s`.
pub(super) fn span(span: Duration) -> String {
    Unit::Time.print(span.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(printable(bytes), expected);
    }

    #[test]
    fn control_characters_and_invalid_utf8_are_escaped() {
        check("grüße\tan alle\nhier".as_bytes(), "grüße\tan alle\nhier");
        check(b"\x1b[2J\r\x07", "\\u{1b}[2J\\r\\u{7}");
        check(b"a\xffb\xc3", "a\\xffb\\xc3");
        check("\u{9b}31m".as_bytes(), "\\u{9b}31m");
        check(b"", "");
    }
}
