//! Chargen (RFC 864): sends the rotating pattern of printable characters for as long as the peer
//! reads, and throws away what it sends.

use std::fmt::Display;

use super::{Context, Service};

/// Printable ASCII, space to tilde.
const CHARACTERS: usize = 95;
/// Characters in one line, as in the RFC's example.
const LINE: usize = 72;
/// Lines sent at a time: 5 KiB, so that a peer which takes them slowly has little waiting.
const LINES_AT_ONCE: usize = 72;

/// Sends lines of 72 characters, each beginning one character further.
///
/// Over raw framing the lines end in CR LF, as in the RFC; over any other, each line is a frame.
#[derive(Clone, Copy, Debug)]
pub struct Chargen {
    line_end: &'static [u8],
}

impl Chargen {
    /// Lines that end in CR LF: for raw framing.
    pub const fn new() -> Self {
        Self { line_end: b"\r\n" }
    }

    /// Bare lines: for a framing that tells where they end.
    pub const fn bare() -> Self {
        Self { line_end: b"" }
    }

    /// The line that begins with that character of the pattern, without its end.
    pub(crate) fn line(start: usize) -> [u8; LINE] {
        std::array::from_fn(|column| character(start + column))
    }

    fn send_lines(self, start: &mut usize, cx: &mut Context<'_, '_>) {
        for _ in 0..LINES_AT_ONCE {
            let line = Self::line(*start);
            cx.send_parts(&[&line, self.line_end]);
            *start = (*start + 1) % CHARACTERS;
        }
        cx.notify_writable();
    }
}

impl Default for Chargen {
    fn default() -> Self {
        Self::new()
    }
}

/// The character at a place of the endless row.
fn character(place: usize) -> u8 {
    b' ' + u8::try_from(place % CHARACTERS).expect("95 characters fit a byte")
}

impl Service for Chargen {
    /// With which character the next line starts.
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, start: &mut usize, _who: &dyn Display, cx: &mut Context<'_, '_>) {
        self.send_lines(start, cx);
    }

    fn on_frame(&mut self, _start: &mut usize, _frame: &[u8], _cx: &mut Context<'_, '_>) {}

    fn on_writable(&mut self, start: &mut usize, cx: &mut Context<'_, '_>) {
        self.send_lines(start, cx);
    }
}
