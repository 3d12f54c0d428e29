//! Limits of the server as a whole. Limits of one peer are in [`Limits`](crate::connection::Limits).

use std::time::Duration;

/// Limits that all peers of a server share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most peers at a time, over all endpoints.
    pub connections_max: usize,
    /// Most peers at a time from one IPv4 address or one IPv6 /64.
    pub connections_per_address_max: usize,
    /// What happens to connections beyond `connections_max`. Connections beyond
    /// `connections_per_address_max` are always refused.
    pub when_full: WhenFull,
    /// Most TLS handshakes at a time on one endpoint. When one more begins, the oldest is closed
    /// ([`CloseReason::HandshakesFull`](crate::connection::CloseReason)).
    ///
    /// The default is 4096: at most 80 MiB, because one handshake holds up to 20 KiB.
    pub handshakes_max: usize,
    /// Time from the order of a service to connect until the connection is established.
    ///
    /// The default is 5 seconds. A lost packet is sent again after 1 second and once more after 3.
    pub connect_timeout: Duration,
    /// Most outbound connections in progress at a time on one endpoint. Further ones wait.
    ///
    /// The default is 128, a common length of a backlog. A connect that meets a full backlog takes a
    /// second longer, because its packet is lost.
    pub connecting_max: usize,
    /// Most memory for the queues of all peers together, in bytes.
    ///
    /// The default is 512 MiB: 4,000 slow peers at the default high watermark. As memory runs short,
    /// the server first pauses the peers with the largest queues, then stops accepting.
    pub queue_total_max: usize,
    /// Time from the request to shut down until the server stops accepting. Meanwhile it serves as before,
    /// but the readiness probe of the administration endpoint fails.
    ///
    /// The default is zero. Behind a load balancer it is the time that the balancer needs to notice: the
    /// interval of its health checks times the number of failures that it waits for, and some seconds.
    pub shutdown_delay: Duration,
    /// Most time after `shutdown_delay` in which the server waits until its peers leave by themselves. It
    /// serves them and accepts no others.
    ///
    /// The default is zero: the drain begins at once.
    pub lame_duck_timeout: Duration,
    /// Most time a drain may take. After half of it, the server stops reading and finishes every
    /// peer. At its end, the server closes every peer.
    ///
    /// The default is 10 seconds, the time that process supervisors commonly grant before they kill.
    pub drain_timeout: Duration,
}

/// What happens to a connection that arrives while the server is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits in the kernel's backlog until another connection closes.
    #[default]
    Pause,
    /// It is accepted and reset at once, so that its client gets an error.
    Refuse,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            // A library does not know the descriptor limit. EMFILE is handled at any value.
            connections_max: usize::MAX,
            connections_per_address_max: usize::MAX,
            when_full: WhenFull::Pause,
            handshakes_max: 4096,
            connect_timeout: Duration::from_secs(5),
            connecting_max: 128,
            queue_total_max: 512 * 1024 * 1024,
            shutdown_delay: Duration::ZERO,
            lame_duck_timeout: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
        }
    }
}
