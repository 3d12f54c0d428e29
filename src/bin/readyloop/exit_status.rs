//! The exit statuses that every subcommand uses. Status 0 is success.

/// A failure at run time.
pub(crate) const FAILURE: u8 = 1;

/// Wrong usage or configuration, found before anything was started.
pub(crate) const USAGE: u8 = 2;

/// A `--fail-if` threshold was exceeded.
pub(crate) const THRESHOLD: u8 = 3;

/// All exit statuses, for the help.
pub(crate) const EXIT_STATUS: &str = "\
EXIT STATUS
  0  success; for `serve`, a complete shutdown after SIGTERM or SIGINT
  1  a failure at run time, such as an address in use or a failed request
  2  wrong usage or configuration; nothing was started
  3  a `bench --fail-if` threshold was exceeded";
