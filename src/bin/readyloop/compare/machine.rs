//! What this machine allows at most, and whether that is enough.

use std::fs;

use rlimit::Resource;

use crate::problem::Problem;
use crate::report::comparison::Load;

/// Descriptors that are no connections, of a server or the generator. Generous.
const OTHER_DESCRIPTORS: u64 = 64;

/// Limits by name, as far as they can be read.
pub(super) fn limits() -> Vec<(String, String)> {
    let process =
        [("descriptors of a process", Resource::NOFILE), ("processes and threads of a user", Resource::NPROC)];
    let process =
        process.into_iter().filter_map(|(name, resource)| Some((name, print_limit(resource.get_soft().ok()?))));
    let kernel = [
        ("threads of the system", "/proc/sys/kernel/threads-max"),
        ("memory maps of a process", "/proc/sys/vm/max_map_count"),
        ("backlog of a listener", "/proc/sys/net/core/somaxconn"),
        ("local ports", "/proc/sys/net/ipv4/ip_local_port_range"),
    ];
    let kernel = kernel.into_iter().filter_map(|(name, path)| {
        let value = fs::read_to_string(path).ok()?;
        Some((name, value.split_whitespace().collect::<Vec<_>>().join(" to ")))
    });
    process.chain(kernel).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn print_limit(limit: u64) -> String {
    if limit == rlimit::INFINITY { "no limit".to_owned() } else { limit.to_string() }
}

/// Raises the soft limit on descriptors, which children inherit, and refuses loads beyond it.
pub(super) fn make_room(loads: &[Load]) -> Result<(), Problem> {
    // What cannot be raised stays as it is, and that is looked at next.
    let limit = rlimit::increase_nofile_limit(u64::MAX).or_else(|_| Resource::NOFILE.get_soft()).unwrap_or(u64::MAX);
    let needed = loads.iter().map(Load::open).max().unwrap_or_default().saturating_add(OTHER_DESCRIPTORS);
    if needed <= limit {
        return Ok(());
    }
    Err(Problem::failure(
        format!("{} connections need {needed} descriptors, and the limit is {limit}", needed - OTHER_DESCRIPTORS),
        format!("type `ulimit -n {needed}` as a user who may, or fewer connections"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_started() {
        let load = |connections| Load { message_bytes: 64, connections, idle_connections: 5 };
        assert_eq!(make_room(&[load(1)]), Ok(()));
        assert!(make_room(&[load(1), load(u64::MAX)]).is_err());
    }
}
