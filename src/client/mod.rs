//! Clients: who connects, and hears what comes back.
//!
//! [`Connect`] gives one thread one connection, by name, with retries; [`Client`] drives many on
//! one loop, with a [`Service`](crate::service::Service) that gets the replies. [`Sequence`] is for
//! datagrams, which have no connection: it tells which were lost.

mod backoff;
mod blocking;
mod connect;
mod limits;
mod race;
mod reactor;
mod sequence;

use std::time::Duration;

pub use backoff::Backoff;
pub use blocking::BlockingStream;
pub use connect::{Connect, ConnectError, Connected, look_up, resolve};
pub use limits::ClientLimits;
pub use reactor::{Client, Failure};
pub use sequence::{Arrival, REMEMBERED_MAX, Sequence, SequenceTally};

/// How long to leave a Unix listener alone whose backlog is full: no fact tells of room in it.
const FULL_PAUSE: Duration = Duration::from_millis(10);
