//! `replay --calls`: the calls of a recording, without running the server.

use readyloop::recording::{ReplayError, Transcript};
use readyloop::run_log::RunObserver;
use readyloop::trace::TraceLog;

use crate::cli_error::CliError;
use crate::quantity::counted;
use crate::standard_output::print;

use super::Settings;

/// Reads all calls, and writes the outputs that the settings ask for.
pub(super) fn run(settings: &Settings) -> Result<(), CliError> {
    let log = TraceLog::new();
    let mut transcript = Transcript::open(&settings.file, log.clone()).map_err(|error| settings.error(&error))?;
    let mut observer = settings.title().map(|title| RunObserver::new(title, log.clone()));
    let read = read_turns(&mut transcript, &log, observer.as_mut()).map_err(|error| settings.error(&error));
    // The turns before a damaged one are not lost. The damage is reported before an error of the outputs.
    let written = observer.map_or(Ok(()), |observer| settings.write(&observer.into_log()));
    let turns = read?;
    written?;
    print(&format!("read the calls of {}; the server did not run\n", counted(turns, "turn")))
}

/// Reads all turns and returns their number. Without an observer, their calls are dropped.
fn read_turns(
    transcript: &mut Transcript,
    log: &TraceLog,
    mut observer: Option<&mut RunObserver>,
) -> Result<u64, ReplayError> {
    let mut turns = 0;
    while let Some((turn, now)) = transcript.read_turn()? {
        match &mut observer {
            Some(observer) => observer.after_calls(turn, now, &[]),
            None => drop(log.take()),
        }
        turns += u64::from(turn > 0);
    }
    Ok(turns)
}
