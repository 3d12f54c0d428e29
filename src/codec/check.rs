//! Drives a codec over input cut into pieces, for the tests of codecs.
//!
//! Bytes that were not consumed stay in front of the next ones, as the trait promises.

use proptest::prelude::*;

use super::{Codec, Decoded, FrameError};

/// One item decoded from a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Frame(Vec<u8>),
    /// Decoding stops here.
    Exit,
    /// Decoding stops here.
    Error(FrameError),
    /// The bytes of an incomplete frame at the end.
    Rest(Vec<u8>),
}

/// A stream of whole frames.
pub(super) fn frames<const N: usize>(frames: [&[u8]; N]) -> Vec<Seen> {
    frames.map(|frame| Seen::Frame(frame.to_vec())).to_vec()
}

/// These frames, followed by one longer than `frame_len_max`.
pub(super) fn too_long<const N: usize>(before: [&[u8]; N], frame_len_max: usize) -> Vec<Seen> {
    [frames(before), vec![Seen::Error(FrameError::TooLong { frame_len_max })]].concat()
}

/// Decodes `input` in pieces that end at the sorted `cuts`.
#[track_caller]
pub(super) fn read_cut<C: Codec>(codec: &C, frame_len_max: usize, input: &[u8], cuts: &[usize]) -> Vec<Seen> {
    let mut state = C::State::default();
    let mut stored = Vec::new();
    let mut seen = Vec::new();
    let mut start = 0;
    for &end in cuts.iter().chain([&input.len()]) {
        stored.extend_from_slice(&input[start..end]);
        start = end;
        while !stored.is_empty() {
            let consumed = match codec.decode(&mut state, &stored, frame_len_max) {
                Ok(Decoded::More) => break,
                Ok(Decoded::Frame { frame, consumed }) => {
                    assert!(frame.end <= consumed, "the frame ends after its consumed bytes");
                    seen.push(Seen::Frame(stored[frame].to_vec()));
                    consumed
                }
                Ok(Decoded::Exit { .. }) => {
                    seen.push(Seen::Exit);
                    return seen;
                }
                Err(error) => {
                    seen.push(Seen::Error(error));
                    return seen;
                }
            };
            assert!(consumed > 0, "the frame consumes no bytes");
            stored.drain(..consumed);
        }
    }
    if !stored.is_empty() {
        seen.push(Seen::Rest(stored));
    }
    seen
}

/// Checks that `codec` decodes `expected` from `input` in any one, two or three pieces, and in pieces
/// of any one size.
#[track_caller]
pub(super) fn check<C: Codec>(codec: &C, frame_len_max: usize, input: &[u8], expected: &[Seen]) {
    assert!(input.len() <= 64, "the number of cuts grows with the square of the length");
    let check_cuts = |cuts: &[usize]| {
        let seen = read_cut(codec, frame_len_max, input, cuts);
        assert_eq!(seen, expected, "{:?} cut at {cuts:?}", input.escape_ascii().to_string());
    };
    check_cuts(&[]);
    for first in 0..input.len() {
        check_cuts(&[first]);
        for second in first..input.len() {
            check_cuts(&[first, second]);
        }
    }
    for size in 1..input.len() {
        check_cuts(&(size..input.len()).step_by(size).collect::<Vec<_>>());
    }
}

/// The number of bytes of `input`, read one by one, after which `codec` returns an error.
pub(super) fn bytes_until_error(codec: &impl Codec, frame_len_max: usize, input: &[u8]) -> Option<usize> {
    (1..=input.len()).find(|&len| {
        let bytewise: Vec<usize> = (1..len).collect();
        matches!(read_cut(codec, frame_len_max, &input[..len], &bytewise).last(), Some(Seen::Error(_)))
    })
}

/// Encodes `frames`, each from two parts.
pub(super) fn encode<C: Codec>(codec: &C, frames: &[Vec<u8>]) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    for frame in frames {
        let (first, second) = frame.split_at(frame.len() / 2);
        let envelope = codec.envelope(&C::State::default(), &[first, second])?;
        bytes.extend([envelope.head(), frame, envelope.tail()].concat());
    }
    Ok(bytes)
}

/// Sorted offsets at which to cut an input of `len` bytes.
fn cuts(which: &[prop::sample::Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = which.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

/// Checks that `frames` are unchanged after they are encoded, cut and decoded.
#[track_caller]
pub(super) fn check_round_trip(codec: &impl Codec, frames: &[Vec<u8>], which: &[prop::sample::Index]) {
    let longest = frames.iter().map(Vec::len).max().unwrap_or(0);
    let bytes = encode(codec, frames).unwrap();
    let seen = read_cut(codec, longest, &bytes, &cuts(which, bytes.len()));
    let expected: Vec<Seen> = frames.iter().cloned().map(Seen::Frame).collect();
    assert_eq!(seen, expected);
}
