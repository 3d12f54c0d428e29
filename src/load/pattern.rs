//! `Pattern`: the bytes of requests, and so the expected bytes of answers.
//!
//! A byte depends on the connection and on its position in the stream. So a lost, repeated, reordered
//! or misdirected byte is detected.

use crate::codec::Framing;

/// Maximum length of a chunk.
pub(super) const CHUNK_LEN_MAX: usize = 64 * 1024;

/// Length of the pattern. It is prime, so lost messages shift the bytes by whole periods only if their
/// number or their length is a multiple of it.
const PERIOD: usize = 65_521;

/// Distance of the first bytes of two connections. It must have no common factor with the period.
const STRIDE: u64 = 9_973;

/// One period of pseudo-random bytes. Its beginning is repeated, so every chunk is one slice.
pub(super) struct Pattern {
    bytes: Vec<u8>,
}

/// Position in the pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PatternOffset(u32);

impl PatternOffset {
    /// Start of the stream of connection number `serial`.
    pub(super) fn of_connection(serial: u64) -> Self {
        let period = PERIOD as u64;
        Self(u32::try_from(serial % period * STRIDE % period).expect("a remainder is below the period"))
    }

    /// The position `len` bytes later.
    #[inline]
    fn after(self, len: usize) -> Self {
        Self(((self.0 as usize + len) % PERIOD) as u32)
    }
}

impl Pattern {
    /// Pattern for a framing: letters and digits for lines, otherwise bytes of every value.
    pub(super) fn new(framing: Framing) -> Self {
        // Capital letters only: the server closes a connection on the line `exit`.
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let is_text = matches!(framing, Framing::Lines(_));
        // xorshift64 with shifts (13, 7, 17) has full period for every seed except 0 (Marsaglia, 2003).
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

    /// The next `len` bytes at `offset`, in chunks. Advances `offset`.
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

    /// Whether `bytes` are the pattern at `offset`. Advances `offset`.
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
    fn raw_patterns_hold_every_value_and_line_patterns_hold_text() {
        let mut seen: Vec<u8> = bytes(&Pattern::new(Framing::Raw(Raw)), &mut PatternOffset::default(), PERIOD);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 256);
        let text = bytes(&Pattern::new(Framing::Lines(Lines::new())), &mut PatternOffset::default(), PERIOD);
        assert!(text.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    }

    proptest! {
        #[test]
        fn only_the_expected_bytes_match(
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
            // Some bytes before these were lost.
            let mut later = start.after(lost);
            prop_assert!(!pattern.matches(&mut later, &sent));
            let mut other = PatternOffset::of_connection(serial.wrapping_add(lost as u64));
            prop_assert!(!pattern.matches(&mut other, &sent));
            sent[wrong.index(len)] ^= 1;
            prop_assert!(!pattern.matches(&mut start.clone(), &sent));
        }
    }
}
