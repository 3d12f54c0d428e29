//! The flags of the ready file and of the log.

use std::path::PathBuf;

use clap::Args;

use crate::log_format::LogFormat;
use crate::logging::Verbosity;

/// The ready file and the log.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Also write the `listening on` lines to this file; it exists while the server listens
    ///
    /// The complete file appears once every listener is bound. It is removed at exit, and a file that
    /// an earlier server left is removed at the start. The file of a running server is an error.
    #[arg(long, value_name = "PATH")]
    pub(super) ready_file: Option<PathBuf>,

    /// Format of the log on standard error
    ///
    /// A line of JSON has the fields time, level, target and message. A message that would make its line
    /// longer than 4095 bytes is cut.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}
