//! Chat: a service of your own with state for each peer, and a clock on another thread.
//!
//! Try it: `cargo run --example 05_chat`, then `nc 127.0.0.1 7007` in two terminals. The first line you
//! type is your name, and further lines are sent to all other peers. Every ten seconds all peers
//! see how long the chat has been open.
//!
//! ```text
//! you type     you see
//!
//!           →  * hello, 127.0.0.1:…; what is your name?
//! ann       →  * 0 here already
//! ```
//!
//! The service keeps a name for each peer and the number of named peers. It needs no lock, because all
//! callbacks run on the thread of the event loop. The clock runs on another thread and sends messages.

use std::thread;
use std::time::{Duration, Instant};

use readyloop::net::SendError;
use readyloop::{
    Address, CloseReason, Context, Key, Lines, Orders, PeerInfo, Reactor, Sender, Server, ServerLimits, Service,
};

/// The interval of the clock.
const INTERVAL: Duration = Duration::from_secs(10);

struct Chat {
    /// The number of peers that have sent their name.
    named: usize,
}

/// The message of the clock: how long the chat has been open.
struct OpenFor(Duration);

impl Service for Chat {
    type Codec = Lines;
    /// The name of the peer, once it has sent one.
    type Peer = Option<String>;
    type Message = OpenFor;

    fn on_open(&mut self, _name: &mut Option<String>, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        cx.send(format!("* hello, {info}; what is your name?").as_bytes());
    }

    fn on_frame(&mut self, name: &mut Option<String>, line: &[u8], cx: &mut Context<'_, Self>) {
        match name {
            Some(name) => to_others(&mut cx.orders(), &[name.as_bytes(), b": ", line]),
            None => {
                // Escaped, because other peers may show it on a terminal.
                let new = line.escape_ascii().to_string();
                to_others(&mut cx.orders(), &[b"* ", new.as_bytes(), b" is here"]);
                cx.send(format!("* {} here already", self.named).as_bytes());
                self.named += 1;
                *name = Some(new);
            }
        }
    }

    fn on_close(&mut self, name: Option<String>, _key: Key, reason: CloseReason, orders: &mut Orders<'_, Self>) {
        if let Some(name) = name {
            self.named -= 1;
            to_others(orders, &[b"* ", name.as_bytes(), b" is gone: ", reason.name().as_bytes()]);
        }
    }

    fn on_message(&mut self, OpenFor(duration): OpenFor, orders: &mut Orders<'_, Self>) {
        to_others(orders, &[format!("* open for {} s, {} here", duration.as_secs(), self.named).as_bytes()]);
    }
}

/// Sends a line to all peers except the one being served.
fn to_others(orders: &mut Orders<'_, Chat>, parts: &[&[u8]]) {
    orders.send_to_others(parts).expect("a line is within the bound of a callback");
}

/// Sends messages until the server has ended.
fn run_clock(sender: &Sender<OpenFor>) {
    let start = Instant::now();
    loop {
        thread::sleep(INTERVAL);
        match sender.send(OpenFor(start.elapsed())) {
            // A full inbox loses one message. The next message has the right time.
            Ok(()) | Err(SendError::Full(_)) => {}
            Err(SendError::Gone(_)) => return,
        }
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let endpoint = server.listen(address.parse::<Address>()?, Lines::new(), Chat { named: 0 })?;
    println!("listening on {}", server.local_address(&endpoint));

    let sender = endpoint.sender();
    thread::spawn(move || run_clock(&sender));
    println!("{}", server.run()?);
    Ok(())
}
