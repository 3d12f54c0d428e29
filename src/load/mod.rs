//! The load generator: sends requests to a server, checks the answers, and measures.
//!
//! Each thread drives its share of the connections on an event loop of the client. The input of [`run`] is a
//! [`Plan`], the result is a [`Record`]. Nothing is printed here.

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
mod load_run;
mod machine;
mod member;
mod messages;
mod outcome;
mod pattern;
pub mod plan;
mod process_tree;
mod progress;
mod ramp;
mod recent_connects;
pub mod record;
mod schedule;
mod series;
mod share;
mod threads;
mod window;
mod workload;

pub use latencies::Latencies;
pub use plan::Plan;
pub use progress::RunProgress;
pub use record::Record;
pub use threads::{LoadError, LoadResult, LoadTarget, run};
