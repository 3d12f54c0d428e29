//! `replay --calls`: the calls of a recording, without running the server.

use readyloop::recording::{ReplayError, Transcript};
use readyloop::run_log::RunObserver;
use readyloop::trace::TraceLog;

use crate::cli_error::CliError;
use crate::standard_output::print;

use super::{Settings, open_error};

/// Reads all calls, and writes the outputs that the settings ask for.
pub(super) fn run(settings: &Settings) -> Result<(), CliError> {
    let log = TraceLog::new();
    let mut transcript = Transcript::open(&settings.file, log.clone()).map_err(|error| open_error(settings, &error))?;
    let mut observer = RunObserver::new(settings.title(), log);
    let read = read_turns(&mut transcript, &mut observer);
    // The turns before a damaged one are not lost.
    settings.write(&observer.into_log())?;
    let turns = read.map_err(|error| open_error(settings, &error))?;
    print(&format!("read the calls of {turns} turns; the server did not run\n"))
}

fn read_turns(transcript: &mut Transcript, observer: &mut RunObserver) -> Result<u64, ReplayError> {
    let mut turns = 0;
    while let Some((turn, now)) = transcript.read_turn()? {
        observer.after_calls(turn, now, &[]);
        turns += u64::from(turn > 0);
    }
    Ok(turns)
}
