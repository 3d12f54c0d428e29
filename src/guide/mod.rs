//! The guide, one chapter for each module. It holds no code of the crate.
//!
//! - [`tutorial`]: from `readyloop serve` to a service of your own, its test, and TLS.
//! - [`course`]: twelve short lessons about non-blocking I/O, each with a command to run.
//! - [`cookbook`]: "I want …", with a command to type or ten lines of code; all examples.
//! - [`operations`]: limits and defaults, signals, descriptors, memory, logs, exit statuses.
//! - [`benchmarking`]: `bench`, `compare` and `report`; open and closed loop; the four designs.
//! - [`conformance`]: what `conform` checks, one section for each row.
//! - [`testing`]: the simulated network, seeds, planted bugs, tests of your own service.
//! - [`security`]: each attack, the limit that answers it, and the test that shows it.
//! - [`internals`]: the map of the sources, the turn in detail, where to add what.
//! - [`changelog`]: what the versions hold.

// The chapters link to the modules of all features.
#![cfg_attr(not(feature = "cli"), allow(rustdoc::broken_intra_doc_links))]

#[doc = include_str!("benchmarking.md")]
pub mod benchmarking {}
#[doc = include_str!("changelog.md")]
pub mod changelog {}
#[doc = include_str!("conformance.md")]
pub mod conformance {}
#[doc = include_str!("cookbook.md")]
pub mod cookbook {}
pub mod course;
#[doc = include_str!("internals.md")]
pub mod internals {}
#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("security.md")]
pub mod security {}
#[doc = include_str!("testing.md")]
pub mod testing {}
#[doc = include_str!("tutorial.md")]
pub mod tutorial {}
