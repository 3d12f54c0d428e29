//! `Fixed`: every frame has the same length.
//!
//! Nothing marks where a frame begins: both ends must have counted from the first byte.

use super::{Codec, Decoded, Encode, Envelope, FrameError};

/// So many bytes in a row are a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    len: usize,
}

impl Fixed {
    /// Frames of `len` bytes.
    ///
    /// # Panics
    /// When `len` is zero: a stream would hold frames without end.
    pub const fn new(len: usize) -> Self {
        assert!(len > 0, "a fixed frame has at least one byte");
        Self { len }
    }

    /// The length of every frame, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "it is the length of a frame, which is never empty")]
    pub const fn len(self) -> usize {
        self.len
    }
}

impl Codec for Fixed {
    type State = ();

    #[inline]
    fn decode(&self, (): &mut (), input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        if self.len > frame_len_max {
            return Err(FrameError::TooLong { frame_len_max });
        }
        if input.len() < self.len {
            return Ok(Decoded::More);
        }
        Ok(Decoded::Frame { frame: 0..self.len, consumed: self.len })
    }
}

impl Encode for Fixed {
    fn envelope(&self, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len != self.len {
            return Err(FrameError::Malformed("not the one length that all frames have"));
        }
        Ok(Envelope::NONE)
    }
}
