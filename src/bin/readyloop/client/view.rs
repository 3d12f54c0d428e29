//! Views: formats of replies in a pipe and above a prompt.
//!
//! They know no peer and no clock.

use std::io;
use std::mem;

use readyloop::codec::Framing;

use super::hex::{Dump, dump};
use super::output::Output;
use super::prompt::Screen;
use super::text;

/// Reading from the peer pauses at this many unwritten bytes: as many as one turn reads.
const BATCH_BYTES: usize = 256 * 1024;

/// A destination for the replies of a session.
pub(super) trait View {
    /// Shows one reply, with a remark on its time if there is one.
    ///
    /// # Errors
    /// The output cannot be written.
    fn show(&mut self, reply: &[u8], remark: Option<String>) -> io::Result<()>;

    /// Writes buffered output without blocking.
    ///
    /// # Errors
    /// The output cannot be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Whether the buffer is full, so that reading from the peer should pause.
    fn is_full(&self) -> bool;
}

/// Replies on standard output, without additions.
pub(super) struct Pipe {
    output: Output,
    batch: Vec<u8>,
    style: Style,
}

/// The format of replies without a prompt.
pub(super) enum Style {
    Bytes,
    /// Each reply ends with a line feed.
    Lines,
    /// One hex dump of the whole stream.
    Dump(Dump),
    /// One hex dump per frame or datagram.
    Dumps,
}

impl Style {
    /// Appends one reply to `out`.
    pub(super) fn format(&mut self, reply: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Bytes => out.extend_from_slice(reply),
            Self::Lines => out.extend(reply.iter().chain(b"\n")),
            Self::Dump(dump) => dump.push(reply, out),
            Self::Dumps => dump(reply, out),
        }
    }
}

impl Pipe {
    pub(super) fn new(output: Output, framing: Framing, hex: bool) -> Self {
        let style = match (framing, hex) {
            (Framing::Raw(_), false) => Style::Bytes,
            (Framing::Raw(_), true) => Style::Dump(Dump::default()),
            (Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_), false) => Style::Lines,
            (Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_), true) => Style::Dumps,
        };
        Self { output, batch: Vec::new(), style }
    }

    /// Writes the rest and waits until everything is written.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        match &mut self.style {
            Style::Dump(dump) => dump.finish(&mut self.batch),
            Style::Bytes | Style::Lines | Style::Dumps => {}
        }
        self.output.finish(self.batch)
    }
}

impl View for Pipe {
    fn show(&mut self, reply: &[u8], _: Option<String>) -> io::Result<()> {
        self.style.format(reply, &mut self.batch);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(error) = self.output.poll_failure() {
            return Err(error);
        }
        if !self.batch.is_empty()
            && let Err(batch) = self.output.try_send(mem::take(&mut self.batch))
        {
            self.batch = batch;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_BYTES
    }
}

/// Replies above a prompt, each with its round-trip time.
pub(super) struct Terminal {
    pub(super) screen: Screen,
    hex: bool,
}

impl Terminal {
    pub(super) fn new(screen: Screen, hex: bool) -> Self {
        Self { screen, hex }
    }
}

impl View for Terminal {
    fn show(&mut self, reply: &[u8], remark: Option<String>) -> io::Result<()> {
        self.screen.print(&format_reply(reply, self.hex, remark.into_iter().collect()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// Formats a reply as text or as a hex dump, followed by remarks.
pub(super) fn format_reply(reply: &[u8], hex: bool, mut remarks: Vec<String>) -> String {
    let (text, gap) = if hex { (hex_dump(reply), "") } else { (reply_line(reply), "  ") };
    if !hex && str::from_utf8(reply).is_err() {
        remarks.push("not UTF-8".to_owned());
    }
    match (remarks.is_empty(), hex) {
        (true, true) => text,
        (true, false) => text + "\n",
        (false, _) => format!("{text}{gap}({})\n", remarks.join(", ")),
    }
}

fn reply_line(reply: &[u8]) -> String {
    let line = reply.strip_suffix(b"\n").unwrap_or(reply);
    text::printable(line.strip_suffix(b"\r").unwrap_or(line))
}

fn hex_dump(reply: &[u8]) -> String {
    let mut lines = Vec::new();
    dump(reply, &mut lines);
    String::from_utf8_lossy(&lines).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &[u8], remarks: &[&str], expected: &str) {
        assert_eq!(format_reply(reply, false, remarks.iter().copied().map(str::to_owned).collect()), expected);
    }

    #[test]
    fn a_reply_is_followed_by_its_remarks() {
        check(b"hello", &["131 µs"], "hello  (131 µs)\n");
        check(b"two\nlines\r\n", &["131 µs", "late"], "two\nlines  (131 µs, late)\n");
        check(b"unsolicited", &[], "unsolicited\n");
        check(b"\x1b[31m\xff", &["131 µs"], "\\u{1b}[31m\\xff  (131 µs, not UTF-8)\n");
    }

    #[test]
    fn a_dump_has_its_remarks_below() {
        let dump = format_reply(b"hi", true, vec!["131 µs".to_owned()]);
        let lines: Vec<&str> = dump.lines().collect();
        assert!(lines[0].starts_with("00000000  68 69 ") && lines[0].ends_with("|hi|"), "{dump}");
        assert_eq!(lines[1..], ["(131 µs)"]);
        assert_eq!(format_reply(b"hi", true, Vec::new()).lines().count(), 1);
    }
}
