//! A simulated world behind the border of [`crate::net`]: a network, a clock and peers, all out of one seed.
//!
//! The server that ships runs in it unchanged. A kind world is a place to test a service without
//! sockets, threads and sleeps; a hostile one does, call by call, the worst that a kernel may do,
//! and the same again for the same seed. The kernel that it knows is Linux. It opens no socket
//! and reads no clock.
//!
//! Your own service, tested:
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
//! world.settle(|| server.turn())?;
//! assert_eq!(ann.received(), b"hello\n");
//!
//! ann.send(b" you?\n");
//! ann.finish();
//! world.settle(|| server.turn())?;
//! assert_eq!(ann.received(), b"how are you?\n");
//! assert!(ann.is_ended());
//!
//! // Half an hour later: whoever said nothing in five minutes has been shown out.
//! let bob = world.connect(&address);
//! world.pass(Duration::from_secs(1800), || server.turn())?;
//! assert!(bob.is_ended());
//! assert!(server.totals().reconciles());
//! # Ok(())
//! # }
//! ```
//!
//! The same in a hostile world: `World::new(seed).with_faults(Faults::delays_drawn_from(seed))`,
//! for as many seeds as there is time for.

mod behavior;
mod connect;
mod datagrams;
mod faults;
mod net;
mod outcome;
mod peer;
mod rng;
mod state;
mod story;
#[cfg(test)]
mod tests;
mod trace;
mod wire;
mod world;

pub use behavior::{Behavior, Ending};
pub use datagrams::SimDatagrams;
pub use faults::{Fault, FaultCounts, Faults, Harm};
pub use net::{SimListener, SimNet, SimStream};
pub use peer::Peer;
pub use rng::{Rng, pattern};
pub use world::{ListenerView, Progress, StreamView, World, WorldCounters};
