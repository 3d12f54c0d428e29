//! Codecs: where one frame ends and the next begins in a stream of bytes.
//!
//! A codec stores no bytes and knows no peer. It inspects the input and returns a frame, a request
//! for more bytes, or an error that ends the stream.

#[cfg(test)]
mod check;
mod envelope;
mod fixed;
mod framing;
#[cfg(test)]
mod fuzz;
mod length;
mod lines;
mod raw;
mod text_lines;
#[cfg(test)]
mod websocket_tests;

use std::ops::Range;

use thiserror::Error;

pub use envelope::Envelope;
pub use fixed::Fixed;
pub use framing::{Framing, FramingState, UnknownFraming};
pub use length::{ByteOrder, Length, LengthWidth};
pub use lines::{Lines, LinesState};
pub use raw::Raw;
pub use text_lines::TextLines;

/// A framing: where frames begin and end, and what a frame is to the service.
///
/// One value serves all peers of an endpoint. What differs between streams is in [`Self::State`].
pub trait Codec {
    /// The state of one stream, for both directions: how far its input was searched, or which stage of a
    /// protocol it is in.
    ///
    /// The service can change it with [`Context::codec_state`](crate::Context::codec_state), which
    /// switches the protocol for the frames that follow.
    type State: Default;

    /// A frame as the service receives it, such as `&'a [u8]` or `&'a str`.
    type Frame<'a>;

    /// Finds the frame at the front of `input`, which holds all bytes not consumed yet and is never empty.
    ///
    /// After [`Decoded::More`] the next call gets the same bytes and more behind them. A panic, or a
    /// range outside of `input`, closes only this peer ([`CloseReason::Panicked`](crate::CloseReason)).
    ///
    /// # Errors
    /// The rest of the stream cannot be decoded. A frame longer than `frame_len_max` is refused as
    /// soon as its length is known.
    fn decode(&self, state: &mut Self::State, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError>;

    /// The frame in `bytes`, which is a range that [`Self::decode`] returned.
    ///
    /// # Errors
    /// The bytes are not a frame of the protocol.
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Self::Frame<'a>, FrameError>;

    /// The bytes before and after a frame made of these `parts` in a row.
    ///
    /// # Errors
    /// The framing cannot carry the frame.
    fn envelope(&self, state: &Self::State, parts: &[&[u8]]) -> Result<Envelope, FrameError>;

    /// Whether a frame must follow within [`frame_timeout`](crate::Limits::frame_timeout), even while no
    /// byte of it has arrived.
    ///
    /// A codec returns `true` in the stages of a negotiation, so that a silent peer cannot stay in one.
    fn expects_frame(&self, state: &Self::State) -> bool {
        let _ = state;
        false
    }
}

/// A codec with plain bytes as its frames. A service that works with any of them is generic over this trait.
pub trait ByteCodec: for<'a> Codec<Frame<'a> = &'a [u8]> {}

impl<C: for<'a> Codec<Frame<'a> = &'a [u8]>> ByteCodec for C {}

/// The result of decoding the front of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A whole frame.
    Frame {
        /// The range of the frame in the input, without its envelope.
        frame: Range<usize>,
        /// The length of the frame with its envelope, in bytes; at least 1.
        consumed: usize,
    },
    /// No whole frame yet.
    More,
    /// A request to end the connection, such as an exit line. The peer is finished without a call of
    /// [`Service::on_end`](crate::Service::on_end).
    Exit {
        /// The length of the request, in bytes.
        consumed: usize,
    },
}

/// Why a stream cannot be decoded, or a reply cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The frame is longer than the limit.
    #[error("frame longer than {frame_len_max} bytes")]
    TooLong {
        /// The limit, in bytes.
        frame_len_max: usize,
    },
    /// The bytes break the rules of the framing.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
}
