//! `readyloop completions`: the script with which a shell completes subcommands and flags.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::cli_error::{BUG, CliError};
use crate::standard_output::print;

/// The flags of `completions`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(settings: &Settings, command: &Command) -> Result<(), CliError> {
    // A hidden subcommand would be completed too.
    let visible = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned();
    let mut command = Command::new("readyloop").version(env!("CARGO_PKG_VERSION")).subcommands(visible);
    let mut script = Vec::new();
    generate(settings.shell, &mut command, "readyloop", &mut script);
    let script = String::from_utf8(script).map_err(|_| CliError::failure("the script is not text", BUG))?;
    print(&script)
}

pub(crate) const HELP: &str = "\
EXAMPLES
  readyloop completions bash > readyloop.bash
      Write the script for bash; put it into ~/.local/share/bash-completion/completions/readyloop.
  readyloop completions zsh > _readyloop
      Write the script for zsh; put it into a directory of $fpath.

EXIT STATUS
  0  the script was printed
  1  standard output cannot be written
  2  wrong usage, such as an unknown shell";
