//! A service tested in the simulated world: a bug that no test by hand finds, found by a seed.
//!
//! Try it: `cargo run --example 07_simulated_world`
//!
//! What you see: two versions of a service that adds numbers. One leaves it to the framing to find
//! the lines; the other takes what one read brings for whole lines, which on a quiet machine is
//! nearly always so. In a kind world both are right. Then the same peers send the same lines in
//! hostile worlds, where reads and writes are short, blocked, interrupted, in any order: one
//! version gives the same answers in all of them, the other is caught, together with the seed that
//! shows it again and the calls that led there.
//!
//! ```text
//! In a kind world both versions answer …
//! In 500 hostile worlds the one over `Lines` answers just the same. …
//! The hasty one is caught by seed …: it answers …
//!   turn …: we read … bytes of peer 0
//! ```
//!
//! The server in here is the one that ships. Only its net is another: no socket is opened, no
//! thread started, and a minute passes in microseconds.

use std::time::Duration;

use readyloop::codec::Codec;
use readyloop::sim::{FaultCounts, Faults, World};
use readyloop::{Address, Context, Lines, Raw, Server, ServerLimits, Service};

/// How many hostile worlds the service must pass.
const SEEDS: u64 = 500;

/// What the peers send, each all at once.
const SCRIPTS: [&str; 2] = ["1 2 3\n", "10 20\n7\n100 200 300 400\n"];
/// What they are to hear.
const ANSWERS: [&str; 2] = ["6\n", "30\n7\n1000\n"];

/// Adds the numbers of a line; the framing says what a line is.
struct Adder;

impl Service for Adder {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, '_>) {
        cx.send(sum(line).as_bytes());
    }
}

/// Adds the numbers of a line; finds the lines in each read by itself. That is the bug.
struct HastyAdder;

impl Service for HastyAdder {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), read: &[u8], cx: &mut Context<'_, '_>) {
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

/// What the peers hear when they say their lines to that service in that world.
fn answers(world: &World, framing: impl Codec + 'static, service: impl Service + 'static) -> [String; 2] {
    let address: Address = "10.0.0.99:7007".parse().expect("an address");
    let mut server = Server::new(world.net(), ServerLimits::default());
    server.listen(address.clone(), framing, service).expect("the address is free");
    let peers = SCRIPTS.map(|script| {
        let peer = world.connect(&address);
        peer.send(script.as_bytes());
        peer.finish();
        peer
    });
    // Where accepts fail for a while, the server rests before it tries again.
    world.pass(Duration::from_secs(60), || server.turn()).expect("a simulated poll does not fail");
    assert!(server.totals().reconciles(), "every peer and every byte is accounted for");
    peers.map(|peer| String::from_utf8_lossy(&peer.received()).into_owned())
}

/// A world in which everything happens that costs nothing but time.
fn hostile(seed: u64) -> World {
    World::new(seed).with_faults(Faults::delays_drawn_from(seed))
}

fn main() {
    println!("In a kind world both versions answer {ANSWERS:?}.");
    assert_eq!(answers(&World::new(0), Lines::new(), Adder), ANSWERS);
    assert_eq!(answers(&World::new(0), Raw, HastyAdder), ANSWERS);

    let mut struck = FaultCounts::default();
    for seed in 0..SEEDS {
        let world = hostile(seed);
        assert_eq!(answers(&world, Lines::new(), Adder), ANSWERS, "seed {seed}");
        struck += &world.fault_counts();
    }
    println!("\nIn {SEEDS} hostile worlds the one over `Lines` answers just the same. What struck there:");
    for (fault, count) in struck.rows().filter(|(_, count)| *count > 0) {
        println!("  {count:>8} × {fault}");
    }

    let caught = (0..SEEDS).find(|seed| answers(&hostile(*seed), Raw, HastyAdder) != ANSWERS);
    let seed = caught.expect("somewhere a line is cut in two");
    let world = hostile(seed).with_trace();
    println!("\nThe hasty one is caught by seed {seed}: it answers {:?}.", answers(&world, Raw, HastyAdder));
    println!("The same seed does the same again, so here is how it read and wrote:");
    for line in world.trace().lines().filter(|line| line.contains(": we read") || line.contains(": we write")) {
        println!("  {line}");
    }
}
