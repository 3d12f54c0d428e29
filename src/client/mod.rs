//! Clients: the other side of a connection.
//!
//! [`Client`] drives many connections on one loop, with a [`Service`](crate::service::Service)
//! that gets the replies. It looks up no names and never waits for one peer alone.

mod limits;
mod reactor;

pub use limits::ClientLimits;
pub use reactor::{Client, Failure};
