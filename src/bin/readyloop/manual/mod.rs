//! `readyloop man` and `readyloop completions`: texts for the shell, made from the declarations of the flags.

mod completions;
mod page;

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};

use crate::cli_error::CliError;
use crate::standard_output::print;

pub(crate) use completions::{HELP as COMPLETIONS_HELP, Settings as CompletionsSettings, run as run_completions};

/// The flags of `man`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Subcommand to print the page of [default: the page of `readyloop` itself]
    #[arg(value_name = "SUBCOMMAND", conflicts_with = "directory")]
    subcommand: Option<String>,

    /// Write the pages of all subcommands to this directory instead
    #[arg(short, long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Prints one page, or writes all.
pub(crate) fn run(settings: &Settings, mut command: Command) -> Result<(), CliError> {
    command.build();
    if let Some(directory) = &settings.directory {
        let pages = std::iter::once(&command).chain(visible(&command));
        return pages.map(|command| (page::name(command), page::render(command))).try_for_each(|(name, text)| {
            let path = directory.join(format!("{name}.1"));
            let what = format!("cannot write {}", path.display());
            let hint = "type --directory with a directory that exists and can be written";
            fs::write(&path, text).map_err(|error| CliError::system(what, &error, hint))
        });
    }
    let Some(name) = &settings.subcommand else { return print(&page::render(&command)) };
    match visible(&command).find(|subcommand| subcommand.get_name() == name) {
        Some(subcommand) => print(&page::render(subcommand)),
        None => {
            Err(CliError::usage(format!("there is no subcommand `{name}`"), "`readyloop --help` lists the subcommands"))
        }
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set() && subcommand.get_name() != "help")
}

pub(crate) const HELP: &str = "\
EXAMPLES
  readyloop man serve | man -l -
      Show the manual page of `serve`.
  readyloop man --directory .
      Write readyloop.1, readyloop-serve.1 and all others to this directory.

EXIT STATUS
  0  the pages were printed or written
  1  a page cannot be written
  2  wrong usage, such as an unknown subcommand";
