//! Echo on one thread: `cargo run --example echo`, then `nc 127.0.0.1 7007`.

use readyloop::service::Echo;
use readyloop::{Address, Raw, Reactor, Server, ServerLimits};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let endpoint = server.listen("127.0.0.1:7007".parse::<Address>()?, Raw, Echo::new())?;
    println!("listening on {}", server.local_address(&endpoint));
    println!("{}", server.run()?);
    Ok(())
}
