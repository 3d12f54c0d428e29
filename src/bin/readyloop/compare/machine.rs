//! Limits of this machine, and whether they permit the loads.

use std::fs;
use std::io::{self, Write};

use rlimit::Resource;

use crate::cli_error::CliError;
use crate::descriptors::{self, OF_A_THREAD};
use crate::quantity::{counted, grouped};
use crate::report::comparison::Load;

/// Descriptors of a server or of the generator for other uses than connections and threads, with a reserve.
const OTHER_DESCRIPTORS: u64 = 64;

/// Names and values of the limits that can be read.
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
        let numbers = value
            .split_whitespace()
            .map(|value| value.parse().map_or_else(|_| value.to_owned(), |number: u64| grouped(number)));
        Some((name, numbers.collect::<Vec<_>>().join(" to ")))
    });
    process.chain(kernel).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn print_limit(limit: u64) -> String {
    if limit == rlimit::INFINITY { "no limit".to_owned() } else { grouped(limit) }
}

/// Removes and reports loads that need more descriptors. The smallest load stays: if it is too large as
/// well, [`check_descriptors`] rejects it.
pub(super) fn drop_oversized(loads: &mut Vec<Load>, threads: usize, descriptors: u64) {
    let smallest = loads.iter().map(Load::open).min();
    loads.retain(|load| {
        let needed = load.open().saturating_add(other_descriptors(threads));
        let fits = needed <= descriptors || Some(load.open()) == smallest;
        if !fits {
            let reason =
                format!("{} descriptors are needed, and the limit is {}", grouped(needed), grouped(descriptors));
            // The notice is optional, so a write error is ignored.
            let _ =
                writeln!(io::stderr(), "readyloop: skipped {}, because {reason}", counted(load.open(), "connection"));
        }
        fits
    });
}

/// Rejects loads that need more descriptors.
pub(super) fn check_descriptors(loads: &[Load], threads: usize, descriptors: u64) -> Result<(), CliError> {
    let most = loads.iter().map(Load::open).max().unwrap_or(0);
    descriptors::check(most, other_descriptors(threads), descriptors)
}

fn other_descriptors(threads: usize) -> u64 {
    OTHER_DESCRIPTORS.saturating_add(OF_A_THREAD.saturating_mul(threads as u64))
}
