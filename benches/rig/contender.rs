//! A contender: one server in a process of its own, on a core of its own, with its CPU clock.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::arguments::Peer;
use super::kernel;
use super::server::Server;

/// A server that takes longer than this to listen will not.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server whose clock stood still for this long has done what it had to do.
const QUIET_TIME: Duration = Duration::from_millis(2);

/// When a server never comes to rest, measuring goes on all the same.
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);

/// A running server; killed when dropped.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Contender {
    /// A server of this repository.
    pub(crate) fn own(server: Server, name: String, core: Option<usize>) -> Result<Contender> {
        Contender::start(name, server.command()?, core)
    }

    /// Any other server.
    pub(crate) fn peer(peer: &Peer, core: Option<usize>) -> Result<Contender> {
        let mut command = Command::new("sh");
        // Without `exec` the clock would be the shell's.
        command.arg("-c").arg(format!("exec {}", peer.command));
        Contender::start(peer.name.clone(), command, core)
    }

    fn start(name: String, mut command: Command, core: Option<usize>) -> Result<Contender> {
        kernel::tie(&mut command, core);
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = process.stdout.take().expect("standard output was piped");
        // A contender before its address is known, so that any error below kills it.
        let mut contender = Contender { name, address: ([0, 0, 0, 0], 0).into(), process };
        let told = address_printed_on(stdout);
        contender.address = told.with_context(|| format!("{} does not listen", contender.name))?;
        Ok(contender)
    }

    /// The CPU it has spent, once it rests.
    pub(crate) fn cpu_at_rest(&self) -> Result<Duration> {
        let give_up = Instant::now() + QUIET_TIMEOUT;
        let mut spent = self.cpu_time()?;
        loop {
            thread::sleep(QUIET_TIME);
            let now_spent = self.cpu_time()?;
            if now_spent == spent || give_up < Instant::now() {
                return Ok(now_spent);
            }
            spent = now_spent;
        }
    }

    fn cpu_time(&self) -> Result<Duration> {
        kernel::cpu_time(self.process.id()).with_context(|| format!("{} has no CPU clock", self.name))
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It may have ended already, and there is nobody left to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for the line `listening on tcp://ADDRESS`, or without `tcp://`.
fn address_printed_on(stdout: ChildStdout) -> Result<SocketAddr> {
    let (tell, told) = mpsc::channel();
    // A thread, because reading a pipe has no deadline.
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // The other end is gone when it has waited too long.
        let _ = tell.send(read.map(|_| line));
    });
    let line = told.recv_timeout(START_TIMEOUT).map_err(|_| anyhow!("no line within {START_TIMEOUT:?}"))??;
    match line.trim_end().strip_prefix("listening on ") {
        Some(address) => Ok(address.trim_start_matches("tcp://").parse()?),
        None => bail!("it printed {line:?} instead of `listening on tcp://ADDRESS`"),
    }
}
