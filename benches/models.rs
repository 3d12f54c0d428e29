//! CPU per message of each design of a server, as a ratio to the reactor.
//!
//! All servers get the same messages in interleaved rounds of one run, each in a process of its own on
//! one core. `src/blocking/mod.rs` lists what is held equal and what cannot be.
//!
//! ```text
//! cargo bench --bench models                          all designs, all cells: the longest benchmark
//! cargo bench --bench models -- --quick               a quick run
//! cargo bench --bench models -- --server std-threads --server threads
//!                                                     the blocking driver compared with plain threads
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
        // Starting ten thousand threads takes long.
        quick_cells: &["64B-1", "64B-50", "64B-1k", "churn"],
        // Fewer than in the yardstick: there are more servers, and their differences are larger. An odd
        // number, so that the median is one of them.
        rounds: 11,
        quick_rounds: 3,
    };
    models.main()
}
