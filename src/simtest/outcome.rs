//! `SimOutcome` and `Failure`: the result of one run.

use std::fmt;

use super::log::Misdeed;
use crate::sim::FaultCounts;

/// The result of a run without failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimOutcome {
    /// The number of turns.
    pub turns: u64,
    /// A hash of all calls and results. Equal seeds give equal hashes.
    pub trace_hash: u64,
    /// The injected faults.
    pub faults: FaultCounts,
    pub(super) misdeeds: [u64; Misdeed::NAMES.len()],
    pub(super) events: RunEventCounts,
}

impl SimOutcome {
    /// The name and count of everything that a run may inject or cause.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let misdeeds = Misdeed::NAMES.into_iter().zip(self.misdeeds);
        self.faults.rows().chain(misdeeds).chain(RunEvent::NAMES.into_iter().zip(self.events))
    }
}

/// What a run itself causes, or what its limits cause.
#[derive(Clone, Copy, Debug)]
pub(super) enum RunEvent {
    Drain,
    Stop,
    Message,
    RefusedFull,
    RefusedAddress,
    BudgetSpent,
    WrappedGeneration,
    TurnCutShort,
    DatagramAnswered,
    DatagramRefused,
}

impl RunEvent {
    const NAMES: [&str; 10] = [
        "drain at any step",
        "stop at any step",
        "message from another thread",
        "refused: server full",
        "refused: address full",
        "budget spent",
        "generations wrap",
        "turn cut short",
        "datagram answered",
        "datagram refused",
    ];
}

/// A count for each [`RunEvent`].
pub(super) type RunEventCounts = [u64; RunEvent::NAMES.len()];

/// The violation that a run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The violated invariant.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.message)
    }
}
