//! `Length`: each frame follows its own length.
//!
//! The length counts the frame alone, not itself. An empty frame has length zero. A frame that is
//! too long is refused by its length, before any of it arrives.

use super::{Codec, Decoded, Envelope, FrameError};

/// Frames that follow their length, an unsigned integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// The width of the integer.
    pub width: LengthWidth,
    /// The byte order of the integer.
    pub order: ByteOrder,
}

/// The number of bytes of a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LengthWidth {
    /// 1 byte: frames up to 255 bytes.
    U8,
    /// 2 bytes: frames below 64 KiB.
    U16,
    /// 4 bytes: frames below 4 GiB.
    #[default]
    U32,
    /// 8 bytes: frames of any length.
    U64,
}

impl LengthWidth {
    /// The width in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }

    /// The largest length that fits.
    pub const fn max(self) -> u64 {
        match self {
            Self::U8 => u8::MAX as u64,
            Self::U16 => u16::MAX as u64,
            Self::U32 => u32::MAX as u64,
            Self::U64 => u64::MAX,
        }
    }
}

/// The byte order of an integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// The most significant byte first, as in most Internet protocols.
    #[default]
    Big,
    /// The least significant byte first.
    Little,
}

impl Codec for Length {
    type State = ();
    type Frame<'a> = &'a [u8];

    fn decode(&self, (): &mut (), input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        let Some((head, rest)) = input.split_at_checked(self.width.bytes()) else {
            return Ok(Decoded::More);
        };
        let len = usize::try_from(self.read(head)).ok().filter(|&len| len <= frame_len_max);
        let Some(len) = len else {
            return Err(FrameError::TooLong { frame_len_max });
        };
        if rest.len() < len {
            return Ok(Decoded::More);
        }
        let consumed = head.len() + len;
        Ok(Decoded::Frame { frame: head.len()..consumed, consumed })
    }

    #[inline]
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    fn envelope(&self, (): &(), parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if len > self.width.max() {
            return Err(FrameError::TooLong { frame_len_max: usize::try_from(self.width.max()).unwrap_or(usize::MAX) });
        }
        let width = self.width.bytes();
        Ok(match self.order {
            ByteOrder::Big => Envelope::with_head(&len.to_be_bytes()[8 - width..]),
            ByteOrder::Little => Envelope::with_head(&len.to_le_bytes()[..width]),
        })
    }
}

impl Length {
    /// The integer in `head`, which has the width of the length.
    #[inline]
    fn read(self, head: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        match self.order {
            ByteOrder::Big => {
                bytes[8 - head.len()..].copy_from_slice(head);
                u64::from_be_bytes(bytes)
            }
            ByteOrder::Little => {
                bytes[..head.len()].copy_from_slice(head);
                u64::from_le_bytes(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check::{Seen, bytes_until_error, check, check_round_trip, frames, too_long};
    use super::*;

    const WIDTHS: &[LengthWidth] = &[LengthWidth::U8, LengthWidth::U16, LengthWidth::U32, LengthWidth::U64];
    const ORDERS: &[ByteOrder] = &[ByteOrder::Big, ByteOrder::Little];
    const BYTE: Length = Length { width: LengthWidth::U8, order: ByteOrder::Big };

    #[test]
    fn every_width_and_byte_order_is_decoded() {
        let big = |width| Length { width, order: ByteOrder::Big };
        let little = |width| Length { width, order: ByteOrder::Little };
        let seen = frames([b"ab", b"", b"c"]);
        check(&big(LengthWidth::U8), 9, b"\x02ab\0\x01c", &seen);
        check(&little(LengthWidth::U8), 9, b"\x02ab\0\x01c", &seen);
        check(&big(LengthWidth::U16), 9, b"\0\x02ab\0\0\0\x01c", &seen);
        check(&little(LengthWidth::U16), 9, b"\x02\0ab\0\0\x01\0c", &seen);
        check(&big(LengthWidth::U32), 9, b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c", &seen);
        check(&little(LengthWidth::U32), 9, b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c", &seen);
        check(&big(LengthWidth::U64), 9, b"\0\0\0\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01c", &seen);
        check(&little(LengthWidth::U64), 9, b"\x02\0\0\0\0\0\0\0ab\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0c", &seen);
    }

    #[test]
    fn an_incomplete_frame_is_not_decoded() {
        check(&BYTE, 9, b"\x01a\x03bc", &[frames([b"a"]), vec![Seen::Rest(b"\x03bc".to_vec())]].concat());
    }

    #[test]
    fn a_frame_may_be_as_long_as_the_limit() {
        check(&BYTE, 4, b"\x03abc\x04abcd", &frames([b"abc", b"abcd"]));
        check(&BYTE, 4, b"\x01a\x05abcde", &too_long([b"a"], 4));
        check(&BYTE, 0, b"\0\0", &frames([b"", b""]));
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_by_its_length() {
        for &width in WIDTHS {
            for &order in ORDERS {
                assert_eq!(bytes_until_error(&Length { width, order }, 4, &[0xff; 20]), Some(width.bytes()));
            }
        }
    }

    #[test]
    fn the_largest_length_does_not_overflow() {
        let length = Length { width: LengthWidth::U64, order: ByteOrder::Big };
        for last in [0xf0, 0xfe, 0xff] {
            let input = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, last, 0];
            check(&length, usize::MAX, &input, &[Seen::Rest(input.to_vec())]);
            check(&length, 1 << 40, &input, &too_long([], 1 << 40));
        }
    }

    #[test]
    fn a_frame_too_long_for_the_width_cannot_be_sent() {
        assert_eq!(BYTE.envelope(&(), &[&[0; 255]]), Ok(Envelope::with_head(&[255])));
        assert_eq!(BYTE.envelope(&(), &[&[0; 255], &[0]]), Err(FrameError::TooLong { frame_len_max: 255 }));
    }

    proptest! {
        #[test]
        fn frames_are_unchanged_after_a_round_trip(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..9),
            width in prop::sample::select(WIDTHS),
            order in prop::sample::select(ORDERS),
            cuts in any::<[prop::sample::Index; 5]>(),
        ) {
            check_round_trip(&Length { width, order }, &frames, &cuts);
        }
    }
}
