//! The flags of `serve` for its design, its threads and its processes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use crate::cli_error::CliError;
use crate::units::{ParseError, above_zero, count, duration, switch, within};

/// Most processes. A machine has fewer cores.
const PROCESSES_MAX: usize = 1024;

/// The largest pool. More threads than this are beyond the default limits of a system.
const WORKERS_MAX: usize = 32_768;

/// The design and its threads.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Design")]
pub(super) struct Threads {
    /// Which threads serve the peers
    ///
    /// Every design runs the same service with the same limits, for comparison.
    #[arg(long, value_name = "NAME", default_value = "reactor")]
    pub(super) design: Design,

    /// Threads in the pool [default: 64, for a pool]
    ///
    /// Each thread serves one peer until its connection closes; more peers wait. Needs --design pool.
    #[arg(long, value_name = "COUNT", value_parser = within(count::<usize>, 1..=WORKERS_MAX))]
    pub(super) workers: Option<usize>,

    /// Processes on the same addresses, each with one thread, under a supervisor
    ///
    /// The kernel spreads connections over them. A process that crashes is started again. Limits are those of each
    /// process. --admin shows all of them. SIGUSR2 replaces them one after another.
    #[arg(long, value_name = "COUNT", value_parser = within(count::<usize>, 1..=PROCESSES_MAX), default_value = "1")]
    pub(super) processes: usize,

    /// How long the successor may take to start after SIGUSR2, and a process of --processes
    ///
    /// A successor that is not ready by then is ended, and the running process goes on.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration), default_value = "30s")]
    pub(super) ready_timeout: Duration,

    /// This process succeeds another one; set by SIGUSR2
    #[arg(long, hide = true, value_parser = switch, num_args = 0..=1, action = ArgAction::Set)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false")]
    pub(super) successor: bool,

    /// The number of this process, and the path of its administration endpoint; set by --processes
    #[arg(long, hide = true, value_name = "NUMBER:PATH")]
    pub(super) worker: Option<WorkerName>,
}

impl Threads {
    /// Checks the flags against each other.
    pub(super) fn check(&self) -> Result<(), CliError> {
        if self.workers.is_some() && self.design != Design::Pool {
            return Err(CliError::usage("--workers needs --design pool", "add --design pool"));
        }
        if self.processes > 1 && self.design != Design::Reactor {
            return Err(CliError::usage("--processes needs --design reactor", "remove --processes or --design"));
        }
        Ok(())
    }
}

/// The name of one process of `--processes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerName {
    /// The number of the process, from 1.
    pub(super) number: usize,
    /// The path of the Unix socket of its administration endpoint.
    pub(super) admin: PathBuf,
}

impl FromStr for WorkerName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = text.split_once(':').and_then(|(number, path)| Some((number.parse().ok()?, path)));
        let (number, path) = parts.ok_or_else(|| ParseError::new("it is not NUMBER:PATH", "use --processes"))?;
        Ok(Self { number, admin: path.into() })
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.admin.display())
    }
}

/// The names of the designs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Design {
    /// One thread for all peers, with non-blocking I/O
    Reactor,
    /// One thread, one peer at a time
    Iterative,
    /// One thread for each peer
    Threads,
    /// A fixed number of threads: --workers
    Pool,
}
