//! What this machine allows at most, and whether that is enough.

use std::fs;
use std::io::{self, Write};

use rlimit::Resource;

use crate::cli_error::CliError;
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

/// Raises the soft limit on descriptors, which children inherit, and tells what it is then.
pub(super) fn raise_descriptors() -> u64 {
    // What cannot be raised stays as it is.
    rlimit::increase_nofile_limit(u64::MAX).or_else(|_| Resource::NOFILE.get_soft()).unwrap_or(u64::MAX)
}

/// Leaves out loads beyond so many descriptors, and says which. The least stays, to be refused.
pub(super) fn drop_oversized(loads: &mut Vec<Load>, descriptors: u64) {
    let least = loads.iter().map(Load::open).min();
    loads.retain(|load| {
        let fits = needed(load) <= descriptors || Some(load.open()) == least;
        if !fits {
            let needs = format!("they need {} descriptors, and the limit is {descriptors}", needed(load));
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "readyloop: {} connections are left out: {needs}", load.open());
        }
        fits
    });
}

/// Refuses loads beyond so many descriptors.
pub(super) fn check_descriptors(loads: &[Load], descriptors: u64) -> Result<(), CliError> {
    let Some(most) = loads.iter().max_by_key(|load| load.open()).filter(|load| needed(load) > descriptors) else {
        return Ok(());
    };
    let needed = needed(most);
    let possible = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(1);
    Err(CliError::failure(
        format!("{} connections need {needed} descriptors, and the limit is {descriptors}", most.open()),
        format!("type `ulimit -n {needed}` as a user who may, or no more than {possible} connections"),
    ))
}

/// Descriptors of a process that has these connections.
fn needed(load: &Load) -> u64 {
    load.open().saturating_add(OTHER_DESCRIPTORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_started() {
        let load = |connections| Load { message_bytes: 64, connections, idle_connections: 5 };
        assert_eq!(check_descriptors(&[load(1)], 70), Ok(()));
        assert!(
            check_descriptors(&[load(1), load(2)], 70).is_err_and(|problem| problem.hint.contains("no more than 6 "))
        );
        assert!(check_descriptors(&[load(1), load(u64::MAX)], u64::MAX - 1).is_err());
    }

    #[test]
    fn what_nobody_asked_for_is_left_out_where_it_does_not_fit() {
        let load = |connections| Load { message_bytes: 64, connections, idle_connections: 0 };
        let mut loads = vec![load(10), load(1_000)];
        drop_oversized(&mut loads, 1_024);
        assert_eq!(loads, [load(10)]);
        drop_oversized(&mut loads, 5);
        assert!(check_descriptors(&loads, 5).is_err());
    }
}
