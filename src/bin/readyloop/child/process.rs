//! A child process: a supervisor with one command, which is killed on drop with all its descendants.
//!
//! It has a process group of its own, so Ctrl-C on a terminal signals only this program.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::interrupt::Interrupt;
use super::lines::for_each_line;
use crate::supervise;

/// Time between two checks for an interrupt.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How long a supervisor may take to end its command.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum length of the stored last error line.
const LAST_LINE_CHARS_MAX: usize = 200;

/// A running child.
pub(crate) struct Process {
    supervisor: Child,
    /// The supervisor ends its command when this pipe is closed.
    pipe: Option<ChildStdin>,
    /// The last line with text on standard error.
    last_error_line: Arc<Mutex<String>>,
    error_reader: JoinHandle<()>,
}

/// Why a wait failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitError {
    /// The child closed its output.
    Ended,
    /// The timeout passed.
    TimedOut,
    /// The user interrupted the program.
    Interrupted,
}

impl Process {
    /// Starts a command on `cores`, or on any if there are none, with at most `descriptors`. The caller must read the returned standard output.
    pub(crate) fn spawn(
        words: impl IntoIterator<Item = OsString>,
        cores: &[usize],
        descriptors: Option<u64>,
    ) -> io::Result<(Self, ChildStdout)> {
        let mut command = Command::new(std::env::current_exe()?);
        let cores = cores.iter().map(|core| format!("--cores={core}"));
        command.arg(supervise::NAME).args(cores);
        command.args(descriptors.map(|count| format!("--descriptors={count}"))).arg("--").args(words);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            // Settings for other servers of the user must not change the compared ones.
            if name == "RUST_LOG" || name.to_string_lossy().starts_with("READYLOOP_") {
                command.env_remove(name);
            }
        }
        let mut supervisor = command.spawn()?;
        let pipe = supervisor.stdin.take();
        let output = supervisor.stdout.take().expect("the output is piped");
        let errors = supervisor.stderr.take().expect("the output is piped");
        let last_error_line = Arc::default();
        let last = Arc::clone(&last_error_line);
        let error_reader = thread::spawn(move || store_last_line(errors, &last));
        Ok((Self { supervisor, pipe, last_error_line, error_reader }, output))
    }

    pub(crate) fn supervisor_pid(&self) -> Pid {
        Pid::from_child(&self.supervisor)
    }

    /// Process id of the server itself. A supervisor, a shell or a tracer has one child, which is the server.
    pub(crate) fn working_pid(&self) -> Pid {
        let mut pid = self.supervisor_pid();
        while let [only] = supervise::children(pid)[..] {
            pid = only;
        }
        pid
    }

    /// The last line on standard error, if there is one.
    pub(crate) fn last_error_line(&self) -> Option<String> {
        let line = self.last_error_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!line.is_empty()).then_some(line)
    }

    /// Exit status and last error line, if the process has ended.
    pub(crate) fn end(&mut self) -> Option<String> {
        let status = self.supervisor.try_wait().ok().flatten()?;
        let last_line = self.last_error_line().map_or_else(String::new, |line| format!(": {line}"));
        let end = match status.code() {
            Some(code) => format!("exit status {code}{}", signal_name(code - supervise::SIGNAL_STATUS)),
            None => "an unknown status".to_owned(),
        };
        Some(format!("{end}{last_line}"))
    }

    /// Exit status of the command, if it has ended.
    pub(crate) fn exit_status(&mut self) -> Option<i32> {
        self.supervisor.try_wait().ok().flatten()?.code()
    }

    /// Waits for the end and for the last error line, at most for `timeout`.
    pub(crate) fn wait_for_end(&mut self, timeout: Duration) -> Option<String> {
        let deadline = Instant::now() + timeout;
        loop {
            let end = self.end();
            if end.is_some() && self.error_reader.is_finished() || deadline <= Instant::now() {
                return end;
            }
            thread::park_timeout(CHECK_INTERVAL / 10);
        }
    }

    /// Sends SIGTERM to the server itself.
    pub(crate) fn terminate(&self) {
        // The process may have ended already.
        let _ = kill_process(self.working_pid(), Signal::TERM);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let deadline = Instant::now() + KILL_TIMEOUT;
        while let Ok(None) = self.supervisor.try_wait() {
            if deadline <= Instant::now() {
                // The supervisor is stopped or blocked. Its group has the command, and maybe not all descendants.
                let _ = kill_process_group(Pid::from_child(&self.supervisor), Signal::KILL);
                let _ = self.supervisor.wait();
                return;
            }
            thread::park_timeout(CHECK_INTERVAL / 50);
        }
    }
}

/// Waits for a message of another thread.
pub(crate) fn wait_for<T>(receiver: &Receiver<T>, within: Duration, interrupt: &Interrupt) -> Result<T, WaitError> {
    // A time that no clock can reach is no limit.
    let deadline = Instant::now().checked_add(within);
    loop {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(CHECK_INTERVAL.min(left)) {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Disconnected) => return Err(WaitError::Ended),
            Err(RecvTimeoutError::Timeout) if interrupt.is_set() => return Err(WaitError::Interrupted),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(WaitError::TimedOut),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn store_last_line(pipe: impl Read, last: &Mutex<String>) {
    for_each_line(pipe, |line| {
        let text = line.trim_start();
        // The hint line of readyloop follows the error line, but the error says more.
        if !text.is_empty() && !text.starts_with("hint: ") {
            let text = text.chars().take(LAST_LINE_CHARS_MAX).collect();
            *last.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    });
}

/// Name of a signal that often ends a process, with the numbers of signal(7).
fn signal_name(signal: i32) -> &'static str {
    match signal {
        6 => " (SIGABRT)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_short_wait_ends_before_the_next_check_for_an_interrupt() {
        let (_sender, receiver) = mpsc::channel::<()>();
        let is_short = |_| {
            let started = Instant::now();
            let waited = wait_for(&receiver, Duration::from_millis(1), &Interrupt::default());
            assert_eq!(waited, Err(WaitError::TimedOut));
            started.elapsed() < CHECK_INTERVAL
        };
        // A busy machine may delay some of the waits.
        assert!((0..20).any(is_short));
    }
}
