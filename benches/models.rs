//! The designs of a server side by side: CPU per message of each, as a ratio to the reactor.
//!
//! All do the same messages in interleaved rounds of one run, each in a process of its own on one
//! core. What differs is who waits where: see `src/blocking/mod.rs` for what is held equal, and what
//! cannot be.
//!
//! ```text
//! cargo bench --bench models                          all designs, all cells: the longest of all
//! cargo bench --bench models -- --quick               a look
//! cargo bench --bench models -- --server std-threads --server threads
//!                                                     what a thread costs with and without a machine
//! cargo bench --bench models -- --peer 'other=./other-server'
//! ```

mod rig;

use std::process::ExitCode;

use rig::{Comparison, Server};

fn main() -> ExitCode {
    let models = Comparison {
        name: "models",
        about: "CPU per message of each design of a server, as a ratio to the reactor's",
        servers: &[
            Server::Reactor,
            Server::Iterative,
            Server::Pool,
            Server::Threads,
            Server::StdThreads,
            Server::Tokio,
            Server::RawEpoll,
        ],
        cells: &["64B-1", "64B-50", "64B-1k", "64B-10k", "churn"],
        // Ten thousand threads take a while to start.
        quick_cells: &["64B-1", "64B-50", "64B-1k", "churn"],
        // With seven servers a pair of rounds lies further apart than with two, and what is compared
        // differs by more. Odd, so that the median is one of them.
        rounds: 11,
        quick_rounds: 3,
    };
    models.main()
}
