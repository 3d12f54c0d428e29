//! `Budget`: what may be moved in one turn, for each peer and for all together.
//!
//! It bounds how long everybody else waits for the next turn; who was not served by then is first in it.

use crate::connection::{KIB, READ_LEN_MAX};

/// The shortest read worth its system call: one page.
pub(super) const READ_LEN_MIN: usize = 4096;

/// Bytes moved for one peer, both ways together, per turn, while there are few: one full read and
/// its echo. A peer that has more is served on in the next turn, after everybody else.
///
/// Moving much of a stream in a row costs half the CPU of moving 64 KiB per turn, since what the
/// kernel keeps for it stays in the cache; more than this gains nothing, and others wait.
const SERVE_BYTES_MAX: usize = 512 * KIB;
// A peer must be able to fill the scratch at least once a turn, and have it answered.
const _: () = assert!(2 * READ_LEN_MAX <= SERVE_BYTES_MAX);

/// The same however many there are: the shortest read and its echo.
const SERVE_BYTES_MIN: usize = 2 * READ_LEN_MIN;

/// What all peers of an endpoint share in a turn: the whole share of 32 of them, so that streams move
/// much in a row; with more, each moves less rather than that all wait longer.
pub(crate) const TURN_BYTES: usize = 16 * 1024 * KIB;

/// What serving somebody counts for beside what is moved: the system calls take as long, were it
/// for one byte.
///
/// A turn so serves 1,366 at most, which must be more than one poll tells of: whoever is told of and
/// not served piles up, is forgotten by the cache meanwhile, and costs 3 % more.
pub(super) const SERVE_COST: usize = 12 * KIB;

/// What may still be moved in a turn.
#[derive(Debug)]
pub(crate) struct Budget {
    each: usize,
    left: usize,
}

impl Budget {
    /// `bytes` for so many peers that are marked: the more they are the less for each.
    #[inline]
    pub(crate) fn new(bytes: usize, marked: usize) -> Self {
        // Few, as nearly always: no division.
        let is_few = marked <= bytes / SERVE_BYTES_MAX;
        let each = if is_few { SERVE_BYTES_MAX } else { (bytes / marked).clamp(SERVE_BYTES_MIN, SERVE_BYTES_MAX) };
        Self { each, left: bytes }
    }

    /// How much may be moved for one peer.
    #[inline]
    pub(super) fn each(&self) -> usize {
        self.each
    }

    /// Whether the rest of the marked must wait for the next turn.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Somebody was served, and so much was moved, or could have been while the system gave memory
    /// and took it back.
    #[inline]
    pub(super) fn spend(&mut self, done: usize) {
        self.left = self.left.saturating_sub(done.saturating_add(SERVE_COST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(marked: usize, each: usize) {
        assert_eq!(Budget::new(TURN_BYTES, marked).each(), each, "with {marked} marked");
    }

    #[test]
    fn the_more_are_marked_the_less_is_moved_for_each() {
        check(0, SERVE_BYTES_MAX);
        check(32, SERVE_BYTES_MAX);
        check(512, 32 * KIB);
        check(2048, SERVE_BYTES_MIN);
        check(usize::MAX, SERVE_BYTES_MIN);
    }

    /// How many of so many that are marked are served in a turn, if each moves so much.
    #[track_caller]
    fn check_served(marked: usize, moved: usize, served: usize) {
        let mut budget = Budget::new(TURN_BYTES, marked);
        let mut count = 0;
        while !budget.is_spent() && count < marked {
            budget.spend(moved);
            count += 1;
        }
        assert_eq!(count, served, "of {marked} that move {moved} bytes each");
    }

    #[test]
    fn a_turn_ends_when_enough_was_moved_or_enough_were_served() {
        check_served(32, SERVE_BYTES_MAX, 32);
        check_served(10_000, SERVE_BYTES_MIN, 820);
        check_served(10_000, 1, 1366);
        check_served(10, 1, 10);
        check_served(1, usize::MAX, 1);
    }
}
