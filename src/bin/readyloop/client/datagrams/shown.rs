//! What is shown of replies and of their absence: above a prompt, in a pipe, or by their numbers.

use std::io::{self, Write, stdout};
use std::time::Duration;

use readyloop::client::Arrival;
use readyloop::codec::Framing;

use crate::cli_error::io_message;
use crate::client::prompt::Screen;
use crate::client::{hex::Dump, text, view};

/// Shows what comes back.
pub(super) enum Shown {
    /// Text with what there is to say of it; silence is told as well.
    AbovePrompt { screen: Screen, hex: bool, timeout: Duration },
    /// What came, as it came.
    InPipe(Style),
    /// One line for each of our own datagrams.
    Numbers { timeout: Duration },
}

/// How a reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Bytes,
    /// With a line feed behind it.
    Lines,
    Dumps,
}

/// Whether the conversation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    GoOn,
    Leave,
}

impl Shown {
    pub(super) fn above_a_prompt(screen: Screen, hex: bool, timeout: Duration) -> Self {
        Self::AbovePrompt { screen, hex, timeout }
    }

    pub(super) fn in_a_pipe(framing: Framing, hex: bool) -> Self {
        Self::InPipe(match (framing, hex) {
            (_, true) => Style::Dumps,
            (Framing::Raw(_) | Framing::Fixed(_), false) => Style::Bytes,
            (Framing::Lines(_) | Framing::Length(_), false) => Style::Lines,
        })
    }

    pub(super) fn numbers(timeout: Duration) -> Self {
        Self::Numbers { timeout }
    }

    /// Shows a reply and what it is.
    ///
    /// # Errors
    /// Nothing can be shown any more.
    pub(super) fn reply(&mut self, bytes: &[u8], arrival: &Arrival) -> io::Result<()> {
        match self {
            Self::AbovePrompt { screen, hex, .. } => screen.print(&view::told(bytes, *hex, remarks(arrival))),
            Self::InPipe(style) => print(&style.written(bytes)),
            Self::Numbers { .. } => print(numbered(bytes.len(), arrival).as_bytes()),
        }
    }

    /// Tells that nothing came for this datagram.
    ///
    /// # Errors
    /// Nothing can be shown any more.
    pub(super) fn lost(&mut self, number: u64) -> io::Result<()> {
        match self {
            // Who wants to wait for no reply is not told of each that did not come.
            Self::AbovePrompt { timeout: Duration::ZERO, .. } | Self::Numbers { timeout: Duration::ZERO } => Ok(()),
            Self::AbovePrompt { screen, timeout, .. } => screen.print(&format!("no reply within {timeout:?}\n")),
            Self::Numbers { timeout } => print(format!("number {number}: no reply within {timeout:?}\n").as_bytes()),
            Self::InPipe(_) => Ok(()),
        }
    }

    /// Tells a person that a datagram was refused or could not be sent; a script is told by the end.
    ///
    /// # Errors
    /// Nothing can be shown any more.
    pub(super) fn failure(&mut self, error: &io::Error) -> io::Result<After> {
        match self {
            Self::AbovePrompt { screen, .. } => {
                screen.print(&format!("{}\n", io_message(error)))?;
                Ok(After::GoOn)
            }
            Self::InPipe(_) | Self::Numbers { .. } => Ok(After::Leave),
        }
    }

    /// Leaves the prompt, if one is still waiting for its line.
    pub(super) fn leave(self) {
        if let Self::AbovePrompt { screen, .. } = self {
            screen.leave();
        }
    }
}

impl Style {
    fn written(self, reply: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        match self {
            Self::Bytes => written.extend_from_slice(reply),
            Self::Lines => written.extend(reply.iter().chain(b"\n")),
            Self::Dumps => {
                let mut dump = Dump::default();
                dump.push(reply, &mut written);
                dump.finish(&mut written);
            }
        }
        written
    }
}

/// Each reply at once: somebody may wait for it.
fn print(bytes: &[u8]) -> io::Result<()> {
    let mut output = stdout().lock();
    output.write_all(bytes)?;
    output.flush()
}

fn remarks(arrival: &Arrival) -> Vec<String> {
    match arrival {
        Arrival::Answer { round_trip, .. } => vec![text::span(*round_trip)],
        Arrival::Reordered { round_trip, .. } => vec![text::span(*round_trip), "out of order".to_owned()],
        Arrival::Late { round_trip, .. } => vec![text::span(*round_trip), "late".to_owned()],
        Arrival::Duplicate { .. } => vec!["a duplicate".to_owned()],
        Arrival::Unknown => vec!["unasked".to_owned()],
    }
}

fn numbered(len: usize, arrival: &Arrival) -> String {
    let remarks = remarks(arrival).join(", ");
    match arrival {
        Arrival::Answer { number, .. }
        | Arrival::Reordered { number, .. }
        | Arrival::Late { number, .. }
        | Arrival::Duplicate { number } => format!("number {number}: {len} bytes  ({remarks})\n"),
        Arrival::Unknown => format!("{len} bytes that were not sent like this\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arrival: Arrival, expected: &str) {
        assert_eq!(numbered(64, &arrival), expected);
    }

    #[test]
    fn each_numbered_one_has_its_line() {
        let round_trip = Duration::from_micros(131);
        check(Arrival::Answer { number: 0, round_trip }, "number 0: 64 bytes  (131 µs)\n");
        check(Arrival::Reordered { number: 1, round_trip }, "number 1: 64 bytes  (131 µs, out of order)\n");
        check(Arrival::Late { number: 2, round_trip }, "number 2: 64 bytes  (131 µs, late)\n");
        check(Arrival::Duplicate { number: 3 }, "number 3: 64 bytes  (a duplicate)\n");
        check(Arrival::Unknown, "64 bytes that were not sent like this\n");
    }
}
