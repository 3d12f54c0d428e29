//! A simulated world behind [`crate::net`]: a network, a clock and peers, all derived from one seed.
//!
//! The production server runs in it unchanged. Without faults, a world tests a service without
//! sockets, threads and sleeps. With faults, each call may fail or be delayed in any way that a
//! Linux kernel allows, and the same seed repeats the same run. The simulation opens no socket and reads no clock.
//!
//! A test of your own service:
//!
//! ```
//! use std::time::Duration;
//!
//! use readyloop::{Address, Lines, Server, ServerLimits, service::Echo, sim::World};
//!
//! # fn main() -> std::io::Result<()> {
//! let world = World::new(1);
//! let mut server = Server::new(world.net(), ServerLimits::default());
//! let address: Address = "127.0.0.1:7007".parse().unwrap();
//! server.listen(address.clone(), Lines::new(), Echo::new())?;
//!
//! let ann = world.connect(&address);
//! ann.send(b"hello\nhow are");
//! world.settle(|| server.turn(None))?;
//! assert_eq!(ann.received(), b"hello\n");
//!
//! ann.send(b" you?\n");
//! ann.finish();
//! world.settle(|| server.turn(None))?;
//! assert_eq!(ann.received(), b"how are you?\n");
//! assert!(ann.is_ended());
//!
//! // Half an hour later the idle timeout of five minutes has closed a silent peer.
//! let bob = world.connect(&address);
//! world.advance(Duration::from_secs(1800), || server.turn(None))?;
//! assert!(bob.is_ended());
//! assert!(server.totals().reconciles());
//! # Ok(())
//! # }
//! ```
//!
//! For a world with faults, use `World::new(seed).with_faults(Faults::delays_drawn_from(seed))`, and
//! run as many seeds as time allows.

mod behavior;
mod connect;
mod datagrams;
mod faults;
mod net;
mod peer;
mod peer_actions;
mod peer_state;
mod poll;
mod rng;
mod state;
mod sys_result;
#[cfg(test)]
mod tests;
mod wire;
mod world;

pub use behavior::{Behavior, PeerEnding};
pub use datagrams::SimDatagrams;
pub(crate) use faults::{ACCEPT_ERRORS, ACCEPT_OUTAGE_ERRORS, BREAKS, BacklogEffect};
pub use faults::{Fault, FaultCost, FaultCounts, Faults};
pub use net::{SimListener, SimNet, SimStream};
pub use peer::SimPeer;
pub use rng::{Rng, pattern};
pub use state::{WorldCounters, WorldProgress};
pub use world::{ListenerView, StreamView, World};
