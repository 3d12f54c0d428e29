//! The production server in the simulated world: what must hold after every step of every seed.
//!
//! `READYLOOP_SIM_SEEDS=0..50000 cargo test --test it sim -- --nocapture` runs other seeds than
//! the first 2,000, and a night's worth is as many as there is time for. A seed that fails is
//! printed with the command that runs it again; put it into `sim/seeds.txt`, whose seeds always
//! come first.

mod crowd;
mod farewell;
mod proxy;
mod scene;
mod services;
mod tls;
mod watch;

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use readyloop::sim::FaultCounts;

use crate::support::share;

use scene::{EVENTS, Outcome, Scene};
use services::Deed;

/// Which seeds are run when nobody says otherwise.
const SEEDS: Range<u64> = 0..2000;
/// From so many seeds on, every kind of fault must have struck [`HITS_MIN`] times.
const SEEDS_MANY: u64 = 50_000;
const HITS_MIN: u64 = 10_000;
/// More failures than this tell nothing new.
const FAILURES_MAX: usize = 5;
/// How much of the story of a failed run is printed.
const STORY_LINES: usize = 60;

/// All runs together.
#[derive(Default)]
struct Sum {
    runs: u64,
    steps: u64,
    faults: FaultCounts,
    deeds: [u64; Deed::NAMES.len()],
    events: [u64; EVENTS.len()],
    failed: Vec<u64>,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.steps += outcome.steps;
        self.faults += &outcome.faults;
        self.deeds.iter_mut().zip(outcome.deeds).for_each(|(sum, more)| *sum += more);
        self.events.iter_mut().zip(outcome.events).for_each(|(sum, more)| *sum += more);
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let deeds = Deed::NAMES.into_iter().zip(self.deeds);
        self.faults.rows().chain(deeds).chain(EVENTS.into_iter().zip(self.events))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds, {} steps", self.runs, self.steps)?;
        self.rows().try_for_each(|(name, count)| writeln!(f, "  {name:<28} {count:>12}"))
    }
}

/// The seeds that the environment asks for, or the usual ones.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("READYLOOP_SIM_SEEDS") else { return SEEDS };
    let parsed = text.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    parsed.unwrap_or_else(|| {
        panic!("READYLOOP_SIM_SEEDS is `{text}`: write the first seed, two dots, and one past the last")
    })
}

/// Seeds that failed once.
fn known_seeds() -> impl Iterator<Item = u64> {
    let lines = include_str!("sim/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.trim().parse().expect("a seed a line"))
}

/// Runs one seed; on failure tells its story.
fn run(seed: u64) -> Result<Outcome, ()> {
    let outcome = catch_unwind(|| Scene::draw(seed, false).run());
    outcome.map_err(|_| {
        println!("seed {seed} failed; the same again:");
        let scene = Scene::draw(seed, true);
        let world = scene.world.clone();
        let _ = catch_unwind(AssertUnwindSafe(|| scene.run()));
        let story = world.trace();
        let lines: Vec<&str> = story.lines().collect();
        lines[lines.len().saturating_sub(STORY_LINES)..].iter().for_each(|line| println!("  {line}"));
        println!("READYLOOP_SIM_SEEDS={seed}..{} cargo test --test it sim -- --nocapture", seed + 1);
    })
}

/// Runs seeds on every core.
fn run_all(known: impl Iterator<Item = u64>, seeds: Range<u64>) -> Sum {
    let sum = Mutex::new(Sum::default());
    let run_one = |seed| {
        let outcome = run(seed);
        let mut sum = sum.lock().expect("nobody panics here");
        match outcome {
            Ok(outcome) => sum.add(&outcome),
            Err(()) => sum.failed.push(seed),
        }
        sum.failed.len() < FAILURES_MAX
    };
    for seed in known {
        run_one(seed);
    }
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end) {
                    if !run_one(seed) {
                        break;
                    }
                }
            });
        }
    });
    sum.into_inner().expect("nobody panics here")
}

#[test]
fn every_step_of_every_seed_keeps_the_promises() {
    let _machine = share();
    let (seeds, start) = (seeds(), Instant::now());
    let sum = run_all(known_seeds(), seeds.clone());
    println!("{sum}in {:.1?}", start.elapsed());
    assert!(sum.failed.is_empty(), "seeds that failed: {:?}", sum.failed);
    if seeds.end - seeds.start >= SEEDS_MANY {
        let rare: Vec<_> = sum.rows().filter(|(_, count)| *count < HITS_MIN).collect();
        assert!(rare.is_empty(), "struck less than {HITS_MIN} times: {rare:?}");
    }
}

#[test]
fn the_same_seed_twice_is_the_same_run() {
    let _machine = share();
    for seed in 0..50 {
        let hash = || Scene::draw(seed, false).run().trace_hash;
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}
