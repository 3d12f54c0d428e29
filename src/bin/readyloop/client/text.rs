//! What comes from a peer as text that is safe to show: no byte of it reaches the terminal as a command.

use std::fmt::Write as _;
use std::time::Duration;

/// The text, with control characters and what is no UTF-8 escaped; line feeds and tabs stay.
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

/// A short span with its unit: `131 µs`, `1.31 ms`, `2.50 s`.
pub(super) fn span(span: Duration) -> String {
    match span.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.001 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(printable(bytes), expected);
    }

    #[test]
    fn text_stays_and_everything_else_is_escaped() {
        check("grüße\tan alle\nhier".as_bytes(), "grüße\tan alle\nhier");
        check(b"\x1b[2J\r\x07", "\\u{1b}[2J\\r\\u{7}");
        check(b"a\xffb\xc3", "a\\xffb\\xc3");
        check("\u{9b}31m".as_bytes(), "\\u{9b}31m");
        check(b"", "");
    }

    #[test]
    fn spans_are_short() {
        assert_eq!(span(Duration::from_nanos(131_400)), "131 µs");
        assert_eq!(span(Duration::from_micros(1_310)), "1.31 ms");
        assert_eq!(span(Duration::from_millis(2_504)), "2.50 s");
        assert_eq!(span(Duration::ZERO), "0 µs");
    }
}
