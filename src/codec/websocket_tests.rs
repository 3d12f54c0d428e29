//! A codec as a user would write it, for the frames of WebSocket (RFC 6455, section 5.2).
//!
//! It shows that the trait is enough for a protocol with long and variable envelopes, where a frame is
//! more than bytes.

use proptest::prelude::*;

use super::check::{Seen, read_cut};
use super::{Codec, Decoded, Envelope, FrameError};

/// Frames of a client, which are masked, and frames of a server, which are not.
struct WebSocketServer;

/// A frame with its payload still masked.
#[derive(Debug, PartialEq, Eq)]
struct Masked<'a> {
    opcode: u8,
    mask: [u8; 4],
    payload: &'a [u8],
}

impl Masked<'_> {
    fn unmasked(&self) -> Vec<u8> {
        self.payload.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
    }
}

/// The length of the envelope and of the payload. `None` if the envelope is incomplete.
fn lengths(input: &[u8]) -> Option<(usize, u64)> {
    let len = input.get(1)? & 0x7f;
    let wide = input.get(2..)?;
    match len {
        126 => Some((2 + 2 + 4, u64::from(u16::from_be_bytes(*wide.first_chunk()?)))),
        127 => Some((2 + 8 + 4, u64::from_be_bytes(*wide.first_chunk()?))),
        len => Some((2 + 4, u64::from(len))),
    }
}

impl Codec for WebSocketServer {
    type State = ();
    type Frame<'a> = Masked<'a>;

    fn decode(&self, (): &mut (), input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        if input.get(1).is_some_and(|byte| byte & 0x80 == 0) {
            return Err(FrameError::Malformed("a frame of a client is not masked"));
        }
        let Some((head_len, len)) = lengths(input) else { return Ok(Decoded::More) };
        let len = usize::try_from(len).ok().filter(|&len| len <= frame_len_max);
        let len = len.ok_or(FrameError::TooLong { frame_len_max })?;
        let consumed = head_len.saturating_add(len);
        if input.len() < consumed {
            return Ok(Decoded::More);
        }
        // The head is part of the range, because the frame needs its mask.
        Ok(Decoded::Frame { frame: 0..consumed, consumed })
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Masked<'a>, FrameError> {
        let (head, payload) = lengths(bytes)
            .and_then(|(head_len, _)| bytes.split_at_checked(head_len))
            .ok_or(FrameError::Malformed("the head of a frame is incomplete"))?;
        let mask = *head.last_chunk().ok_or(FrameError::Malformed("a frame has no mask"))?;
        Ok(Masked { opcode: head[0] & 0x0f, mask, payload })
    }

    fn envelope(&self, (): &(), parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        Ok(Envelope::with_head(&head(0, len)))
    }
}

/// The head of a binary frame without its mask.
fn head(mask_bit: u8, len: usize) -> Vec<u8> {
    let (short, wide) = match len {
        0..=125 => (len as u8, Vec::new()),
        126..=0xffff => (126, (len as u16).to_be_bytes().to_vec()),
        _ => (127, (len as u64).to_be_bytes().to_vec()),
    };
    [vec![0x82, mask_bit | short], wide].concat()
}

/// A frame as a client sends it.
fn from_client(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let masked = Masked { opcode: 2, mask, payload }.unmasked();
    [head(0x80, payload.len()), mask.to_vec(), masked].concat()
}

/// The payloads of the frames that were decoded.
fn payloads(seen: &[Seen]) -> Vec<Vec<u8>> {
    let payload = |seen: &Seen| match seen {
        Seen::Frame(frame) => WebSocketServer.frame(frame).expect("it was decoded").unmasked(),
        Seen::Exit | Seen::Error(_) | Seen::Rest(_) => panic!("{seen:?}"),
    };
    seen.iter().map(payload).collect()
}

#[test]
fn the_longest_head_takes_fourteen_bytes() {
    let frame = from_client(&vec![7; 1 << 16], [1, 2, 3, 4]);
    assert_eq!(frame.len(), 14 + (1 << 16));
    assert_eq!(payloads(&read_cut(&WebSocketServer, usize::MAX, &frame, &[1, 13, 14])), [vec![7; 1 << 16]]);
    let envelope = WebSocketServer.envelope(&(), &[&[7; 1 << 16]]).unwrap();
    assert_eq!((envelope.head()[1], envelope.len()), (127, 10));
}

#[test]
fn arbitrary_bytes_give_the_same_frames_in_any_pieces() {
    bolero::check!().with_iterations(3_000).with_max_len(300).for_each(|bytes: &[u8]| {
        let [limit, size, input @ ..] = bytes else { return };
        let cuts: Vec<usize> = (1..input.len()).step_by(usize::from(*size).max(1)).collect();
        let whole = read_cut(&WebSocketServer, usize::from(*limit), input, &[]);
        assert_eq!(read_cut(&WebSocketServer, usize::from(*limit), input, &cuts), whole);
        for seen in whole {
            if let Seen::Frame(frame) = seen {
                assert!(WebSocketServer.frame(&frame).expect("it was decoded").payload.len() <= usize::from(*limit));
            }
        }
    });
}

proptest! {
    #[test]
    fn masked_payloads_are_unchanged_after_a_round_trip(
        sent in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<[u8; 4]>()), 0..6),
        cuts in any::<[prop::sample::Index; 5]>(),
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(|(payload, mask)| from_client(payload, *mask)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let expected: Vec<Vec<u8>> = sent.into_iter().map(|(payload, _)| payload).collect();
        prop_assert_eq!(payloads(&read_cut(&WebSocketServer, 300, &bytes, &cuts)), expected);
    }
}
