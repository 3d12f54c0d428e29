//! `Lines`: frames that end with LF or CRLF.
//!
//! A frame is the line without its ending. It may hold any bytes unless UTF-8 is required. A CR that
//! does not precede the LF belongs to the frame.

use memchr::memchr;

use super::{Codec, Decoded, Envelope, FrameError};

/// Each line is a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    exit: Option<&'static [u8]>,
    content: LineContent,
}

/// The bytes that a line may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LineContent {
    #[default]
    Any,
    Utf8,
}

/// How much of an incomplete line was searched for its end, so that no byte is searched twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinesState {
    /// Saturates at 4 GiB, from where a longer line is searched again. Every peer stores it, so it is small.
    searched: u32,
}

impl Lines {
    /// Lines of any bytes, all of which are frames.
    pub const fn new() -> Self {
        Self { exit: None, content: LineContent::Any }
    }

    /// The line `exit` is decoded as [`Decoded::Exit`] instead of a frame.
    pub const fn with_exit(self) -> Self {
        Self { exit: Some(b"exit"), ..self }
    }

    /// Every line must be UTF-8; another is [`FrameError::Malformed`].
    ///
    /// Only whole lines are checked, so a read may end inside a character.
    pub const fn utf8_only(self) -> Self {
        Self { content: LineContent::Utf8, ..self }
    }

    /// Whether every line must be UTF-8.
    pub const fn is_utf8_only(self) -> bool {
        matches!(self.content, LineContent::Utf8)
    }
}

impl Codec for Lines {
    type State = LinesState;
    type Frame<'a> = &'a [u8];

    fn decode(&self, state: &mut LinesState, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        let searched = state.searched as usize;
        let Some(found) = memchr(b'\n', &input[searched..]) else {
            // A line of the maximum length may be followed by the CR of its ending.
            let len = input.strip_suffix(b"\r").unwrap_or(input).len();
            if len > frame_len_max {
                return Err(FrameError::TooLong { frame_len_max });
            }
            state.searched = u32::try_from(input.len()).unwrap_or(u32::MAX);
            return Ok(Decoded::More);
        };
        state.searched = 0;
        let line_feed = searched + found;
        let line = &input[..line_feed];
        let frame = line.strip_suffix(b"\r").unwrap_or(line);
        let consumed = line_feed + 1;
        if frame.len() > frame_len_max {
            Err(FrameError::TooLong { frame_len_max })
        } else if self.exit == Some(frame) {
            Ok(Decoded::Exit { consumed })
        } else if self.is_utf8_only() && str::from_utf8(frame).is_err() {
            Err(FrameError::Malformed("a line is not UTF-8"))
        } else {
            Ok(Decoded::Frame { frame: 0..frame.len(), consumed })
        }
    }

