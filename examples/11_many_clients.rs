//! Ten thousand outbound connections at once, on one thread: each sends a line and checks the reply.
//!
//! Try it: `cargo run --release -- serve --framing lines` in one terminal, and in another
//! `cargo run --release --example 11_many_clients`. Optional arguments: the address and the number
//! of connections.
//!
//! ```text
//! connections open: …
//! … of … replies are correct, 0 wrong, in …
//! ```
//!
//! At most 128 connections are connecting at any time, so that they never overflow the server's
//! backlog. A connection that meets a full backlog loses a packet and waits a second for the
//! retransmission.

use std::io;
use std::time::{Duration, Instant};

use readyloop::client::{Client, ConnectFailure, resolve};
use readyloop::net::Destination;
use readyloop::{CloseReason, Context, Dial, Key, Lines, Orders, PeerInfo, Reactor, ServerLimits, Service};

/// Counts the replies. The state of a connection is its number.
#[derive(Default)]
struct Replies {
    correct: usize,
    wrong: usize,
    /// Connections that the server closed early.
    closed: usize,
    /// Connections that could not be established, and the first reason.
    failed: usize,
    first_error: Option<io::Error>,
}

impl Service for Replies {
    type Codec = Lines;
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, number: &mut usize, _info: &PeerInfo<'_>, cx: &mut Context<Self>) {
        cx.send(greeting(*number).as_bytes());
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<usize>, _: &mut Orders<Self>) {
        self.failed += 1;
        self.first_error.get_or_insert(failure.error);
    }

    fn on_frame(&mut self, number: &mut usize, reply: &[u8], _: &mut Context<Self>) {
        if reply == greeting(*number).as_bytes() {
            self.correct += 1;
        } else {
            self.wrong += 1;
        }
    }

    fn on_close(&mut self, number: usize, _: Key, reason: CloseReason, _: &mut Orders<Self>) {
        println!("connection {number} was closed: {reason}");
        self.closed += 1;
    }
}

fn greeting(number: usize) -> String {
    format!("hello from {number}")
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let count = args.next().map_or(Ok(10_000), |arg| arg.parse())?;
    // Each connection needs a descriptor. Without the `cli` feature, run `ulimit -n` before.
    #[cfg(feature = "cli")]
    rlimit::increase_nofile_limit(count as u64 + 64)?;
    // Look the name up before the event loop starts, since a lookup blocks.
    let to = resolve(&address.parse()?, Duration::from_secs(5))?.swap_remove(0);
    let started = Instant::now();
    let replies = exchange(&to, count)?;
    println!("{} of {count} replies are correct, {} wrong, in {:?}", replies.correct, replies.wrong, started.elapsed());
    anyhow::ensure!(replies.correct == count, "some connections failed");
    Ok(())
}

/// Opens all connections and keeps them open until every one has its reply or has failed.
fn exchange(to: &Destination, count: usize) -> anyhow::Result<Replies> {
    let reactor = Reactor::new()?;
    let mut client = Client::new(reactor, Dial::default(), Lines::new(), Replies::default(), ServerLimits::default());
    for number in 0..count {
        client.connect(to.clone(), None, number);
    }
    loop {
        let replies = client.service();
        if replies.correct + replies.wrong + replies.closed + replies.failed >= count {
            break;
        }
        client.turn(None)?;
    }
    if let Some(error) = &client.service().first_error {
        println!("{} connections failed, the first one with: {error}", client.service().failed);
    }
    println!("connections open: {}", client.open());
    Ok(client.into_service())
}
