//! `Fixed`: every frame has the same length.
//!
//! Nothing marks the start of a frame: both ends must count from the first byte.

use super::{Codec, Decoded, Envelope, FrameError};

/// Frames of one fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    len: usize,
}

impl Fixed {
    /// Frames of `len` bytes.
    ///
    /// # Panics
    /// When `len` is zero, because any input would hold an infinite number of frames.
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
    type Frame<'a> = &'a [u8];

    fn decode(&self, (): &mut (), input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        if self.len > frame_len_max {
            return Err(FrameError::TooLong { frame_len_max });
        }
        if input.len() < self.len {
            return Ok(Decoded::More);
        }
        Ok(Decoded::Frame { frame: 0..self.len, consumed: self.len })
    }

    #[inline]
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    fn envelope(&self, (): &(), parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len != self.len {
            return Err(FrameError::Malformed("the frame does not have the fixed length"));
        }
        Ok(Envelope::NONE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check::{Seen, bytes_until_error, check, check_round_trip, frames};
    use super::*;

    #[test]
    fn input_is_cut_into_frames_of_the_fixed_length() {
        check(&Fixed::new(3), 9, b"abcdefgh", &[frames([b"abc", b"def"]), vec![Seen::Rest(b"gh".to_vec())]].concat());
        check(&Fixed::new(1), 1, b"\n\0", &frames([b"\n", b"\0"]));
    }

    #[test]
    fn a_length_above_the_limit_is_refused_at_once() {
        check(&Fixed::new(4), 4, b"abcd", &frames([b"abcd"]));
        assert_eq!(bytes_until_error(&Fixed::new(5), 4, b"abcd"), Some(1));
    }

    #[test]
    fn only_frames_of_the_fixed_length_can_be_sent() {
        assert_eq!(Fixed::new(3).envelope(&(), &[b"a", b"bc"]), Ok(Envelope::NONE));
        assert!(matches!(Fixed::new(3).envelope(&(), &[b"a", b"b"]), Err(FrameError::Malformed(_))));
        assert!(matches!(Fixed::new(3).envelope(&(), &[b"ab", b"cd"]), Err(FrameError::Malformed(_))));
    }

    #[test]
    #[should_panic(expected = "at least one byte")]
    fn a_length_of_zero_is_refused() {
        let _ = Fixed::new(0);
    }

    proptest! {
        #[test]
        fn frames_are_unchanged_after_a_round_trip(
            frames in (1_usize..20).prop_flat_map(|len| prop::collection::vec(prop::collection::vec(any::<u8>(), len), 1..9)),
            cuts in any::<[prop::sample::Index; 5]>(),
        ) {
            check_round_trip(&Fixed::new(frames[0].len()), &frames, &cuts);
        }
    }
}
