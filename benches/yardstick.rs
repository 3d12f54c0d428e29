//! The yardstick: CPU per message of `readyloop serve`, as a ratio to a hand-written loop on raw epoll.
//!
//! Both servers do the same number of messages in interleaved rounds of one run, each round in a
//! process of its own, so a slow or busy machine slows both. It reports and judges nothing: a poor
//! ratio is no failure, a wrong byte or a lost connection is.
//!
//! ```text
//! cargo bench --bench yardstick                       all cells, about two minutes
//! cargo bench --bench yardstick -- --quick            a look
//! cargo bench --bench yardstick -- --noise            the loop against itself: what the machine cannot tell apart
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
        // Many short rounds beat few long ones: the median is then of many pairs, and it stands when
        // others keep a core busy for a third of the run. Odd, so that it is one of them.
        rounds: 21,
        quick_rounds: 5,
    };
    yardstick.main()
}
