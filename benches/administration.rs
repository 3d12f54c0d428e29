//! The cost of the administration endpoint: CPU per message with it, as a ratio to the same server without it.
//!
//! With the endpoint, turns are measured and transitions are recorded. `scraped` also renders all metrics at the
//! start of each round and then once a second. A round is shorter than a second, so that is more often than a
//! usual Prometheus asks.
//!
//! ```text
//! cargo bench --bench administration                  10,000 busy connections
//! cargo bench --bench administration -- --noise       the server without it, compared with itself
//! ```

mod rig;

use std::process::ExitCode;

use rig::{Comparison, Server};

fn main() -> ExitCode {
    let administration = Comparison {
        name: "administration",
        about: "CPU per message with an administration endpoint, as a ratio to the same server without it",
        servers: &[Server::Reactor, Server::Admin, Server::Scraped],
        cells: &["64B-10k"],
        quick_cells: &["64B-10k"],
        rounds: 41,
        quick_rounds: 5,
    };
    administration.main()
}
