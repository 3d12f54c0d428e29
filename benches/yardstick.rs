//! The yardstick: CPU per message of `readyloop serve`, as a ratio to a hand-written loop on raw epoll.
//!
//! Both servers get the same number of messages in interleaved rounds of one run, each round in a process
//! of its own, so a slow or busy machine slows both. A poor ratio is not a failure; a wrong byte or a lost
//! connection is. Without `--bench`, which `cargo bench` passes, the program makes a quick run.
//!
//! ```text
//! cargo bench --bench yardstick                       all cells, about two minutes
//! cargo bench --bench yardstick -- --quick            a quick run
//! cargo bench --bench yardstick -- --noise            the loop compared with itself: the noise of the machine
//! cargo bench --bench yardstick -- --cell 16KiB-50 --peer 'other=./other-server'
//! ```

mod rig;

use std::process::ExitCode;

use rig::{Comparison, Server};

fn main() -> ExitCode {
    let yardstick = Comparison {
        name: "yardstick",
        about: "CPU per message of `readyloop serve`, as a ratio to a hand-written loop on raw epoll",
        servers: &[Server::RawEpoll, Server::Reactor],
        cells: &["64B-50", "64B-1k", "64B-10k", "16KiB-50", "64KiB-streams", "churn"],
        quick_cells: &["64B-50", "64B-1k", "64B-10k", "16KiB-50", "64KiB-streams", "churn"],
        // Many short rounds have less noise than few long ones: the median is stable even when other
        // programs use a core for a third of the run. An odd number, so that the median is one of them.
        rounds: 21,
        quick_rounds: 5,
    };
    yardstick.main()
}
