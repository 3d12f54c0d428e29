//! Settings: all that can be asked of `compare`, as flags.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::contender::Contender;
use super::loads::ConnectionCounts;
use crate::cli_error::{CliError, io_message};
use crate::units::{above_zero, count, duration, size};

/// All that can be asked of `compare`.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// How many connections, in turn; 100+900: 900 more that are idle
    #[arg(short, long, value_name = "COUNT", value_delimiter = ',', default_value = "10,100,1000,10000")]
    pub(super) connections: Vec<ConnectionCounts>,

    /// The length of a request; may be several with commas between
    #[arg(short, long, value_name = "SIZE", value_delimiter = ',', default_value = "64B")]
    #[arg(value_parser = above_zero(size::<u64>))]
    pub(super) size: Vec<u64>,

    /// For how long each trial is measured
    #[arg(short, long, value_name = "DURATION", default_value = "3s", value_parser = above_zero(duration))]
    pub(super) duration: Duration,

    /// For how long each trial runs before any of it counts
    #[arg(short, long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(super) warm_up: Duration,

    /// How often all of it is done; from one round nothing is concluded
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = above_zero(count::<u64>))]
    pub(super) rounds: u64,

    /// Which designs of `serve`, with commas between; the first of all servers is what the others
    /// are compared with, if there is no reactor
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "reactor,threads,pool")]
    #[arg(value_parser = ["reactor", "iterative", "threads", "pool"])]
    pub(super) designs: Vec<String>,

    /// The threads of a pool; who finds them all busy waits [default: as `serve` has it]
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) workers: Option<usize>,

    /// Another echo server: its name and the command that starts it; may be repeated
    ///
    /// It is to print `listening on tcp://HOST:PORT`, or to listen on the free port of 127.0.0.1 that
    /// stands in its command for {port}.
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    pub(super) peers: Vec<Contender>,

    /// Do not count system calls, although perf or strace is there
    #[arg(long)]
    pub(super) no_calls: bool,

    #[command(flatten)]
    pub(super) output: Output,
}

/// Where it is written, beside the table on standard output.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Write every trial, for `readyloop report`
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Write one page that loads nothing else: charts, tables, and how it was measured
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Write tables as Markdown
    #[arg(long, value_name = "FILE")]
    pub(super) md: Option<PathBuf>,

    /// Write the figure that says most
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

impl Settings {
    /// All servers, each with a name of its own.
    pub(super) fn contenders(&self) -> Result<Vec<Contender>, CliError> {
        let designs = self.designs.iter().map(|design| Contender::design(design, self.workers));
        let contenders: Vec<Contender> = designs.chain(self.peers.iter().cloned()).collect();
        for (place, contender) in contenders.iter().enumerate() {
            if contenders[..place].iter().any(|other| other.name == contender.name) {
                let message = format!("there are two servers called `{}`", contender.name);
                return Err(CliError::usage(message, "type another name before the `=` of --peer"));
            }
        }
        Ok(contenders)
    }
}

impl Output {
    /// Refuses what could not be written when all is measured.
    pub(super) fn check(&self) -> Result<(), CliError> {
        [&self.json, &self.html, &self.md, &self.svg].into_iter().flatten().try_for_each(|path| {
            // What is there stays as it is until there is a report, and what is not is not left behind.
            let was_there = path.exists();
            let opened = OpenOptions::new().create(true).append(true).open(path);
            let tried = opened.and_then(|_| if was_there { Ok(()) } else { fs::remove_file(path) });
            tried.map_err(|error| cannot_write(path, &error))
        })
    }
}

/// A file for a result cannot be written.
pub(super) fn cannot_write(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failure(
        format!("cannot write {}: {}", path.display(), io_message(error)),
        "type a path in a directory that exists and that you may write to",
    )
}
