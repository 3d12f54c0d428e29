//! `Worker`: one process of `serve --processes`, and its pipes.
//!
//! Its standard output is a pipe to the supervisor: the process is ready when it writes there, and it has ended when
//! the pipe ends. Its standard input is a pipe that ends with the supervisor, and then the process drains.

use std::env;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use readyloop::net::inherited::{PassedSocket, pass_sockets};
use rustix::process::{Pid, Signal, kill_process};

use crate::serve::threads::WorkerName;

use super::places::WorkerId;

/// The program and the arguments of each process.
#[derive(Debug)]
pub(super) struct WorkerCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// A process that serves, as its supervisor sees it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    /// Its administration endpoint.
    pub(super) admin: PathBuf,
    child: Child,
    /// The write end of its standard input.
    _lifeline: PipeWriter,
}

impl WorkerCommand {
    /// This program, at its path at this moment, with the same arguments.
    pub(super) fn of_this_program() -> io::Result<Self> {
        Ok(Self { program: env::current_exe()?, arguments: env::args_os().skip(1).collect() })
    }

    /// Starts a process with these sockets. Returns it with the pipe of its standard output.
    pub(super) fn start<'a>(
        &self,
        id: WorkerId,
        place: usize,
        folder: &Path,
        sockets: impl Iterator<Item = PassedSocket<'a>>,
    ) -> io::Result<(Worker, PipeReader)> {
        let admin = folder.join(id.to_string());
        let name = WorkerName { number: place + 1, admin: admin.clone() };
        let (input, lifeline) = io::pipe()?;
        let (output, its_output) = io::pipe()?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(format!("--worker={name}")).stdin(input).stdout(its_output);
        // Only the supervisor reports to systemd.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        pass_sockets(&mut command, sockets)?;
        let child = command.spawn()?;
        Ok((Worker { id, admin, child, _lifeline: lifeline }, output))
    }
}

impl Worker {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, unless the process has ended.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended. The number is its own until it is waited for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the end of a process after the end of its output, which comes a moment before.
    pub(super) fn wait(mut self) -> io::Result<ExitStatus> {
        // A process that has closed its output, and nothing else, is of no use.
        self.signal(Signal::TERM);
        self.child.wait()
    }
}
