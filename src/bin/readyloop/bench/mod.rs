//! `readyloop bench`: the steps from a command line to a report.
//!
//! Each step is a file of its own; here is only their order.

mod drive;
mod exit_status;
mod figures;
mod hgrm;
mod preflight;
mod progress;
mod settings;
mod sources;
mod text;
mod threshold;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::cli_error::{CliError, io_message};
use crate::logging;
use crate::report::Form;

use settings::Settings;

/// The name of this subcommand.
pub(crate) const NAME: &str = "bench";

/// Measures, and tells what came of it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = Settings::from_arg_matches(matches).expect("clap has checked what it declares");
    logging::start(&settings.verbosity);
    let plan = settings.plan()?;
    preflight::check(&plan)?;
    let record = drive::measure(plan, &settings)?;
    exit_status::check_measured(&record)?;
    let report = if settings.output.json { record.to_json() } else { text::report(&record) };
    print(&report)?;
    if let Some(path) = &settings.output.hgrm {
        write_file(path, &hgrm::print(&record.latency))?;
    }
    if let Some(path) = &settings.output.html {
        write_file(path, &Form::Html.print(&[record.clone().into()]))?;
    }
    exit_status::check_outcome(&record, &settings.output.fail_if)
}

/// Prints the result; whoever reads a pipe and has left has seen enough.
fn print(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failure(
            format!("cannot write to standard output: {}", io_message(&error)),
            "redirect it to a place with room",
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), CliError> {
    fs::write(path, text).map_err(|error| {
        CliError::failure(
            format!("cannot write {}: {}", path.display(), io_message(&error)),
            "type a path in a directory that you may write to",
        )
    })
}

/// The flags and the help of `bench`.
pub(crate) fn command() -> Command {
    Settings::augment_args(Command::new(NAME))
        // Where settings have one source only, what is not given must have a value.
        .mut_arg("quiet", |quiet| quiet.required(false).default_value("false").hide_default_value(true))
        .about("Asks an echo server for as much as it can give, checks every byte, and measures")
        .long_about(None)
        .after_help("Counts are 1000, 10k or 1M; sizes 64B, 4KiB or 1MiB; durations 500ms, 2s or 1m.")
        .after_long_help(HELP)
}

const HELP: &str = "\
One thread drives all connections. In a closed loop, the default, a request leaves when an answer
has come: a server that stalls is asked less meanwhile, and its stall hardly shows in the
percentiles. With --rate requests leave on time whatever the server does, and latency counts from
when each was to leave: that is what its users feel.

EXAMPLES
  readyloop bench 127.0.0.1:7007
      50 connections, 64 bytes, a closed loop, ten seconds.
  readyloop bench 127.0.0.1:7007 -c 1000 --rate 20k --fail-if 'p99>5ms'
      An open loop; exit status 3 when one in a hundred took longer than 5 ms.
  readyloop bench 127.0.0.1:7007 -c 100 --idle 10k --pid $(pidof readyloop)
      With ten thousand others that only sit there; and what that costs the server.
  readyloop bench 127.0.0.1:7007 --churn -c 64
      Connect, one echo, close.
  readyloop bench 127.0.0.1:7007 -c 50k --source 127.0.0.2-127.0.0.9
      More connections than one address has ports.
  readyloop bench tls://localhost:7443 --insecure -n 100k --json > run.json
      A number of requests over TLS; the run as data.

ENVIRONMENT
  RUST_LOG  which lines are logged, as env_logger reads it; wins over -v and -q

EXIT STATUS
  0  done, or interrupted: every answer that came was right
  1  a request failed, an answer was wrong, less than 99 % of --rate was reached, or nothing could
     be measured; a lost datagram is counted and no failure
  2  wrong usage; nothing was sent
  3  a --fail-if was missed";
