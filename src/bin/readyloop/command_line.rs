//! The command line: the subcommands, the top-level help, and errors in the arguments.
//!
//! Each subcommand declares its own flags.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, Args as _, Command, CommandFactory, FromArgMatches, Parser};

use crate::bench;
use crate::cert;
use crate::cli_error::{BUG, CliError, USAGE_STATUS};
use crate::client;
use crate::compare;
use crate::conform;
use crate::doctor;
use crate::manual;
use crate::replay;
use crate::report;
use crate::serve;
use crate::sim;
use crate::standard_output;
use crate::stat;
use crate::stream;
use crate::supervise;
use crate::usage_error::usage_error;

/// The width of the help on wide terminals, because longer lines are hard to read.
const HELP_WIDTH_MAX: usize = 100;

/// Serves tens of thousands of connections from one thread
#[derive(Parser)]
#[command(name = "readyloop", version, arg_required_else_help = true, after_long_help = HELP)]
#[command(max_term_width = HELP_WIDTH_MAX)]
struct CommandLine {
    #[command(subcommand)]
    subcommand: Subcommand,
}

/// The subcommands with their settings.
#[derive(clap::Subcommand)]
pub(crate) enum Subcommand {
    /// Runs a server until SIGTERM or SIGINT; by default echo on 127.0.0.1:7007
    #[command(after_help = serve::UNITS, after_long_help = serve::HELP)]
    Serve(Box<serve::Settings>),
    /// Makes a certificate for development, and the authority that signs it
    #[command(after_help = cert::UNITS, after_long_help = cert::HELP)]
    Cert(cert::Settings),
    /// Connects to a server, sends standard input and prints the replies
    #[command(after_help = client::UNITS, after_long_help = client::HELP)]
    Client(Box<client::Settings>),
    /// Measures a server and checks its answers; by default an echo server, byte by byte
    #[command(after_help = bench::UNITS, after_long_help = bench::HELP)]
    Bench(Box<bench::Settings>),
    /// Compares servers under the same loads and draws the results
    #[command(after_help = compare::UNITS, after_long_help = compare::HELP)]
    Compare(Box<compare::Settings>),
    /// Checks that an echo server returns every byte, in every case that a client can cause
    #[command(after_help = conform::UNITS, after_long_help = conform::HELP)]
    Conform(Box<conform::Settings>),
    /// Merges saved runs of `bench` and `compare` and draws them
    #[command(after_long_help = report::HELP)]
    Report(report::Settings),
    /// Runs the server in simulated worlds with injected faults
    #[command(after_help = sim::NOTE, after_long_help = sim::HELP)]
    Sim(sim::Settings),
    /// Runs a recorded server again, without sockets, and compares each call
    #[command(after_long_help = replay::HELP)]
    Replay(replay::Settings),
    /// Prints the numbers of a running server, one line a second
    #[command(after_help = stat::UNITS, after_long_help = stat::HELP)]
    Stat(stat::Settings),
    /// Shows how many connections this machine can hold, and what to change for more
    #[command(after_help = doctor::UNITS, after_long_help = doctor::HELP)]
    Doctor(doctor::Settings),
    /// Prints manual pages
    #[command(after_long_help = manual::HELP)]
    Man(manual::Settings),
    /// Prints a script with which a shell completes subcommands and flags
    #[command(after_long_help = manual::COMPLETIONS_HELP)]
    Completions(manual::CompletionsSettings),
    /// Runs one command of `compare` or `conform`
    #[command(hide = true)]
    Supervise(supervise::Settings),
}

/// Why the command ends without running a subcommand.
pub(crate) enum EarlyExit {
    /// A help text or the version, for standard output or standard error.
    Text(Box<clap::Error>),
    /// The arguments are wrong.
    Usage(CliError),
}

impl EarlyExit {
    /// Prints the text or the error and returns the exit status.
    pub(crate) fn print(self) -> ExitCode {
        match self {
            Self::Usage(error) => error.print(),
            Self::Text(text) if text.use_stderr() => {
                // A closed standard error leaves no place to report to.
                let _ = text.print();
                ExitCode::from(USAGE_STATUS)
            }
            Self::Text(text) => {
                let text = text.render();
                let text = if stream::has_colors(&io::stdout()) { text.ansi().to_string() } else { text.to_string() };
                standard_output::print(&text).map_or_else(CliError::print, |()| ExitCode::SUCCESS)
            }
        }
    }
}

impl From<CliError> for EarlyExit {
    fn from(error: CliError) -> Self {
        Self::Usage(error)
    }
}

/// Reads the arguments, the variables and the configuration file. The first argument is the name of the program.
///
/// Only `serve` has variables and a file. A value of the file replaces the default of its flag.
pub(crate) fn read(arguments: &[OsString]) -> Result<Subcommand, EarlyExit> {
    let with_variables = || CommandLine::command().mut_subcommand("serve", serve::with_variables);
    let mut matches = parse(with_variables(), arguments)?;
    if let Some(("serve", settings)) = matches.subcommand() {
        serve::check_variables(std::env::vars_os())?;
        let entries = serve::read_file(settings)?;
        matches = parse(with_variables().mut_subcommand("serve", |serve| serve::with_file(serve, entries)), arguments)?;
    }
    let parsed = Subcommand::from_arg_matches(&matches).map_err(|error| usage_error(&error, subcommand(arguments)))?;
    match (parsed, matches.subcommand()) {
        (Subcommand::Serve(mut settings), Some((_, matches))) => {
            let declaration = serve::Settings::augment_args(Command::new("serve"));
            settings.flags = serve::FlagValues::of(&declaration, matches);
            Ok(Subcommand::Serve(settings))
        }
        (other, _) => Ok(other),
    }
}

