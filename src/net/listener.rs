//! Listening sockets: built with socket2, since the backlog and most options must be there before
//! the first connection is.

use std::io;
use std::time::Duration;

/// Options of a listening socket.
///
/// Accepted streams inherit all but the backlog from it (tcp(7), socket(7)), so that an option
/// costs no system call per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections the kernel keeps for us while we do not accept; cut by `somaxconn`.
    pub backlog: u32,
    /// Send small replies at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// Probe silent peers (`SO_KEEPALIVE`).
    pub keepalive: Option<Keepalive>,
    /// Let other processes listen on the same port (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// `SO_RCVBUF` in bytes; unset lets the kernel tune it.
    pub recv_buffer: Option<usize>,
    /// `SO_SNDBUF` in bytes; unset lets the kernel tune it.
    pub send_buffer: Option<usize>,
}

/// When silent peers are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe (`TCP_KEEPIDLE`); whole seconds, at least one.
    pub after: Duration,
    /// Between probes (`TCP_KEEPINTVL`); whole seconds, at least one.
    pub every: Duration,
    /// Unanswered probes until the peer is gone (`TCP_KEEPCNT`).
    pub probes: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            // What Linux allows at most unless `net.core.somaxconn` was changed.
            backlog: 4096,
            nodelay: true,
            keepalive: None,
            reuse_port: false,
            recv_buffer: None,
            send_buffer: None,
        }
    }
}
