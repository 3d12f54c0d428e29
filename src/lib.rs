//! A single-threaded server core on readiness: tens of thousands of connections, one thread,
//! bounded memory.
//!
//! You write a [`Service`]; the [`Server`] gives it whole frames and takes whole replies.
//!
//! ```no_run
//! use readyloop::{Context, Lines, Reactor, Server, ServerLimits, Service};
//!
//! struct Shout;
//!
//! impl Service for Shout {
//!     type Peer = ();
//!     type Message = ();
//!
//!     fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context) {
//!         cx.send(&line.to_ascii_uppercase());
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut server = Server::new(Reactor::new()?, ServerLimits::default());
//!     server.listen("127.0.0.1:7007".parse::<readyloop::Address>()?, Lines::new(), Shout)?;
//!     println!("{}", server.run()?);
//!     Ok(())
//! }
//! ```
//!
//! # The rooms, in reading order
//!
//! Imports point down this table's rings, never up; within a ring, to the rooms before; in ring 5,
//! to none, but that `load` stands on `client`. A test reads this table and holds the sources to it.
//!
//! | ring | room | what it is |
//! |---|---|---|
//! | 0 | [`buffer`], [`watermark`], [`instant`], [`slab`], [`timers`], [`destination`] | facts: bytes that wait, when to pause, when it is, who is who, when to look again, where to connect |
//! | 1 | [`codec`] | frames in bytes |
//! | 2 | [`connection`] | one peer: a machine without a socket and without a clock |
//! | 3 | [`service`], [`host`], [`datagram`] | many peers, one service; datagrams, and who may be answered |
//! | 4 | [`net`], [`sim`], [`admission`], [`connector`] | the border: sockets, mio, the clock; a simulated world behind it; who may come in, and the count of all; connections of ours under way |
//! | 5 | [`server`], [`client`], [`blocking`], [`load`] | the programs: endpoints on one loop, and the turn; connections of our own; the other designs of a server; the load generator |
//! | 6 | [`simtest`] | the proof: the server in a simulated world, watched at every turn |
//!
//! # The laws
//!
//! 1. One connection machine, many drivers: [`connection::Connection`] never sees a socket or a clock.
//! 2. The whole server runs over a border we own, [`net::Net`]: what ships is what is simulated.
//! 3. Nothing is lost: bytes in = framed + discarded, bytes queued = written + unsent
//!    ([`connection::Ledger`]), and every peer ends with exactly one [`connection::CloseReason`].
//! 4. Nothing grows without a bound: every bound is in [`connection::Limits`] or [`admission::ServerLimits`].
//! 5. Nothing spins: a turn either moves something or sleeps until a fact or a deadline.

pub mod admission;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod buffer;
pub mod client;
pub mod codec;
pub mod connection;
pub mod connector;
pub mod datagram;
pub mod destination;
pub mod host;
pub mod instant;
#[cfg(feature = "load")]
pub mod load;
pub mod net;
#[doc = include_str!("security.md")]
pub mod security {}
pub mod server;
pub mod service;
pub mod sim;
#[cfg(feature = "simtest")]
pub mod simtest;
pub mod slab;
pub mod timers;
pub mod watermark;

pub use self::slab::Key;
pub use admission::{Listen, ServerLimits, Totals, WhenFull};
pub use codec::{Fixed, Framing, Length, Lines, Raw};
pub use connection::{CloseReason, Limits};
pub use net::{Address, ControlEvent, Handle, Keepalive, ListenOptions, Reactor, Sender};
pub use server::Server;
pub use service::{Context, Orders, Service};

/// The code in the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
