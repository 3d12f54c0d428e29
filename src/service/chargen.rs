//! Chargen (RFC 864): sends a rotating pattern of printable characters while the peer reads, and
//! discards its input.

use std::marker::PhantomData;

use super::{Context, PeerInfo, Service};
use crate::codec::Codec;

/// Printable ASCII, space to tilde.
const CHARACTERS: usize = 95;
/// Characters in one line, as in the RFC's example.
const LINE: usize = 72;
/// Lines sent at a time: about 5 KiB, so that little is queued for a slow peer.
const LINES_AT_ONCE: usize = 72;

/// Sends lines of 72 characters. Each line begins one character later in the pattern.
///
/// Over raw framing, lines end in CR LF, as in the RFC. Over any other framing, each line is a frame.
#[derive(Debug)]
pub struct Chargen<C> {
    line_end: &'static [u8],
    codec: PhantomData<fn() -> C>,
}

impl<C> Chargen<C> {
    /// Sends lines that end in CR LF, for raw framing.
    pub const fn new() -> Self {
        Self { line_end: b"\r\n", codec: PhantomData }
    }

    /// Sends lines without a line end, for a framing that delimits them.
    pub const fn bare() -> Self {
        Self { line_end: b"", codec: PhantomData }
    }
}

impl<C: Codec> Chargen<C> {
    fn send_lines(&self, start: &mut usize, cx: &mut Context<'_, Self>) {
        for _ in 0..LINES_AT_ONCE {
            let line = chargen_line(*start);
            cx.send_parts(&[&line, self.line_end]);
            *start = (*start + 1) % CHARACTERS;
        }
        cx.notify_writable();
    }
}

impl<C> Clone for Chargen<C> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<C> Default for Chargen<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Codec> Service for Chargen<C> {
    type Codec = C;
    /// The character of the pattern that the next line begins with.
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, start: &mut usize, _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.send_lines(start, cx);
    }

    fn on_frame(&mut self, _start: &mut usize, _frame: C::Frame<'_>, _cx: &mut Context<'_, Self>) {}

    fn on_writable(&mut self, start: &mut usize, cx: &mut Context<'_, Self>) {
        self.send_lines(start, cx);
    }
}

/// The line that begins with the character at `start` of the pattern, without its line end.
pub(crate) fn chargen_line(start: usize) -> [u8; LINE] {
    std::array::from_fn(|column| b' ' + u8::try_from((start + column) % CHARACTERS).expect("95 characters fit a byte"))
}
