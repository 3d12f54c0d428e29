//! The command line as a whole: the subcommands, and what is said when it cannot be understood.
//!
//! The flags of a subcommand are declared with it, not here.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};
use readyloop::Address;
use readyloop::codec::UnknownFraming;
use readyloop::net::AddressError;

use crate::bench;
use crate::cert;
use crate::cli_error::CliError;
use crate::client;
use crate::compare;
use crate::report;
use crate::serve;
use crate::sim;
use crate::units::ParseError;

/// Wider lines are hard to follow from one to the next.
const HELP_WIDTH_MAX: usize = 100;

/// The same in the help of every subcommand.
pub(crate) const EXIT_STATUS: &str = "\
EXIT STATUS
  0  done, or drained after SIGTERM or SIGINT
  1  a failure at run time: the address is in use, no permission, no descriptors
  2  wrong usage or configuration; nothing was started
  3  what was measured misses what was wished for (`bench --fail-if`)";

/// What is printed in place of doing anything.
pub(crate) enum Answer {
    /// Help or a version.
    Text(clap::Error),
    /// The words make no sense.
    Refusal(CliError),
}

impl Answer {
    /// Prints it where it belongs and tells the exit status.
    pub(crate) fn print(self) -> ExitCode {
        match self {
            Self::Refusal(problem) => problem.print(),
            Self::Text(text) => {
                // A closed pipe: the reader has seen enough.
                let _ = text.print();
                ExitCode::from(if text.use_stderr() { 2 } else { 0 })
            }
        }
    }
}

/// Reads the words of a command line, the first being the name of the program.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, Answer> {
    let words: Vec<OsString> = words.into_iter().collect();
    // Nothing stands before the subcommand.
    let named = |name: &&str| words.get(1).is_some_and(|word| word == name);
    let others = [client::NAME, bench::NAME, compare::NAME, report::NAME, sim::NAME];
    let subcommand = others.into_iter().find(named).unwrap_or(serve::NAME);
    command().try_get_matches_from(words).map_err(|error| {
        let is_text = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        if is_text { Answer::Text(error) } else { Answer::Refusal(misuse(&error, subcommand, None)) }
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
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(HELP_WIDTH_MAX)
        .after_long_help(format!(
            "\
EXAMPLES
  readyloop serve
      Echo on tcp://127.0.0.1:7007.
  readyloop client 127.0.0.1:7007
      Type to it; in a pipe, send it standard input.
  readyloop bench 127.0.0.1:7007
      How many echoes a second, and how long each takes.
  readyloop compare
      The reactor beside threads and a pool: what each costs, at 10, 100 and 1,000 connections.
  readyloop serve --help
      All flags of `serve`, their defaults and reasons.
  readyloop cert
      A certificate for development, and the authority that signs it.
  readyloop sim
      The server in 2,000 simulated worlds; `readyloop sim --seed 7 --story` tells one.

ENVIRONMENT
  RUST_LOG      which lines are logged, as env_logger reads it: warn, readyloop=debug
  READYLOOP_…   what the flags of a subcommand set; its own help says more

{EXIT_STATUS}"
        ))
}

/// Says in the words of this command what clap found wrong with the words for `subcommand`; `name`
/// is what the user called the flag, when that is a variable or a key.
pub(crate) fn misuse(error: &clap::Error, subcommand: &str, name: Option<&str>) -> CliError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let arg = text(ContextKind::InvalidArg).unwrap_or_default();
    // clap shows a flag with its value: `--listen <ADDRESS>`, `--quiet[=<BOOL>]`.
    let flag = name.unwrap_or_else(|| arg.split([' ', '[']).next().unwrap_or(arg));
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    let message = match (error.kind(), error.source()) {
        (ErrorKind::ValueValidation, Some(source)) => format!("invalid value `{value}` for {flag}: {source}"),
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, _) if value.is_empty() => {
            format!("{flag} needs a value")
        }
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, _) => format!("invalid value `{value}` for {flag}"),
        (ErrorKind::MissingRequiredArgument, _) if subcommand == report::NAME => format!("`{subcommand}` needs a file"),
        (ErrorKind::MissingRequiredArgument, _) if lacks_an_address(error) => {
            format!("`{subcommand}` needs an address")
        }
        (ErrorKind::MissingRequiredArgument, _) => format!("these words need {} as well", missing(error).join(", ")),
        (ErrorKind::UnknownArgument, _) => format!("unknown argument `{flag}`"),
        (ErrorKind::InvalidSubcommand, _) => {
            format!("unknown subcommand `{}`", text(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        (_, _) => first_line(error),
    };
    CliError::usage(message, hint(error, subcommand))
}

/// What to type, from the most to the least certain.
fn hint(error: &clap::Error, subcommand: &str) -> String {
    if let Some(misread) = error.source().and_then(|source| source.downcast_ref::<ParseError>()) {
        return misread.hint.clone();
    }
    if subcommand == report::NAME && error.kind() == ErrorKind::MissingRequiredArgument {
        return "type the path of what `bench --json` or `compare --json` has written".to_owned();
    }
    let is_address = error.source().is_some_and(|source| source.is::<AddressError>());
    if is_address || lacks_an_address(error) {
        return "type an address such as 127.0.0.1:7007, [::1]:7007 or unix:/tmp/echo.sock".to_owned();
    }
    if error.source().is_some_and(|source| source.is::<UnknownFraming>()) {
        return "type raw for a stream of bytes, lines for text".to_owned();
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        return format!("type one of {}", values.join(", "));
    }
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && word.parse::<Address>().is_ok()
        && subcommand == serve::NAME
    {
        return format!("type --listen {word}");
    }
    let alike = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    match alike.into_iter().find_map(|kind| error.get(kind)) {
        Some(ContextValue::String(alike)) => format!("did you mean `{alike}`?"),
        Some(ContextValue::Strings(alike)) if !alike.is_empty() => format!("did you mean `{}`?", alike.join("` or `")),
        _ if error.kind() == ErrorKind::InvalidSubcommand => "`readyloop --help` lists the subcommands".to_owned(),
        _ => format!("`readyloop {subcommand} --help` lists every flag and what it takes"),
    }
}

/// What clap finds missing: `<ADDRESS>`, `--key <FILE>`.
fn missing(error: &clap::Error) -> &[String] {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) if error.kind() == ErrorKind::MissingRequiredArgument => missing,
        _ => &[],
    }
}

