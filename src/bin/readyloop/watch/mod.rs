//! The outputs of a run that was observed: its story, a page and a trace.
//!
//! `sim` and `replay` make the runs. This module writes what [`RunLog`] holds, and knows nothing about its origin.

mod data;
mod page;
#[cfg(test)]
mod tests;
mod trace_file;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use readyloop::run_log::RunLog;

use crate::cli_error::CliError;
use crate::output_file;
use crate::standard_output::print;
use crate::stream;

/// The flags for the outputs of a run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Outputs {
    /// Write a page that plays the run step by step, for a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write a trace of the run, for https://ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Print only what concerns the peer with this number
    #[arg(long, value_name = "N", requires = "story")]
    peer: Option<usize>,
}

/// Whether the story of a run is among its outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Story {
    Printed,
    Omitted,
}

impl Outputs {
    fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        let files = [("--html", &self.html), ("--trace", &self.trace)];
        files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?)))
    }

    /// The first file that is requested, by its flag.
    pub(crate) fn first_flag(&self) -> Option<&str> {
        self.files().next().map(|(flag, _)| flag)
    }

    /// Checks that the files can be written, before the run.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        output_file::check(self.files())
    }

    /// Refuses to replace a file that the run is read from.
    pub(crate) fn check_inputs(&self, inputs: &[&Path]) -> Result<(), CliError> {
        match self.files().find(|(_, path)| inputs.iter().any(|input| output_file::is_same(path, input))) {
            None => Ok(()),
            Some((flag, path)) => Err(CliError::usage(
                format!("{flag} would replace the recording {}", path.display()),
                format!("type another path for {flag}"),
            )),
        }
    }

    /// Prints the story of a run if it is asked for, and writes the requested files even if the print fails.
    ///
    /// # Errors
    /// The first failure of a file, or that of the print.
    pub(crate) fn write(&self, log: &RunLog, story: Story) -> Result<(), CliError> {
        let printed = match story {
            Story::Printed => self.print_story(log),
            Story::Omitted => Ok(()),
        };
        let html = self.html.as_deref().map(|path| (path, page::print(log)));
        let trace = self.trace.as_deref().map(|path| (path, trace_file::print(log)));
        output_file::write_all(html.into_iter().chain(trace)).and(printed)
    }

    fn print_story(&self, log: &RunLog) -> Result<(), CliError> {
        if let Some(peer) = self.peer.filter(|peer| log.connections.iter().all(|it| it.number != *peer)) {
            let hint = "print the whole story, which has the numbers of all peers";
            return Err(CliError::failure(format!("the run has no peer {peer}"), hint));
        }
        let story = log.story().of_peer(self.peer).with_colors(stream::has_colors(&io::stdout()));
        print(&story.to_string())
    }
}
