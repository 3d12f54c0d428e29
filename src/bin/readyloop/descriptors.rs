//! The descriptor limit of this process, for runs with many connections.

use rlimit::Resource;

use crate::cli_error::CliError;
use crate::quantity::counted;

/// Descriptors of each thread of the generator: its poll, waker and alarm.
pub(crate) const OF_A_THREAD: u64 = 3;

/// Raises the soft limit, which children inherit, and returns the limit in force.
pub(crate) fn raise_limit() -> u64 {
    // If it cannot be raised, the present limit applies.
    rlimit::increase_nofile_limit(u64::MAX).or_else(|_| Resource::NOFILE.get_soft()).unwrap_or(u64::MAX)
}

/// Rejects more connections than the limit allows, with some descriptors in reserve for other uses.
pub(crate) fn check(connections: u64, reserve: u64, limit: u64) -> Result<(), CliError> {
    let needed = connections.saturating_add(reserve);
    if needed <= limit {
        return Ok(());
    }
    let (many, possible) = (counted(connections, "connection"), limit.saturating_sub(reserve).max(1));
    Err(CliError::failure(
        format!("too few descriptors for {many}: {needed} are needed, and the limit is {limit}"),
        format!("raise the limit with `ulimit -n {needed}`, or use at most {}", counted(possible, "connection")),
    ))
}
