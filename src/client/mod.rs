//! Clients: outbound connections.
//!
//! [`Connect`] opens one blocking connection by name, with retries. [`Client`] drives many
//! connections on one event loop; its [`Service`](crate::service::Service) receives the replies.
//! [`Sequence`] tracks datagrams: which were answered, lost or reordered.

mod backoff;
mod blocking;
mod connect;
mod race;
mod reactor;
mod sequence;

pub use backoff::Backoff;
pub use blocking::BlockingStream;
pub use connect::{Connect, ConnectError, Connected, look_up, resolve};
pub use reactor::Client;
pub use sequence::{Arrival, REMEMBERED_MAX, Sequence, SequenceCounters};

pub use crate::service::ConnectFailure;
