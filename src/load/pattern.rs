//! The bytes that are sent, and so the bytes that must come back: a function of the connection and
//! of the place in its stream.
//!
//! A byte that was lost, doubled, out of turn or meant for another connection is not the one that
//! is due.

use crate::codec::Framing;

/// The longest piece that is handed out at once.
pub(super) const CHUNK_LEN_MAX: usize = 64 * 1024;

/// A prime, so that no length of message divides it: however many are lost, what follows differs.
const PERIOD: usize = 65_521;

/// Sets the connections apart; any number that shares no factor with the period does.
const STRIDE: u64 = 9_973;

/// One period of noise, with its beginning repeated so that every piece is one slice.
pub(super) struct Pattern {
    bytes: Vec<u8>,
}

/// A place in the pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PatternOffset(u32);

impl PatternOffset {
    /// Where the stream of a connection begins.
    pub(super) fn of_connection(serial: u64) -> Self {
        let period = PERIOD as u64;
        Self(u32::try_from(serial % period * STRIDE % period).expect("a remainder is below the period"))
    }

    /// So many bytes on; at most [`CHUNK_LEN_MAX`].
    #[inline]
    fn after(self, len: usize) -> Self {
        let mut at = self.0 as usize + len;
        while at >= PERIOD {
            at -= PERIOD;
        }
        Self(at as u32)
    }
}

impl Pattern {
    /// The pattern for a framing: lines get letters and digits, others bytes of every value.
    pub(super) fn new(framing: Framing) -> Self {
        // Capital letters: no line of them reads `exit`.
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let is_text = matches!(framing, Framing::Lines(_));
        // Any seed but 0 does: xorshift by (13, 7, 17) then meets every other state (Marsaglia, 2003).
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut bytes = Vec::with_capacity(PERIOD + CHUNK_LEN_MAX);
        for _ in 0..PERIOD {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let byte = (state >> 56) as u8;
            bytes.push(if is_text { LETTERS[usize::from(byte % 32)] } else { byte });
        }
        while bytes.len() < PERIOD + CHUNK_LEN_MAX {
            bytes.push(bytes[bytes.len() - PERIOD]);
        }
        Self { bytes }
    }

    /// The next `len` bytes from `offset` on, in pieces; `offset` moves behind them.
    #[inline]
    pub(super) fn chunks<'a>(&'a self, offset: &'a mut PatternOffset, len: usize) -> impl Iterator<Item = &'a [u8]> {
        let mut left = len;
        std::iter::from_fn(move || {
            let chunk_len = left.min(CHUNK_LEN_MAX);
            let start = offset.0 as usize;
            *offset = offset.after(chunk_len);
            left -= chunk_len;
            (chunk_len > 0).then(|| &self.bytes[start..start + chunk_len])
        })
    }

    /// Whether `bytes` are those that are due at `offset`, which moves behind them.
    #[inline]
    pub(super) fn matches(&self, offset: &mut PatternOffset, mut bytes: &[u8]) -> bool {
        let mut is_right = true;
        for chunk in self.chunks(offset, bytes.len()) {
            let (front, rest) = bytes.split_at(chunk.len());
            is_right &= front == chunk;
            bytes = rest;
        }
        is_right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{Lines, Raw};

    fn bytes(pattern: &Pattern, offset: &mut PatternOffset, len: usize) -> Vec<u8> {
        pattern.chunks(offset, len).collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let pattern = Pattern::new(Framing::Raw(Raw));
        let mut offset = PatternOffset::of_connection(7);
        let whole = bytes(&pattern, &mut offset.clone(), 300_000);
        let cut: Vec<u8> = [1, 63, 65_521, 65_536, 100_000].map(|len| bytes(&pattern, &mut offset, len)).concat();
        assert_eq!(whole[..cut.len()], cut);
    }

    #[test]
    fn every_value_is_sent_and_text_is_text() {
        let mut seen: Vec<u8> = bytes(&Pattern::new(Framing::Raw(Raw)), &mut PatternOffset::default(), PERIOD);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 256);
        let text = bytes(&Pattern::new(Framing::Lines(Lines::new())), &mut PatternOffset::default(), PERIOD);
        assert!(text.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    }

    proptest! {
        #[test]
        fn what_is_due_matches_and_nothing_else_does(
            serial in any::<u64>(),
            len in 16_usize..200_000,
            lost in 1_usize..4_000,
            wrong in any::<prop::sample::Index>(),
        ) {
            let pattern = Pattern::new(Framing::Raw(Raw));
            let start = PatternOffset::of_connection(serial);
            let mut sent = bytes(&pattern, &mut start.clone(), len);
            let mut offset = start;
            prop_assert!(pattern.matches(&mut offset, &sent));
            // Bytes that were lost before these.
            let mut later = start.after(lost);
            prop_assert!(!pattern.matches(&mut later, &sent));
            let mut other = PatternOffset::of_connection(serial.wrapping_add(lost as u64));
            prop_assert!(!pattern.matches(&mut other, &sent));
            sent[wrong.index(len)] ^= 1;
            prop_assert!(!pattern.matches(&mut start.clone(), &sent));
        }
    }
}
