//! Descriptors: how many the process may have open, and so how many peers fit.
//!
//! Running out of them all the same is no matter of this file: the server rests and tries again.

use log::{info, warn};
use rlimit::Resource;

use crate::cli_error::io_message;

/// What the process needs beside peers and listeners: the three standard streams, the poll, its
/// waker, three for signals, and as much again for name lookups, a preloaded library, and the
/// descriptors that whoever started us left open.
const RESERVE: usize = 32;

/// Raises the soft limit to the hard one, and tells how many descriptors that makes.
pub(super) fn raise_limit() -> usize {
    let limit = match Resource::NOFILE.get() {
        Ok((soft, hard)) => match Resource::NOFILE.set(hard, hard) {
            Ok(()) => {
                info!("descriptor limit: soft {soft} raised to hard {hard}");
                hard
            }
            Err(error) => {
                warn!("descriptor limit: soft {soft}, hard {hard}; cannot be raised: {}", io_message(&error));
                soft
            }
        },
        Err(error) => {
            warn!("the descriptor limit cannot be read: {}", io_message(&error));
            u64::MAX
        }
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// How many peers there may be at once, of `asked` for, when `listeners` listen.
pub(super) fn connections_max(limit: usize, listeners: usize, asked: Option<usize>) -> usize {
    // One at least: if even that does not fit, the system will say so.
    let fits = limit.saturating_sub(RESERVE + listeners).max(1);
    match asked {
        Some(asked) if asked > fits => {
            let needed = asked.saturating_add(RESERVE + listeners);
            warn!(
                "--max-connections {asked} does not fit the descriptor limit of {limit} and is {fits} now; \
                 it needs `ulimit -n {needed}`"
            );
            fits
        }
        Some(asked) => asked,
        None => fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: usize, listeners: usize, asked: Option<usize>, expected: usize) {
        assert_eq!(connections_max(limit, listeners, asked), expected);
    }

    #[test]
    fn the_limit_less_a_reserve_is_for_peers() {
        check(20_000, 1, None, 19_967);
        check(20_000, 3, None, 19_965);
        check(20_000, 1, Some(19_000), 19_000);
        check(20_000, 1, Some(20_000), 19_967);
        check(usize::MAX, 1, Some(usize::MAX), usize::MAX - 33);
    }

    #[test]
    fn a_limit_below_the_reserve_leaves_one() {
        check(34, 1, None, 1);
        check(5, 1, None, 1);
        check(5, 1, Some(10), 1);
    }
}
