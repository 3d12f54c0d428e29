//! Echo with this crate, which handles the traps of the previous example, and adds limits, timeouts
//! and a graceful shutdown.
//!
//! Try it: `cargo run --example 04_echo`, then `nc 127.0.0.1 7007` and type.
//!
//! Press Ctrl-C to end it. It finishes every peer and prints one line: how many there were, where their
//! bytes went, and why each was closed.

use readyloop::service::Echo;
use readyloop::{Raw, Reactor, Server, ServerLimits};

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut server = Server::new(Reactor::new()?.draining_on_signals()?, ServerLimits::default());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let endpoint = server.listen(&*address, Raw, Echo::new())?;
    println!("listening on {}", server.local_address(&endpoint));
    println!("{}", server.run()?);
    Ok(())
}
