//! Record and replay: the calls of an event loop on its network with their results, in a file.
//!
//! [`Recording`] wraps any [`Net`](crate::net::Net) and writes what crosses the border. [`Replay`] is a network that
//! returns the results of such a file. So the production loop and its services do again what they did, step by
//! step, without sockets.
//!
//! A service of yours needs a loop over one network or the other:
//!
//! ```
//! use readyloop::net::Net;
//! use readyloop::recording::{Recording, RecordingOptions, Replay};
//! use readyloop::{Context, Lines, ListenError, Reactor, Server, ServerLimits, Service};
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
//! fn server<N: Net + 'static>(net: N) -> Result<Server<N>, ListenError> {
//!     let mut server = Server::new(net, ServerLimits::default());
//!     server.listen("127.0.0.1:0", Lines::new(), Shout)?;
//!     Ok(server)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("run.rec");
//! let mut recorded = server(Recording::create(Reactor::new()?, &path, RecordingOptions::default())?)?;
//! # recorded.handle().drain();
//! let totals = recorded.run()?;
//! drop(recorded); // Writes the end of the file.
//!
//! let mut replayed = server(Replay::open(&path)?)?;
//! assert_eq!(replayed.run()?, totals);
//! # Ok(())
//! # }
//! ```
//!
//! # What is replayed
//!
//! Everything that reaches the loop through [`Net`](crate::net::Net): events, connections, reads and writes, the
//! clock, control requests, and messages of other threads if the service
//! [encodes](crate::Service::encode_message) them. A message that a service sends to itself needs no encoding.
//!
//! A layer such as TLS is recorded above its cryptography. The recording has the plain bytes. The replay needs no key.
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
mod recorded_calls;
mod recorded_error;
mod replay;
mod replay_error;
mod replayed;
mod streams;
mod trace_adapter;
mod transcript;
mod writer;

pub use layer::RecordingLayer;
pub use network::{Recording, RecordingOptions};
pub use output::old_path;
pub use replay::Replay;
pub use replay_error::ReplayError;
pub use replayed::{ReplayDatagrams, ReplayLayer, ReplayListener, ReplayStream};
pub use streams::{RecordingDatagrams, RecordingListener, RecordingStream};
pub use transcript::Transcript;
