//! The hidden subcommand `supervise`: runs a command of `compare` or `conform`, and ends all its descendants.
//!
//! The parent holds the other end of the pipe that is standard input here. When the parent ends in any way, also
//! by SIGKILL, the pipe ends, and no process of the command stays behind. It starts no process by itself.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use rlimit::Resource;
use rustix::process::{Pid, Signal, WaitOptions, getpgrp, getpid, kill_current_process_group, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli_error::CliError;

/// The name of this subcommand.
pub(crate) const NAME: &str = "supervise";

/// How long the processes of a command may take to disappear after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// An exit status above this is the number of the signal that ended the command, as in a shell.
pub(crate) const SIGNAL_STATUS: i32 = 128;

/// The arguments of `supervise`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Cores of the command
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,

    /// Limit on the descriptors of the command
    #[arg(long)]
    descriptors: Option<u64>,

    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Why the command has to end, or how it ended.
enum Event {
    Ended(io::Result<ExitStatus>),
    /// The parent has ended, or this process received a signal.
    Stopped,
}

/// Runs the command until it ends or the parent ends, and exits with its status.
///
/// # Errors
/// The command cannot be started.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    adopt_orphans();
    pin(&settings.cores);
    if let Some(count) = settings.descriptors {
        let limited = Resource::NOFILE.set(count, count);
        limited.map_err(|error| CliError::system("cannot limit its descriptors", &error, "allow more descriptors"))?;
    }
    let mut command = Command::new(&settings.command[0]);
    command.args(&settings.command[1..]).stdin(Stdio::null());
    let failed = |what, error: &io::Error| CliError::system(what, error, "type a command that runs in a shell");
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| failed("cannot handle signals", &error))?;
    let mut child = command.spawn().map_err(|error| failed("it cannot be started", &error))?;
    let (sender, receiver) = mpsc::channel();
    let (ended, signaled) = (sender.clone(), sender.clone());
    // The receiver may be gone, because the first event ends the process.
    thread::spawn(move || ended.send(Event::Ended(child.wait())));
    thread::spawn(move || signals.forever().next().map(|_| signaled.send(Event::Stopped)));
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        sender.send(Event::Stopped)
    });
    let event = receiver.recv();
    kill_descendants();
    let Ok(Event::Ended(Ok(status))) = event else {
        kill_own_group();
        std::process::exit(SIGNAL_STATUS + SIGTERM);
    };
    // The status of a shell for the same end.
    std::process::exit(status.code().unwrap_or_else(|| SIGNAL_STATUS + status.signal().unwrap_or_default()))
}

/// Makes this process the parent of orphaned descendants, so that none escapes.
fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    {
        // On failure, a descendant in the background may stay behind.
        let _ = rustix::process::set_child_subreaper(Some(getpid()));
    }
}

/// Pins this process and its future children to these cores. If none is available, they run on any core.
#[cfg(target_os = "linux")]
fn pin(cores: &[usize]) {
    let mut set = rustix::thread::CpuSet::new();
    cores.iter().filter(|core| **core < rustix::thread::CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    if set.count() > 0 {
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}

/// Other systems cannot pin a process to a core.
#[cfg(not(target_os = "linux"))]
fn pin(_cores: &[usize]) {}

/// Kills all descendants, again and again until there are none, because they may start others meanwhile.
fn kill_descendants() {
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        let all = descendants(getpid());
        if all.is_empty() || deadline <= Instant::now() {
            return;
        }
        for pid in all {
            // It may have ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Kills the process group, and this process with it, if the parent made a group for it. This ends the command
/// where `/proc` does not list its processes.
fn kill_own_group() {
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
}

/// The children of a process, their children and so on, as far as `/proc` has them.
pub(crate) fn descendants(ancestor: Pid) -> Vec<Pid> {
    let mut all = children(ancestor);
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        all.extend(children(pid));
        next += 1;
    }
    all
}

/// The child processes of a process, as far as `/proc` has them.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists: String = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    lists.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}
