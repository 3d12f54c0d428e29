//! A small Redis: keys with expiry, publish and subscribe, a slow command, and a snapshot.
//!
//! Try it: `cargo run --example 24_kv`, then `redis-cli -p 7007`, or `nc -C 127.0.0.1 7007`. The second
//! argument is the file of the snapshot: `cargo run --example 24_kv 127.0.0.1:7007 kv.snapshot`.
//! Ctrl-C drains the server and writes it.
//!
//! ```text
//! you type              you see
//!
//! SET color green   →  +OK
//! GET color         →  $5
//!                   →  green
//! EXPIRE color 100  →  :1
//! TTL color         →  :100
//! DIGEST color 1    →  $16
//!                   →  …
//! PUBLISH news hi   →  :0
//! SUBSCRIBE news    →  *3
//! ```
//!
//! | command | what it shows |
//! |---|---|
//! | `GET`, `SET`, `DEL`, `PING`, `QUIT` | a codec of your own, in `resp.rs` |
//! | `EXPIRE`, `TTL`, `SET … EX` | timers of a service |
//! | `SUBSCRIBE`, `UNSUBSCRIBE`, `PUBLISH` | topics; a slow subscriber misses messages and uses no memory |
//! | `DIGEST key rounds` | slow work on other threads, answered in order |
//!
//! The tests in `tests.rs` run the same service in a simulated network.

mod resp;
mod service;
mod store;
#[cfg(test)]
mod tests;

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use readyloop::offload::Offload;
use readyloop::{Address, EventLoop, Limits, Listen, Reactor, ServerLimits};

use resp::Resp;
use service::Kv;

/// The threads for slow commands.
const THREADS: NonZero<usize> = NonZero::new(2).unwrap();
/// Most slow commands that wait for a thread.
const WAITING_MAX: usize = 1024;

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: Address = arguments.next().as_deref().unwrap_or("127.0.0.1:7007").parse()?;
    let path = arguments.next().map(PathBuf::from);
    let snapshot = path.as_deref().map_or(Ok(Vec::new()), store::load)?;
    let offload = Offload::start(THREADS, WAITING_MAX)?;

    let reactor = Reactor::new()?.draining_on_signals()?;
    let mut event_loop = EventLoop::new(reactor, ServerLimits::default());
    // A subscriber may be silent for hours.
    let limits = Limits { idle_timeout: Duration::MAX, ..Limits::default() };
    let listen = Listen { limits, ..Listen::from(address) };
    let id = event_loop.listen_with(listen, Resp, |sender| Kv::new(sender, offload, snapshot))?;
    println!("listening on {}", event_loop.local_address(&id));
    println!("{}", event_loop.run()?);

    // The last requests of all peers are served, so the snapshot has their effect.
    if let Some(path) = path {
        let now = event_loop.now();
        event_loop.into_service(id).store.save(&path, now)?;
    }
    Ok(())
}
