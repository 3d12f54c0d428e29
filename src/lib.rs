//! A network server on one thread that holds tens of thousands of connections, with bounded memory.
//!
//! You write a [`Service`]. The [`Server`] gives it whole frames and sends its replies.
//!
//! ```no_run
//! use readyloop::{Context, Lines, Reactor, Server, ServerLimits, Service};
//!
//! struct Shout;
//!
//! impl Service for Shout {
//!     type Codec = Lines;
//!     type Peer = ();
//!     type Message = ();
//!
//!     fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<Self>) {
//!         cx.send(&line.to_ascii_uppercase());
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut server = Server::new(Reactor::new()?, ServerLimits::default());
//!     server.listen("127.0.0.1:7007", Lines::new(), Shout)?;
//!     println!("{}", server.run()?);
//!     Ok(())
//! }
//! ```
//!
//! The [`guide`] has a [tutorial](guide::tutorial), a [cookbook](guide::cookbook) and a chapter on
//! [operations](guide::operations). [Internals](guide::internals) explains the turn, and a
//! [course](guide::course) teaches non-blocking I/O in twelve lessons.
//!
//! # Features
//!
//! No feature is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `admin` | an endpoint with metrics and the state of the loop, over HTTP |
//! | `tls` | TLS endpoints and clients, on rustls |
//! | `proxy-protocol` | endpoints behind a proxy that announces the address of each client |
//! | `record` | recordings of a loop, and their replay |
//! | `signals` | `Reactor::watch_signal`: signals as control events |
//! | `blocking` | other designs of a server, with threads, to compare with |
//! | `load` | the load generator and the record of its runs |
//! | `simtest` | tests of a service in simulated networks, from seeds |
//! | `cli` | the command `readyloop`; turns on all others |
//!
//! In a checkout, `cargo run` and `cargo test` have all features, and `cargo install --path . --features cli`
//! installs the command. To build the library alone there, type `cargo build -p readyloop`.
//!
//! # Systems
//!
//! Linux is tested. For macOS and FreeBSD it is only checked that the library and the command compile.
//! Measurements of other processes and core pinning need Linux.
//!
//! # Modules in reading order
//!
//! A module imports only from lower rings, and within its ring only from modules to its left. In
//! ring 6, only `load` imports from another module of the ring, `client`. A test reads this table
//! and checks the sources.
//!
//! | ring | modules | what they are |
//! |---|---|---|
//! | 0 | [`counters`], [`buffer`], [`watermark`], [`instant`], [`slab`], [`timers`], [`peer_address`], [`destination`] | values: counters, queued bytes, where reading pauses, time, peers by key, deadlines, addresses |
//! | 1 | [`codec`] | where frames begin and end in a stream of bytes |
//! | 2 | [`connection`] | one peer: a state machine without a socket and without a clock |
//! | 3 | [`service`], [`host`], [`datagram`] | the trait you implement; many peers and one service; which datagrams are answered |
//! | 4 | [`net`], [`trace`], [`sim`], [`faulty`], [`admission`], [`connector`], [`offload`], [`recording`] | the border: sockets, mio, the clock; what happens at it; a simulated network behind it; injected faults; caps and totals; outbound connections in progress; slow work on other threads; record and replay |
//! | 5 | [`event_loop`] | endpoints on one loop, and the turn that serves them |
//! | 6 | [`client`], [`admin`], [`blocking`], [`load`], [`run_log`] | outbound connections, blocking and on a loop; metrics and the state of the loop over HTTP; designs with threads; the load generator; what happened in each turn, in words |
//! | 7 | [`simtest`] | the server in a simulated network, checked after every turn |
//!
//! # Laws
//!
//! 1. A [`Connection`](connection::Connection) never sees a socket or a clock, so every driver runs the
//!    same state machine.
//! 2. An [`EventLoop`] reaches the system only through [`Net`](net::Net), so the simulation runs the same
//!    loop as production.
//! 3. Every byte is counted: bytes read = framed + discarded, bytes queued = written + unsent
//!    ([`Ledger`](connection::Ledger)). Every peer ends with exactly one [`CloseReason`].
//! 4. Nothing grows without a bound. The bounds that an application can change are in [`Limits`],
//!    [`ServerLimits`] and [`DatagramLimits`](datagram::DatagramLimits).
//! 5. No turn spins: it makes progress, or sleeps until an event or a deadline.

#![doc = ""]
#![cfg_attr(not(feature = "admin"), doc = "[`admin`]: #features")]
#![cfg_attr(not(feature = "blocking"), doc = "[`blocking`]: #features")]
#![cfg_attr(not(feature = "load"), doc = "[`load`]: #features")]
#![cfg_attr(not(feature = "record"), doc = "[`recording`]: #features")]
#![cfg_attr(not(feature = "simtest"), doc = "[`simtest`]: #features")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "admin")]
pub mod admin;
pub mod admission;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod buffer;
pub mod client;
pub mod codec;
pub mod connection;
pub mod connector;
pub mod counters;
pub mod datagram;
pub mod destination;
pub mod event_loop;
pub mod faulty;
pub mod guide;
pub mod host;
pub mod instant;
#[cfg(feature = "load")]
pub mod load;
pub mod net;
pub mod offload;
pub mod peer_address;
#[cfg(feature = "record")]
pub mod recording;
pub mod run_log;
pub mod service;
pub mod sim;
#[cfg(feature = "simtest")]
pub mod simtest;
pub mod slab;
pub mod timers;
pub mod trace;
pub mod watermark;

pub use self::slab::Key;
pub use admission::{Listen, ServerLimits, Totals, WhenFull};
pub use codec::{Fixed, Framing, Length, Lines, Raw, TextLines};
pub use connection::{CloseReason, Limits};
pub use event_loop::{Dial, EndpointId, EventLoop, ListenError};
pub use net::{Address, ControlEvent, Handle, Keepalive, ListenOptions, Reactor, Sender};
pub use service::{Context, Orders, PeerInfo, Service};

/// Another name of [`EventLoop`], for programs that listen.
pub type Server<N> = EventLoop<N>;

/// Compiles the code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
