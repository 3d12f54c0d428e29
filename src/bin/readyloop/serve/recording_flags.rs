//! The flags of a recording.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::units::{above_zero, size, switch};

/// Whether and where the server is recorded.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Recording")]
pub(super) struct RecordingFlags {
    /// Record all events, calls and results to this file, for `readyloop replay`
    ///
    /// An existing file is renamed to FILE.old. With --processes, each process has a file of its own: FILE.1, FILE.2.
    /// The administration endpoint is left out.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,

    /// Also record the bytes that clients send, which may be secret
    ///
    /// Without them, --framing raw can be replayed, and other framings cannot. The bytes of tls:// addresses are
    /// recorded in plain. Only the owner of the process can read the file.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = switch, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) record_bytes: bool,

    /// Most bytes of the recording on the disk
    ///
    /// At half of it, the file is renamed to FILE.old, which replaces the older one. A recording that has lost its
    /// first turns cannot be replayed.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<u64>), default_value = "1GiB")]
    pub(super) record_max: u64,
}
