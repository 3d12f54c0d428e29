//! Ten thousand connections of our own at once, on one thread: each says a line and hears it back.
//!
//! Try it: `cargo run --release -- serve --framing lines` in one terminal, and in another
//! `cargo run --release --example 11_many_clients`. Another address may stand behind it, and another
//! number, as far as `ulimit -n` allows.
//!
//! ```text
//! … connections are open
//! … of … answered, 0 mistaken, in …
//! ```
//!
//! What you see: it takes about a second. They do not all knock at once: at most 128 connections
//! are under way at any time, so that the backlog of the server is never flooded. Who finds it full
//! loses a packet, and a whole second with it.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use readyloop::client::{Client, ClientLimits, resolve};
use readyloop::net::Destination;
use readyloop::{CloseReason, Context, Key, Lines, Orders, Reactor, Service};

/// What the answers were; each connection knows its own number.
#[derive(Default)]
struct Visits {
    answered: usize,
    mistaken: usize,
    /// Connections that the server ended.
    ended: usize,
}

impl Service for Visits {
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, number: &mut usize, _: &dyn Display, cx: &mut Context) {
        cx.send(greeting(*number).as_bytes());
    }

    fn on_frame(&mut self, number: &mut usize, reply: &[u8], _: &mut Context) {
        if reply == greeting(*number).as_bytes() {
            self.answered += 1;
        } else {
            self.mistaken += 1;
        }
    }

    fn on_close(&mut self, number: usize, _: Key, reason: CloseReason, _: &mut Orders) {
        println!("number {number} was closed: {reason}");
        self.ended += 1;
    }
}

impl Visits {
    /// With how many it is settled what became of them.
    fn settled(&self) -> usize {
        self.answered + self.mistaken + self.ended
    }
}

fn greeting(number: usize) -> String {
    format!("hello from {number}")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let count = words.next().map_or(Ok(10_000), |word| word.parse())?;
    // A name is looked up before the loop: nothing in it may wait.
    let to = resolve(&address.parse()?, Duration::from_secs(5))?.swap_remove(0);
    let begun = Instant::now();
    let visits = visit(&to, count)?;
    println!("{} of {count} answered, {} mistaken, in {:?}", visits.answered, visits.mistaken, begun.elapsed());
    Ok(())
}

/// Opens them all, and lets none go before the last is answered.
fn visit(to: &Destination, count: usize) -> io::Result<Visits> {
    let mut client = Client::new(Reactor::new()?, Lines::new(), Visits::default(), ClientLimits::default());
    for number in 0..count {
        client.connect(to.clone(), None, number);
    }
    let mut failed = 0;
    while client.service().settled() + failed < count {
        client.turn(None)?;
        while let Some(failure) = client.poll_failure() {
            failed += 1;
            println!("number {} did not get in: {}", failure.peer, failure.error);
        }
    }
    println!("{} connections are open", client.open());
    Ok(client.into_service())
}
