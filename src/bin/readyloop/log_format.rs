//! `LogFormat`: one line of the log, as text or as JSON.

use std::fmt::Display;

use clap::ValueEnum;
use log::Level;
use serde_json::json;

use crate::stream::ATOMIC_LEN;

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines to read: time, level, message
    #[default]
    Text,
    /// One JSON object a line: time, level, target, message
    Json,
}

/// A line of JSON without its line feed, at most as long as a pipe takes as a whole. A longer message is cut.
pub(crate) fn json_line(time: impl Display, level: Level, target: &str, message: &str) -> String {
    let time = time.to_string();
    let line = |message: &str| {
        let level = level.as_str().to_lowercase();
        json!({ "time": time, "level": level, "target": target, "message": message }).to_string()
    };
    let mut cut = line(message);
    let mut len = message.len();
    while cut.len() >= ATOMIC_LEN && len > 0 {
        // Characters that are escaped are longer in the line than in the message.
        let excess = (cut.len() - ATOMIC_LEN) / 6 + 4;
        len = len.saturating_sub(excess);
        while !message.is_char_boundary(len) {
            len -= 1;
        }
        cut = line(&format!("{}…", &message[..len]));
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str) -> String {
        let line = json_line("2026-01-01T00:00:00Z", Level::Warn, "readyloop", message);
        assert!(line.len() < ATOMIC_LEN && !line.contains('\n'), "{} bytes", line.len());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["level"].as_str(), value["target"].as_str()), (Some("warn"), Some("readyloop")));
        value["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn any_message_is_one_line_of_json() {
        for message in ["", "plain", "\"quoted\" \\ \n\r\t\0\u{1b}[2J", "ümläut \u{2028}\u{feff}🐟"] {
            assert_eq!(check(message), message);
        }
        for long in ["a".repeat(100_000), "\0".repeat(100_000), "🐟".repeat(5_000)] {
            let cut = check(&long);
            let kept = cut.strip_suffix('…').unwrap();
            assert!(long.starts_with(kept) && kept.len() > 500, "{} bytes are kept", kept.len());
        }
    }
}
