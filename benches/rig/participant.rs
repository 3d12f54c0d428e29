//! `Participant`: a server that takes part in a comparison, and how it is started for each round.
//!
//! The memory addresses of a process and of its kernel structures change its cost by more than the
//! differences that are compared. So each round has a process of its own: random effects then widen the
//! spread and do not move the median.

use anyhow::Result;

use super::arguments::Peer;
use super::cell::Cell;
use super::running_server::RunningServer;
use super::server::Server;

/// A server that takes part.
pub(crate) enum Participant {
    /// A server of this repository, and its name in the table.
    Own(Server, String),
    /// Any other server.
    Other(Peer),
}

impl Participant {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Own(_, name) => name,
            Self::Other(peer) => &peer.name,
        }
    }

    /// Starts the server on the given core.
    pub(crate) fn start(&self, core: Option<usize>) -> Result<RunningServer> {
        match self {
            Self::Own(server, name) => RunningServer::own(*server, name.clone(), core),
            Self::Other(peer) => RunningServer::peer(peer, core),
        }
    }

    /// Why it cannot serve this load, if it cannot.
    pub(crate) fn reason_left_out(&self, cell: &Cell) -> Option<String> {
        self.server().and_then(|server| server.reason_left_out(cell))
    }

    /// The highest ratio of CPU to `baseline` that meets the goal, if there is a goal.
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
