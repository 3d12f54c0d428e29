//! The bytes of each connection: a function of its number and the position, so that every echo can be checked.

/// The longest piece.
pub(crate) const PIECE_LEN_MAX: usize = 64 * 1024;

/// A prime, so that no message length divides it. A lost, repeated or reordered message has wrong bytes.
const PERIOD: usize = 65_521;

/// Shifts the bytes of each connection, so that bytes of another connection are wrong. Any number that is
/// coprime to `PERIOD` does.
const STRIDE: usize = 9_973;

/// One period of pseudorandom bytes with its beginning repeated, so that every piece is one slice.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Pattern {
        // Any seed but 0: xorshift by (13, 7, 17) reaches all other states.
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

    /// `len` bytes that connection number `connection` sends from byte `offset` of its stream on.
    ///
    /// # Panics
    /// If `len` is greater than [`PIECE_LEN_MAX`].
    pub(crate) fn piece(&self, connection: usize, offset: usize, len: usize) -> &[u8] {
        let start = (connection % PERIOD * STRIDE + offset) % PERIOD;
        &self.0[start..start + len]
    }
}
