//! `Raw`: no framing at all.
//!
//! Whatever arrived together is one frame, so where frames end means nothing and no limit on
//! their length applies: a read has its own.

use super::{Codec, Decoded, Encode, Envelope, FrameError};

/// All that has arrived is a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec for Raw {
    type State = ();

    #[inline]
    fn decode(&self, (): &mut (), input: &[u8], _frame_len_max: usize) -> Result<Decoded, FrameError> {
        Ok(Decoded::Frame { frame: 0..input.len(), consumed: input.len() })
    }
}

impl Encode for Raw {
    #[inline]
    fn envelope(&self, _parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        Ok(Envelope::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{frames, read_cut};
    use super::*;

    #[test]
    fn every_piece_is_a_frame_however_long() {
        assert_eq!(read_cut(&Raw, 1, b"abcdef", &[]), frames([b"abcdef"]));
        assert_eq!(read_cut(&Raw, 1, b"abcdef", &[1, 4]), frames([b"a", b"bcd", b"ef"]));
    }

    #[test]
    fn nothing_goes_around_a_frame() {
        assert_eq!(Raw.envelope(&[b"a", b"\n"]), Ok(Envelope::NONE));
    }
}
