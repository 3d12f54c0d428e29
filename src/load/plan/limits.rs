//! Bounds of the values in a plan.

use std::time::Duration;

/// Maximum length of a message. Many messages must fit into memory at once.
pub const MESSAGE_LEN_MAX: usize = 16 * 1024 * 1024;

/// Minimum length of a message over UDP: its first 8 bytes hold the number of the request.
pub const DATAGRAM_LEN_MIN: usize = 8;

/// Maximum payload of a UDP datagram over IPv4.
pub const DATAGRAM_LEN_MAX: usize = 65_507;

/// Maximum number of planned requests per second: more than a machine can send.
pub const RATE_MAX: f64 = 10e6;

/// Maximum number of connections, with the idle ones.
pub const CONNECTIONS_MAX: usize = 10_000_000;

/// Maximum number of threads. Each has an event loop and uses one core at most.
pub const THREADS_MAX: usize = 1024;

/// Maximum number of requests in flight over all connections. The generator stores the times of each.
pub const IN_FLIGHT_MAX: usize = 50_000_000;

/// Maximum number of bytes of all requests in flight. Requests that a server does not read stay in memory.
pub const IN_FLIGHT_BYTES_MAX: usize = 1 << 36;

/// Maximum measured time and maximum warm-up. Planned times are exact for that long.
pub const TIME_MAX: Duration = Duration::from_secs(100 * 24 * 3600);
