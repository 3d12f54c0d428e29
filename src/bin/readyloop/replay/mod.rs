//! `readyloop replay`: runs the server of a recording again, without sockets, and compares each call.

mod calls;
mod peers;

use std::io::{self, BufRead as _};
use std::path::PathBuf;
use std::process;

use clap::Args;
use readyloop::recording::{Replay, ReplayError, old_path};
use readyloop::run_log::RunLog;

use crate::cli_error::CliError;
use crate::logging::{self, Verbosity};
use crate::quantity::counted;
use crate::serve::{ReplayedServer, replay_error};
use crate::standard_output::print;
use crate::watch::{Outputs, Story};

/// All settings of `replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// File of `serve --record`; if FILE.old has its first turns, that file is read first
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
    /// For a recording without bytes, without its first turns, or of another program. The decisions of the server
    /// stay unknown.
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
    /// The title of the log of the run. `None` if no output needs a log.
    fn title(&self) -> Option<String> {
        let needs_log = self.story || self.outputs.first_flag().is_some();
        needs_log.then(|| format!("Replay of {}", self.file.display()))
    }

    /// Writes the story, the page and the trace that are asked for, even if one of them fails.
    fn write(&self, run: &RunLog) -> Result<(), CliError> {
        self.outputs.write(run, if self.story { Story::Printed } else { Story::Omitted })
    }

    /// Puts the name of the file before an error of its content.
    fn error(&self, error: &ReplayError) -> CliError {
        replay_error(error, true).at(&self.file.display().to_string())
    }
}

/// Replays a recording and prints what it found.
///
/// # Errors
/// The file is no recording of `serve`, or the server does something else than it did.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    logging::start(&settings.verbosity);
    settings.outputs.check()?;
    settings.outputs.check_inputs(&[&settings.file, &old_path(&settings.file)])?;
    if settings.calls {
        return calls::run(settings);
    }
    let replay = Replay::open(&settings.file).map_err(|error| settings.error(&error))?;
    let mut replayed = ReplayedServer::new(replay, settings.title())?;
    let result = replay_turns(settings, &mut replayed);
    let summary = summary(&replayed);
    // A replay that differs has a story, too. The difference is reported before an error of the outputs.
    let written = replayed.into_log().map_or(Ok(()), |run| settings.write(&run));
    result.and(written)?;
    print(&summary)
}

/// Replays the turns that the settings ask for.
fn replay_turns(settings: &Settings, replayed: &mut ReplayedServer) -> Result<(), CliError> {
    run_until(replayed, settings.until)?;
    if settings.until.is_none() {
        return Ok(());
    }
    print(&peers::table(&replayed.server))?;
    if !settings.pause {
        return Ok(());
    }
    pause(replayed)?;
    run_until(replayed, None)
}

/// Replays the turns before `until`, or all of them.
fn run_until(replayed: &mut ReplayedServer, until: Option<u64>) -> Result<(), CliError> {
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
    let end = match (server.is_done(), net.is_last()) {
        (true, _) => "the server has ended",
        (false, true) => "the recording ends before the server does",
        (false, false) => "the rest was not replayed",
    };
    format!(
        "{}\nreplayed {}, {content}; every call is equal, trace {:016x}; {end}\n",
        server.totals(),
        counted(net.turns(), "turn"),
        net.trace_hash()
    )
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
