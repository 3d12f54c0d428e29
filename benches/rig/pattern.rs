//! The bytes that are sent, and so the bytes that must come back: a function of the connection and the place.

/// The longest piece that is asked for at once.
pub(crate) const PIECE_LEN_MAX: usize = 64 * 1024;

/// A prime, so that no length of message divides it: a message lost, doubled or out of turn shows.
const PERIOD: usize = 65_521;

/// Sets the connections apart, so that a byte at the wrong peer shows. Any number that is prime to `PERIOD` does.
const STRIDE: usize = 9_973;

/// One period of noise with its beginning repeated, so that every piece is one slice.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Pattern {
        // Any seed but 0 does: xorshift by (13, 7, 17) then meets every other state.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes: Vec<u8> = Vec::with_capacity(PERIOD + PIECE_LEN_MAX);
        for _ in 0..PERIOD {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push(state.to_le_bytes()[7]);
        }
        bytes.extend_from_within(..PIECE_LEN_MAX.min(PERIOD));
        bytes.extend_from_within(..PIECE_LEN_MAX - PIECE_LEN_MAX.min(PERIOD));
        Pattern(bytes)
    }

    /// What connection number `connection` sends from byte `offset` of its stream on.
    ///
    /// # Panics
    /// When `len` is over [`PIECE_LEN_MAX`].
    pub(crate) fn piece(&self, connection: usize, offset: usize, len: usize) -> &[u8] {
        let start = (connection % PERIOD * STRIDE + offset) % PERIOD;
        &self.0[start..start + len]
    }
}
