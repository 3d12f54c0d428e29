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
