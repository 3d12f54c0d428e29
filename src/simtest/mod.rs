//! Simulation tests: the production server in simulated worlds, with its invariants checked each turn.
//!
//! A seed determines the faults and their probabilities, the limits, the peers and their behavior,
//! and when the server is drained or stopped. After every turn three independent sources are
//! compared: the server's snapshot, the simulated kernel, and what services and peers received. A
//! run opens no socket and never sleeps. The same seed repeats the same run and gives its story.
//!
//! [`SimTest::built_in`] tests the server with the services of this crate and one that misbehaves.
//! To test your own service, implement [`TestSubject`]: it says what each peer sends and must
//! receive. Run as many seeds as time allows.
//!
//! ```
//! use readyloop::sim::Rng;
//! use readyloop::simtest::{Scenario, SimTest, TestSubject};
//! use readyloop::{Context, Lines, Service};
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
//! struct ShoutTest;
//!
//! impl TestSubject for ShoutTest {
//!     type Service = Shout;
//!
//!     fn service(&self) -> Shout {
//!         Shout
//!     }
//!
//!     fn codec(&self) -> Lines {
//!         Lines::new()
//!     }
//!
//!     fn scenario(&self, rng: &mut Rng) -> Scenario {
//!         let lines = rng.up_to(20);
//!         Scenario { sent: b"hello\n".repeat(lines), expected: b"HELLO\n".repeat(lines) }
//!     }
//! }
//!
//! let test = SimTest::of(&ShoutTest);
//! let summary = test.sweep(0..20, |_| {});
//! assert!(summary.failures.is_empty(), "{}", summary.failures[0]);
//! ```
//!
//! When a seed fails, [`SimTest::story`] runs it again and returns what happened, turn by turn.
//! A [`Scenario`] cannot describe services that connect peers with each other, such as a chat. Test
//! such a service in a [`World`](crate::sim::World) of your own.

mod builtin;
mod close_invariants;
mod datagrams;
mod invariants;
mod log;
mod misbehaving_service;
mod outcome;
mod peer_history;
mod peers;
mod recorder;
mod run;
mod run_state;
mod sim_test;
mod subject;
mod summary;
#[cfg(test)]
mod tests;
mod turn_view;

pub use outcome::{Failure, SimOutcome};
pub use sim_test::{SimTest, Story};
pub use subject::{Scenario, TestSubject};
pub use summary::{Pair, Summary};
