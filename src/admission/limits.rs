//! Every bound on the server as a whole; those on one peer are in [`Limits`](crate::connection::Limits).

use std::time::Duration;

/// What all peers of a server may use together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// How many peers at once, over all endpoints.
    pub connections_max: usize,
    /// How many of them from one IPv4 address or one IPv6 /64.
    pub connections_per_address_max: usize,
    /// What becomes of those beyond `connections_max`. One address too often is always refused.
    pub when_full: WhenFull,
    /// How many TLS handshakes at once on one endpoint. Beyond it the one that has gone on for the
    /// longest is given up ([`CloseReason::HandshakesFull`](crate::connection::CloseReason)).
    ///
    /// 4096: some 80 MiB, since one that goes on holds up to 20 KiB.
    pub handshakes_max: usize,
    /// From the order of a service to connect until the connection is through.
    ///
    /// 5 seconds: two lost packets and their retransmissions, after 1 and 3 seconds.
    pub connect_timeout: Duration,
    /// How many connections that a service ordered may be under way at once; further ones wait.
    ///
    /// 128: the backlog of many a listener. What finds a backlog full loses a packet, and a whole
    /// second with it.
    pub connecting_max: usize,
    /// How much memory may be lent to the queues of all peers together, in bytes.
    ///
    /// 512 MiB: 4,000 slow peers at the default high watermark. Long before it is spent the
    /// largest queues are paused, then nobody new is accepted.
    pub queue_total_max: usize,
    /// How long a drain may take. At half of it peers are finished whatever they still send, at
    /// its end they are cut off.
    ///
    /// 10 seconds: what process supervisors commonly grant before they kill.
    pub drain_timeout: Duration,
}

/// What becomes of connections that come when the server is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// They wait in the kernel's backlog until there is room.
    #[default]
    Pause,
    /// They are accepted and reset at once, so that their clients know.
    Refuse,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            // A library does not know the descriptor limit; EMFILE is handled whatever this says.
            connections_max: usize::MAX,
            connections_per_address_max: usize::MAX,
            when_full: WhenFull::Pause,
            handshakes_max: 4096,
            connect_timeout: Duration::from_secs(5),
            connecting_max: 128,
            queue_total_max: 512 * 1024 * 1024,
            drain_timeout: Duration::from_secs(10),
        }
    }
}
