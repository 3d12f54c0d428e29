//! Clients: who connects, and hears what comes back.
//!
//! [`Connect`] gives one thread one connection, by name, with retries; [`Client`] drives many on
//! one loop, with a [`Service`](crate::service::Service) that gets the replies.

mod backoff;
mod blocking;
mod connect;
mod limits;
mod race;
mod reactor;

pub use backoff::Backoff;
pub use blocking::BlockingStream;
pub use connect::{Connect, ConnectError, Connected, resolve};
pub use limits::ClientLimits;
pub use reactor::Client;

pub use crate::dial::Failure;