    #[inline]
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    /// Ends the line with LF. The reader drops a CR at the end of the frame as part of the line ending.
    fn envelope(&self, _state: &LinesState, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        if parts.iter().any(|part| memchr(b'\n', part).is_some()) {
            return Err(FrameError::Malformed("a line cannot hold a line feed"));
        }
        Ok(Envelope::with_tail(b"\n"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check::{Seen, bytes_until_error, check, check_round_trip, frames, too_long};
    use super::*;

    const LINES: Lines = Lines::new();

    #[test]
    fn a_line_ends_with_lf_or_crlf() {
        check(&LINES, 9, b"one\ntwo\r\n", &frames([b"one", b"two"]));
        check(&LINES, 9, b"\n\r\n\n", &frames([b"", b"", b""]));
    }

    #[test]
    fn a_carriage_return_elsewhere_belongs_to_the_frame() {
        check(
            &LINES,
            9,
            b"a\rb\n\rc\r\r\n\r",
            &[frames([b"a\rb", b"\rc\r"]), vec![Seen::Rest(b"\r".to_vec())]].concat(),
        );
    }

    #[test]
    fn an_incomplete_line_is_not_decoded() {
        check(&LINES, 9, b"one\ntw", &[frames([b"one"]), vec![Seen::Rest(b"tw".to_vec())]].concat());
    }

    #[test]
    fn the_exit_line_is_decoded_only_if_enabled() {
        let exit = [frames([b"hi"]), vec![Seen::Exit]].concat();
        check(&LINES.with_exit(), 9, b"hi\nexit\nmore\n", &exit);
        check(&LINES.with_exit(), 9, b"hi\r\nexit\r\n", &exit);
        check(&LINES.with_exit(), 9, b"exits\n exit\nEXIT\n", &frames([b"exits", b" exit", b"EXIT"]));
        check(&LINES, 9, b"exit\r\n", &frames([b"exit"]));
    }

    #[test]
    fn text_may_be_cut_inside_a_character_and_other_bytes_are_refused() {
        let text = LINES.utf8_only();
        let line = "grüße 🙂".as_bytes();
        check(&text, 99, &[line, b"\r\n"].concat(), &frames([line]));
        let refused = Seen::Error(FrameError::Malformed("a line is not UTF-8"));
        check(&text, 99, b"good\nb\xffd\nrest\n", &[frames([b"good"]), vec![refused.clone()]].concat());
        // The two bytes of a character, with a line feed between them.
        check(&text, 99, b"\xc3\n\xbc\n", &[refused]);
        check(&LINES, 99, b"\xc3\n\xbc\n", &frames([b"\xc3", b"\xbc"]));
    }

    #[test]
    fn a_line_of_the_maximum_length_may_have_either_ending() {
        check(&LINES, 4, b"abc\nabcd\nabcd\r\n", &frames([b"abc", b"abcd", b"abcd"]));
        check(&LINES, 4, b"a\nabcde\n", &too_long([b"a"], 4));
        check(&LINES, 4, b"a\nabcde\r\n", &too_long([b"a"], 4));
        check(&LINES, 4, b"abcd\r\r\n", &too_long([], 4));
        check(&LINES, 4, b"abcd\rx", &too_long([], 4));
        check(&LINES, 4, b"abcd\r", &[Seen::Rest(b"abcd\r".to_vec())]);
        check(&LINES, 0, b"\r\n\n", &frames([b"", b""]));
        check(&LINES, usize::MAX, b"abc\n", &frames([b"abc"]));
    }

    #[test]
    fn a_line_is_refused_at_the_first_byte_above_the_limit() {
        assert_eq!(bytes_until_error(&LINES, 4, b"abcdefgh\n"), Some(5));
        assert_eq!(bytes_until_error(&LINES, 4, b"abcd\refg\n"), Some(6));
        assert_eq!(bytes_until_error(&LINES, 4, b"abcd\r\r\n"), Some(6));
    }

    #[test]
    fn a_line_that_arrives_byte_by_byte_is_searched_once() {
        let mut state = LinesState::default();
        for len in 1..9 {
            assert_eq!(LINES.decode(&mut state, &b"abcdefgh\n"[..len], 100), Ok(Decoded::More));
            assert_eq!(state.searched as usize, len);
        }
        assert_eq!(LINES.decode(&mut state, b"abcdefgh\n", 100), Ok(Decoded::Frame { frame: 0..8, consumed: 9 }));
        assert_eq!(state, LinesState::default());
    }

    #[test]
    fn a_line_with_a_line_feed_cannot_be_sent() {
        assert_eq!(LINES.envelope(&LinesState::default(), &[b"a", b"b"]), Ok(Envelope::with_tail(b"\n")));
        assert!(matches!(LINES.envelope(&LinesState::default(), &[b"a", b"b\n"]), Err(FrameError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn lines_are_unchanged_after_a_round_trip(
            lines in prop::collection::vec("[a\r\u{0}é]{0,9}[ab]|", 0..9),
            cuts in any::<[prop::sample::Index; 5]>(),
        ) {
            let lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
            check_round_trip(&LINES, &lines, &cuts);
        }
    }
}