/// Reads the settings of `serve` again: the same arguments and variables, and the file as it is by then.
///
/// # Errors
/// The file cannot be read, or a line is wrong.
pub(crate) fn read_settings() -> Result<serve::Settings, CliError> {
    match read(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(Subcommand::Serve(settings)) => Ok(*settings),
        Err(EarlyExit::Usage(error)) => Err(error),
        Ok(_) | Err(EarlyExit::Text(_)) => Err(CliError::failure("these are not the arguments of a server", BUG)),
    }
}

/// All subcommands with their flags, for texts about them.
pub(crate) fn declaration() -> Command {
    CommandLine::command().disable_help_subcommand(true)
}

/// The name of the subcommand. It comes first, because the command has no flags of its own.
fn subcommand(arguments: &[OsString]) -> Option<&str> {
    let name = arguments.get(1)?.to_str()?;
    CommandLine::command().find_subcommand(name).map(|_| name)
}

fn parse(command: Command, arguments: &[OsString]) -> Result<ArgMatches, EarlyExit> {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};

    command.clone().try_get_matches_from(arguments).map_err(|error| {
        if matches!(error.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand) {
            return EarlyExit::Text(Box::new(error));
        }
        let usage = usage_error(&error, subcommand(arguments));
        EarlyExit::Usage(match variable_of(&error, &command, arguments) {
            Some(name) => usage.at(&name),
            None => usage,
        })
    })
}

/// The variable with the wrong value. Without variables, the same arguments have no such error.
fn variable_of(error: &clap::Error, command: &Command, arguments: &[OsString]) -> Option<String> {
    let argument = |error: &clap::Error| error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let without = CommandLine::command().try_get_matches_from(arguments).err();
    let is_named = |arg: &&clap::Arg| Some(arg.to_string()) == argument(error);
    if without.as_ref().and_then(argument) == argument(error) {
        return None;
    }
    let mut command = command.clone();
    command.build();
    let arg = command.find_subcommand("serve")?.get_arguments().find(is_named)?;
    arg.get_env().map(|name| name.to_string_lossy().into_owned())
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
  readyloop conform 127.0.0.1:7007
      Check it against the rules of an echo server, with evidence for each.
  readyloop report comparison.json
      Print a saved result of `compare --json` or `bench --json`.
  readyloop cert
      Make a certificate for development, and the authority that signs it.
  readyloop sim
      Run the server in 2,000 simulated worlds.
  readyloop replay run.rec
      Run again what `serve --record run.rec` has recorded.
  readyloop stat 127.0.0.1:9007
      Print the numbers of a server with --admin 127.0.0.1:9007, one line a second.
  readyloop doctor
      Show what this machine can hold, and what to change for more connections.
  readyloop man | man -l -
      Show the manual page; `readyloop completions bash` prints completions for a shell.
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
        CommandLine::command().debug_assert();
    }

    #[track_caller]
    fn check(arguments: &str, message: &str, hint: &str) {
        let arguments = std::iter::once("readyloop").chain(arguments.split(' ')).map(OsString::from);
        match read(&arguments.collect::<Vec<_>>()) {
            Err(EarlyExit::Usage(error)) => assert_eq!(error, CliError::usage(message, hint)),
            Err(EarlyExit::Text(text)) => panic!("printed {text}"),
            Ok(_) => panic!("was accepted"),
        }
    }

    #[test]
    fn an_error_in_the_arguments_has_a_fitting_hint() {
        let explains = "`readyloop serve --help` explains every flag";
        let unknown = "unexpected argument `--idle-timout` found";
        check("serve --idle-timout 5s", unknown, "a similar argument exists: `--idle-timeout`");
        check("serve --xyzzy", "unexpected argument `--xyzzy` found", explains);
        check("serve 127.0.0.1:7007", "unexpected argument `127.0.0.1:7007` found", "type --listen 127.0.0.1:7007");
        check(
            "serve --idle-timeout 5",
            "invalid value `5` for `--idle-timeout <DURATION>`: a duration needs a unit",
            "type 5s, 5ms or 5m",
        );
        check(
            "serve --service ehco",
            "invalid value `ehco` for `--service <NAME>` [possible values: echo, discard, chargen, chat]",
            "a similar value exists: `echo`",
        );
        let none = "a value is required for `--idle-timeout <DURATION>` but none was supplied";
        check("serve --idle-timeout", none, explains);
        check(
            "sim --seed one",
            "invalid value `one` for `--seed <N>`: not a whole number",
            "type a whole number such as 1000, 10k or 1M",
        );
        check("sreve", "unrecognized subcommand `sreve`", "a similar subcommand exists: `serve`");
        check("dance", "unrecognized subcommand `dance`", "`readyloop --help` lists the subcommands");
    }

    #[test]
    fn a_missing_argument_is_named_with_the_usage() {
        check(
            "client",
            "the following required arguments were not provided: <ADDRESS>",
            "type readyloop client <ADDRESS>",
        );
        check(
            "report --html",
            "the following required arguments were not provided: <FILE>...",
            "type readyloop report --html <FILE>...",
        );
        check(
            "report a --html --md",
            "the argument `--html` cannot be used with `--md`",
            "`readyloop report --help` explains every flag",
        );
    }
}
