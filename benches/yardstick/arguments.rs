//! The arguments of the yardstick. What they select is built elsewhere.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::Parser;

use crate::cell::{CELLS, Cell};

/// Many short rounds beat few long ones: the median is then of many pairs, and it stands when others
/// keep a core busy for a third of the run. Odd, so that it is one of them.
const ROUNDS: usize = 21;
const QUICK_ROUNDS: usize = 5;
/// How much less each round does in a quick look.
const QUICK_PART: usize = 4;

/// CPU per message of `readyloop serve`, as a ratio to a hand-written loop on raw epoll.
#[derive(Parser)]
#[command(name = "yardstick")]
pub(crate) struct Arguments {
    /// A look of some ten seconds: fewer rounds, fewer messages in each
    #[arg(long)]
    quick: bool,
    /// Rounds of each cell
    #[arg(long)]
    rounds: Option<usize>,
    /// Only this cell; may be repeated
    #[arg(long = "cell", value_name = "NAME", value_parser = cell_named)]
    cells: Vec<Cell>,
    /// Measure a second copy of the raw loop instead of readyloop: the noise floor
    #[arg(long)]
    pub(crate) noise: bool,
    /// Another server to measure; its command prints `listening on tcp://HOST:PORT`; may be repeated
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    pub(crate) peers: Vec<Peer>,
    /// Let the generator sleep when nothing is ready; each server then pays for waking it
    #[arg(long)]
    pub(crate) sleepy: bool,
    /// Be the baseline server
    #[arg(long, hide = true)]
    pub(crate) raw_epoll: bool,
    /// What `cargo bench` passes; without it, as in `cargo test --all-targets`, a look is all there is
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// The selected cells, cut down for a quick look.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = if self.cells.is_empty() { CELLS.to_vec() } else { self.cells.clone() };
        if self.is_quick() {
            for cell in &mut cells {
                cell.messages /= QUICK_PART;
            }
        }
        cells
    }

    fn is_quick(&self) -> bool {
        self.quick || !self.bench
    }

    /// How many pairs each cell measures.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.is_quick() { QUICK_ROUNDS } else { ROUNDS }).max(1)
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
