//! `Wait`: the deadline of one row, which bounds every wait of the row, and the interrupt of the user.

use std::thread;
use std::time::{Duration, Instant};

use super::verdict::{Checked, Stop};
use crate::child::Interrupt;
use crate::units::print_duration;

/// Time between two looks at the interrupt and at conditions. Also the timeout of one read or write.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The deadline of a row.
#[derive(Clone, Copy)]
pub(super) struct Wait<'a> {
    timeout: Duration,
    /// `None` is a time that no clock can reach.
    deadline: Option<Instant>,
    interrupt: &'a Interrupt,
}

impl<'a> Wait<'a> {
    pub(super) fn new(timeout: Duration, interrupt: &'a Interrupt) -> Self {
        Self { timeout, deadline: Instant::now().checked_add(timeout), interrupt }
    }

    /// The timeout of the row as text, for evidence.
    pub(super) fn timeout(&self) -> String {
        print_duration(self.timeout)
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Fails with `evidence` if the deadline has passed.
    pub(super) fn check(&self, evidence: impl FnOnce() -> String) -> Checked {
        if self.interrupt.is_set() {
            return Err(Stop::Interrupted);
        }
        if self.left().is_zero() { Err(Stop::Failed(evidence())) } else { Ok(()) }
    }

    /// Waits for `time`, or until the user interrupts the program.
    pub(super) fn pause(&self, time: Duration) -> Checked {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.interrupt.is_set() {
                return Err(Stop::Interrupted);
            }
            thread::park_timeout(left.min(CHECK_INTERVAL));
        }
        Ok(())
    }

    /// Waits until `condition` returns a value. Fails with `evidence` at the deadline.
    pub(super) fn until<T>(
        &self,
        evidence: impl Fn() -> String,
        mut condition: impl FnMut() -> Checked<Option<T>>,
    ) -> Checked<T> {
        loop {
            if let Some(value) = condition()? {
                return Ok(value);
            }
            self.check(&evidence)?;
            thread::park_timeout(CHECK_INTERVAL);
        }
    }
}
