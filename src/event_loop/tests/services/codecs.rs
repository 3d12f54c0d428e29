//! A codec that panics or breaks its contract closes only the peer it failed for.

use super::*;
use crate::codec::{Codec, Decoded, Envelope, FrameError};

/// Each byte is a frame, and some bytes make the codec fail.
struct Faulty;

impl Codec for Faulty {
    type State = ();
    type Frame<'a> = &'a [u8];

    fn decode(&self, (): &mut (), input: &[u8], _frame_len_max: usize) -> Result<Decoded, FrameError> {
        let (frame, consumed) = match input[0] {
            b'!' => panic!("on request"),
            b'>' => (0..1, input.len() + 1),
            b'<' => (0..input.len() + 1, 1),
            b'=' => (0..0, 0),
            b'.' => return Ok(Decoded::Exit { consumed: input.len() + 1 }),
            _ => (0..1, 1),
        };
        Ok(Decoded::Frame { frame, consumed })
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    fn envelope(&self, (): &(), _parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        Ok(Envelope::NONE)
    }
}

#[test]
fn a_codec_that_fails_closes_only_its_own_peer() {
    let world = World::new(1);
    let (mut server, at) = serve(&world, Faulty, Echo::new());
    let other = world.connect(&at);
    for (lost, fault) in ["ab!cd", ">", "a<b", "=", "abc."].into_iter().enumerate() {
        let victim = world.connect(&at);
        victim.send(fault.as_bytes());
        other.send(b"fine");
        world.settle(|| server.turn(None)).unwrap();
        assert_eq!(other.received(), b"fine", "beside {fault:?}");
        let totals = server.totals();
        assert_eq!((totals.closed(CloseReason::Panicked), totals.open), (lost as u64 + 1, 1), "after {fault:?}");
        assert!(totals.reconciles(), "{totals:?}");
    }
}
