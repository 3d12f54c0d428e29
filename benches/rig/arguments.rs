//! The command line of a comparison.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{CommandFactory, FromArgMatches, Parser};

use super::Comparison;
use super::cell::{CELLS, Cell};
use super::server::Server;

/// A quick run divides the messages of each round by this.
const QUICK_DIVISOR: usize = 4;

/// The arguments that all comparisons have.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// A quick run: fewer rounds, fewer messages in each
    #[arg(long)]
    quick: bool,
    /// Number of rounds of each cell
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure this cell only; can be repeated
    #[arg(long = "cell", value_name = "NAME", value_parser = cell_named)]
    cells: Vec<Cell>,
    /// Measure this server only; can be repeated; the first is the baseline
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<Server>,
    /// Compare the baseline with itself: the noise of the measurement
    #[arg(long)]
    noise: bool,
    /// Also measure this server; its command prints `listening on tcp://HOST:PORT`; can be repeated
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    pub(crate) peers: Vec<Peer>,
    /// Let the generator sleep while nothing is ready; each server then pays for waking it
    #[arg(long)]
    pub(crate) sleepy: bool,
    /// Passed by `cargo bench`; without it, as in `cargo test --all-targets`, the run is a quick one
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Parses the command line and fills in the defaults of the comparison. A wrong argument ends the process.
    pub(crate) fn parse(comparison: &Comparison) -> Arguments {
        let matches = Arguments::command().name(comparison.name).about(comparison.about).get_matches();
        let mut arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if arguments.servers.is_empty() {
            arguments.servers = comparison.servers.to_vec();
        }
        if arguments.cells.is_empty() {
            let names = if arguments.is_quick() { comparison.quick_cells } else { comparison.cells };
            let named = |name: &&str| CELLS.into_iter().find(|cell| cell.name == *name);
            arguments.cells = names.iter().filter_map(named).collect();
        }
        let rounds = if arguments.is_quick() { comparison.quick_rounds } else { comparison.rounds };
        arguments.rounds.get_or_insert(rounds);
        arguments
    }

    /// The selected cells; a quick run has fewer messages in each.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = self.cells.clone();
        if self.is_quick() {
            for cell in &mut cells {
                cell.messages /= QUICK_DIVISOR;
            }
        }
        cells
    }

    /// The selected servers and their names in the table, the baseline first.
    pub(crate) fn servers(&self) -> Vec<(Server, String)> {
        let baseline = self.servers[0];
        if self.noise {
            return vec![(baseline, baseline.name().to_owned()), (baseline, format!("{} again", baseline.name()))];
        }
        self.servers.iter().map(|server| (*server, server.name().to_owned())).collect()
    }

    /// Whether this is a quick run, by choice or because `cargo bench` did not start it.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick || !self.bench
    }

    /// The number of rounds of each cell.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(1).max(1)
    }
}

/// Another server, as a name and a shell command.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) command: String,
}

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Peer> {
        match text.split_once('=') {
            Some((name, command)) if !name.is_empty() && !command.is_empty() => {
                Ok(Peer { name: name.to_owned(), command: command.to_owned() })
            }
            _ => bail!("write NAME=COMMAND"),
        }
    }
}

fn cell_named(name: &str) -> Result<Cell> {
    match CELLS.iter().find(|cell| cell.name == name) {
        Some(cell) => Ok(cell.clone()),
        None => bail!("the cells are {}", CELLS.map(|cell| cell.name).join(", ")),
    }
}
