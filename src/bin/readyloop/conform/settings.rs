//! The flags of `conform`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use readyloop::Address;

use super::rows::{ROWS, Row};
use crate::child::ServerCommand;
use crate::cli_error::CliError;
use crate::output_file;
use crate::units::{ParseError, above_zero, address, count, duration, within};

/// The longest time for one row.
const TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

/// The most connections. Each one needs a local port.
const CONNECTIONS_MAX: u64 = 1_000_000;

/// The flags of `conform`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Server address: HOST:PORT or tcp://HOST:PORT; udp://HOST:PORT for a server of datagrams only
    #[arg(value_name = "ADDRESS", value_parser = echo_address, conflicts_with = "server")]
    #[arg(required_unless_present_any = ["server", "list", "explain"])]
    pub(super) address: Option<Address>,

    /// Start the server with a command, anew for each row, and check its process as well
    ///
    /// The command runs in a shell. {port} is replaced by a free port, and the server must listen on 127.0.0.1 with
    /// this port. Without {port}, the server must print `listening on tcp://HOST:PORT`.
    #[arg(long, value_name = "COMMAND", value_parser = server_command)]
    pub(super) server: Option<ServerCommand>,

    /// Check datagrams as well: the server echoes them at the same port
    #[arg(long)]
    pub(super) udp: bool,

    /// Run only these rows, separated by commas
    #[arg(long, value_name = "ROW", value_delimiter = ',', value_parser = row_names(), hide_possible_values = true)]
    only: Vec<String>,

    /// Do not run these rows
    #[arg(long, value_name = "ROW", value_delimiter = ',', value_parser = row_names(), hide_possible_values = true)]
    skip: Vec<String>,

    /// Print the names and rules of all rows, and end
    #[arg(long, group = "print")]
    pub(super) list: bool,

    /// Print the chapter of the guide about a row, and end
    #[arg(long, value_name = "ROW", value_parser = row_names(), hide_possible_values = true, group = "print")]
    pub(super) explain: Option<String>,

    /// Time for each row
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = above_zero(row_timeout))]
    pub(super) timeout: Duration,

    /// Number of connections of the row many-connections
    #[arg(short, long, value_name = "COUNT", default_value = "1k")]
    #[arg(value_parser = within(count::<u64>, 1..=CONNECTIONS_MAX))]
    pub(super) connections: u64,

    #[command(flatten)]
    pub(super) output: Output,
}

/// Output files, in addition to the table on standard output.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Write the results to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Write a self-contained page to FILE, with the reason for each rule
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Write the results to FILE in the XML format of JUnit, for CI systems
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
}

fn row_names() -> PossibleValuesParser {
    PossibleValuesParser::new(ROWS.iter().map(|row| row.name))
}

fn row_timeout(text: &str) -> Result<Duration, ParseError> {
    let refused = || ParseError::new("must be at most 10m", "type a duration such as 5s, 30s or 10m");
    Some(duration(text)?).filter(|time| *time <= TIMEOUT_MAX).ok_or_else(refused)
}

fn echo_address(text: &str) -> Result<Address, ParseError> {
    match address(text)? {
        address @ (Address::Tcp(_) | Address::Udp(_)) => Ok(address),
        Address::Tls(_) | Address::Unix(_) => Err(ParseError::new(
            "only TCP and UDP can be checked",
            "type HOST:PORT, or udp://HOST:PORT; for TLS and Unix sockets use `readyloop bench`",
        )),
    }
}

fn server_command(text: &str) -> Result<ServerCommand, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::new("the command is empty", "type a command such as './other-server --port {port}'"));
    }
    Ok(ServerCommand::of_shell(text.trim()))
}

impl Settings {
    /// The rows to run, in order.
    pub(super) fn rows(&self) -> Vec<&'static Row> {
        let is_named = |names: &[String], row: &Row| names.iter().any(|name| name == row.name);
        let is_wanted = |row: &&Row| (self.only.is_empty() || is_named(&self.only, row)) && !is_named(&self.skip, row);
        ROWS.iter().filter(is_wanted).collect()
    }

    /// Rejects settings that cannot be used, before anything is started.
    pub(super) fn check(&self) -> Result<(), CliError> {
        if self.rows().is_empty() {
            return Err(CliError::usage("--skip removes all rows of --only", "remove a row from --skip"));
        }
        let outputs = [("--json", &self.output.json), ("--html", &self.output.html), ("--junit", &self.output.junit)];
        output_file::check(outputs.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))))
    }
}
