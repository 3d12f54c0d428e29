//! The arguments of a comparison. What they select is built elsewhere.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{CommandFactory, FromArgMatches, Parser};

use super::Comparison;
use super::cell::{CELLS, Cell};
use super::server::Server;

/// How much less each round does in a quick look.
const QUICK_PART: usize = 4;

/// What every comparison can be told.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// A look: fewer rounds, fewer messages in each
    #[arg(long)]
    quick: bool,
    /// Rounds of each cell
    #[arg(long)]
    rounds: Option<usize>,
    /// Only this cell; may be repeated
    #[arg(long = "cell", value_name = "NAME", value_parser = cell_named)]
    cells: Vec<Cell>,
    /// Only this server; may be repeated; the first is the baseline
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<Server>,
    /// Compare the baseline with a second copy of itself: the noise floor
    #[arg(long)]
    noise: bool,
    /// Another server to measure; its command prints `listening on tcp://HOST:PORT`; may be repeated
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    pub(crate) peers: Vec<Peer>,
    /// Let the generator sleep when nothing is ready; each server then pays for waking it
    #[arg(long)]
    pub(crate) sleepy: bool,
    /// What `cargo bench` passes; without it, as in `cargo test --all-targets`, a look is all there is
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Those of the command line, completed by what the comparison is otherwise; a wrong one ends the process.
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

    /// The selected cells, cut down for a quick look.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = self.cells.clone();
        if self.is_quick() {
            for cell in &mut cells {
                cell.messages /= QUICK_PART;
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

    fn is_quick(&self) -> bool {
        self.quick || !self.bench
    }

    /// How often each server does each cell.
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
        None => bail!("there are {}", CELLS.map(|cell| cell.name).join(", ")),
    }
}
