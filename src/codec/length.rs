//! `Length`: each frame follows its own length.
//!
//! The length counts the frame alone, not itself; zero is a frame. A frame that is too long is
//! refused by its length, before any of it has arrived.

use super::{Codec, Decoded, Encode, Envelope, FrameError};

/// An unsigned integer and as many bytes behind it are a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// How wide the integer is.
    pub width: LengthWidth,
    /// Which of its bytes comes first.
    pub order: ByteOrder,
}

/// How many bytes a length takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LengthWidth {
    /// One byte: frames up to 255 bytes.
    U8,
    /// Two bytes: frames below 64 KiB.
    U16,
    /// Four bytes: frames below 4 GiB.
    #[default]
    U32,
    /// Eight bytes.
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

/// Which byte of an integer comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// The most significant, as in most protocols of the Internet.
    #[default]
    Big,
    /// The least significant.
    Little,
}

impl Codec for Length {
    type State = ();

    #[inline]
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
}

impl Encode for Length {
    fn envelope(&self, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
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
    /// The integer that `head` is: as many bytes as the width says.
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
