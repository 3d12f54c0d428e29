//! Puts the process into a known state at its start, whatever the parent process has left.
//!
//! The runtime of Rust opens `/dev/null` for closed standard descriptors and ignores SIGPIPE. Writers
//! to standard output and standard error handle non-blocking descriptors themselves, because the flag
//! is shared with other processes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGCHLD, SIGXFSZ};

/// Unblocks all signals, and replaces inherited dispositions that change the result of system calls.
///
/// With a handler for SIGXFSZ, a write beyond RLIMIT_FSIZE is an error and does not end the process.
/// With one for SIGCHLD, the exit status of a child can be read although the parent ignores the signal.
/// A started program gets the defaults, because handlers end at exec.
pub(crate) fn normalize() {
    // These calls fail for invalid signal numbers only.
    let _ = SigSet::empty().thread_set_mask();
    for signal in [SIGXFSZ, SIGCHLD] {
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
}
