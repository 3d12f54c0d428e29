//! A simulation test of your own service: a seed finds its bug and prints the story of the run.
//!
//! Try it: `cargo run --example 23_planted_bug`
//!
//! The service is a counter that adds up the numbers of each peer and answers each with the sum so
//! far. It keeps the sums in a table by slot, and does not reset the slot of a closed peer. A test
//! with two peers at once passes. Then many random peers connect, stay and vanish in worlds with
//! faults. After a few seeds a peer receives a sum of another one. The same seed repeats the run and
//! shows why, line by line. The correct version keeps the sum in the peer's own state, and passes.

use std::panic::set_hook;
use std::time::Duration;

use readyloop::sim::{Rng, World};
use readyloop::simtest::{Scenario, SimTest, TestSubject};
use readyloop::{Address, Context, Lines, Server, ServerLimits, Service};

/// The number of seeds for each version.
const SEEDS: u64 = 1000;
/// How many of the last lines of the story are printed.
const STORY_LINES: usize = 12;

/// Keeps each sum in the state of its peer.
struct Counter;

impl Service for Counter {
    type Codec = Lines;
    type Peer = u64;
    type Message = ();

    fn on_frame(&mut self, sum: &mut u64, line: &[u8], cx: &mut Context<'_, Self>) {
        *sum += number_in(line);
        cx.send(sum.to_string().as_bytes());
    }
}

/// Keeps the sums in a table of its own. The next peer in a slot continues the old sum. That is the bug.
#[derive(Default)]
struct TableCounter {
    sums: Vec<u64>,
}

impl Service for TableCounter {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
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

/// The test subject for both versions. It holds the constructor of the service.
struct CounterTest<S>(fn() -> S);

impl<S: Service<Codec = Lines> + 'static> TestSubject for CounterTest<S> {
    type Service = S;

    fn service(&self) -> S {
        (self.0)()
    }

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn scenario(&self, rng: &mut Rng) -> Scenario {
        let (mut scenario, mut sum) = (Scenario::default(), 0);
        for _ in 0..rng.up_to(20) {
            let number = rng.below(100);
            sum += number;
            scenario.sent.extend(format!("{number}\n").bytes());
            scenario.expected.extend(format!("{sum}\n").bytes());
        }
        scenario
    }
}

/// A test with two peers at once. Each receives its own sums.
fn test_two_peers() {
    let (world, address): (_, Address) = (World::new(0), "10.0.0.99:7007".parse().expect("an address"));
    let mut server = Server::new(world.net(), ServerLimits::default());
    server.listen(address.clone(), Lines::new(), TableCounter::default()).expect("the address is free");
    let (ann, bob) = (world.connect(&address), world.connect(&address));
    ann.send(b"1\n2\n3\n");
    bob.send(b"10\n20\n");
    world.advance(Duration::from_secs(1), || server.turn(None)).expect("a simulated poll does not fail");
    assert_eq!((ann.received(), bob.received()), (b"1\n3\n6\n".to_vec(), b"10\n30\n".to_vec()));
}

fn main() {
    test_two_peers();
    println!("The counter with the bug passes a test with two peers.");

    // A failed run panics. Its message is printed below.
    set_hook(Box::new(|_| {}));
    let subject = CounterTest(TableCounter::default);
    let test = SimTest::of(&subject);
    let failure = (0..SEEDS).find_map(|seed| test.run(seed).err()).expect("a peer gets a used slot");
    println!("\nSeed {} finds the bug. The callbacks of its run:", failure.seed);
    let story = test.story(failure.seed).log.story().to_string();
    story.lines().filter(|line| line.contains("callback on_")).for_each(|line| println!("  {line}"));
    println!("\nThe last lines of its story:");
    let lines: Vec<&str> = story.lines().collect();
    lines[lines.len().saturating_sub(STORY_LINES)..].iter().for_each(|line| println!("  {line}"));
    println!("\nThe violated invariant:\n  {}", failure.message);

    let subject = CounterTest(|| Counter);
    let summary = SimTest::of(&subject).sweep(0..SEEDS, |_| {});
    assert!(summary.failures.is_empty(), "{}", summary.failures[0]);
    println!("\nThe correct counter passes {} seeds with {} turns.", summary.runs, summary.turns);
}
