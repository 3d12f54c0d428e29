//! Every bound on a client as a whole, and on each of its peers.

use std::time::Duration;

use crate::connection::Limits;

/// What one client may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// What each peer may use.
    pub peer: Limits,
    /// From the first try to connect until the connection is through.
    ///
    /// 5 seconds: two lost packets and their retransmissions, after 1 and 3 seconds.
    pub connect_timeout: Duration,
    /// How many connections may be under way at once; further ones wait here.
    ///
    /// 128: the backlog of many a listener. What finds a backlog full loses a packet, and a whole
    /// second with it.
    pub connecting_max: usize,
    /// How much memory may be lent to the queues of all peers together, in bytes.
    ///
    /// 512 MiB, as for a server.
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
