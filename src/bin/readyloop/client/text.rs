//! Formats text for a terminal: bytes of a peer, durations and counts.

use std::fmt::Write as _;
use std::time::Duration;

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
    match span.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.001 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

/// Formats a count with its noun: `1 reply`, `2 replies`.
pub(super) fn counted(count: u64, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
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

    #[test]
    fn durations_have_a_fitting_unit() {
        assert_eq!(span(Duration::from_nanos(131_400)), "131 µs");
        assert_eq!(span(Duration::from_micros(1_310)), "1.31 ms");
        assert_eq!(span(Duration::from_millis(2_504)), "2.50 s");
        assert_eq!(span(Duration::ZERO), "0 µs");
    }
}
