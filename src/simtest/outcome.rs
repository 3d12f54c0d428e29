//! `SimOutcome` and `Failure`: the result of one run.

use std::fmt;

use crate::sim::FaultCounts;

/// Declares something that runs count, with the name of each kind in reports.
macro_rules! counted {
    ($(#[$doc:meta])* $type:ident { $($kind:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) enum $type { $($kind,)* }

        impl $type {
            /// All kinds with their names, in order.
            pub(super) const ALL: [(Self, &str); [$($name),*].len()] = [$((Self::$kind, $name)),*];
        }
    };
}

counted! {
    /// Something that no service should do.
    Misdeed {
        FinishesSelf = "service finishes its peer",
        ClosesSelf = "service closes its peer",
        FinishesSibling = "service finishes another peer",
        ClosesSibling = "service closes another peer",
        ClosesAll = "service closes all peers",
        Panics = "service panics",
        DefersReply = "service defers a reply",
        RepliesBadly = "service sends a bad reply",
    }
}

counted! {
    /// Something that a run causes by itself or by its limits.
    RunEvent {
        ShutDown = "shutdown in stages at any step",
        LameDuck = "lame duck at any step",
        Drain = "drain at any step",
        Stop = "stop at any step",
        Message = "message from another thread",
        RefusedFull = "refused: server full",
        RefusedAddress = "refused: address full",
        BudgetSpent = "budget spent",
        WrappedGeneration = "generations wrap",
        TurnCutShort = "turn cut short",
        TooSlow = "peer too slow",
        MaxLifetime = "end of a lifetime",
        DatagramAnswered = "datagram answered",
        DatagramRefused = "datagram refused",
    }
}

/// The result of a run without failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimOutcome {
    /// The number of turns.
    pub turns: u64,
    /// A hash of all calls and results. Equal seeds give equal hashes.
    pub trace_hash: u64,
    /// The injected faults.
    pub faults: FaultCounts,
    pub(super) misdeeds: [u64; Misdeed::ALL.len()],
    pub(super) events: RunEventCounts,
}

impl SimOutcome {
    /// The name and count of everything that a run may inject or cause.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let misdeeds = Misdeed::ALL.into_iter().map(|(_, name)| name).zip(self.misdeeds);
        let events = RunEvent::ALL.into_iter().map(|(_, name)| name).zip(self.events);
        self.faults.rows().chain(misdeeds).chain(events)
    }
}

/// A count for each [`RunEvent`].
pub(super) type RunEventCounts = [u64; RunEvent::ALL.len()];

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
