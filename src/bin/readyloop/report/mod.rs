//! `readyloop report`: saved runs as one page, one table, or one figure.
//!
//! Saved runs become comparisons, these a board, the board a document, and that is printed in any
//! form. `bench` and `compare` take the same way. Nothing here measures.

mod board;
mod chart;
mod charts;
pub(crate) mod comparison;
mod document;
mod escape;
mod files;
mod html;
mod markdown;
mod metric;
mod page;
mod quantity;
#[cfg(test)]
mod samples;
mod spread;
mod tables;
mod text;
mod words;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::cli_error::{CliError, io_message};
use crate::exit_status::EXIT_STATUS;

use comparison::Comparison;

/// The name of this subcommand.
pub(crate) const NAME: &str = "report";

/// What is asked of `report`.
#[derive(Args, Clone, Debug)]
struct Settings {
    /// What `bench --json` and `compare --json` have written; each may hold several runs
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Print one page that loads nothing else: charts, tables, and how it was measured
    #[arg(long, group = "form")]
    html: bool,

    /// Print tables as Markdown
    #[arg(long, group = "form")]
    md: bool,

    /// Print the figure that says most: requests a second and p99 against connections
    #[arg(long, group = "form")]
    svg: bool,
}

/// What a report can be printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Markdown,
    Html,
    Svg,
}

impl Form {
    /// Prints all of these as one report.
    pub(crate) fn print(self, comparisons: &[Comparison]) -> String {
        let document = page::document(comparisons);
        match self {
            Self::Text => text::print(&document),
            Self::Markdown => markdown::print(&document),
            Self::Html => html::print(&document),
            Self::Svg => chart::figure(&document.headline(), &document.about),
        }
    }
}

/// Prints the report of all files on standard output.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = Settings::from_arg_matches(matches).expect("clap has checked what it declares");
    let form = match (settings.html, settings.md, settings.svg) {
        (true, _, _) => Form::Html,
        (_, true, _) => Form::Markdown,
        (_, _, true) => Form::Svg,
        (false, false, false) => Form::Text,
    };
    let comparisons = files::read(settings.files.iter().map(PathBuf::as_path))?;
    say(&form.print(&comparisons))
}

/// Prints a result on standard output; a reader who has left has seen enough.
pub(crate) fn say(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failure(
            format!("cannot write to standard output: {}", io_message(&error)),
            "redirect it to a place with room",
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The flags and the help of `report`.
pub(crate) fn command() -> Command {
    Settings::augment_args(Command::new(NAME))
        .about("Merges saved runs of `bench` and `compare` and draws them")
        .long_about(None)
        .after_long_help(format!("{HELP}\n\n{EXIT_STATUS}"))
}

const HELP: &str = "\
MERGING
  Runs of the same server under the same load on the same machine are rounds of one figure: its
  median is shown, with the least and the most. Runs on several machines stand beside each other,
  each server with the number of its machine behind its name. A run that is there twice counts once.

EXAMPLES
  readyloop report monday.json tuesday.json
      Tables for a terminal.
  readyloop report --html */runs.json > report.html
      One page of everything, with charts.
  readyloop report --svg comparison.json > figure.svg
      A figure for a README.";
