//! Warnings about settings that are allowed but may be unintended, one log line each.

use std::fs;

use log::warn;
use readyloop::Address;

/// Warns when other machines can connect.
pub(super) fn warn_of_public_addresses(addresses: &[Address]) {
    let public: Vec<String> = addresses.iter().filter(|address| address.is_public()).map(ToString::to_string).collect();
    let addresses = if public.len() == 1 { "a non-loopback address" } else { "non-loopback addresses" };
    if !public.is_empty() {
        warn!("listening on {addresses}: {}", public.join(", "));
    }
}

/// Warns when the kernel caps the backlog below the requested length.
pub(super) fn warn_of_capped_backlog(backlog: u32) {
    // The file exists on Linux only. Without it the cap is unknown.
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|text| text.trim().parse().ok());
    if let Some(somaxconn) = somaxconn.filter(|somaxconn: &u32| *somaxconn < backlog) {
        warn!(
            "the kernel caps --backlog {backlog} at {somaxconn}; \
             raise the cap with `sysctl -w net.core.somaxconn={backlog}`, or see `readyloop doctor`"
        );
    }
}
