//! `Tracer`: perf(1) or strace(1), which count the system calls of a server.

use std::ffi::OsString;
use std::time::Duration;

use crate::child::Process;

/// The most connections under strace, which stops a thread twice per system call. More would take minutes.
const STRACE_CONNECTIONS_MAX: u64 = 1_000;

/// Timeout for the end of the server and the output of the tracer.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// A tracer that is installed and permitted. Its last error line has the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracer {
    Perf,
    Strace,
}

impl Tracer {
    /// Finds a tracer that can count the calls of `true`.
    pub(super) fn find() -> Option<Self> {
        [Self::Perf, Self::Strace].into_iter().find(|tracer| {
            let words = tracer.words().iter().chain(&["true"]).map(OsString::from);
            let Ok((process, _output)) = Process::spawn(words, &[], None) else { return false };
            tracer.count_at_the_end(process).is_some_and(|calls| calls > 0.0)
        })
    }

    /// Whether it can count with this number of connections in reasonable time.
    pub(super) fn supports(self, connections: u64) -> bool {
        self == Self::Perf || connections <= STRACE_CONNECTIONS_MAX
    }

    /// The words to put before the command of a server.
    pub(super) fn words(&self) -> &[&'static str] {
        match self {
            Self::Perf => &["perf", "stat", "-e", "raw_syscalls:sys_enter", "-x", ",", "--"],
            Self::Strace => &["strace", "-f", "-q", "-c", "--"],
        }
    }

    /// Waits for the end of a traced process, and returns the number of its system calls.
    pub(super) fn count_at_the_end(self, mut process: Process) -> Option<f64> {
        process.wait_for_end(END_TIMEOUT)?;
        self.count(&process.last_error_line()?)
    }

    /// Parses `29,,raw_syscalls:sys_enter,…` of perf, or the line `100.00 0.001 40 25 3 total` of strace.
    fn count(self, line: &str) -> Option<f64> {
        match self {
            Self::Perf => line.split_once(",,raw_syscalls:sys_enter")?.0.parse().ok(),
            Self::Strace => line.strip_suffix("total")?.split_whitespace().nth(3)?.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_tracer_has_the_count() {
        assert_eq!(Tracer::Perf.count("29,,raw_syscalls:sys_enter,2003000,100.00,,"), Some(29.0));
        assert_eq!(Tracer::Perf.count("<not counted>,,raw_syscalls:sys_enter,0,100.00,,"), None);
        assert_eq!(Tracer::Strace.count("100.00    0.001000          40        25         3 total"), Some(25.0));
        assert_eq!(Tracer::Strace.count("strace: no luck"), None);
    }
}
