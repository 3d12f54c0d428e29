//! System calls for each request, counted by perf(1) or strace(1) where one of them is there.
//!
//! Counting slows a server down, so it has runs of its own. The server is under the tracer from its
//! start to its end, in a short run and in a long one: what both spend on starting, connecting and
//! ending is in the difference no more.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, process};

use readyloop::load::plan::RunLength;

use super::contender::Contender;
use super::generator::{self, TrialConfig};
use super::interrupt::Interrupt;
use crate::report::comparison::{Cores, Load};

/// Requests of the short run, and how many more the long one has; or one for each connection,
/// where those are more.
const SHORT: u64 = 2_000;
const MORE: u64 = 10_000;

/// strace stops a thread twice for every call: beyond this it counts for minutes.
const STRACE_CONNECTIONS_MAX: u64 = 1_000;

/// How long a server may take to end and its tracer to write what it counted.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// What counts.
#[derive(Clone, Debug)]
pub(super) struct Tracer {
    kind: TracerKind,
    /// Where it writes what it has counted.
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TracerKind {
    Perf,
    Strace,
}

impl Tracer {
    /// One that works here: it has to be installed, and allowed.
    pub(super) fn find() -> Option<Self> {
        let output = env::temp_dir().join(format!("readyloop-calls-{}", process::id()));
        let each = [TracerKind::Perf, TracerKind::Strace].into_iter().map(|kind| Self { kind, output: output.clone() });
        each.into_iter().find(|tracer| {
            let words = tracer.words();
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let is_done = command.status().is_ok_and(|status| status.success());
            let counted = tracer.counted();
            is_done && counted.is_some_and(|calls| calls > 0.0)
        })
    }

    /// The words before those of a server.
    pub(super) fn words(&self) -> Vec<std::ffi::OsString> {
        let words: &[&str] = match self.kind {
            TracerKind::Perf => &["perf", "stat", "-e", "raw_syscalls:sys_enter", "-x", ",", "-o"],
            TracerKind::Strace => &["strace", "-f", "-c", "-o"],
        };
        let mut words: Vec<_> = words.iter().map(std::ffi::OsString::from).collect();
        words.extend([self.output.clone().into_os_string(), "--".into()]);
        words
    }

    /// What it has counted; the file is gone then.
    fn counted(&self) -> Option<f64> {
        let text = fs::read_to_string(&self.output).ok()?;
        let _ = fs::remove_file(&self.output);
        match self.kind {
            TracerKind::Perf => perf_count(&text),
            TracerKind::Strace => strace_count(&text),
        }
    }

    /// The calls of a server for each request; nothing where it could not be counted.
    pub(super) fn count(
        &self,
        contender: &Contender,
        load: Load,
        cores: Option<Cores>,
        interrupt: &Interrupt,
    ) -> Option<f64> {
        if self.kind == TracerKind::Strace && load.open() > STRACE_CONNECTIONS_MAX {
            return None;
        }
        let short = SHORT.max(load.connections);
        let long = short + MORE.max(load.connections);
        let [short, long] = [short, long].map(|requests| self.run(contender, load, requests, cores, interrupt));
        let ((calls_short, answered_short), (calls_long, answered_long)) = (short?, long?);
        let more = answered_long.checked_sub(answered_short).filter(|more| *more > 0)?;
        Some((calls_long - calls_short) / more as f64)
    }

    /// Calls and answers of a run of so many requests.
    fn run(
        &self,
        contender: &Contender,
        load: Load,
        requests: u64,
        cores: Option<Cores>,
        interrupt: &Interrupt,
    ) -> Option<(f64, u64)> {
        let mut server = contender.start(cores.map(|cores| cores.server), Some(self), interrupt).ok()?;
        let config = TrialConfig { load, run_length: RunLength::Requests(requests), warm_up: Duration::ZERO };
        let record = generator::run(&mut server, &config, cores.map(|cores| cores.generator), interrupt).ok()?;
        server.process.terminate();
        server.process.ending_within(END_TIMEOUT)?;
        Some((self.counted()?, record.requests.answered))
    }
}

/// `29,,raw_syscalls:sys_enter,…`, below a comment.
fn perf_count(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.trim().parse().ok()
}

/// The fourth number of the last line, which is called `total`.
fn strace_count(text: &str) -> Option<f64> {
    let line = text.lines().rev().find(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_writes_is_read() {
        let text = "# started on Sat\n\n29,,raw_syscalls:sys_enter,2003000,100.00,,\n";
        assert_eq!(perf_count(text), Some(29.0));
        assert_eq!(perf_count("<not counted>,,raw_syscalls:sys_enter,0,100.00,,"), None);
    }

    #[test]
    fn what_strace_writes_is_read() {
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
