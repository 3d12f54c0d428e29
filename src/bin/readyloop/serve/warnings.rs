//! Warnings: what was asked for and is allowed, but may not be what was meant.
//!
//! Each is one line in the log, once.

use std::fs;

use log::warn;
use readyloop::Address;

/// Warns when others than this machine can connect.
pub(super) fn warn_of_public_addresses(addresses: &[Address]) {
    let public: Vec<String> = addresses.iter().filter(|address| address.is_public()).map(ToString::to_string).collect();
    if !public.is_empty() {
        warn!("not only this machine can connect to {}", public.join(", "));
    }
}

/// Warns when the kernel keeps a shorter backlog than was asked for.
pub(super) fn warn_of_capped_backlog(backlog: u32) {
    // Linux only; where there is no such file, nothing is known and nothing said.
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|text| text.trim().parse().ok());
    if let Some(somaxconn) = somaxconn.filter(|somaxconn: &u32| *somaxconn < backlog) {
        warn!("the kernel cuts --backlog {backlog} to {somaxconn}; `sysctl -w net.core.somaxconn={backlog}` allows it");
    }
}
