//! Chat: a service of your own, whose peers hear each other and a clock that runs on another
//! thread.
//!
//! Try it: `cargo run --example 05_chat`, then `nc 127.0.0.1 7007` in two terminals: the first
//! line you type is your name, the others go to everybody else. Every ten seconds all are told how
//! long the chat has been open.
//!
//! ```text
//! you type     you see
//!
//!           →  * hello, 127.0.0.1:…; what is your name?
//! ann       →  * 0 here already
//! ```
//!
//! The service keeps something for each peer (its name) and something for all (how many have one),
//! without a lock: all callbacks run on the loop's thread. The clock may not call it, so it posts.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use readyloop::net::SendError;
use readyloop::{Address, CloseReason, Context, Key, Lines, Orders, Reactor, Sender, Server, ServerLimits, Service};

/// How often the clock strikes.
const STRIKE: Duration = Duration::from_secs(10);

struct Chat {
    /// Peers that have said their name.
    named: usize,
}

/// What the clock posts: how long the chat has been open.
struct Open(Duration);

impl Service for Chat {
    /// The peer's name, once it has one.
    type Peer = Option<String>;
    type Message = Open;

    fn on_open(&mut self, _name: &mut Option<String>, who: &dyn Display, cx: &mut Context<'_, '_>) {
        cx.send(format!("* hello, {who}; what is your name?").as_bytes());
    }

    fn on_frame(&mut self, name: &mut Option<String>, line: &[u8], cx: &mut Context<'_, '_>) {
        match name {
            Some(name) => to_others(&mut cx.orders(), &[name.as_bytes(), b": ", line]),
            None => {
                // Whatever a peer sends may end up on somebody's terminal.
                let new = line.escape_ascii().to_string();
                to_others(&mut cx.orders(), &[b"* ", new.as_bytes(), b" is here"]);
                cx.send(format!("* {} here already", self.named).as_bytes());
                self.named += 1;
                *name = Some(new);
            }
        }
    }

    fn on_close(&mut self, name: Option<String>, _key: Key, reason: CloseReason, orders: &mut Orders<'_>) {
        if let Some(name) = name {
            self.named -= 1;
            to_others(orders, &[b"* ", name.as_bytes(), b" is gone: ", reason.name().as_bytes()]);
        }
    }

    fn on_message(&mut self, Open(span): Open, orders: &mut Orders<'_>) {
        to_others(orders, &[format!("* open for {} s, {} here", span.as_secs(), self.named).as_bytes()]);
    }
}

/// Sends a line to all peers but the one that is served, if one is.
fn to_others(orders: &mut Orders<'_>, parts: &[&[u8]]) {
    orders.send_to_others(parts).expect("no line feed is in a line, nor in what we say");
}

/// Strikes until the server has ended.
fn run_clock(sender: &Sender<Open>) {
    let start = Instant::now();
    loop {
        thread::sleep(STRIKE);
        match sender.send(Open(start.elapsed())) {
            // A chat that is so far behind misses a stroke; the next one says the right time.
            Ok(()) | Err(SendError::Full(_)) => {}
            Err(SendError::Gone(_)) => return,
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let endpoint = server.listen(address.parse::<Address>()?, Lines::new(), Chat { named: 0 })?;
    println!("listening on {}", server.local_address(&endpoint));

    let sender = endpoint.sender();
    thread::spawn(move || run_clock(&sender));
    println!("{}", server.run()?);
    Ok(())
}
