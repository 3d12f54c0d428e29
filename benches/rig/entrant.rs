//! An entrant: who takes part in a comparison, and how it is started for each of its rounds.
//!
//! Where a process happens to lie in memory, and where the kernel's part of it does, moves its cost
//! by more than what is compared. So each round has a process of its own, and luck is part of the
//! spread and not of the median.

use anyhow::Result;

use super::arguments::Peer;
use super::cell::Cell;
use super::contender::Contender;
use super::server::Server;

/// Somebody who takes part.
pub(crate) enum Entrant {
    /// A server of this repository, under that name in the table.
    Own(Server, String),
    /// Any other.
    Other(Peer),
}

impl Entrant {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Own(_, name) => name,
            Self::Other(peer) => &peer.name,
        }
    }

    /// Starts it, tied to that core.
    pub(crate) fn start(&self, core: Option<usize>) -> Result<Contender> {
        match self {
            Self::Own(server, name) => Contender::own(*server, name.clone(), core),
            Self::Other(peer) => Contender::peer(peer, core),
        }
    }

    /// Why it cannot do this load, if it cannot.
    pub(crate) fn objection(&self, cell: &Cell) -> Option<String> {
        self.server().and_then(|server| server.objection(cell))
    }

    /// The ratio of CPU to `baseline` that is wished for at most, if any is.
    pub(crate) fn goal(&self, baseline: &Self, cell: &Cell) -> Option<f64> {
        self.server().zip(baseline.server()).and_then(|(server, baseline)| server.goal(baseline, cell))
    }

    fn server(&self) -> Option<Server> {
        match self {
            Self::Own(server, _) => Some(*server),
            Self::Other(_) => None,
        }
    }
}
