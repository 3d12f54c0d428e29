//! The yardstick: CPU per message of `readyloop serve`, as a ratio to a hand-written loop on raw epoll.
//!
//! Both servers do the same number of messages in interleaved rounds of one run, so a slow or busy
//! machine slows both. It reports and judges nothing: a poor ratio is no failure, a wrong byte or a
//! lost connection is.
//!
//! ```text
//! cargo bench --bench yardstick                       all cells, about two minutes
//! cargo bench --bench yardstick -- --quick            a look
//! cargo bench --bench yardstick -- --noise            the loop against itself: what the machine cannot tell apart
//! cargo bench --bench yardstick -- --cell 16KiB-50 --peer 'other=./other-server'
//! ```

// The baseline is a loop on the system's own calls, and pinning and CPU clocks have no safe face in std.
#![allow(unsafe_code)]

mod arguments;
mod cell;
mod churn;
mod compare;
mod contender;
mod kernel;
mod pattern;
mod raw_epoll;
mod report;
mod steady;
mod tally;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = if arguments.raw_epoll { raw_epoll::serve() } else { compare::run(&arguments) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yardstick: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
