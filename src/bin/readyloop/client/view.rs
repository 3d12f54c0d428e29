//! Views: how replies are shown, in a pipe and above a prompt.
//!
//! They know no peer and no clock: what is shown, and how long it took, is told to them.

use std::io;
use std::mem;
use std::time::Duration;

use readyloop::codec::Framing;

use super::hex::Dump;
use super::output::Output;
use super::prompt::Screen;
use super::text;

/// From this many bytes on a slow reader holds up the peer: one turn's reading.
const BATCH_BYTES: usize = 256 * 1024;

/// Shows what comes back.
pub(super) trait View {
    /// Shows one reply; `round_trip` is how long after its line it came, if it answers one.
    ///
    /// # Errors
    /// Nothing can be shown any more.
    fn show(&mut self, reply: &[u8], round_trip: Option<Duration>) -> io::Result<()>;

    /// Passes on what was shown, as far as that needs no waiting.
    ///
    /// # Errors
    /// Nothing can be shown any more.
    fn flush(&mut self) -> io::Result<()>;

    /// Whether it would rather not be shown more for now.
    fn is_full(&self) -> bool;
}

/// Replies on standard output, byte by byte.
pub(super) struct Pipe {
    output: Output,
    batch: Vec<u8>,
    style: Style,
}

/// How a reply is written.
enum Style {
    Bytes,
    /// With a line feed behind it.
    Lines,
    /// One dump of the whole stream.
    Dump(Dump),
    /// A dump of each frame.
    Dumps,
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

    /// Writes what is left and waits until all is written.
    ///
    /// # Errors
    /// Why writing failed.
    pub(super) fn finish(mut self) -> io::Result<()> {
        match &mut self.style {
            Style::Dump(dump) => dump.finish(&mut self.batch),
            Style::Bytes | Style::Lines | Style::Dumps => {}
        }
        self.output.finish(self.batch)
    }
}

impl View for Pipe {
    fn show(&mut self, reply: &[u8], _: Option<Duration>) -> io::Result<()> {
        let batch = &mut self.batch;
        match &mut self.style {
            Style::Bytes => batch.extend_from_slice(reply),
            Style::Lines => batch.extend(reply.iter().chain(b"\n")),
            Style::Dump(dump) => dump.push(reply, batch),
            Style::Dumps => {
                let mut dump = Dump::default();
                dump.push(reply, batch);
                dump.finish(batch);
            }
        }
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
    fn show(&mut self, reply: &[u8], round_trip: Option<Duration>) -> io::Result<()> {
        let round_trip = round_trip.map(text::span).into_iter().collect();
        self.screen.print(&format_reply(reply, self.hex, round_trip))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// A reply as text or as a dump, with what there is to say of it behind it.
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
    let (mut dump, mut lines) = (Dump::default(), Vec::new());
    dump.push(reply, &mut lines);
    dump.finish(&mut lines);
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
    fn a_reply_is_told_with_its_time_and_what_is_wrong_with_it() {
        check(b"hello", &["131 µs"], "hello  (131 µs)\n");
        check(b"two\nlines\r\n", &["131 µs", "late"], "two\nlines  (131 µs, late)\n");
        check(b"unasked", &[], "unasked\n");
        check(b"\x1b[31m\xff", &["131 µs"], "\\u{1b}[31m\\xff  (131 µs, not UTF-8)\n");
    }

    #[test]
    fn a_dump_has_its_time_below() {
        let dump = format_reply(b"hi", true, vec!["131 µs".to_owned()]);
        let lines: Vec<&str> = dump.lines().collect();
        assert!(lines[0].starts_with("00000000  68 69 ") && lines[0].ends_with("|hi|"), "{dump}");
        assert_eq!(lines[1..], ["(131 µs)"]);
        assert_eq!(format_reply(b"hi", true, Vec::new()).lines().count(), 1);
    }
}
