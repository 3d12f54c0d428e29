//! The command line: the subcommands, the top-level help, and errors in the arguments.
//!
//! Each subcommand declares its own flags.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use crate::bench;
use crate::cert;
use crate::cli_error::CliError;
use crate::client;
use crate::compare;
use crate::exit_status;
use crate::report;
use crate::serve;
use crate::sim;
use crate::supervise;
use crate::usage_error::usage_error;

/// The width of the help on wide terminals, because longer lines are hard to read.
const HELP_WIDTH_MAX: usize = 100;

/// The subcommands other than `serve`.
const OTHERS: [&str; 6] = [cert::NAME, client::NAME, bench::NAME, compare::NAME, report::NAME, sim::NAME];

/// Why the command ends without running a subcommand.
pub(crate) enum EarlyExit {
    /// clap printed a help text or the version.
    Text(clap::Error),
    /// The arguments are wrong.
    Usage(CliError),
}

impl EarlyExit {
    /// Prints the text or the error and returns the exit status.
    pub(crate) fn print(self) -> ExitCode {
        match self {
            Self::Usage(error) => error.print(),
            Self::Text(text) => {
                // Fails when the output is a closed pipe, which is no error.
                let _ = text.print();
                if text.use_stderr() { ExitCode::from(exit_status::USAGE) } else { ExitCode::SUCCESS }
            }
        }
    }
}

/// Parses the arguments. The first one is the name of the program.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, EarlyExit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // The subcommand comes first, because the command has no flags of its own.
    let is_given = |name: &&str| arguments.get(1).is_some_and(|argument| argument == name);
    let subcommand = OTHERS.into_iter().find(is_given).unwrap_or(serve::NAME);
    command().try_get_matches_from(arguments).map_err(|error| {
        let is_text = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        if is_text { EarlyExit::Text(error) } else { EarlyExit::Usage(usage_error(&error, subcommand, None)) }
    })
}

fn command() -> Command {
    Command::new("readyloop")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves tens of thousands of connections from one thread")
        .subcommand(serve::command())
        .subcommand(cert::command())
        .subcommand(client::command())
        .subcommand(bench::command())
        .subcommand(compare::command())
        .subcommand(report::command())
        .subcommand(sim::command())
        .subcommand(supervise::command())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(HELP_WIDTH_MAX)
        .after_long_help(HELP)
}

const HELP: &str = "\
EXAMPLES
  readyloop serve
      Run an echo server on tcp://127.0.0.1:7007.
  readyloop client 127.0.0.1:7007
      Connect to it: a prompt on a terminal, standard input in a pipe.
  readyloop bench 127.0.0.1:7007
      Measure requests per second and latency.
  readyloop compare
      Compare the reactor with threads and a pool, at 10 to 10,000 connections.
  readyloop report comparison.json
      Print a saved result of `compare --json` or `bench --json`.
  readyloop cert
      Make a certificate for development, and the authority that signs it.
  readyloop sim
      Run the server in 2,000 simulated worlds.
  readyloop serve --help
      Show all flags of `serve` with their defaults.

ENVIRONMENT
  READYLOOP_…        the flags of `serve`: READYLOOP_IDLE_TIMEOUT is --idle-timeout
  READYLOOP_HISTORY  the file for the history of `client`
  RUST_LOG           log filter in the syntax of env_logger: warn, readyloop=debug

EXIT STATUS
  0  success; for `serve`, a complete shutdown after SIGTERM or SIGINT
  1  a failure at run time, such as an address in use or a failed request
  2  wrong usage or configuration; nothing was started
  3  a `bench --fail-if` threshold was exceeded";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declarations_are_consistent() {
        command().debug_assert();
    }

    #[track_caller]
    fn check(arguments: &str, message: &str, hint: &str) {
        let arguments = std::iter::once("readyloop").chain(arguments.split(' ')).map(OsString::from);
        match read(arguments) {
            Err(EarlyExit::Usage(error)) => assert_eq!(error, CliError::usage(message, hint)),
            Err(EarlyExit::Text(text)) => panic!("printed {text}"),
            Ok(_) => panic!("was accepted"),
        }
    }

    #[test]
    fn an_error_in_the_arguments_has_a_fitting_hint() {
        let lists = "`readyloop serve --help` lists every flag";
        check("serve --idle-timout 5s", "unknown argument `--idle-timout`", "did you mean `--idle-timeout`?");
        check("serve --fast", "unknown argument `--fast`", lists);
        check("serve 127.0.0.1:7007", "unknown argument `127.0.0.1:7007`", "type --listen 127.0.0.1:7007");
        check(
            "serve --idle-timeout 5",
            "invalid value `5` for --idle-timeout: a duration needs a unit",
            "type 5s, 5ms or 5m",
        );
        check("serve --service ehco", "invalid value `ehco` for --service", "type one of echo, discard, chargen, chat");
        let explains = "`readyloop serve --help` explains --idle-timeout";
        check("serve --idle-timeout", "--idle-timeout needs a value", explains);
        let explains = "`readyloop sim --help` explains --seed";
        check("sim --seed one", "invalid value `one` for --seed: not a whole number", explains);
        check("sreve", "unknown subcommand `sreve`", "did you mean `serve`?");
        check("dance", "unknown subcommand `dance`", "`readyloop --help` lists the subcommands");
        check("cert --fast", "unknown argument `--fast`", "`readyloop cert --help` lists every flag");
        check(
            "serve -l localhost",
            "invalid value `localhost` for --listen: `localhost` has no port (0 to 65535): write host:port, such as 127.0.0.1:7007",
            "type an address such as 127.0.0.1:7007, [::1]:7007 or unix:/tmp/echo.sock",
        );
    }

    #[test]
    fn a_report_needs_a_file_and_one_format() {
        let files = "type the path of a file that `bench --json` or `compare --json` wrote";
        check("report", "`report` needs a file", files);
        check("report --html", "`report` needs a file", files);
        check("report a --html --md", "the argument `--html` cannot be used with `--md`", "remove one of them");
    }

    #[test]
    fn a_client_needs_one_address_and_no_flags_of_a_server() {
        let addresses = "type an address such as 127.0.0.1:7007, [::1]:7007 or unix:/tmp/echo.sock";
        let lists = "`readyloop client --help` lists every flag";
        check("client", "`client` needs an address", addresses);
        check(
            "client localhost",
            "invalid value `localhost` for <ADDRESS>: `localhost` has no port (0 to 65535): write host:port, such as 127.0.0.1:7007",
            addresses,
        );
        check("client 127.0.0.1:1 127.0.0.1:2", "unknown argument `127.0.0.1:2`", lists);
        check("client 127.0.0.1:1 --backlog 5", "unknown argument `--backlog`", lists);
        check("client 127.0.0.1:1 --tls", "unknown argument `--tls`", lists);
        check("client tls://127.0.0.1:1 --cert a.pem", "--key <FILE> is missing", "add --key <FILE>");
        check("client udp://127.0.0.1:1 --size 64B", "--count <COUNT> is missing", "add --count <COUNT>");
        check(
            "client 127.0.0.1:1 --connect-timeout 0s",
            "invalid value `0s` for --connect-timeout: must be greater than zero",
            "type a duration such as 500ms or 5s",
        );
    }
}
