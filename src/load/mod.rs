//! The load generator: who asks a server for echoes, checks every byte, and measures.
//!
//! What is asked for and what came of it are plain data here; nothing is printed.

pub mod latencies;
pub mod record;

pub use latencies::Latencies;
pub use record::Record;
