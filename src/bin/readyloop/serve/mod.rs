//! `readyloop serve`: the steps from a command line to a drained server.
//!
//! Each step is a file of its own; here is only their order.

mod announce;
mod check;
mod descriptors;
mod launch;
mod settings;
mod sources;
mod tls;
mod toml_file;
mod warnings;

use clap::{ArgMatches, Args, Command};
use log::info;

use crate::cli_error::{CliError, io_message};
use crate::command_line::EXIT_STATUS;
use crate::logging;

use announce::{OutputState, ReadyFile};
use settings::Settings;
use sources::ConfigFile;

/// The name of this subcommand.
pub(crate) const NAME: &str = "serve";

/// Serves until it is drained.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = sources::read_settings(matches, |name| std::env::var_os(name))?;
    check::check(&settings)?;
    logging::start(&settings.output.verbosity);

    let ready_path = settings.output.ready_file.as_deref();
    ready_path.map_or(Ok(()), ReadyFile::clear)?;
    let limit = descriptors::raise_limit();
    let listeners = settings.endpoints.listen.len();
    let connections_max = descriptors::connections_max(limit, listeners, settings.total.max_connections);
    let (mut server, addresses) = launch::bind(&settings, connections_max)?;

    warnings::warn_of_public_addresses(&addresses);
    warnings::warn_of_capped_backlog(settings.sockets.backlog);
    let lines = announce::lines(&addresses);
    let _ready_file = ready_path.map(|path| ReadyFile::write(path, &lines)).transpose()?;
    if announce::print(&lines)? == OutputState::Closed {
        // As any command in a pipe: its reader has left, so it ends.
        return Ok(());
    }

    let totals = server.run().map_err(|error| {
        CliError::failure(format!("the loop broke: {}", io_message(&error)), "this should not happen: please report it")
    })?;
    info!("{totals}");
    Ok(())
}

/// The flags and the help of `serve`.
pub(crate) fn command() -> Command {
    // For an update: no flag is required, what is not given stays as it was.
    let command = Settings::augment_args_for_update(Command::new(NAME));
    // The groups of flags bring their own descriptions, so the command's comes last.
    ConfigFile::augment_args(command)
        .about("Serves until SIGTERM or SIGINT: echo on 127.0.0.1:7007 by default")
        .long_about(None)
        .after_help("Counts are 1000, 10k or 1M; sizes 64B, 4KiB or 1MiB; durations 500ms, 2s, 1m or never.")
        .after_long_help(format!("{HELP}\n\n{EXIT_STATUS}"))
}

const HELP: &str = "\
UNITS
  COUNT     1000, 10k, 1M
  SIZE      64B, 4KiB, 1MiB; 64kB is 64,000 bytes, a plain number is bytes
  DURATION  500ms, 2s, 1m 30s, 1h; `never` turns a timeout off

EXAMPLES
  readyloop serve
      Echo on tcp://127.0.0.1:7007. Try it: nc 127.0.0.1 7007
  readyloop serve --listen 127.0.0.1:0 --listen unix:/tmp/echo.sock
      Two listeners, one on any free port; standard output tells which.
  readyloop serve --prefix 'echo: '
      Line by line, each with a prefix; the line `exit` ends the connection.
  readyloop serve --listen tls://127.0.0.1:7443 --cert cert.pem --key key.pem
      Over TLS; `readyloop cert` makes such files for development.
  readyloop serve --service chat --idle-timeout never
      What one types, the others read.
  READYLOOP_MAX_CONNECTIONS=1k readyloop serve --config server.toml
      Settings from all three sources.

CONFIGURATION
  Every flag but --config is also a key in the file and a variable. Flag wins over variable,
  variable over file. Keys are called like the flags:

      listen = [\"127.0.0.1:7007\", \"unix:/run/echo.sock\"]
      idle-timeout = \"2m\"
      max-connections = 10000
      reuse-port = true

ENVIRONMENT
  READYLOOP_…   the flag of that name: READYLOOP_IDLE_TIMEOUT is --idle-timeout.
                READYLOOP_LISTEN holds one or more addresses with commas between.
                READYLOOP_CONFIG names the file. An empty variable counts as none.
  RUST_LOG      which lines are logged, as env_logger reads it; wins over -v and -q

SIGNALS
  SIGTERM, SIGINT   drain: accept nobody new, serve what peers have sent, finish every peer.
                    A second one stops at once.
  SIGHUP            read certificate and key again; those of before stay when they cannot be used
  SIGUSR1           log the totals";
