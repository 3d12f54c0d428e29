//! The production server in the simulated world: what must hold after every turn of every seed.
//!
//! `READYLOOP_SIM_SEEDS=0..50000 cargo test --test it sim -- --nocapture` runs other seeds than
//! the first 2,000, and a night's worth is as many as there is time for; `readyloop sim` runs the
//! same. A seed that fails is printed with the command that tells its story; put it into
//! `sim/seeds.txt`, whose seeds always come first.

mod command;
mod proxy;
mod tls;

use std::ops::Range;

use readyloop::simtest::{Pair, Trial};

use crate::support::shared_machine;

/// Which seeds are run when nobody says otherwise.
const SEEDS: Range<u64> = 0..2000;
/// From so many seeds on, every kind of fault must have struck [`HITS_MIN`] times, and every two
/// of them in the same run.
const SEEDS_MANY: u64 = 50_000;
const HITS_MIN: u64 = 10_000;
/// How much of the story of a failed run is printed.
const STORY_LINES: usize = 80;

/// The seeds that the environment asks for, or the usual ones.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("READYLOOP_SIM_SEEDS") else { return SEEDS };
    let parsed = text.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    parsed.unwrap_or_else(|| {
        panic!("READYLOOP_SIM_SEEDS is `{text}`: write the first seed, two dots, and one past the last")
    })
}

/// How many seeds of another kind are run: the usual number, or a twentieth of what is asked for.
fn volume(usual: u64) -> u64 {
    let seeds = seeds();
    usual.max((seeds.end - seeds.start) / 20)
}

/// Seeds that failed once.
fn known_seeds() -> impl Iterator<Item = u64> + Send {
    let lines = include_str!("sim/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.trim().parse().expect("a seed a line"))
}

/// The end of the story of a failed run, and how to have all of it.
fn tell(trial: &Trial<'_>, seed: u64) {
    let story = trial.tell(seed).story;
    let lines: Vec<&str> = story.lines().collect();
    lines[lines.len().saturating_sub(STORY_LINES)..].iter().for_each(|line| println!("  {line}"));
    println!("cargo run --release -- sim --seed {seed} --story");
    println!("READYLOOP_SIM_SEEDS={seed}..{} cargo test --test it sim -- --nocapture", seed + 1);
}

#[test]
fn every_step_of_every_seed_keeps_the_promises() {
    let _machine = shared_machine();
    let (trial, seeds) = (Trial::house(), seeds());
    let sum = trial.sweep(known_seeds().chain(seeds.clone()), |_| {});
    println!("{sum}");
    sum.failures.iter().for_each(|failure| tell(&trial, failure.seed));
    assert!(sum.failures.is_empty(), "{:#?}", sum.failures);
    if seeds.end - seeds.start >= SEEDS_MANY {
        let rare: Vec<_> = sum.rows().filter(|(_, count)| *count < HITS_MIN).collect();
        assert!(rare.is_empty(), "struck less than {HITS_MIN} times: {rare:?}");
        let missing: Vec<Pair> = sum.pairs().filter(|pair| pair.runs == 0).collect();
        assert!(missing.is_empty(), "never met in one run: {missing:?}");
    }
}

#[test]
fn the_same_seed_twice_is_the_same_run_told_or_not() {
    let _machine = shared_machine();
    let trial = Trial::house();
    for seed in 0..50 {
        let run = trial.run(seed);
        assert_eq!(run, trial.run(seed), "seed {seed}");
        let tale = trial.tell(seed);
        assert_eq!(run, tale.outcome, "seed {seed}");
        assert!(tale.story.lines().count() > 2, "seed {seed}: {}", tale.story);
    }
}