fn lacks_an_address(error: &clap::Error) -> bool {
    missing(error).iter().any(|missing| missing == "<ADDRESS>")
}

/// clap's own words, without its usage and tips.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declarations_are_consistent() {
        command().debug_assert();
    }

    #[track_caller]
    fn check(words: &str, message: &str, hint: &str) {
        let words = std::iter::once("readyloop").chain(words.split(' ')).map(OsString::from);
        match read(words) {
            Err(Answer::Refusal(problem)) => assert_eq!(problem, CliError::usage(message, hint)),
            Err(Answer::Text(text)) => panic!("printed {text}"),
            Ok(_) => panic!("was accepted"),
        }
    }

    #[test]
    fn wrong_words_are_answered_with_right_ones() {
        let lists = "`readyloop serve --help` lists every flag and what it takes";
        check("serve --idle-timout 5s", "unknown argument `--idle-timout`", "did you mean `--idle-timeout`?");
        check("serve --fast", "unknown argument `--fast`", lists);
        check("serve 127.0.0.1:7007", "unknown argument `127.0.0.1:7007`", "type --listen 127.0.0.1:7007");
        check(
            "serve --idle-timeout 5",
            "invalid value `5` for --idle-timeout: a duration needs a unit",
            "type 5s, 5ms or 5m",
        );
        check("serve --service ehco", "invalid value `ehco` for --service", "type one of echo, discard, chargen, chat");
        check("serve --idle-timeout", "--idle-timeout needs a value", lists);
        check("sreve", "unknown subcommand `sreve`", "did you mean `serve`?");
        check("dance", "unknown subcommand `dance`", "`readyloop --help` lists the subcommands");
        check(
            "serve -l localhost",
            "invalid value `localhost` for --listen: `localhost` has no port: write host:port, such as 127.0.0.1:7007",
            "type an address such as 127.0.0.1:7007, [::1]:7007 or unix:/tmp/echo.sock",
        );
    }

    #[test]
    fn a_report_needs_a_file_and_one_form() {
        let files = "type the path of what `bench --json` or `compare --json` has written";
        check("report", "`report` needs a file", files);
        check("report --html", "`report` needs a file", files);
        let lists = "`readyloop report --help` lists every flag and what it takes";
        check("report a --html --md", "the argument '--html' cannot be used with '--md'", lists);
    }

    #[test]
    fn a_client_needs_one_address_and_no_flags_of_a_server() {
        let addresses = "type an address such as 127.0.0.1:7007, [::1]:7007 or unix:/tmp/echo.sock";
        let lists = "`readyloop client --help` lists every flag and what it takes";
        check("client", "`client` needs an address", addresses);
        check(
            "client localhost",
            "invalid value `localhost` for <ADDRESS>: `localhost` has no port: write host:port, such as 127.0.0.1:7007",
            addresses,
        );
        check("client 127.0.0.1:1 127.0.0.1:2", "unknown argument `127.0.0.1:2`", lists);
        check("client 127.0.0.1:1 --backlog 5", "unknown argument `--backlog`", lists);
        check("client 127.0.0.1:1 --tls", "unknown argument `--tls`", lists);
        check("client tls://127.0.0.1:1 --cert a.pem", "these words need --key <FILE> as well", lists);
        check("client udp://127.0.0.1:1 --size 64B", "these words need --count <COUNT> as well", lists);
        check(
            "sim --seeds 5",
            "invalid value `5` for --seeds: not a range of seeds: write FIRST..END, such as 0..50000",
            "`readyloop sim --help` lists every flag and what it takes",
        );
        check(
            "client 127.0.0.1:1 --connect-timeout 0s",
            "invalid value `0s` for --connect-timeout: zero would let nothing through",
            "type at least 1",
        );
    }
}
