//! `Lines`: frames that end with LF or CRLF.
//!
//! A frame is what stands before the end of its line. It need not be text, and a CR anywhere else
//! is a byte like any other.

use memchr::memchr;

use super::{Codec, Decoded, Encode, Envelope, FrameError};

/// One line is a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    goodbye: Option<&'static [u8]>,
}

/// How much of an unfinished line was searched for its end, so that a line that arrives byte by
/// byte is searched once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinesState {
    /// Four bytes because every peer has them; past 4 GiB a line is searched again from there.
    searched: u32,
}

impl Lines {
    /// Every line is a frame.
    pub const fn new() -> Self {
        Self { goodbye: None }
    }

    /// The line `exit` is [`Decoded::Goodbye`], every other a frame.
    pub const fn with_exit(self) -> Self {
        Self { goodbye: Some(b"exit") }
    }
}

impl Codec for Lines {
    type State = LinesState;

    #[inline]
    fn decode(&self, state: &mut LinesState, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        let searched = state.searched as usize;
        let Some(found) = memchr(b'\n', &input[searched..]) else {
            // Only the CR of its ending may follow the longest line.
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
        } else if self.goodbye == Some(frame) {
            Ok(Decoded::Goodbye { consumed })
        } else {
            Ok(Decoded::Frame { frame: 0..frame.len(), consumed })
        }
    }
}

impl Encode for Lines {
    /// Ends the line with LF. A CR that ends the frame is lost: whoever reads the line takes it
    /// for a part of its end.
    fn envelope(&self, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        if parts.iter().any(|part| memchr(b'\n', part).is_some()) {
            return Err(FrameError::Malformed("a line cannot hold a line feed"));
        }
        Ok(Envelope::with_tail(b"\n"))
    }
}
