//! Record and replay: the calls of an event loop on its network with their results, in a file.
//!
//! [`Recording`] wraps any [`Net`](crate::net::Net) and writes what crosses the border. [`Replay`] is a network that
//! returns the results of such a file. So the production loop and its services do again what they did, step by
//! step, without sockets.
//!
//! ```
//! use readyloop::recording::{Recording, RecordingOptions, Replay};
//! use readyloop::service::Echo;
//! use readyloop::{Lines, Reactor, Server, ServerLimits};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("run.rec");
//! let net = Recording::create(Reactor::new()?, &path, RecordingOptions::default())?;
//! let mut server = Server::new(net, ServerLimits::default());
//! server.listen("127.0.0.1:0", Lines::new(), Echo::new())?;
//! # server.handle().drain();
//! let recorded = server.run()?;
//! drop(server); // Writes the end of the file.
//!
//! let mut server = Server::new(Replay::open(&path)?, ServerLimits::default());
//! server.listen("127.0.0.1:0", Lines::new(), Echo::new())?;
//! assert_eq!(server.run()?, recorded);
//! # Ok(())
//! # }
//! ```
//!
//! # What is replayed
//!
//! Everything that reaches the loop through [`Net`](crate::net::Net): events, connections, reads and writes, the
//! clock, control requests, and messages of other threads if the service
//! [encodes](crate::Service::encode_message) them. A layer such as TLS is recorded above its cryptography. So a
//! recording holds the plain bytes, and its replay needs no key.
//!
//! What a program does between two turns is not recorded: calls on the loop such as
//! [`connect`](crate::EventLoop::connect), and the callbacks of [own sources](crate::EventLoop::watch). The replaying
//! program must make the same calls at the same turns. A service must not use other sources of chance, such as the
//! system clock or random numbers.

mod block_cursor;
mod entry;
mod entry_log;
mod format;
mod layer;
mod network;
mod output;
mod recorded_error;
mod replay;
mod replay_error;
mod replayed;
mod script;
mod streams;
mod trace_adapter;
mod transcript;
mod writer;

pub use layer::RecordingLayer;
pub use network::{Recording, RecordingOptions};
pub use replay::Replay;
pub use replay_error::ReplayError;
pub use replayed::{ReplayDatagrams, ReplayLayer, ReplayListener, ReplayStream};
pub use streams::{RecordingDatagrams, RecordingListener, RecordingStream};
pub use transcript::Transcript;
