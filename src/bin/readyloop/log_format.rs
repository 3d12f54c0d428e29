//! `LogFormat`: one line of the log, as text or as JSON.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;

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
    /// Text for the journal of systemd, which has the time: a priority as in sd-daemon(3), then the message
    #[value(skip)]
    Journal,
}

/// The start of a line for the journal: the priority of syslog(3) in angle brackets.
pub(crate) fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Whether standard error goes to the journal of systemd.
pub(crate) fn is_stderr_journal() -> bool {
    is_journal(io::stderr(), env::var_os("JOURNAL_STREAM").as_deref())
}

/// Whether the stream is the one that the variable `JOURNAL_STREAM` names by device and inode (systemd.exec(5)).
/// A process that inherits the variable may have another standard error.
fn is_journal(stream: impl AsFd, variable: Option<&OsStr>) -> bool {
    let named = variable.and_then(OsStr::to_str).and_then(|text| text.split_once(':'));
    let numbers = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let Some(named) = numbers else { return false };
    rustix::fs::fstat(stream).is_ok_and(|stat| (i128::from(stat.st_dev), i128::from(stat.st_ino)) == named)
}

/// A line of JSON without its line feed, at most as long as a pipe takes as a whole. A longer message is cut.
pub(crate) fn json_line(
    time: impl Display,
    level: Level,
    target: &str,
    process: Option<usize>,
    message: &str,
) -> String {
    let time = time.to_string();
    let line = |message: &str| {
        let level = level.as_str().to_lowercase();
        let mut fields = json!({ "time": time, "level": level, "target": target, "message": message });
        if let Some(process) = process {
            fields["process"] = process.into();
        }
        fields.to_string()
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
        let line = json_line("2026-01-01T00:00:00Z", Level::Warn, "readyloop", Some(2), message);
        assert!(line.len() < ATOMIC_LEN && !line.contains('\n'), "{} bytes", line.len());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["level"].as_str(), value["target"].as_str()), (Some("warn"), Some("readyloop")));
        value["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_journal_is_recognized_by_its_device_and_inode() {
        let (_reader, writer) = io::pipe().unwrap();
        let stat = rustix::fs::fstat(&writer).unwrap();
        let is_named = |text: &str| is_journal(&writer, Some(OsStr::new(text)));
        assert!(is_named(&format!("{}:{}", stat.st_dev, stat.st_ino)));
        for other in [format!("{}:{}", stat.st_dev, stat.st_ino + 1), format!("{}:{}", stat.st_dev + 1, stat.st_ino)] {
            assert!(!is_named(&other), "{other}");
        }
        for wrong in ["", ":", "1", "-1:-1", "a:b", "99999999999999999999999:1", "1:2:3"] {
            assert!(!is_named(wrong), "{wrong}");
        }
        assert!(!is_journal(&writer, None));
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
