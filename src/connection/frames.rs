//! Taking whole frames from the front of some bytes, as long as the output has room.
//!
//! The bytes may be fresh from a read or stored; what is left over is the caller's to keep.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::{Codec, Decoded, FrameError};

use super::{Limits, Reply};

/// Why no more frames were taken from the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// What is left, if anything is, is no whole frame.
    Begun,
    /// The output is over its watermark, or the service asked for a pause.
    Held,
    /// The service asked for a break: what it ordered comes first.
    Break,
    /// The peer said goodbye, or the service has ended this peer, or panicked: the rest is of no use.
    Discard,
    /// The rest cannot be understood.
    Lost(FrameError),
}

/// Gives the whole frames at the front of `bytes` to `on_frame`, one after another, as long as the
/// output has room. Returns how many bytes that took, and why it stopped.
///
/// The codec and the service may be anybody's: a panic of either ends here, for all the frames of a
/// read at once. The frame over which the service panicked counts as given.
#[inline(always)]
pub(super) fn give_frames<C: Codec>(
    codec: &C,
    state: &mut C::State,
    bytes: &[u8],
    limits: &Limits,
    reply: &mut Reply<'_>,
    mut on_frame: impl FnMut(&[u8], &mut Reply<'_>) -> ControlFlow<()>,
) -> (usize, StopReason) {
    let mut served = 0;
    let given = catch_unwind(AssertUnwindSafe(|| {
        loop {
            let left = &bytes[served..];
            if left.is_empty() {
                break StopReason::Begun;
            }
            if reply.is_full() || reply.is_paused {
                break StopReason::Held;
            }
            match decode(codec, state, left, limits.frame_len_max) {
                Ok(Decoded::Frame { frame, consumed }) => {
                    served += consumed;
                    reply.ledger.frames += 1;
                    let flow = on_frame(&left[frame], reply);
                    if reply.is_ending() {
                        break StopReason::Discard;
                    }
                    if flow.is_break() {
                        break StopReason::Break;
                    }
                }
                Ok(Decoded::More) => break StopReason::Begun,
                Ok(Decoded::Goodbye { consumed }) => {
                    served += consumed;
                    break StopReason::Discard;
                }
                Err(error) => break StopReason::Lost(error),
            }
        }
    }));
    reply.ledger.bytes_framed += served as u64;
    let why = given.unwrap_or_else(|_| {
        reply.panicked();
        StopReason::Discard
    });
    (served, why)
}

/// What the codec found. One that took more than there is would end the server, and one that took
/// nothing would never end its turn.
///
/// # Panics
/// When the codec does, or found what is not there.
// Always: of a framing whose frames are all there is, the checks are known to hold.
#[inline(always)]
fn decode<C: Codec>(
    codec: &C,
    state: &mut C::State,
    bytes: &[u8],
    frame_len_max: usize,
) -> Result<Decoded, FrameError> {
    let decoded = codec.decode(state, bytes, frame_len_max);
    match &decoded {
        Ok(Decoded::Frame { frame, consumed }) => {
            let is_there = frame.start <= frame.end && frame.end <= bytes.len() && *consumed <= bytes.len();
            assert!(is_there && *consumed > 0, "the codec found {decoded:?} in {} bytes", bytes.len());
        }
        Ok(Decoded::Goodbye { consumed }) => assert!(*consumed <= bytes.len(), "a goodbye of {consumed} bytes"),
        Ok(Decoded::More) | Err(_) => {}
    }
    decoded
}
