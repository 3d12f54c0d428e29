//! `Raw`: no framing at all.
//!
//! The bytes of each read are one frame, so frame boundaries mean nothing. `frame_len_max` does not
//! apply, because a read has its own bound.

use super::{Codec, Decoded, Envelope, FrameError};

/// The bytes of one read are a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec for Raw {
    type State = ();
    type Frame<'a> = &'a [u8];

    #[inline]
    fn decode(&self, (): &mut (), input: &[u8], _frame_len_max: usize) -> Result<Decoded, FrameError> {
        Ok(Decoded::Frame { frame: 0..input.len(), consumed: input.len() })
    }

    #[inline]
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    #[inline]
    fn envelope(&self, (): &(), _parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        Ok(Envelope::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{frames, read_cut};
    use super::*;

    #[test]
    fn every_read_is_a_frame_of_any_length() {
        assert_eq!(read_cut(&Raw, 1, b"abcdef", &[]), frames([b"abcdef"]));
        assert_eq!(read_cut(&Raw, 1, b"abcdef", &[1, 4]), frames([b"a", b"bcd", b"ef"]));
    }

    #[test]
    fn a_frame_has_an_empty_envelope() {
        assert_eq!(Raw.envelope(&(), &[b"a", b"\n"]), Ok(Envelope::NONE));
    }
}
