//! The servers that can be compared, by name: how each is started and how many peers it serves at once.

use std::env;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use super::cell::{Cell, Load};
use super::{raw_epoll, slow};

/// The flags under which this program is one of its own servers.
const RAW_EPOLL: &str = "--raw-epoll";
const SLOW: &str = "--slow";

/// How many threads `readyloop serve --design pool` has when nobody says.
const POOL_WORKERS: usize = 64;

/// The most that the threads' design may cost of a plain thread for each connection.
const THREADS_GOAL: f64 = 1.05;

/// A server of this repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// The loop on raw epoll, which is the comparison's own program under another flag.
    RawEpoll,
    /// `readyloop serve`, as it is.
    Reactor,
    /// `readyloop serve --design iterative`.
    Iterative,
    /// `readyloop serve --design threads`.
    Threads,
    /// `readyloop serve --design pool`.
    Pool,
    /// A thread for each peer in plain `std`, with a buffer of 4 KiB: an example.
    StdThreads,
    /// The async design, one thread: an example.
    Tokio,
    /// One that takes its time: for generators, which are to agree on it.
    Slow,
}

impl Server {
    pub(crate) const ALL: [Self; 8] = [
        Self::RawEpoll,
        Self::Reactor,
        Self::Iterative,
        Self::Threads,
        Self::Pool,
        Self::StdThreads,
        Self::Tokio,
        Self::Slow,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RawEpoll => "raw-epoll",
            Self::Reactor => "reactor",
            Self::Iterative => "iterative",
            Self::Threads => "threads",
            Self::Pool => "pool",
            Self::StdThreads => "std-threads",
            Self::Tokio => "tokio",
            Self::Slow => "slow",
        }
    }

    /// The command that runs it; it prints `listening on tcp://HOST:PORT`.
    pub(crate) fn command(self) -> Result<Command> {
        match self {
            Self::RawEpoll => this_program(RAW_EPOLL),
            Self::Slow => this_program(SLOW),
            Self::Reactor | Self::Iterative | Self::Threads | Self::Pool => {
                // As built by cargo beside this benchmark.
                let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
                command.args(["serve", "-l", "tcp://127.0.0.1:0", "-q", "--design", self.name()]);
                Ok(command)
            }
            Self::StdThreads | Self::Tokio => self.example().map(example).context("it is an example"),
        }
    }

    /// Builds it, unless that is done: cargo builds no example for a benchmark.
    pub(crate) fn build(self) -> Result<()> {
        let Some(example) = self.example() else { return Ok(()) };
        let status = cargo("build", example).status().context("cannot start cargo")?;
        ensure!(status.success(), "cargo does not build the example {example}");
        Ok(())
    }

    /// The example that it is, if it is one.
    fn example(self) -> Option<&'static str> {
        match self {
            Self::StdThreads => Some("02_blocking"),
            Self::Tokio => Some("21_tokio_echo"),
            Self::RawEpoll | Self::Reactor | Self::Iterative | Self::Threads | Self::Pool | Self::Slow => None,
        }
    }

    /// How many peers it serves at once; the others wait until one of these has gone.
    fn served_at_once(self) -> usize {
        match self {
            Self::Iterative => 1,
            Self::Pool => POOL_WORKERS,
            Self::RawEpoll | Self::Reactor | Self::Threads | Self::StdThreads | Self::Tokio | Self::Slow => usize::MAX,
        }
    }

    /// Why it cannot do this load, if it cannot.
    pub(crate) fn objection(self, cell: &Cell) -> Option<String> {
        if self == Self::Slow {
            return Some("what it costs is its waiting; it is there for generators".to_owned());
        }
        match cell.load {
            Load::Steady { connections, .. } if self.served_at_once() < connections => {
                Some(format!("it serves {} at once, the others would wait for ever", self.served_at_once()))
            }
            // Who comes goes again, and whoever waited is next.
            Load::Steady { .. } | Load::Churn { .. } => None,
        }
    }

    /// The ratio of CPU to `baseline` that is wished for at most, if any is.
    pub(crate) fn goal(self, baseline: Self, cell: &Cell) -> Option<f64> {
        match (self, baseline) {
            (Self::Reactor, Self::RawEpoll) => cell.goal,
            (Self::Threads, Self::StdThreads) => Some(THREADS_GOAL),
            (
                Self::RawEpoll
                | Self::Reactor
                | Self::Iterative
                | Self::Threads
                | Self::Pool
                | Self::StdThreads
                | Self::Tokio
                | Self::Slow,
                _,
            ) => None,
        }
    }
}

impl FromStr for Server {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|server| server.name() == name) {
            Some(server) => Ok(server),
            None => bail!("there are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }
}

/// The servers that are the comparison's own program under another flag: serves as what the command
/// line says, if it says one.
pub(crate) fn serve() -> Option<Result<()>> {
    match env::args().nth(1)?.as_str() {
        RAW_EPOLL => Some(raw_epoll::serve()),
        SLOW => Some(slow::serve()),
        _ => None,
    }
}

fn this_program(flag: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(flag);
    Ok(command)
}

/// The command for an example: cargo's, which knows where it is and becomes it, with the same
/// process number.
fn example(name: &str) -> Command {
    let mut command = cargo("run", name);
    command.args(["--", "127.0.0.1:0"]);
    command
}

/// What cargo does with an example in this build's directory.
fn cargo(verb: &str, example: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args([verb, "--locked", "--quiet", "--release", "--example", example]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // What the cargo that runs us has told us of this package. Build scripts look at it, and would
    // be run again, with all that depends on them, here and by the next cargo.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}
