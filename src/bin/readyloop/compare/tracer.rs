//! `Tracer`: perf(1) or strace(1), which count the system calls of a server.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, process};

/// The most connections under strace, which stops a thread twice per system call. More would take minutes.
const STRACE_CONNECTIONS_MAX: u64 = 1_000;

/// A tracer that is installed and permitted.
#[derive(Clone, Debug)]
pub(super) struct Tracer {
    kind: TracerKind,
    /// File with the counts.
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TracerKind {
    Perf,
    Strace,
}

impl Tracer {
    /// Finds a tracer that can count the calls of `true`.
    pub(super) fn find() -> Option<Self> {
        let output = env::temp_dir().join(format!("readyloop-calls-{}", process::id()));
        let each = [TracerKind::Perf, TracerKind::Strace].map(|kind| Self { kind, output: output.clone() });
        each.into_iter().find(|tracer| {
            let words = tracer.words();
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let is_done = command.status().is_ok_and(|status| status.success());
            // Reading the count also removes the file of a tracer that failed.
            let count = tracer.take_count();
            is_done && count.is_some_and(|calls| calls > 0.0)
        })
    }

    /// Whether it can count with this number of connections in reasonable time.
    pub(super) fn supports(&self, connections: u64) -> bool {
        self.kind == TracerKind::Perf || connections <= STRACE_CONNECTIONS_MAX
    }

    /// The words to put before the command of a server.
    pub(super) fn words(&self) -> Vec<OsString> {
        let words: &[&str] = match self.kind {
            TracerKind::Perf => &["perf", "stat", "-e", "raw_syscalls:sys_enter", "-x", ",", "-o"],
            TracerKind::Strace => &["strace", "-f", "-c", "-o"],
        };
        let mut words: Vec<_> = words.iter().map(OsString::from).collect();
        words.extend([self.output.clone().into_os_string(), "--".into()]);
        words
    }

    /// Reads the number of system calls, and removes the file.
    pub(super) fn take_count(&self) -> Option<f64> {
        let text = fs::read_to_string(&self.output).ok()?;
        let _ = fs::remove_file(&self.output);
        match self.kind {
            TracerKind::Perf => perf_count(&text),
            TracerKind::Strace => strace_count(&text),
        }
    }
}

/// Parses the line `29,,raw_syscalls:sys_enter,…`, which follows a comment.
fn perf_count(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.trim().parse().ok()
}

/// Parses the fourth column of the last line, which ends in `total`.
fn strace_count(text: &str) -> Option<f64> {
    let line = text.lines().rev().find(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_perf_is_parsed() {
        let text = "# started on Sat\n\n29,,raw_syscalls:sys_enter,2003000,100.00,,\n";
        assert_eq!(perf_count(text), Some(29.0));
        assert_eq!(perf_count("<not counted>,,raw_syscalls:sys_enter,0,100.00,,"), None);
    }

    #[test]
    fn the_output_of_strace_is_parsed() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600          60        10           read
100.00    0.001000          40        25         3 total
";
        assert_eq!(strace_count(text), Some(25.0));
        assert_eq!(strace_count(""), None);
    }
}
