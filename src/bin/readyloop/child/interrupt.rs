//! `Interrupt`: whether SIGHUP, SIGINT or SIGTERM was received.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// A flag that a signal handler sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Installs the handlers, which replace the end of the process. Under nohup(1), SIGHUP stays ignored.
    pub(crate) fn install() -> io::Result<Self> {
        let interrupt = Self::default();
        let hangup = Some(SIGHUP).filter(|_| !is_hangup_ignored());
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the parent process ignores SIGHUP, which is bit 0 of the mask in `/proc` (proc(5)).
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
