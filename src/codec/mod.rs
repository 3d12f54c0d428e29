//! Codecs: where one frame ends and the next begins in a stream of bytes.
//!
//! A codec stores no bytes and knows no peer: it looks at what has arrived and says a frame, more
//! bytes please, or this stream is lost.

#[cfg(test)]
mod check;
mod fixed;
mod framing;
#[cfg(test)]
mod fuzz;
mod length;
mod lines;
mod raw;

use std::ops::Range;

use thiserror::Error;

pub use fixed::Fixed;
pub use framing::{Framing, FramingState, UnknownFraming};
pub use length::{ByteOrder, Length, LengthWidth};
pub use lines::{Lines, LinesState};
pub use raw::Raw;

/// The rules of one framing, shared by all peers of an endpoint.
pub trait Codec: Encode {
    /// What one stream remembers between looks: nothing, or how far it was searched.
    type State: Default;

    /// Looks for one frame at the front of `input`, which holds all that arrived and was not yet
    /// consumed, and at least one byte.
    ///
    /// After [`Decoded::More`] the next look sees the same bytes and more behind them. A panic, or a
    /// frame that is not in `input`, loses this peer only ([`CloseReason::Panicked`](crate::CloseReason)).
    ///
    /// # Errors
    /// The stream is lost: nothing after this point can be understood. A frame longer than
    /// `frame_len_max` is refused as soon as that can be known.
    fn decode(&self, state: &mut Self::State, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError>;
}

/// The other direction: what goes around a frame on its way out.
///
/// Apart from [`Codec`] so that it can be a trait object and services need not know the framing.
pub trait Encode {
    /// The bytes before and after a frame made of these `parts` in a row.
    ///
    /// # Errors
    /// The frame cannot be carried by this framing.
    fn envelope(&self, parts: &[&[u8]]) -> Result<Envelope, FrameError>;
}

/// What a codec found at the front of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A whole frame is `input[frame]`; the first `consumed` bytes are done with.
    Frame {
        /// Where the frame is, without its envelope.
        frame: Range<usize>,
        /// How many bytes frame and envelope take; at least one.
        consumed: usize,
    },
    /// No whole frame yet.
    More,
    /// The peer said goodbye in the protocol's own words: treat it as the end of its direction.
    Exit {
        /// How many bytes that took.
        consumed: usize,
    },
}

/// What goes before and after a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    head: [u8; 8],
    head_len: u8,
    tail: &'static [u8],
}

impl Envelope {
    /// Nothing around the frame.
    pub const NONE: Self = Self { head: [0; 8], head_len: 0, tail: &[] };

    /// Bytes before the frame: at most 8.
    ///
    /// # Panics
    /// When `head` is longer than 8 bytes.
    pub fn with_head(head: &[u8]) -> Self {
        let mut envelope = Self::NONE;
        envelope.head[..head.len()].copy_from_slice(head);
        envelope.head_len = u8::try_from(head.len()).expect("at most 8");
        envelope
    }

    /// Bytes after the frame.
    pub const fn with_tail(tail: &'static [u8]) -> Self {
        Self { tail, ..Self::NONE }
    }

    /// The bytes before the frame.
    #[inline]
    pub fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    /// How many bytes it has.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.tail.len()
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes after the frame.
    #[inline]
    pub fn tail(&self) -> &'static [u8] {
        self.tail
    }
}

/// Why a stream of bytes, or a reply, is no row of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Longer than the limit; refused before it is stored.
    #[error("frame longer than {frame_len_max} bytes")]
    TooLong {
        /// The limit that was passed.
        frame_len_max: usize,
    },
    /// The bytes break the rules of the framing.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
}
