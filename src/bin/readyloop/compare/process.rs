//! A child process: runs on one core, in a process group of its own, and is killed on drop.
//!
//! Because of the process group, Ctrl-C on a terminal signals only this program and not the children.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::cores;
use super::interrupt::Interrupt;

/// Time between two checks for an interrupt.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum length of the stored last error line.
const LAST_LINE_CHARS_MAX: usize = 200;

/// A running child.
pub(super) struct Process {
    child: Child,
    /// The last line with text on its standard error.
    last_error_line: Arc<Mutex<String>>,
    error_reader: JoinHandle<()>,
}

/// Why a wait failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitError {
    /// The child closed its output.
    Ended,
    /// The timeout passed.
    TimedOut,
    /// The user interrupted the program.
    Interrupted,
}

impl Process {
    /// Starts a process on `core`. The caller must read the returned standard output.
    pub(super) fn spawn(command: &mut Command, core: Option<usize>) -> io::Result<(Self, ChildStdout)> {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            // Settings for other servers of the user must not change the compared ones.
            if name == "RUST_LOG" || name.to_string_lossy().starts_with("READYLOOP_") {
                command.env_remove(name);
            }
        }
        let mut child = cores::on(core, || command.spawn())?;
        let output = child.stdout.take().expect("the output is piped");
        let errors = child.stderr.take().expect("the output is piped");
        let last_error_line = Arc::default();
        let last = Arc::clone(&last_error_line);
        let error_reader = thread::Builder::new().spawn(move || store_last_line(errors, &last))?;
        Ok((Self { child, last_error_line, error_reader }, output))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Process id of the server itself. A shell or a tracer has one child, which is the server.
    pub(super) fn working_pid(&self) -> u32 {
        let mut pid = self.pid();
        while let Some(only) = only_child(pid) {
            pid = only;
        }
        pid
    }

    /// The last line on standard error, if there is one.
    pub(super) fn last_error_line(&self) -> Option<String> {
        let line = self.last_error_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!line.is_empty()).then_some(line)
    }

    /// Exit status and last error line, if the process has ended.
    pub(super) fn end(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let last_line = self.last_error_line().map_or_else(String::new, |line| format!(": {line}"));
        Some(format!("{}{last_line}", status_text(status)))
    }

    /// Waits for the end and for the last error line, at most for `timeout`.
    pub(super) fn wait_for_end(&mut self, timeout: Duration) -> Option<String> {
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
    pub(super) fn terminate(&self) {
        let pid = i32::try_from(self.working_pid()).ok().and_then(Pid::from_raw);
        // The process may have ended already.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            // Another process may have this id by now.
            return;
        }
        let group = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.child.wait();
    }
}

/// Waits for a message of another thread.
pub(super) fn wait_for<T>(receiver: &Receiver<T>, within: Duration, interrupt: &Interrupt) -> Result<T, WaitError> {
    let deadline = Instant::now() + within;
    loop {
        match receiver.recv_timeout(CHECK_INTERVAL) {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Disconnected) => return Err(WaitError::Ended),
            Err(RecvTimeoutError::Timeout) if interrupt.is_set() => return Err(WaitError::Interrupted),
            Err(RecvTimeoutError::Timeout) if deadline <= Instant::now() => return Err(WaitError::TimedOut),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn store_last_line(pipe: impl Read, last: &Mutex<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    // The limit bounds the memory for a very long line.
    while let Ok(1..) = pipe.by_ref().take(64 * 1024).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        // The hint line of readyloop follows the error line, but the error says more.
        if !text.is_empty() && !text.starts_with("hint: ") {
            let line = text.chars().take(LAST_LINE_CHARS_MAX).collect();
            *last.lock().unwrap_or_else(PoisonError::into_inner) = line;
        }
        line.clear();
    }
}

fn only_child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let mut children = children.split_whitespace();
    let first = children.next()?.parse().ok()?;
    children.next().is_none().then_some(first)
}

fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}{}", signal_name(signal)),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// Name of a common signal, with the numbers of signal(7).
fn signal_name(signal: i32) -> &'static str {
    match signal {
        6 => " (SIGABRT)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
