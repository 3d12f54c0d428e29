//! Twelve short lessons, from a blocking socket to the source of the loop.
//!
//! Each lesson has one idea, one command with its output, one question with its answer, and a place in the sources to
//! read. You need a checkout, Rust, and a blocking socket program that you have written once. All lessons together take
//! one to two hours.
//!
//! If a lesson has two command lines, type each in a terminal of its own, and end the server with Ctrl-C. `…` stands for
//! text that differs from run to run. Log lines that do not matter are left out.
//!
//! 1. [`blocking`]: a blocking call stops all other peers.
//! 2. [`readiness`]: ask about all sockets at once.
//! 3. [`edges`]: edge and level, and the event that does not come.
//! 4. [`frames`]: partial reads, and messages in a stream of bytes.
//! 5. [`queues`]: partial writes, and the bytes that must wait.
//! 6. [`backpressure`]: a peer that does not read is not read.
//! 7. [`half_close`]: each direction ends on its own.
//! 8. [`deadlines`]: every state has an end.
//! 9. [`fairness`]: each peer has a share of a turn.
//! 10. [`errors`]: EMFILE, and which errors concern one connection.
//! 11. [`wakeups`]: a message of another thread must be an event.
//! 12. [`measuring`]: latency from the planned time.
//!
//! [`faults`] lists faults of services and loops, each with the lines of a story that show its cause.

#[doc = include_str!("06_backpressure.md")]
pub mod backpressure {}
#[doc = include_str!("01_blocking.md")]
pub mod blocking {}
#[doc = include_str!("08_deadlines.md")]
pub mod deadlines {}
#[doc = include_str!("03_edges.md")]
pub mod edges {}
#[doc = include_str!("10_errors.md")]
pub mod errors {}
#[doc = include_str!("09_fairness.md")]
pub mod fairness {}
#[doc = include_str!("faults.md")]
pub mod faults {}
#[doc = include_str!("04_frames.md")]
pub mod frames {}
#[doc = include_str!("07_half_close.md")]
pub mod half_close {}
#[doc = include_str!("12_measuring.md")]
pub mod measuring {}
#[doc = include_str!("05_queues.md")]
pub mod queues {}
#[doc = include_str!("02_readiness.md")]
pub mod readiness {}
#[doc = include_str!("11_wakeups.md")]
pub mod wakeups {}
