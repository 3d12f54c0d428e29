//! [`ClientLimits`]: the bounds on a client and on each of its peers.

use std::time::Duration;

use crate::connection::Limits;

/// The bounds on one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// The limits of each peer.
    pub peer: Limits,
    /// How long connecting may take, until the connection is established.
    ///
    /// Default 5 seconds, which allows two lost packets: TCP retransmits after 1 and 3 seconds.
    pub connect_timeout: Duration,
    /// How many connections may be connecting at once. Further ones wait in the client.
    ///
    /// Default 128, a common backlog. A connection that meets a full backlog loses a packet and
    /// waits a second for the retransmission.
    pub connecting_max: usize,
    /// How much memory the queues of all peers may use together, in bytes.
    ///
    /// Default 512 MiB, as for a server.
    pub queue_total_max: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            peer: Limits::default(),
            connect_timeout: Duration::from_secs(5),
            connecting_max: 128,
            queue_total_max: 512 * 1024 * 1024,
        }
    }
}
