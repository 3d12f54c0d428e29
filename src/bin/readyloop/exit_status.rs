//! The exit statuses that every subcommand uses. Status 0 is success.

/// A failure at run time.
pub(crate) const FAILURE: u8 = 1;

/// Wrong usage or configuration, found before anything was started.
pub(crate) const USAGE: u8 = 2;

/// A `--fail-if` threshold was exceeded.
pub(crate) const THRESHOLD: u8 = 3;
