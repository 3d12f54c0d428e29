//! `TextLines`: lines of UTF-8, which the service receives as `&str`.
//!
//! It finds lines as [`Lines`] does, and adds only the check of their bytes.

use super::{Codec, Decoded, Envelope, FrameError, Lines, LinesState};

/// Each line is a frame of text; a line that is not UTF-8 is [`FrameError::Malformed`].
///
/// A line is checked when it is whole, so a read may end inside a character.
///
/// ```
/// use readyloop::{Context, Service, TextLines};
///
/// struct Shout;
///
/// impl Service for Shout {
///     type Codec = TextLines;
///     type Peer = ();
///     type Message = ();
///
///     fn on_frame(&mut self, _peer: &mut (), line: &str, cx: &mut Context<Self>) {
///         cx.send(line.to_uppercase().as_bytes());
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextLines {
    lines: Lines,
}

impl TextLines {
    /// Lines of text, all of which are frames.
    pub const fn new() -> Self {
        Self { lines: Lines::new() }
    }

    /// The line `exit` is decoded as [`Decoded::Exit`] instead of a frame.
    pub const fn with_exit(self) -> Self {
        Self { lines: self.lines.with_exit() }
    }
}

impl Codec for TextLines {
    type State = LinesState;
    type Frame<'a> = &'a str;

    fn decode(&self, state: &mut LinesState, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        self.lines.decode(state, input, frame_len_max)
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, FrameError> {
        str::from_utf8(bytes).map_err(|_| FrameError::Malformed("a line is not UTF-8"))
    }

    fn envelope(&self, state: &LinesState, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        self.lines.envelope(state, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Seen, check, frames};
    use super::*;

    #[test]
    fn lines_are_found_as_without_text() {
        let text = TextLines::new();
        check(&text, 9, "grü\r\nße\n".as_bytes(), &frames(["grü".as_bytes(), "ße".as_bytes()]));
        check(&text.with_exit(), 9, b"a\nexit\nb\n", &[frames([b"a"]), vec![Seen::Exit]].concat());
    }

    #[test]
    fn a_line_is_text_or_malformed() {
        let text = TextLines::new();
        assert_eq!(text.frame("grüße 🙂".as_bytes()), Ok("grüße 🙂"));
        assert_eq!(text.frame(b"b\xffd"), Err(FrameError::Malformed("a line is not UTF-8")));
        assert_eq!(text.frame(&"ü".as_bytes()[..1]), Err(FrameError::Malformed("a line is not UTF-8")));
    }
}
