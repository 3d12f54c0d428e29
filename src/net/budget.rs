//! `Budget`: bounds on the work of one endpoint in one turn, so that other peers do not wait long.
//!
//! Peers that are not served because a bound is reached come first in the next turn.

use crate::buffer::Reserve;
use crate::connection::{KIB, READ_LEN_MAX};
use crate::host::OrderAllowance;

/// The shortest read worth its system call: one page.
pub(super) const READ_LEN_MIN: usize = 4096;

/// Most bytes moved for one peer in a turn, both ways together: one full read and its echo.
///
/// Moving many bytes of one stream in a row uses the cache well. More than this gains nothing and
/// delays other peers.
const PEER_BYTES_MAX: usize = 512 * KIB;
// A peer must be able to fill the scratch buffer once a turn and get an echo of the same length.
const _: () = assert!(2 * READ_LEN_MAX <= PEER_BYTES_MAX);

/// What every peer may move, however many peers are marked: the shortest read and its echo.
pub(crate) const PEER_BYTES_MIN: usize = 2 * READ_LEN_MIN;

/// Most bytes moved for all peers in a turn. 32 peers can move their maximum; with more, each moves less.
pub(crate) const TURN_BYTES: usize = 16 * 1024 * KIB;

/// Most peers served in a turn, since serving a peer takes system calls even if it moves few bytes.
///
/// All peers that one poll reports must be served in the same turn. Otherwise they accumulate, and their
/// data is no longer in the cache when they are served.
pub(super) const TURN_PEERS: usize = 1280;

/// Most bytes of queue memory that are written for the first time or returned to the system in a turn.
///
/// The kernel clears a page when it is first written. In a virtual machine, the host may have to provide
/// the page first, which takes as long as serving several messages.
const TURN_PAGED_BYTES: usize = 2 * 1024 * KIB;

/// The work that one endpoint may still do in a turn.
#[derive(Debug)]
pub(crate) struct Budget {
    peer_bytes: usize,
    bytes_left: usize,
    peers_left: usize,
    /// The counter of the reserve when the turn began.
    paged_before: usize,
    /// What may be done for orders, beside the work for marked peers.
    pub(crate) orders: OrderAllowance,
}

impl Budget {
    /// A budget of `bytes` for this number of marked peers.
    pub(crate) fn new(bytes: usize, marked: usize, reserve: &Reserve) -> Self {
        let share = bytes.checked_div(marked).unwrap_or(PEER_BYTES_MAX);
        Self {
            peer_bytes: share.clamp(PEER_BYTES_MIN, PEER_BYTES_MAX),
            bytes_left: bytes,
            peers_left: TURN_PEERS,
            paged_before: reserve.paged_bytes(),
            orders: OrderAllowance { peers: TURN_PEERS, bytes },
        }
    }

    /// The number of bytes that may be moved for one peer.
    pub(super) fn peer_bytes(&self) -> usize {
        self.peer_bytes
    }

    /// Whether the remaining marked peers must wait for the next turn.
    pub(crate) fn is_spent(&self, reserve: &Reserve) -> bool {
        let paged = reserve.paged_bytes().wrapping_sub(self.paged_before);
        self.bytes_left == 0 || self.peers_left == 0 || paged >= TURN_PAGED_BYTES
    }

    /// Counts one peer that was served and the bytes moved for it.
    pub(super) fn spend(&mut self, moved: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(moved);
        self.peers_left = self.peers_left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::ByteQueue;

    #[track_caller]
    fn check(marked: usize, peer_bytes: usize) {
        let budget = Budget::new(TURN_BYTES, marked, &Reserve::new(0));
        assert_eq!(budget.peer_bytes(), peer_bytes, "with {marked} marked");
    }

    #[test]
    fn the_more_peers_are_marked_the_less_each_may_move() {
        check(0, PEER_BYTES_MAX);
        check(32, PEER_BYTES_MAX);
        check(512, 32 * KIB);
        check(2048, PEER_BYTES_MIN);
        check(usize::MAX, PEER_BYTES_MIN);
    }

    /// Checks how many of `marked` peers are served in a turn, if `moved` bytes are moved for each.
    #[track_caller]
    fn check_served(marked: usize, moved: usize, served: usize) {
        let reserve = Reserve::new(0);
        let mut budget = Budget::new(TURN_BYTES, marked, &reserve);
        let mut count = 0;
        while !budget.is_spent(&reserve) && count < marked {
            budget.spend(moved);
            count += 1;
        }
        assert_eq!(count, served, "of {marked} that move {moved} bytes each");
    }

    #[test]
    fn a_turn_ends_after_enough_bytes_or_enough_peers() {
        check_served(32, PEER_BYTES_MAX, 32);
        check_served(10_000, 4 * PEER_BYTES_MIN, 512);
        check_served(10_000, 1, TURN_PEERS);
        check_served(10, 1, 10);
        check_served(1, usize::MAX, 1);
    }

    #[test]
    fn a_turn_ends_after_enough_fresh_memory_is_used() {
        let mut reserve = Reserve::new(2 * TURN_PAGED_BYTES);
        let budget = Budget::new(TURN_BYTES, 1, &reserve);
        let mut queue = ByteQueue::new();
        queue.push(&[0; KIB], &mut reserve).unwrap();
        assert!(!budget.is_spent(&reserve));
        queue.push(&vec![0; TURN_PAGED_BYTES], &mut reserve).unwrap();
        assert!(budget.is_spent(&reserve));
    }
}
