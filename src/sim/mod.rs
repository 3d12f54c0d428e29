//! A simulated world behind the border of [`crate::net`]: a network, a clock and peers, all out of one seed.
//!
//! The server that ships runs in it unchanged. A kind world is a place to test a service without
//! sockets, threads and sleeps; a hostile one does, call by call, the worst that a kernel may do,
//! and the same again for the same seed. The kernel that it knows is Linux. It opens no socket
//! and reads no clock.

mod errno;
mod faults;
mod habits;
mod net;
mod peer;
mod rng;
mod state;
#[cfg(test)]
mod tests;
mod trace;
mod wire;
mod world;

pub use faults::{Fault, FaultCounts, Faults, Harm};
pub use habits::{Ending, Habits};
pub use net::{SimListener, SimNet, SimStream};
pub use peer::Peer;
pub use rng::{Rng, pattern};
pub use world::{Rest, StreamView, World, WorldTally};
