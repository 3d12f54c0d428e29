//! `RunningServer`: a server in a process of its own, on a core of its own, with its CPU clock.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::arguments::Peer;
use super::kernel;
use super::scraper::Scraper;
use super::server::{Server, remove_recording};

/// The longest time until a server listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that has used no CPU for this long is idle.
const QUIET_TIME: Duration = Duration::from_millis(2);

/// A server that does not become idle in this time is measured as it is. With many blocking threads a read
/// of some thread always times out, and a long wait would add the cost of those wake-ups to the messages.
const QUIET_TIMEOUT: Duration = Duration::from_millis(250);

/// A server process; killed when dropped.
pub(crate) struct RunningServer {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    process: Child,
    scraper: Option<Scraper>,
}

impl RunningServer {
    /// Starts a server of this repository.
    pub(crate) fn own(server: Server, name: String, core: Option<usize>) -> Result<Self> {
        let mut running = Self::start(name, server.command()?, core)?;
        if let Some(path) = server.scraped_at() {
            // All listeners are bound before the first line is printed.
            running.scraper = Some(Scraper::start(path)?);
        }
        Ok(running)
    }

    /// Starts any other server.
    pub(crate) fn peer(peer: &Peer, core: Option<usize>) -> Result<Self> {
        let mut command = Command::new("sh");
        // Without `exec` the CPU clock would be that of the shell.
        command.arg("-c").arg(format!("exec {}", peer.command));
        Self::start(peer.name.clone(), command, core)
    }

    fn start(name: String, mut command: Command, core: Option<usize>) -> Result<Self> {
        kernel::tie(&mut command, core);
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = process.stdout.take().expect("standard output is a pipe");
        // The value exists before the address is known, so that it kills the process after any error.
        let mut server = Self { name, address: ([0, 0, 0, 0], 0).into(), process, scraper: None };
        server.address = read_address(stdout).with_context(|| format!("{} does not listen", server.name))?;
        Ok(server)
    }

    /// Waits until the server is idle, and returns the CPU that it has used.
    pub(crate) fn cpu_when_idle(&self) -> Result<Duration> {
        let deadline = Instant::now() + QUIET_TIMEOUT;
        let mut used = self.cpu_time()?;
        loop {
            thread::sleep(QUIET_TIME);
            let used_before = std::mem::replace(&mut used, self.cpu_time()?);
            if used == used_before || deadline < Instant::now() {
                return Ok(used);
            }
        }
    }

    fn cpu_time(&self) -> Result<Duration> {
        kernel::cpu_time(self.process.id()).with_context(|| format!("{} has no CPU clock", self.name))
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.scraper = None;
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        remove_recording();
    }
}

/// Waits for the line `listening on tcp://ADDRESS`, with or without `tcp://`.
fn read_address(stdout: ChildStdout) -> Result<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    // A thread, because reading a pipe has no timeout.
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // The receiver is gone after its timeout.
        let _ = sender.send(read.map(|_| line));
    });
    let line = receiver.recv_timeout(START_TIMEOUT).map_err(|_| anyhow!("no line within {START_TIMEOUT:?}"))??;
    match line.trim_end().strip_prefix("listening on ") {
        Some(address) => Ok(address.trim_start_matches("tcp://").parse()?),
        None => bail!("it printed {line:?} instead of `listening on tcp://ADDRESS`"),
    }
}
