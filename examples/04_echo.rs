//! Echo with the crate: the traps of the last example are somebody else's, and so are the limits,
//! the deadlines and the end.
//!
//! Try it: `cargo run --example 04_echo`, then `nc 127.0.0.1 7007` and type.
//!
//! What you see at the end, after Ctrl-C: every peer was finished, and one line says how many
//! there were, where their bytes went and why each was closed.

use readyloop::service::Echo;
use readyloop::{Address, ControlEvent, Raw, Reactor, Server, ServerLimits};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut reactor = Reactor::new()?;
    reactor.watch_signal(libc::SIGINT, ControlEvent::Drain)?;
    let mut server = Server::new(reactor, ServerLimits::default());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let endpoint = server.listen(address.parse::<Address>()?, Raw, Echo::new())?;
    println!("listening on {}", server.local_address(&endpoint));
    println!("{}", server.run()?);
    Ok(())
}
