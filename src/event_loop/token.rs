//! Tokens of the endpoints of a loop: which endpoint, and which of its peers.

use crate::net::Token;
use crate::slab::Key;

/// The token of a peer: the endpoint in the top byte, the slot below it, the generation in the low half.
pub(super) fn token(index: u8, key: Key) -> Token {
    peer_token(usize::from(index), key)
}

/// The token of a peer of the endpoint with this index in its loop.
pub(crate) fn peer_token(endpoint: usize, key: Key) -> Token {
    Token((endpoint as u64) << 56 | key.to_bits())
}

/// The key of the peer that a token belongs to.
pub(super) fn key_of(token: Token) -> Key {
    Key::from_bits(token.0 & (u64::MAX >> 8))
}

/// The token of a listener. It has generation 0, which no peer has.
pub(super) fn listener_token(index: u8) -> Token {
    Token(u64::from(index) << 56)
}

/// Whether a token is that of a peer of a loop with this number of endpoints.
pub(super) fn is_of_peer(token: Token, endpoints: usize) -> bool {
    index_of(token) < endpoints && key_of(token).generation() != 0
}

/// The endpoint that a token belongs to.
pub(super) fn index_of(token: Token) -> usize {
    (token.0 >> 56) as usize
}
