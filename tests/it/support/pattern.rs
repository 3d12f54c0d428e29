//! The bytes that a test sends: known at every offset, different for every peer.
//!
//! A byte that is lost, duplicated, out of order or from another peer does not match.

use std::sync::LazyLock;

/// A prime near 64 KiB, so that bytes shifted by the length of a buffer do not match.
const PERIOD: usize = 65_521;

/// Two periods, so that a whole period is contiguous from any offset.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes: Vec<u8> = (0..PERIOD)
        .map(|_| {
            // xorshift64. Any full-period generator works.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    bytes.extend_from_within(..);
    bytes
});

/// The infinite bytes of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    start: usize,
}

impl Pattern {
    pub(crate) fn of(peer: usize) -> Self {
        // Any step that does not divide the period gives each peer another start.
        Self { start: peer * 7_919 % PERIOD }
    }

    /// Between 1 and `len_max` bytes from `offset` on, or none if `len_max` is 0.
    pub(crate) fn at(self, offset: u64, len_max: u64) -> &'static [u8] {
        let begin = (self.start + (offset % PERIOD as u64) as usize) % PERIOD;
        let len = usize::try_from(len_max).unwrap_or(PERIOD).min(PERIOD);
        &BYTES[begin..begin + len]
    }

    /// The first `len` bytes.
    pub(crate) fn take(self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.extend_from_slice(self.at(bytes.len() as u64, (len - bytes.len()) as u64));
        }
        bytes
    }

    /// Panics unless `bytes` are the bytes from `offset` on.
    #[track_caller]
    pub(crate) fn check(self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let expected = self.at(offset + done as u64, (bytes.len() - done) as u64);
            assert!(
                bytes[done..done + expected.len()] == *expected,
                "wrong bytes at {} of {self:?}",
                offset + done as u64
            );
            done += expected.len();
        }
    }
}
