//! `readyloop report`: prints saved runs as one page, one set of tables, or one figure.
//!
//! Files become comparisons, comparisons become sorted results, and results become a document that is
//! printed in one of four forms. `compare` prints its results in the same way. Nothing here measures.

mod against;
pub(crate) mod chart;
mod charts;
pub(crate) mod comparison;
mod conclusions;
pub(crate) mod document;
mod files;
mod html;
mod interval;
mod markdown;
mod metric;
mod page;
mod results;
mod spread;
mod tables;
mod text;

use std::path::PathBuf;

use clap::Args;

use crate::cli_error::CliError;
use crate::standard_output::print;
use crate::units::percent;

use comparison::Comparison;
use document::Document;

/// The arguments of `report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Files written by `bench --json` or `compare --json`; a file may hold several runs
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Print what changed since this earlier file, and exit with status 3 if a metric became worse
    #[arg(long, value_name = "FILE", conflicts_with = "svg")]
    against: Option<PathBuf>,

    /// With --against: ignore changes up to this percentage
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = percent, requires = "against")]
    tolerance: f64,

    /// Print one self-contained HTML page with charts, tables, and the method
    #[arg(long, group = "form")]
    html: bool,

    /// Print tables as Markdown
    #[arg(long, group = "form")]
    md: bool,

    /// Print one SVG figure: requests per second and p99 latency against connections
    #[arg(long, group = "form")]
    svg: bool,
}

/// The form of a printed report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Markdown,
    Html,
    Svg,
}

impl Form {
    /// Prints the comparisons as one report.
    pub(crate) fn print(self, comparisons: &[Comparison]) -> String {
        self.print_document(&page::document(comparisons))
    }

    /// Prints a document.
    pub(crate) fn print_document(self, document: &Document) -> String {
        match self {
            Self::Text => text::print(document),
            Self::Markdown => markdown::print(document),
            Self::Html => html::print(document),
            Self::Svg => chart::figure(&document.headline(), &document.about),
        }
    }
}

/// Prints the report of all files on standard output.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    let form = match (settings.html, settings.md, settings.svg) {
        (true, _, _) => Form::Html,
        (_, true, _) => Form::Markdown,
        (_, _, true) => Form::Svg,
        (false, false, false) => Form::Text,
    };
    if let Some(baseline) = &settings.against {
        return against::run(&settings.files, baseline, settings.tolerance, form);
    }
    let comparisons = files::read(settings.files.iter().map(PathBuf::as_path))?;
    print(&form.print(&comparisons))
}

pub(crate) const HELP: &str = "\
MERGING
  Runs of the same server under the same load on the same machine are rounds of one measurement. The
  report shows their median, minimum and maximum. When the runs come from several machines, the
  number of the machine follows the name of each server. When a name stands for several commands, a
  number follows it, and the last table has the commands. A run that is in two files counts once. A
  file holds runs one after another, or arrays of runs.

EXAMPLES
  readyloop report monday.json tuesday.json
      Tables for a terminal.
  readyloop report --html */runs.json > report.html
      One page with all charts and tables.
  readyloop report now.json --against before.json --tolerance 5%
      What changed, and whether it is noise; for a job that fails on a regression.
  readyloop report --svg comparison.json > figure.svg
      A figure for a README.

EXIT STATUS
  0  the report was printed, or standard output is a closed pipe
  1  standard output cannot be written, or --against has no run of the same server and load
  2  wrong usage, or a file cannot be read or holds something other than runs
  3  with --against, a metric became worse";
