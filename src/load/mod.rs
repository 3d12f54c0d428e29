//! The load generator: sends requests to an echo server, checks every byte of the answers, and measures.
//!
//! One thread drives all connections on the event loop of the client. The input is a [`Plan`], the
//! result is a [`Record`]. Nothing is printed here.

mod cost;
mod counters;
mod datagrams;
mod delimiter;
mod distribution;
mod error_kind;
mod exchange;
mod expected;
mod generator;
pub mod latencies;
mod machine;
mod messages;
mod outcome;
mod pattern;
pub mod plan;
mod progress;
mod ramp;
mod recent_connects;
pub mod record;
mod schedule;
mod series;
mod window;
mod workload;

pub use datagrams::DatagramGenerator;
pub use generator::Generator;
pub use latencies::Latencies;
pub use plan::Plan;
pub use progress::{LoadRun, RunProgress};
pub use record::Record;
