//! The load generator: who asks a server for echoes, checks every byte, and measures.
//!
//! One thread drives as many connections as there are descriptors, by the client's own loop. What
//! is asked for is a [`Plan`], what came of it a [`Record`]; nothing is printed here.

mod cost;
mod counters;
mod datagrams;
mod exchange;
mod failure;
mod generator;
pub mod latencies;
mod machine;
mod outcome;
mod pattern;
pub mod plan;
mod recent_connects;
pub mod record;
mod series;
mod workload;

pub use datagrams::DatagramGenerator;
pub use generator::{Generator, RunProgress};
pub use latencies::Latencies;
pub use plan::Plan;
pub use record::Record;
