//! A service of your own in a thousand worlds: the seed that catches its bug, and the story of it.
//!
//! Try it: `cargo run --example 23_planted_bug`
//!
//! What you see: a counter, which adds up the numbers that each peer sends and answers each with
//! the sum so far. It keeps the sums in a table by slot, and forgets to empty the slot of who has
//! gone. With one peer, or with any number that are there at the same time, it is right, and a
//! test by hand says so. Then it is put on trial: many peers who come, stay and vanish as they
//! like, in worlds where everything goes wrong that can. A few seeds later somebody hears a sum
//! that it never asked for; the same seed again tells why, a line at a time. The version without
//! the bug, which leaves it to the server to keep something for each peer, passes them all.

use std::panic::set_hook;
use std::time::Duration;

use readyloop::sim::{Rng, World};
use readyloop::simtest::{Play, Script, Trial};
use readyloop::{Address, Context, Lines, Server, ServerLimits, Service};

/// How many worlds each version is shown.
const SEEDS: u64 = 1000;
/// How much of the end of the story is printed.
const STORY_LINES: usize = 12;

/// Adds up what each peer sends, in what the server keeps for that peer.
struct Counter;

impl Service for Counter {
    type Peer = u64;
    type Message = ();

    fn on_frame(&mut self, sum: &mut u64, line: &[u8], cx: &mut Context<'_, '_>) {
        *sum += number_in(line);
        cx.send(sum.to_string().as_bytes());
    }
}

/// The same with a table of its own. A slot is free for the next as soon as its peer has gone, and
/// nobody empties it here. That is the bug.
#[derive(Default)]
struct ForgetfulCounter {
    sums: Vec<u64>,
}

impl Service for ForgetfulCounter {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, '_>) {
        let slot = cx.key().slot();
        if self.sums.len() <= slot {
            self.sums.resize(slot + 1, 0);
        }
        self.sums[slot] += number_in(line);
        cx.send(self.sums[slot].to_string().as_bytes());
    }
}

fn number_in(line: &[u8]) -> u64 {
    String::from_utf8_lossy(line).parse().unwrap_or(0)
}

/// Either of them, as `make` makes it, and what its peers say.
struct Counting<S>(fn() -> S);

impl<S: Service + 'static> Play for Counting<S> {
    type Service = S;
    type Codec = Lines;

    fn service(&self) -> S {
        (self.0)()
    }

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn script(&self, rng: &mut Rng) -> Script {
        let (mut script, mut sum) = (Script::default(), 0);
        for _ in 0..rng.up_to(20) {
            let number = rng.below(100);
            sum += number;
            script.sent.extend(format!("{number}\n").bytes());
            script.heard.extend(format!("{sum}\n").bytes());
        }
        script
    }
}

/// The test by hand: two peers at once, and each has its own sum.
fn test_by_hand() {
    let (world, address): (_, Address) = (World::new(0), "10.0.0.99:7007".parse().expect("an address"));
    let mut server = Server::new(world.net(), ServerLimits::default());
    server.listen(address.clone(), Lines::new(), ForgetfulCounter::default()).expect("the address is free");
    let (ann, bob) = (world.connect(&address), world.connect(&address));
    ann.send(b"1\n2\n3\n");
    bob.send(b"10\n20\n");
    world.pass(Duration::from_secs(1), || server.turn()).expect("a simulated poll does not fail");
    assert_eq!((ann.received(), bob.received()), (b"1\n3\n6\n".to_vec(), b"10\n30\n".to_vec()));
}

fn main() {
    test_by_hand();
    println!("The forgetful counter passes its test by hand.");

    // A run that fails does so by a panic, which is told below.
    set_hook(Box::new(|_| {}));
    let counting = Counting(ForgetfulCounter::default);
    let trial = Trial::of(&counting);
    let failure = (0..SEEDS).find_map(|seed| trial.run(seed).err()).expect("somebody takes over a slot");
    println!("\nSeed {} catches it. Its story, in which \"we\" are the server; who came and went:", failure.seed);
    let story = trial.tell(failure.seed).story;
    story.lines().filter(|line| line.contains("the service hears")).for_each(|line| println!("  {line}"));
    println!("\nAnd its end:");
    let lines: Vec<&str> = story.lines().collect();
    lines[lines.len().saturating_sub(STORY_LINES)..].iter().for_each(|line| println!("  {line}"));
    println!("\nSo this does not hold:\n  {}", failure.message);

    let counting = Counting(|| Counter);
    let sum = Trial::of(&counting).sweep(0..SEEDS, |_| {});
    assert!(sum.failures.is_empty(), "{}", sum.failures[0]);
    println!("\nThe counter that leaves it to the server passes {} worlds, {} turns.", sum.runs, sum.turns);
}
