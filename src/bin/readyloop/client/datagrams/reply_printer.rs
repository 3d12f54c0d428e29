//! `ReplyPrinter`: prints replies and lost datagrams above a prompt, in a pipe, or by number.

use std::io::{self, stdout};
use std::ops::ControlFlow;
use std::time::Duration;

use readyloop::client::Arrival;
use readyloop::codec::Framing;

use crate::cli_error::io_message;
use crate::client::prompt::Screen;
use crate::client::text;
use crate::client::view::{Style, format_reply};
use crate::stream;

/// Prints replies and losses.
pub(super) enum ReplyPrinter {
    /// Text with remarks. Losses are printed as well.
    AbovePrompt { screen: Screen, hex: bool, timeout: Duration },
    /// The replies only.
    InPipe(Style),
    /// One line for each numbered datagram.
    Numbers { timeout: Duration },
}

impl ReplyPrinter {
    pub(super) fn in_pipe(framing: Framing, hex: bool) -> Self {
        Self::InPipe(match (framing, hex) {
            (_, true) => Style::Dumps,
            (Framing::Raw(_) | Framing::Fixed(_), false) => Style::Bytes,
            (Framing::Lines(_) | Framing::Length(_), false) => Style::Lines,
        })
    }

    /// Prints a reply, with its round-trip time and remarks where the mode has them.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn reply(&mut self, bytes: &[u8], arrival: &Arrival) -> io::Result<()> {
        match self {
            Self::AbovePrompt { screen, hex, .. } => screen.print(&format_reply(bytes, *hex, remarks(arrival))),
            Self::InPipe(style) => {
                let mut text = Vec::new();
                style.format(bytes, &mut text);
                print(&text)
            }
            Self::Numbers { .. } => print(numbered_line(bytes.len(), arrival).as_bytes()),
        }
    }

    /// Reports that this datagram had no reply in time.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn lost(&mut self, number: u64) -> io::Result<()> {
        match self {
            // With a timeout of zero, no reply is expected.
            Self::AbovePrompt { timeout: Duration::ZERO, .. } | Self::Numbers { timeout: Duration::ZERO } => Ok(()),
            Self::AbovePrompt { screen, timeout, .. } => screen.print(&format!("no reply within {timeout:?}\n")),
            Self::Numbers { timeout } => print(format!("number {number}: no reply within {timeout:?}\n").as_bytes()),
            Self::InPipe(_) => Ok(()),
        }
    }

    /// Reports at a prompt that a datagram was refused or not sent. Without a prompt, the session stops.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn failure(&mut self, error: &io::Error) -> io::Result<ControlFlow<()>> {
        match self {
            Self::AbovePrompt { screen, .. } => {
                screen.print(&format!("{}\n", io_message(error)))?;
                Ok(ControlFlow::Continue(()))
            }
            Self::InPipe(_) | Self::Numbers { .. } => Ok(ControlFlow::Break(())),
        }
    }

    /// Restores the terminal if a prompt still waits for a line.
    pub(super) fn leave(self) {
        if let Self::AbovePrompt { screen, .. } = self {
            screen.leave();
        }
    }
}

fn print(bytes: &[u8]) -> io::Result<()> {
    stream::write_all(stdout(), bytes, None)
}

fn remarks(arrival: &Arrival) -> Vec<String> {
    match arrival {
        Arrival::Answer { round_trip, .. } => vec![text::span(*round_trip)],
        Arrival::Reordered { round_trip, .. } => vec![text::span(*round_trip), "out of order".to_owned()],
        Arrival::Late { round_trip, .. } => vec![text::span(*round_trip), "late".to_owned()],
        Arrival::Duplicate { .. } => vec!["duplicate".to_owned()],
        Arrival::Unknown => vec!["unsolicited".to_owned()],
    }
}

fn numbered_line(len: usize, arrival: &Arrival) -> String {
    let remarks = remarks(arrival).join(", ");
    match arrival {
        Arrival::Answer { number, .. }
        | Arrival::Reordered { number, .. }
        | Arrival::Late { number, .. }
        | Arrival::Duplicate { number } => format!("number {number}: {len} bytes  ({remarks})\n"),
        Arrival::Unknown => format!("{len} bytes that match no sent datagram\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arrival: Arrival, expected: &str) {
        assert_eq!(numbered_line(64, &arrival), expected);
    }

    #[test]
    fn each_numbered_reply_has_its_line() {
        let round_trip = Duration::from_micros(131);
        check(Arrival::Answer { number: 0, round_trip }, "number 0: 64 bytes  (131 µs)\n");
        check(Arrival::Reordered { number: 1, round_trip }, "number 1: 64 bytes  (131 µs, out of order)\n");
        check(Arrival::Late { number: 2, round_trip }, "number 2: 64 bytes  (131 µs, late)\n");
        check(Arrival::Duplicate { number: 3 }, "number 3: 64 bytes  (duplicate)\n");
        check(Arrival::Unknown, "64 bytes that match no sent datagram\n");
    }
}
