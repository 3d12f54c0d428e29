//! The server under test, if this program has started it: its processes, their CPU time, memory and descriptors.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, iter};

use rustix::process::{Pid, Signal, kill_process};

use super::listener;
use super::verdict::{Checked, Stop};
use super::wait::Wait;
use crate::child::{Interrupt, RunningServer, ServerCommand, StartError, StartOptions};
use crate::supervise;

/// A started server. It is killed on drop.
pub(super) struct StartedServer {
    running: RunningServer,
    pub(super) address: SocketAddr,
    /// The process that listens: a command may have others, such as a shell.
    root: Pid,
}

impl StartedServer {
    /// Starts the command and waits until the server listens.
    ///
    /// # Errors
    /// The command cannot be started, or the server does not listen at an IP address.
    pub(super) fn start(
        command: &ServerCommand,
        options: StartOptions<'_>,
        interrupt: &Interrupt,
    ) -> Result<Self, StartError> {
        let running = command.start(options, interrupt)?;
        let address = reachable(&running.address)?;
        let supervisor = running.process.supervisor_pid();
        let processes = supervise::descendants(supervisor);
        let listening = listener::find_process(address.port(), processes.iter().copied());
        let root = listening.or_else(|| processes.first().copied()).unwrap_or(supervisor);
        Ok(Self { running, address, root })
    }

    /// The end of the server as a clause, if it ends within `timeout`.
    pub(super) fn end(&mut self, timeout: Duration) -> Option<String> {
        self.running.process.wait_for_end(timeout).map(|end| format!("the server ended with {end}"))
    }

    /// Waits until the server has ended, and returns its exit status.
    pub(super) fn wait_for_end(&mut self, wait: &Wait<'_>) -> Checked<i32> {
        let late = || format!("the server has not ended within {}", wait.timeout());
        wait.until(late, || Ok(self.running.process.exit_status()))
    }

    /// Sends a signal to the server alone.
    pub(super) fn signal(&self, signal: Signal) {
        // The process may have ended already.
        let _ = kill_process(self.root, signal);
    }

    /// Sends a signal to the server and to all its descendants.
    pub(super) fn signal_all(&self, signal: Signal) {
        for pid in self.tree() {
            // The process may have ended already.
            let _ = kill_process(pid, signal);
        }
    }

    /// The server and all its descendants.
    fn tree(&self) -> impl Iterator<Item = Pid> {
        iter::once(self.root).chain(supervise::descendants(self.root))
    }

    /// User and system CPU time of all its processes.
    pub(super) fn cpu(&self) -> Checked<Duration> {
        self.sum("CPU time", |pid| u64::try_from(cpu_of(pid)?.as_nanos()).ok()).map(Duration::from_nanos)
    }

    /// How long each of its threads has run or waited for a core, by the path of the thread. Empty if the system
    /// does not show it (sched-stats.rst).
    pub(super) fn runnable(&self) -> BTreeMap<PathBuf, Duration> {
        let folders = self.tree().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        let threads = folders.flatten().filter_map(|entry| {
            let thread = entry.ok()?.path();
            let stat = fs::read_to_string(thread.join("schedstat")).ok()?;
            let times = stat.split_whitespace().take(2).filter_map(|nanos| nanos.parse::<u64>().ok());
            Some((thread, Duration::from_nanos(times.fold(0, u64::saturating_add))))
        });
        threads.collect()
    }

    /// Memory in use of all its processes in bytes, without mapped files.
    pub(super) fn memory(&self) -> Checked<u64> {
        self.sum("memory", |pid| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
        })
    }

    /// Open descriptors of all its processes.
    pub(super) fn descriptors(&self) -> Checked<u64> {
        self.sum("descriptors", |pid| Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64))
    }

    /// Whether the server has ended, on a system that shows processes.
    fn is_gone(&self) -> bool {
        let is_shown = |process: &str| Path::new("/proc").join(process).exists();
        is_shown("self") && !is_shown(&self.root.to_string())
    }

    /// The sum of a value over all its processes. A child that ends meanwhile counts as zero.
    fn sum(&self, name: &str, value: impl Fn(Pid) -> Option<u64>) -> Checked<u64> {
        let values: Vec<Option<u64>> = self.tree().map(value).collect();
        match values.first() {
            Some(Some(_)) => Ok(values.into_iter().flatten().fold(0, u64::saturating_add)),
            Some(None) | None if self.is_gone() => Err(Stop::Failed("the server has ended".to_owned())),
            Some(None) | None => Err(Stop::Skipped(format!("this system does not show the {name} of the server"))),
        }
    }
}

/// The address to which clients connect, from the one that the server printed.
fn reachable(text: &str) -> Result<SocketAddr, StartError> {
    let address: Result<SocketAddr, _> = text.parse();
    let mut address =
        address.map_err(|_| StartError::Server(format!("it listens on `{text}`, which is not an IP address")))?;
    if address.ip().is_unspecified() {
        // A server for all addresses of this machine.
        let is_ipv4 = address.is_ipv4();
        address.set_ip(if is_ipv4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    // A socket can be bound only to an address of this machine.
    let mut any_port = address;
    any_port.set_port(0);
    match UdpSocket::bind(any_port) {
        Ok(_) => Ok(address),
        Err(_) => Err(StartError::Server(format!("it listens on {text}, which is not an address of this machine"))),
    }
}

/// User and system CPU time of a process.
#[cfg(not(target_vendor = "apple"))]
fn cpu_of(pid: Pid) -> Option<Duration> {
    let pid = nix::unistd::Pid::from_raw(pid.as_raw_nonzero().get());
    Some(Duration::from(nix::time::clock_getcpuclockid(pid).ok()?.now().ok()?))
}

/// Apple systems have no clock of another process.
#[cfg(target_vendor = "apple")]
fn cpu_of(_pid: Pid) -> Option<Duration> {
    None
}
