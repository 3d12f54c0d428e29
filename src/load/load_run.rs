//! `LoadRun`: the part of a run that one thread drives, over connections or over UDP.

use std::io;

use crate::net::ControlEvent;

use super::member::Member;
use super::outcome::RunOutcome;
use super::progress::RunProgress;
use super::record::RunEnd;

/// The part of a run that one thread drives.
pub(super) trait LoadRun: Sized {
    /// Runs one turn, which sleeps until there is work. Returns how the run ended, once it has.
    ///
    /// # Errors
    /// The poll failed.
    fn turn(&mut self) -> io::Result<Option<RunEnd>>;

    /// Ends the run. The measurements so far stay valid.
    fn interrupt(&mut self);

    fn progress(&self) -> RunProgress;

    fn member(&self) -> &Member;

    /// The results. Interrupts a run that has not ended, and waits for the end of the other threads.
    fn into_outcome(self) -> RunOutcome;

    /// Runs to the end.
    ///
    /// # Errors
    /// The poll failed.
    fn run(mut self) -> io::Result<RunOutcome> {
        while self.turn()?.is_none() {}
        Ok(self.into_outcome())
    }

    fn handle_control_event(&mut self, control_event: ControlEvent) {
        if control_event.ends_program() {
            self.interrupt();
        } else if control_event == ControlEvent::Totals {
            self.member().report(self.progress());
        }
    }
}
