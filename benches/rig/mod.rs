//! The parts that all comparisons share: the servers, the loads, the measurement and the table.
//!
//! A comparison is a choice of servers and loads. Its first server is the baseline, with which the
//! others are compared.

mod arguments;
mod cell;
mod churn;
mod compare;
pub(crate) mod kernel;
pub(crate) mod measurements;
mod participant;
pub(crate) mod pattern;
mod raw_epoll;
pub(crate) mod report;
pub(crate) mod running_server;
mod scraper;
mod server;
mod slow;
pub(crate) mod steady;

use std::process::ExitCode;

use arguments::Arguments;

pub(crate) use server::{Server, serve};

/// A comparison with its defaults, which the command line can change.
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    /// The description in its help.
    pub(crate) about: &'static str,
    /// The baseline, then the servers that are compared with it.
    pub(crate) servers: &'static [Server],
    /// The names of the loads.
    pub(crate) cells: &'static [&'static str],
    /// The names of the loads of a quick run.
    pub(crate) quick_cells: &'static [&'static str],
    /// Rounds of each load.
    pub(crate) rounds: usize,
    /// Rounds of each load in a quick run.
    pub(crate) quick_rounds: usize,
}

impl Comparison {
    /// Runs the program: the comparison, or one of its own servers.
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
