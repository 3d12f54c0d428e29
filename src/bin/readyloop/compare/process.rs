//! A child process: on its core, in a process group of its own, and gone when it is dropped.
//!
//! Ctrl-C at a terminal is for us alone: what the children are to do then is ours to say.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::cores;
use super::interrupt::Interrupt;

/// How often it is looked whether the user has had enough.
const LOOK: Duration = Duration::from_millis(50);

/// How much of a line is kept of what a child says last.
const LAST_WORDS_CHARS_MAX: usize = 200;

/// A running child.
pub(super) struct Process {
    child: Child,
    /// The last line on its standard error that had something in it.
    last_words: Arc<Mutex<String>>,
}

/// Why something that was waited for has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitError {
    /// It cannot come any more: the child has closed its output.
    Ended,
    /// Its time is over.
    TimedOut,
    /// The user has had enough.
    Interrupted,
}

impl Process {
    /// Starts it on a core; its standard output is for the caller to read.
    pub(super) fn spawn(command: &mut Command, core: Option<usize>) -> io::Result<(Self, ChildStdout)> {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            // What is set for a server of the user's is not for those that are compared.
            if name == "RUST_LOG" || name.to_string_lossy().starts_with("READYLOOP_") {
                command.env_remove(name);
            }
        }
        let mut child = cores::on(core, || command.spawn())?;
        let output = child.stdout.take().expect("it was piped");
        let errors = child.stderr.take().expect("it was piped");
        let last_words = Arc::default();
        let process = Self { child, last_words: Arc::clone(&last_words) };
        thread::Builder::new().spawn(move || keep_last_line(errors, &last_words))?;
        Ok((process, output))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process that works: a shell or a tracer that has started one child and waits for it is
    /// not meant.
    pub(super) fn working_pid(&self) -> u32 {
        let mut pid = self.pid();
        while let Some(only) = only_child(pid) {
            pid = only;
        }
        pid
    }

    /// What it said last, if it said anything.
    pub(super) fn last_words(&self) -> Option<String> {
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!words.is_empty()).then_some(words)
    }

    /// How it has ended, if it has.
    pub(super) fn ending(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let last_words = self.last_words().map_or_else(String::new, |words| format!(": {words}"));
        Some(format!("it ended with {}{last_words}", status_words(status)))
    }

    /// The same once it has had the time to.
    pub(super) fn ending_within(&mut self, timeout: Duration) -> Option<String> {
        let deadline = Instant::now() + timeout;
        loop {
            let ending = self.ending();
            if ending.is_some() || deadline <= Instant::now() {
                return ending;
            }
            thread::park_timeout(LOOK / 10);
        }
    }

    /// Asks the process that works to end.
    pub(super) fn terminate(&self) {
        let pid = i32::try_from(self.working_pid()).ok().and_then(Pid::from_raw);
        // It may have ended by itself.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            // Its number may already be another's.
            return;
        }
        let group = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.child.wait();
    }
}

/// Waits for what another thread sends.
pub(super) fn wait_for<T>(receiver: &Receiver<T>, within: Duration, interrupt: &Interrupt) -> Result<T, WaitError> {
    let deadline = Instant::now() + within;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(receiver) => return Ok(receiver),
            Err(RecvTimeoutError::Disconnected) => return Err(WaitError::Ended),
            Err(RecvTimeoutError::Timeout) if interrupt.has_come() => return Err(WaitError::Interrupted),
            Err(RecvTimeoutError::Timeout) if deadline <= Instant::now() => return Err(WaitError::TimedOut),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn keep_last_line(pipe: impl Read, last: &Mutex<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    // A line without end must not fill our memory.
    while let Ok(1..) = pipe.by_ref().take(64 * 1024).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        // The hint below an error is for whoever typed the command, and that was us.
        if !text.is_empty() && !text.starts_with("hint: ") {
            let words = text.chars().take(LAST_WORDS_CHARS_MAX).collect();
            *last.lock().unwrap_or_else(PoisonError::into_inner) = words;
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

fn status_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}{}", signal_name(signal)),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// The names of those that end servers, with their numbers from signal(7).
fn signal_name(signal: i32) -> &'static str {
    match signal {
        6 => " (SIGABRT)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
