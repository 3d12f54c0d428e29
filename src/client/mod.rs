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

pub use backoff::Backoff;
pub use blocking::BlockingStream;
pub use connect::{Connect, ConnectError, Connected, look_up, resolve};
pub use limits::ClientLimits;
pub use reactor::Client;
pub use sequence::{Arrival, REMEMBERED_MAX, Sequence, SequenceCounters};

pub use crate::connector::ConnectFailure;
