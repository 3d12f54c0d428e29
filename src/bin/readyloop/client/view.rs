//! `View`: prints replies in a pipe or above a prompt.
//!
//! It knows no peer and no clock.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use readyloop::net::Wake;

use super::hex::{Dump, dump};
use super::input::{self, Input, Split};
use super::outcome::{Ended, output_failed};
use super::output::Output;
use super::prompt::{Prompt, Screen};
use super::text;

/// The destination of the replies of a session.
pub(super) enum View {
    /// Above a prompt, with remarks.
    Prompt { screen: Screen, hex: bool },
    /// On standard output, without additions.
    Pipe { output: Output, style: Style },
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

/// Opens standard input and output: at the prompt if there is one, else split and styled for a pipe.
///
/// # Errors
/// The system cannot start a thread.
pub(super) fn open(
    prompt: Option<(Prompt, Screen)>,
    (split, style): (Split, Style),
    hex: bool,
    wake: &Arc<dyn Wake>,
) -> io::Result<(Receiver<Input>, View)> {
    Ok(match prompt {
        Some((prompt, screen)) => (input::start(Arc::clone(wake), prompt)?, View::Prompt { screen, hex }),
        None => (input::start(Arc::clone(wake), split.frames())?, View::pipe(style, wake)?),
    })
}

impl View {
    /// A view on standard output.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn pipe(style: Style, wake: &Arc<dyn Wake>) -> io::Result<Self> {
        Ok(Self::Pipe { output: Output::start(Arc::clone(wake))?, style })
    }

    pub(super) fn is_prompt(&self) -> bool {
        matches!(self, Self::Prompt { .. })
    }

    /// Shows one reply. Remarks appear at a prompt only.
    ///
    /// # Errors
    /// The terminal is closed.
    pub(super) fn show(&mut self, reply: &[u8], remarks: Vec<String>) -> Result<(), Ended> {
        match self {
            Self::Prompt { screen, hex } => screen.print(&format_reply(reply, *hex, remarks)).map_err(output_failed),
            Self::Pipe { output: Output { batch, .. }, style } => {
                match style {
                    Style::Bytes => batch.extend_from_slice(reply),
                    Style::Lines => batch.extend(reply.iter().chain(b"\n")),
                    Style::Dump(dump) => dump.push(reply, batch),
                    Style::Dumps => dump(reply, batch),
                }
                Ok(())
            }
        }
    }

    /// Prints a line about the session.
    ///
    /// # Errors
    /// The terminal is closed.
    pub(super) fn print(&mut self, line: &str) -> Result<(), Ended> {
        match self {
            Self::Prompt { screen, .. } => screen.print(&format!("{line}\n")).map_err(output_failed),
            Self::Pipe { output, .. } => {
                output.batch.extend(line.bytes().chain([b'\n']));
                Ok(())
            }
        }
    }

    /// Writes buffered output without blocking.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn flush(&mut self) -> Result<(), Ended> {
        match self {
            Self::Prompt { .. } => Ok(()),
            Self::Pipe { output, .. } => output.flush().map_err(output_failed),
        }
    }

    /// Whether the buffer is full, so that reading from the peer should pause.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Prompt { .. } => false,
            Self::Pipe { output, .. } => output.is_full(),
        }
    }

    /// Restores the terminal, or writes the rest and waits until everything is written. Returns the result
    /// of the session, which has `ended`.
    pub(super) fn finish(self, ended: Ended) -> Ended {
        match self {
            Self::Prompt { screen, .. } => screen.leave(),
            Self::Pipe { mut output, style } => {
                if let Style::Dump(mut dump) = style {
                    dump.finish(&mut output.batch);
                }
                if let Err(error) = output.finish() {
                    return output_failed(error);
                }
            }
        }
        ended
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
