//! The cost of a recording: CPU per message while the server records, as a ratio to the same server without it.
//!
//! The CPU of the thread that writes the file is included. `recording-bytes` also records the bytes of each message.
//!
//! ```text
//! cargo bench --bench recording                  1,000 busy connections
//! cargo bench --bench recording -- --noise       the server without it, compared with itself
//! ```

mod rig;

use std::process::ExitCode;

use rig::{Comparison, Server};

fn main() -> ExitCode {
    let recording = Comparison {
        name: "recording",
        about: "CPU per message while the server records, as a ratio to the same server without it",
        servers: &[Server::Reactor, Server::Recording, Server::RecordingBytes],
        cells: &["64B-1k"],
        quick_cells: &["64B-1k"],
        rounds: 41,
        quick_rounds: 5,
    };
    recording.main()
}
