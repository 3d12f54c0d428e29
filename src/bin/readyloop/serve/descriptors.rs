//! The descriptor limit of the process, and the number of connections that it allows.
//!
//! Running out of descriptors later is handled by the server, which pauses accepting.

use log::{info, warn};
use rlimit::Resource;

use crate::cli_error::io_message;

/// Descriptors for other uses than peers and listeners.
///
/// These are three standard streams, the poll, its waker and three for signals. The rest is for name
/// lookups, preloaded libraries and descriptors inherited from the parent process.
pub(crate) const RESERVE: usize = 32;

/// Raises the soft descriptor limit to the hard one and returns the limit in force.
pub(super) fn raise_limit() -> usize {
    let limit = match Resource::NOFILE.get() {
        Ok((soft, hard)) if soft == hard => {
            info!("descriptor limit: {hard}");
            hard
        }
        Ok((soft, hard)) => match Resource::NOFILE.set(hard, hard).and_then(|()| Resource::NOFILE.get_soft()) {
            // Some sandboxes accept a new limit and keep the old one.
            Ok(raised) if raised > soft => {
                info!("descriptor limit raised from {soft} to {raised}");
                raised
            }
            Ok(kept) => {
                warn!("the system keeps the descriptor limit at {kept}, although {hard} is allowed");
                kept
            }
            Err(error) => {
                warn!("cannot raise the descriptor limit from {soft} to {hard}: {}", io_message(&error));
                soft
            }
        },
        Err(error) => {
            warn!("cannot read the descriptor limit: {}", io_message(&error));
            u64::MAX
        }
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Returns the most connections that fit the descriptor limit, at most `requested`.
pub(super) fn connections_max(limit: usize, listeners: usize, requested: Option<usize>) -> usize {
    // At least one: if it does not fit, accepting it fails.
    let fits = limit.saturating_sub(RESERVE + listeners).max(1);
    match requested {
        Some(requested) if requested > fits => {
            let needed = requested.saturating_add(RESERVE + listeners);
            warn!(
                "--max-connections {requested} exceeds the descriptor limit {limit} and is lowered to {fits}; \
                 raise the limit with `ulimit -n {needed}`, or see `readyloop doctor`"
            );
            fits
        }
        Some(requested) => requested,
        None => fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: usize, listeners: usize, requested: Option<usize>, expected: usize) {
        assert_eq!(connections_max(limit, listeners, requested), expected);
    }

    #[test]
    fn peers_get_the_limit_less_the_reserve() {
        check(20_000, 1, None, 19_967);
        check(20_000, 3, None, 19_965);
        check(20_000, 1, Some(19_000), 19_000);
        check(20_000, 1, Some(20_000), 19_967);
        check(usize::MAX, 1, Some(usize::MAX), usize::MAX - 33);
    }

    #[test]
    fn a_limit_below_the_reserve_leaves_one_peer() {
        check(34, 1, None, 1);
        check(5, 1, None, 1);
        check(5, 1, Some(10), 1);
    }
}
