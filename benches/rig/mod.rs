//! The rig: what the comparisons share, from the servers compared to the table printed.
//!
//! A comparison is a choice of servers and loads; it measures nothing by itself. The first server
//! is the baseline, with which the others are compared.

mod arguments;
mod cell;
mod churn;
mod compare;
pub(crate) mod contender;
mod entrant;
pub(crate) mod kernel;
pub(crate) mod pattern;
mod raw_epoll;
mod report;
mod server;
mod slow;
pub(crate) mod steady;
pub(crate) mod tally;

use std::process::ExitCode;

use arguments::Arguments;

pub(crate) use server::{Server, serve};

/// A comparison: what it compares unless it is told otherwise.
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    /// What its help says it is.
    pub(crate) about: &'static str,
    /// The baseline, then what is compared with it.
    pub(crate) servers: &'static [Server],
    /// The loads by their names, and those of a quick look.
    pub(crate) cells: &'static [&'static str],
    pub(crate) quick_cells: &'static [&'static str],
    /// Rounds of each load, and of each in a quick look.
    pub(crate) rounds: usize,
    pub(crate) quick_rounds: usize,
}

impl Comparison {
    /// Does what the command line asks for.
    pub(crate) fn main(&self) -> ExitCode {
        let outcome = serve().unwrap_or_else(|| compare::run(&Arguments::parse(self)));
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: error: {error:#}", self.name);
                ExitCode::FAILURE
            }
        }
    }
}
