//! A service in the simulated world: a seed finds a bug that a test without faults misses.
//!
//! Try it: `cargo run --example 07_simulated_world`
//!
//! It compares two versions of a service that adds numbers. One relies on the framing for whole
//! lines. The other takes the bytes of each read as whole lines, which works on a quiet machine. In
//! a world without faults both are right. Then reads and writes are short, blocked, interrupted and
//! reordered. The first version gives the same answers. The second one fails, and its seed repeats
//! the run with all calls that led to the wrong answer.
//!
//! ```text
//! Without faults both versions answer …
//! In 500 worlds with faults the version with `Lines` gives the same answers. …
//! The version without framing fails with seed …: it answers …
//!   the server reads … bytes from connection 0
//! ```
//!
//! This is the production server. Only its `Net` is simulated: it opens no socket, starts no thread,
//! and a minute passes in microseconds.

use std::time::Duration;

use readyloop::sim::{FaultCounts, Faults, World};
use readyloop::trace::{TraceEntry, TraceEvent, TraceLog};
use readyloop::{Address, Context, Lines, Raw, Server, ServerLimits, Service};

/// The number of worlds with faults.
const SEEDS: u64 = 500;

/// What each peer sends.
const REQUESTS: [&str; 2] = ["1 2 3\n", "10 20\n7\n100 200 300 400\n"];
/// What each peer must receive.
const ANSWERS: [&str; 2] = ["6\n", "30\n7\n1000\n"];

/// Adds the numbers of each line. The framing finds the lines.
struct Adder;

impl Service for Adder {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(sum(line).as_bytes());
    }
}

/// Adds the numbers of each line, but takes each read for whole lines. That is the bug.
struct ReadAdder;

impl Service for ReadAdder {
    type Codec = Raw;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), read: &[u8], cx: &mut Context<'_, Self>) {
        for line in read.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            cx.send_parts(&[sum(line).as_bytes(), b"\n"]);
        }
    }
}

fn sum(line: &[u8]) -> String {
    let numbers = String::from_utf8_lossy(line);
    let sum: Option<u64> = numbers.split_whitespace().map(|number| number.parse::<u64>().ok()).sum();
    sum.map_or_else(|| "error: only whole numbers can be added".to_owned(), |sum| sum.to_string())
}

/// What the peers receive from this service in this world.
fn answers<S: Service + 'static>(world: &World, framing: S::Codec, service: S) -> [String; 2] {
    let address: Address = "10.0.0.99:7007".parse().expect("an address");
    let mut server = Server::new(world.net(), ServerLimits::default());
    server.listen(address.clone(), framing, service).expect("the address is free");
    let peers = REQUESTS.map(|request| {
        let peer = world.connect(&address);
        peer.send(request.as_bytes());
        peer.finish();
        peer
    });
    // A minute, because the server pauses before it retries a failed accept.
    world.advance(Duration::from_secs(60), || server.turn(None)).expect("a simulated poll does not fail");
    assert!(server.totals().reconciles(), "every peer and every byte is accounted for");
    peers.map(|peer| String::from_utf8_lossy(&peer.received()).into_owned())
}

/// A world with all faults that cost only time.
fn world_with_delays(seed: u64) -> World {
    World::new(seed).with_faults(Faults::delays_drawn_from(seed))
}

fn main() {
    println!("Without faults both versions answer {ANSWERS:?}.");
    assert_eq!(answers(&World::new(0), Lines::new(), Adder), ANSWERS);
    assert_eq!(answers(&World::new(0), Raw, ReadAdder), ANSWERS);

    let mut injected = FaultCounts::default();
    for seed in 0..SEEDS {
        let world = world_with_delays(seed);
        assert_eq!(answers(&world, Lines::new(), Adder), ANSWERS, "seed {seed}");
        injected += &world.fault_counts();
    }
    println!("\nIn {SEEDS} worlds with faults the version with `Lines` gives the same answers. Injected faults:");
    for (fault, count) in injected.rows().filter(|(_, count)| *count > 0) {
        println!("  {count:>8} × {fault}");
    }

    let failed = (0..SEEDS).find(|seed| answers(&world_with_delays(*seed), Raw, ReadAdder) != ANSWERS);
    let seed = failed.expect("a short read cuts a line in two");
    let log = TraceLog::new();
    let world = world_with_delays(seed).with_log(log.clone());
    let wrong = answers(&world, Raw, ReadAdder);
    println!("\nThe version without framing fails with seed {seed}: it answers {wrong:?}.");
    println!("The same seed repeats the run. Its reads and writes:");
    for entry in log.take() {
        if let TraceEntry::Event(TraceEvent::Read { wire, result: Ok(len), .. }) = entry {
            println!("  the server reads {len} bytes from connection {wire}");
        } else if let TraceEntry::Event(TraceEvent::Wrote { wire, result: Ok(len), .. }) = entry {
            println!("  the server writes {len} bytes to connection {wire}");
        }
    }
}
