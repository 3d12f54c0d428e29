//! `readyloop replay`: runs the server of a recording again, without sockets, and compares each call.

mod calls;
mod peers;

use std::io::{self, BufRead as _};
use std::path::PathBuf;
use std::process;

use clap::Args;
use readyloop::recording::{Replay, ReplayError};
use readyloop::run_log::RunLog;

use crate::cli_error::CliError;
use crate::logging::{self, Verbosity};
use crate::serve::ReplayedServer;
use crate::standard_output::print;
use crate::watch::{Outputs, Story};

/// All settings of `replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// File of `serve --record`; if FILE.old continues it, both are read
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Stop before this turn, and print the state of each connection
    #[arg(long, value_name = "TURN")]
    until: Option<u64>,

    /// With --until: wait for Enter, so that a debugger can be attached, and then go on to the end
    #[arg(long, requires = "until")]
    pause: bool,

    /// Only read the recorded calls, and do not run the server
    ///
    /// For a recording without bytes, without its first turns, or of another program. Decisions of the server are not
    /// known then.
    #[arg(long, conflicts_with_all = ["until", "pause"])]
    calls: bool,

    /// Print what happens in each turn, in plain words
    #[arg(long)]
    story: bool,

    #[command(flatten)]
    outputs: Outputs,

    #[command(flatten)]
    verbosity: Verbosity,
}

impl Settings {
    fn title(&self) -> String {
        format!("Replay of {}", self.file.display())
    }

    /// Writes the story, the page and the trace that are asked for.
    fn write(&self, run: &RunLog) -> Result<(), CliError> {
        self.outputs.write(run, if self.story { Story::Printed } else { Story::Omitted })
    }
}

/// Replays a recording and prints what it found.
///
/// # Errors
/// The file is no recording of `serve`, or the server does something else than it did.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    logging::start(&settings.verbosity);
    settings.outputs.check()?;
    if settings.calls {
        return calls::run(settings);
    }
    let replay = Replay::open(&settings.file).map_err(|error| open_error(settings, &error))?;
    let has_content = replay.has_content();
    let title = (settings.story || settings.outputs.first_flag().is_some()).then(|| settings.title());
    let mut replayed = ReplayedServer::new(replay, title)?;
    let result = replay_turns(settings, &mut replayed);
    let summary = summary(&replayed);
    // A replay that differs has a story, too.
    if let Some(run) = replayed.into_log() {
        settings.write(&run)?;
    }
    result?.map_err(|error| differ_error(&error, has_content))?;
    print(&summary)
}

/// Replays the turns that the settings ask for. The inner error is a difference.
fn replay_turns(settings: &Settings, replayed: &mut ReplayedServer) -> Result<io::Result<()>, CliError> {
    let result = run_until(replayed, settings.until);
    if settings.until.is_none() || result.is_err() {
        return Ok(result);
    }
    print(&peers::table(&replayed.server))?;
    if !settings.pause {
        return Ok(Ok(()));
    }
    pause(replayed)?;
    Ok(run_until(replayed, None))
}

/// Replays the turns before `until`, or all of them.
fn run_until(replayed: &mut ReplayedServer, until: Option<u64>) -> io::Result<()> {
    let is_before = |replayed: &ReplayedServer| until.is_none_or(|until| replayed.server.net().turns() + 1 < until);
    while !replayed.server.is_done() && !replayed.server.net().is_last() && is_before(replayed) {
        replayed.turn()?;
    }
    Ok(())
}

/// Waits for a line of standard input.
fn pause(replayed: &ReplayedServer) -> Result<(), CliError> {
    let (process, next) = (process::id(), replayed.server.net().turns() + 1);
    print(&format!("process {process} waits before turn {next}: attach with `gdb -p {process}`, then press Enter\n"))?;
    // At the end of the input, or after an error, the replay goes on.
    let _ = io::stdin().lock().read_line(&mut String::new());
    Ok(())
}

fn summary(replayed: &ReplayedServer) -> String {
    let (server, net) = (&replayed.server, replayed.server.net());
    let content = if net.has_content() { "with bytes" } else { "without bytes" };
    format!(
        "{}\nreplayed {} turns, {content}; every call is equal, trace {:016x}\n",
        server.totals(),
        net.turns(),
        net.trace_hash()
    )
}

fn open_error(settings: &Settings, error: &ReplayError) -> CliError {
    let hint = if let ReplayError::NoBeginning { .. } = error {
        "add --calls to read the calls that are left, or record with a larger --record-max"
    } else {
        "type the path of a file that `readyloop serve --record FILE` has written"
    };
    CliError::failure(error.to_string(), hint).at(&settings.file.display().to_string())
}

fn differ_error(error: &io::Error, has_content: bool) -> CliError {
    let hint = if has_content {
        "record and replay with the same version of readyloop"
    } else {
        "record with --record-bytes, or add --calls: without bytes, only --framing raw can be replayed"
    };
    CliError::failure(error.to_string(), hint)
}

pub(crate) const HELP: &str = "\
WHAT IT DOES
  The server that was recorded runs again, with its settings. It opens no socket: each call returns
  the result in the file. The first call that differs is an error, with its turn. A file that was cut
  off, such as that of a killed server, is replayed to its last whole turn. Keys of certificates are
  not needed.

EXAMPLES
  readyloop serve --record run.rec --record-bytes
      Record a server, with the bytes that clients send.
  readyloop replay run.rec
      Replay all turns and print the totals.
  readyloop replay run.rec --story
      Print what happened in each turn, in plain words.
  readyloop replay run.rec --html run.html --trace run.json
      Write a page that plays the run step by step, and a trace for https://ui.perfetto.dev.
  readyloop replay run.rec --calls --story
      Print the calls of a recording that cannot be replayed.
  readyloop replay run.rec --until 1200
      Print the state of each connection before turn 1200.
  readyloop replay run.rec --until 1200 --pause
      Also wait there for a debugger. `break readyloop::event_loop::EventLoop::turn` stops in each turn.

EXIT STATUS
  0  every call is equal
  1  a call differs, or the file is damaged or no recording of `readyloop serve`
  2  wrong usage";
