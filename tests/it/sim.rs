//! The production server in the simulated world, with the invariants checked after every turn.
//!
//! `READYLOOP_SIM_SEEDS=0..52000 cargo test --test it sim -- --nocapture` runs other seeds than the
//! first 2,000. `readyloop sim` runs the same. A failed seed is printed with the commands that repeat
//! it. Add it to `sim/seeds.txt`: these seeds always run first.

mod command;
mod gateway;
mod protocols;
mod proxy;
mod proxy_protocol;
mod tls;

use std::ops::Range;

use readyloop::simtest::{Pair, SimTest};

use crate::support::shared_machine;

/// The seeds to run if the environment names none.
const SEEDS: Range<u64> = 0..2000;
/// With at least this many seeds, each row must reach [`COUNT_MIN`], and each pair must occur in one run.
const SEEDS_MANY: u64 = 50_000;
const COUNT_MIN: u64 = 2_000;
/// How many of the last lines of a failed run are printed.
const STORY_LINES: usize = 80;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("READYLOOP_SIM_SEEDS") else { return SEEDS };
    let parsed = text.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    parsed.unwrap_or_else(|| panic!("READYLOOP_SIM_SEEDS is `{text}`: write FIRST..END, where END is not part of it"))
}

/// The number of seeds for the other simulation tests: `usual`, or a twentieth of [`seeds`] if that is more.
fn volume(usual: u64) -> u64 {
    let seeds = seeds();
    usual.max((seeds.end - seeds.start) / 20)
}

/// The seeds that failed once.
fn known_seeds() -> impl Iterator<Item = u64> + Send {
    let lines = include_str!("sim/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.trim().parse().expect("one seed per line"))
}

/// Prints the last lines of a failed run and the commands that repeat it.
fn print_story(test: &SimTest<'_>, seed: u64) {
    let story = test.story(seed).log.story().to_string();
    let lines: Vec<&str> = story.lines().collect();
    lines[lines.len().saturating_sub(STORY_LINES)..].iter().for_each(|line| println!("  {line}"));
    println!("cargo run --release -- sim --seed {seed} --story");
    println!("READYLOOP_SIM_SEEDS={seed}..{} cargo test --test it sim -- --nocapture", seed + 1);
}

#[test]
fn all_invariants_hold_after_every_turn_of_every_seed() {
    let _machine = shared_machine();
    let (test, seeds) = (SimTest::built_in(), seeds());
    let summary = test.sweep(known_seeds().chain(seeds.clone()), |_| {});
    println!("{summary}");
    summary.failures.iter().for_each(|failure| print_story(&test, failure.seed));
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
    if seeds.end - seeds.start >= SEEDS_MANY {
        let rare: Vec<_> = summary.rows().filter(|(_, count)| *count < COUNT_MIN).collect();
        assert!(rare.is_empty(), "counted less than {COUNT_MIN} times: {rare:?}");
        let missing: Vec<Pair> = summary.pairs().filter(|pair| pair.runs == 0).collect();
        assert!(missing.is_empty(), "never together in one run: {missing:?}");
    }
}

#[test]
fn a_seed_gives_the_same_run_with_and_without_its_story() {
    let _machine = shared_machine();
    let test = SimTest::built_in();
    for seed in 0..50 {
        let run = test.run(seed);
        assert_eq!(run, test.run(seed), "seed {seed}");
        let story = test.story(seed);
        assert_eq!(run, story.outcome, "seed {seed}");
        let lines: usize = story.log.turns.iter().map(|turn| turn.lines.len()).sum();
        assert!(lines > 2, "seed {seed}: {}", story.log.story());
    }
}
