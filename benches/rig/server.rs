//! The servers that can be compared: the name of each, its command, and how many peers it serves at once.

use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use super::cell::{Cell, Load};
use super::{raw_epoll, slow};

/// The flags with which this program runs as one of its own servers.
const RAW_EPOLL: &str = "--raw-epoll";
const SLOW: &str = "--slow";

/// The default threads of `readyloop serve --design pool`.
const POOL_WORKERS: usize = 64;

/// The highest ratio of a server with an administration endpoint to one without that meets the goal.
const ADMINISTRATION_GOAL: f64 = 1.01;

/// The highest ratio of a server that records to one that does not, without the bytes, that meets the goal.
const RECORDING_GOAL: f64 = 1.10;

/// The highest ratio of `--design threads` to a plain thread for each connection that meets the goal.
const THREADS_GOAL: f64 = 1.10;

/// A server of this repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// The loop on raw epoll: this program with another flag.
    RawEpoll,
    /// `readyloop serve`.
    Reactor,
    /// `readyloop serve --admin`, which no client reads.
    Admin,
    /// `readyloop serve --admin`, from which all metrics are read at the start and then once a second.
    Scraped,
    /// `readyloop serve --record`.
    Recording,
    /// `readyloop serve --record --record-bytes`.
    RecordingBytes,
    /// `readyloop serve --design iterative`.
    Iterative,
    /// `readyloop serve --design threads`.
    Threads,
    /// `readyloop serve --design pool`.
    Pool,
    /// One thread for each peer in plain `std`, with a buffer of 4 KiB: an example.
    StdThreads,
    /// An async server on one thread: an example.
    Tokio,
    /// A server with known delays, to compare generators: this program with another flag.
    Slow,
}

