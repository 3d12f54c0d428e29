//! Decodes whole frames from the front of some bytes and passes each to the service.
//!
//! The bytes are a fresh read or stored input. The caller keeps what is left.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::{Codec, Decoded, FrameError};

use super::Reply;

/// Why serving frames stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// No whole frame is left.
    NeedMore,
    /// The output queue is above its watermark, or the service paused the peer.
    Paused,
    /// The service's orders must be carried out before the next frame.
    Break,
    /// The rest is discarded: the peer sent an exit request, or the service ended the peer or panicked.
    Discard,
    /// The rest cannot be decoded.
    BadFrame(FrameError),
}

/// Passes the whole frames at the front of `bytes` to `on_frame`, one by one. An error of `on_frame` means
/// that the bytes are not a frame.
///
/// Returns how many bytes were served, and why it stopped. A panic of the codec or the service is
/// caught once for all frames of a read; the frame over which the service panicked counts as served.
#[inline]
pub(super) fn serve_frames<C: Codec>(
    bytes: &[u8],
    reply: &mut Reply<'_, C>,
    mut on_frame: impl FnMut(&[u8], &mut Reply<'_, C>) -> Result<ControlFlow<()>, FrameError>,
) -> (usize, StopReason) {
    let mut served = 0;
    let stop = catch_unwind(AssertUnwindSafe(|| {
        loop {
            let rest = &bytes[served..];
            if rest.is_empty() {
                break StopReason::NeedMore;
            }
            if reply.is_full() || reply.outcome.is_paused || reply.outcome.owes_reply {
                break StopReason::Paused;
            }
            match decode(reply.codec, reply.codec_state, rest, reply.limits.frame_len_max) {
                Ok(Decoded::Frame { frame, consumed }) => {
                    served += consumed;
                    reply.ledger.frames += 1;
                    let flow = on_frame(&rest[frame], reply);
                    if reply.is_ending() {
                        break StopReason::Discard;
                    }
                    match flow {
                        Ok(ControlFlow::Continue(())) => {}
                        Ok(ControlFlow::Break(())) => break StopReason::Break,
                        Err(error) => break StopReason::BadFrame(error),
                    }
                }
                Ok(Decoded::More) => break StopReason::NeedMore,
                Ok(Decoded::Exit { consumed }) => {
                    served += consumed;
                    break StopReason::Discard;
                }
                Err(error) => break StopReason::BadFrame(error),
            }
        }
    }));
    reply.ledger.bytes_framed += served as u64;
    let stop = stop.unwrap_or_else(|_| {
        reply.panicked();
        StopReason::Discard
    });
    (served, stop)
}

/// Decodes one frame and checks the range that the codec returned.
///
/// A range beyond the input would panic outside of `catch_unwind`, and a frame of zero bytes would
/// be served forever.
///
/// # Panics
/// When the codec panics or returns such a range.
#[inline]
fn decode<C: Codec>(
    codec: &C,
    state: &mut C::State,
    bytes: &[u8],
    frame_len_max: usize,
) -> Result<Decoded, FrameError> {
    let decoded = codec.decode(state, bytes, frame_len_max);
    match &decoded {
        Ok(Decoded::Frame { frame, consumed }) => {
            let is_inside = frame.start <= frame.end && frame.end <= bytes.len() && *consumed <= bytes.len();
            assert!(is_inside && *consumed > 0, "the codec returned {decoded:?} for {} bytes", bytes.len());
        }
        Ok(Decoded::Exit { consumed }) => {
            assert!(*consumed <= bytes.len(), "the codec returned {decoded:?} for {} bytes", bytes.len());
        }
        Ok(Decoded::More) | Err(_) => {}
    }
    decoded
}
