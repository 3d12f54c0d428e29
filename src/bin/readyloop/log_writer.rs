//! `LogWriter`: writes the log to standard error without ever waiting for its reader.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use log::Level;

use crate::log_format::{LogFormat, json_line, priority};
use crate::stream::{ATOMIC_LEN, write_all};

/// Writes each line at once, or drops it and counts it. The count precedes the next line.
///
/// A server that waits for the reader of its log would stop to serve.
#[derive(Debug)]
pub(crate) struct LogWriter<T> {
    to: T,
    format: LogFormat,
    dropped: u64,
}

impl<T: AsFd> LogWriter<T> {
    pub(crate) const fn new(to: T, format: LogFormat) -> Self {
        Self { to, format, dropped: 0 }
    }

    /// The line about dropped lines.
    fn notice(&self) -> String {
        let lines = if self.dropped == 1 { "1 line was" } else { &format!("{} lines were", self.dropped) };
        let message = format!("{lines} dropped, because standard error was not read");
        match self.format {
            LogFormat::Text => format!("{message}\n"),
            LogFormat::Journal => format!("{}{message}\n", priority(Level::Warn)),
            LogFormat::Json => {
                let now = humantime::format_rfc3339_millis(SystemTime::now());
                json_line(now, Level::Warn, env!("CARGO_CRATE_NAME"), None, &message) + "\n"
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> bool {
        write_all(&self.to, bytes, Some(Duration::ZERO)).is_ok()
    }
}

impl<T: AsFd> Write for LogWriter<T> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.dropped > 0 && self.try_write(self.notice().as_bytes()) {
            self.dropped = 0;
        }
        // A pipe takes a longer line in parts, and a part without the rest would join the next line.
        let is_written = self.dropped == 0
            && match line.get(..ATOMIC_LEN - 1) {
                Some(start) if line.len() > ATOMIC_LEN => self.try_write(&[start, b"\n"].concat()),
                Some(_) | None => self.try_write(line),
            };
        if !is_written {
            self.dropped = self.dropped.saturating_add(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn lines_for_a_full_pipe_are_dropped_and_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = LogWriter::new(writer, LogFormat::Text);
        let line = [b"a".repeat(99).as_slice(), b"\n"].concat();
        while log.dropped < 3 {
            log.write_all(&line).unwrap();
        }
        reader.read_exact(&mut vec![0; 8 * ATOMIC_LEN]).unwrap();
        log.write_all(b"next\n").unwrap();
        log.write_all(&b"b".repeat(ATOMIC_LEN + 1)).unwrap();
        drop(log);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        let notice = "3 lines were dropped, because standard error was not read";
        assert_eq!(last, ["b".repeat(ATOMIC_LEN - 1).as_str(), "next", notice]);
    }

    #[test]
    fn the_notice_of_dropped_lines_is_json_in_a_log_of_json() {
        let log = LogWriter { dropped: 2, ..LogWriter::new(io::stderr(), LogFormat::Json) };
        let value: serde_json::Value = serde_json::from_str(&log.notice()).unwrap();
        assert_eq!(value["message"].as_str(), Some("2 lines were dropped, because standard error was not read"));
        assert!(value["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{value}");
    }
}