impl Server {
    pub(crate) const ALL: [Self; 12] = [
        Self::RawEpoll,
        Self::Reactor,
        Self::Admin,
        Self::Scraped,
        Self::Recording,
        Self::RecordingBytes,
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
            Self::Admin => "admin",
            Self::Scraped => "scraped",
            Self::Recording => "recording",
            Self::RecordingBytes => "recording-bytes",
            Self::Iterative => "iterative",
            Self::Threads => "threads",
            Self::Pool => "pool",
            Self::StdThreads => "std-threads",
            Self::Tokio => "tokio",
            Self::Slow => "slow",
        }
    }

    /// The command that runs it. The server prints `listening on tcp://HOST:PORT`.
    pub(crate) fn command(self) -> Result<Command> {
        match self {
            Self::RawEpoll => this_program(RAW_EPOLL),
            Self::Slow => this_program(SLOW),
            Self::Reactor | Self::Iterative | Self::Threads | Self::Pool => {
                // Cargo has built it with this benchmark.
                let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
                command.args(["serve", "-l", "tcp://127.0.0.1:0", "-q", "--design", self.name()]);
                Ok(command)
            }
            Self::Admin | Self::Scraped => {
                let mut command = Self::Reactor.command()?;
                command.arg("--admin").arg(format!("unix:{}", admin_path().display()));
                Ok(command)
            }
            Self::Recording => {
                let mut command = Self::Reactor.command()?;
                command.arg("--record").arg(recording_path());
                Ok(command)
            }
            Self::RecordingBytes => {
                let mut command = Self::Recording.command()?;
                command.arg("--record-bytes");
                Ok(command)
            }
            Self::StdThreads | Self::Tokio => self.example().map(example).context("the server is an example"),
        }
    }

    /// Builds it if needed: cargo builds no examples for a benchmark.
    pub(crate) fn build(self) -> Result<()> {
        let Some(example) = self.example() else { return Ok(()) };
        let status = cargo("build", example).status().context("cannot start cargo")?;
        ensure!(status.success(), "cargo cannot build the example {example}");
        Ok(())
    }

    /// The name of its example, if it is one.
    fn example(self) -> Option<&'static str> {
        match self {
            Self::StdThreads => Some("02_blocking"),
            Self::Tokio => Some("21_tokio_echo"),
            Self::RawEpoll
            | Self::Reactor
            | Self::Admin
            | Self::Scraped
            | Self::Recording
            | Self::RecordingBytes
            | Self::Iterative
            | Self::Threads
            | Self::Pool
            | Self::Slow => None,
        }
    }

    /// The socket from which the metrics are read once a second, if they are.
    pub(crate) fn scraped_at(self) -> Option<PathBuf> {
        (self == Self::Scraped).then(admin_path)
    }

    /// How many peers it serves at once; further peers wait until one of them closes.
    fn served_at_once(self) -> usize {
        match self {
            Self::Iterative => 1,
            Self::Pool => POOL_WORKERS,
            Self::RawEpoll
            | Self::Reactor
            | Self::Admin
            | Self::Scraped
            | Self::Recording
            | Self::RecordingBytes
            | Self::Threads
            | Self::StdThreads
            | Self::Tokio
            | Self::Slow => usize::MAX,
        }
    }

    /// Why it cannot serve this load, if it cannot.
    pub(crate) fn reason_left_out(self, cell: &Cell) -> Option<String> {
        if self == Self::Slow {
            return Some("it spins while echoes are due; it is for comparing generators".to_owned());
        }
        match cell.load {
            Load::Steady { connections, .. } if self.served_at_once() < connections => {
                Some(format!("it serves {} at once, the others would wait without end", self.served_at_once()))
            }
            // With churn a connection closes soon, and a waiting one is next.
            Load::Steady { .. } | Load::Churn { .. } => None,
        }
    }

    /// The highest ratio of CPU to `baseline` that meets the goal, if there is a goal.
    pub(crate) fn goal(self, baseline: Self, cell: &Cell) -> Option<f64> {
        match (self, baseline) {
            (Self::Reactor, Self::RawEpoll) => cell.goal,
            (Self::Admin | Self::Scraped, Self::Reactor) => Some(ADMINISTRATION_GOAL),
            (Self::Recording, Self::Reactor) => Some(RECORDING_GOAL),
            (Self::Threads, Self::StdThreads) => Some(THREADS_GOAL),
            (
                Self::RawEpoll
                | Self::Reactor
                | Self::Admin
                | Self::Scraped
                | Self::Recording
                | Self::RecordingBytes
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
            None => bail!("the servers are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }
}

/// Runs this program as one of its own servers, if the command line has the flag of one.
pub(crate) fn serve() -> Option<Result<()>> {
    match env::args().nth(1)?.as_str() {
        RAW_EPOLL => Some(raw_epoll::serve()),
        SLOW => Some(slow::serve()),
        _ => None,
    }
}

/// The socket of the administration endpoint. One server runs at a time, and each replaces the socket of the last.
fn admin_path() -> PathBuf {
    env::temp_dir().join(format!("readyloop-bench-{}.sock", std::process::id()))
}

fn recording_path() -> PathBuf {
    env::temp_dir().join(format!("readyloop-bench-{}.rec", std::process::id()))
}

/// Removes the files of a recording, if there was one.
pub(crate) fn remove_recording() {
    let path = recording_path();
    for path in [path.with_extension("rec.old"), path] {
        // It exists only after a server that records.
        let _ = fs::remove_file(path);
    }
}

fn this_program(flag: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(flag);
    Ok(command)
}

/// The command for an example. `cargo run` replaces its own process, so the process id stays.
fn example(name: &str) -> Command {
    let mut command = cargo("run", name);
    command.args(["--", "127.0.0.1:0"]);
    command
}

/// A cargo command for an example of this package.
fn cargo(verb: &str, example: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args([verb, "--locked", "--quiet", "--release", "--example", example]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // The cargo that runs this benchmark has set variables about this package. Build scripts depend on
    // them: with these set, this cargo and the next one would rebuild all dependents.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}
