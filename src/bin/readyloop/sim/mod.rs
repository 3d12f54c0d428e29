//! `readyloop sim`: runs the production server in simulated worlds.
//!
//! The runs and their invariants are in `readyloop::simtest`. This module selects the seeds and
//! prints the results. It opens no socket.

mod echo_run;
mod scenario;
mod scenarios;

use std::ops::Range;
use std::panic::{PanicHookInfo, set_hook};
use std::sync::{Mutex, PoisonError};

use clap::{Args, ValueEnum};
use readyloop::simtest::{Failure, SimOutcome, SimTest, Story};

use crate::cli_error::{BUG, CliError};
use crate::escape::cut;
use crate::progress::Progress;
use crate::standard_output::print;
use crate::units::{ParseError, count};
use crate::watch::{self, Outputs};

use scenario::Scenario;

/// The longest printed message of a violated invariant.
const MESSAGE_CHARS_MAX: usize = 500;

/// The flags of `sim`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Seeds to run, without END
    #[arg(long, value_name = "FIRST..END", default_value = "0..2000", value_parser = range, conflicts_with = "seed")]
    seeds: Range<u64>,

    /// Run this one seed
    #[arg(long, value_name = "N", value_parser = count::<u64>)]
    seed: Option<u64>,

    /// Print what happens in this run, turn by turn; or in a run that shows one idea
    #[arg(long, value_name = "SCENARIO", num_args = 0..=1, conflicts_with = "seeds")]
    story: Option<Option<Scenario>>,

    #[command(flatten)]
    outputs: Outputs,
}

fn range(text: &str) -> Result<Range<u64>, ParseError> {
    let parsed = text.split_once("..").and_then(|(start, end)| Some(count(start).ok()?..count(end).ok()?));
    let hint = "type FIRST..END, such as 0..50000";
    parsed.filter(|range: &Range<u64>| !range.is_empty()).ok_or_else(|| ParseError::new("not a range of seeds", hint))
}

/// Runs the selected seeds and prints the results.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    // Violations are panics, and some services panic on purpose. The hook replaces their messages.
    set_hook(Box::new(store_location));
    let test = SimTest::built_in();
    let outputs = &settings.outputs;
    outputs.check()?;
    match (settings.seed, settings.story) {
        (Some(seed), Some(Some(_))) => Err(CliError::usage(
            format!("--story names a scenario, and --seed {seed} another run"),
            "leave out the name or the seed",
        )),
        (None, Some(Some(scenario))) => show_scenario(scenario, outputs),
        (None, Some(None)) => Err(needs_run("--story")),
        (Some(seed), story) if story.is_some() || outputs.first_flag().is_some() => {
            let story = story.map_or(watch::Story::Omitted, |_| watch::Story::Printed);
            show_seed(&test, seed, story, outputs)
        }
        (Some(seed), _) => {
            let outcome = test.run(seed).map_err(|failure| seed_error(&test, &failure))?;
            print(&summary(seed, &outcome))
        }
        (None, None) => match outputs.first_flag() {
            Some(flag) => Err(needs_run(flag)),
            None => sweep(&test, settings.seeds.clone()),
        },
    }
}

/// The error about an output of one run, when none is named.
fn needs_run(flag: &str) -> CliError {
    let names: Vec<String> = Scenario::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value)
        .map(|value| value.get_name().to_owned())
        .collect();
    CliError::usage(
        format!("{flag} is about one run, and none is named"),
        format!("type `--seed N`, or `--story` with one of {}", names.join(", ")),
    )
}

fn show_scenario(scenario: Scenario, outputs: &Outputs) -> Result<(), CliError> {
    let log = scenario.run().map_err(|error| CliError::system("the scenario failed", &error, BUG))?;
    outputs.write(&log, watch::Story::Printed)
}

fn show_seed(test: &SimTest<'_>, seed: u64, story: watch::Story, outputs: &Outputs) -> Result<(), CliError> {
    let Story { log, outcome } = test.story(seed);
    outputs.write(&log, story)?;
    match outcome {
        Ok(outcome) => print(&summary(seed, &outcome)),
        Err(failure) => Err(CliError::failure(message(&failure), "the last lines of the story show what led to it")),
    }
}

fn sweep(test: &SimTest<'_>, seeds: Range<u64>) -> Result<(), CliError> {
    let all = seeds.end - seeds.start;
    let progress = Progress::start();
    // The parser of the seeds refuses an empty range.
    let line = |done: u64| format!("{done} of {all} seeds, {} %", done.saturating_mul(100) / all);
    let summary = test.sweep(seeds, |done| progress.update(|| line(done)));
    progress.show("");
    print(&format!("{summary}\n"))?;
    match summary.failures.first() {
        Some(failure) => Err(seed_error(test, failure)),
        None => print("all invariants held after every turn\n"),
    }
}

fn seed_error(test: &SimTest<'_>, failure: &Failure) -> CliError {
    // Runs the seed again, alone, so that the stored location is that of its panic.
    let again = test.run(failure.seed).err();
    let seed = failure.seed;
    CliError::failure(
        message(again.as_ref().unwrap_or(failure)),
        format!("type `readyloop sim --seed {seed} --story` to see what led to it"),
    )
}

/// The location of the last panic.
static PANIC_LOCATION: Mutex<String> = Mutex::new(String::new());

fn store_location(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    *PANIC_LOCATION.lock().unwrap_or_else(PoisonError::into_inner) = location;
}

/// The violated invariant and its location, as one line of limited length.
fn message(Failure { seed, message }: &Failure) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    let location = PANIC_LOCATION.lock().unwrap_or_else(PoisonError::into_inner);
    format!("seed {seed} fails at {location}: {}", cut(&words.join(" "), MESSAGE_CHARS_MAX))
}

fn summary(seed: u64, outcome: &SimOutcome) -> String {
    let SimOutcome { turns, trace_hash, .. } = outcome;
    let events: u64 = outcome.rows().map(|(_, count)| count).sum();
    format!(
        "seed {seed}: all invariants held; turns: {turns}, faults and other events: {events}, trace {trace_hash:016x}\n"
    )
}

pub(crate) const NOTE: &str = "The same seed gives the same run on every machine.";

pub(crate) const HELP: &str = "\
WHAT IT RUNS
  The server that `serve` runs, over a simulated network, clock and peers. A seed determines them.
  Reads and writes are short, blocked or interrupted. Connections break and accepts fail. Events
  are late, duplicate, spurious or for closed streams. The clock stands still or jumps 50 days.
  Peers are slow, stall and disappear. Services misbehave. After every turn the invariants are checked:
  no byte is lost or added, no peer with work is forgotten, no queue exceeds its limit, no turn
  spins, no deadline is missed, and all totals reconcile.

EXAMPLES
  readyloop sim
      Run 2,000 seeds on all cores.
  readyloop sim --seeds 0..50000
      Run 50,000 seeds, as before each change of this program.
  readyloop sim --seed 7 --story
      Run one seed and print what happens, turn by turn.
  readyloop sim --story backpressure
      Show what happens when a peer does not read.
  readyloop sim --seed 7 --html run.html
      Make a page that plays the run of a seed.
  readyloop sim --story lost-edge --html run.html --trace run.json
      Make a page and a trace of a short run.

EXIT STATUS
  0  all invariants held
  1  an invariant was violated; the seed is printed
  2  wrong usage; nothing was run";

#[cfg(test)]
mod tests {
    use readyloop::sim::Rng;
    use readyloop::simtest::{Scenario, TestSubject};
    use readyloop::{Context, Lines, Service};

    use super::*;

    #[test]
    fn a_range_has_two_ends_and_is_not_empty() {
        assert_eq!(range("3..10"), Ok(3..10));
        for wrong in ["", "3", "3..", "..3", "3..3", "4..3", "a..b", "-1..3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    /// Sends no reply, although an echo is expected.
    struct Mute;

    impl Service for Mute {
        type Codec = Lines;
        type Peer = ();
        type Message = ();

        fn on_frame(&mut self, _peer: &mut (), _line: &[u8], cx: &mut Context<'_, Self>) {
            cx.finish();
        }
    }

    impl TestSubject for Mute {
        type Service = Self;

        fn service(&self) -> Self {
            Self
        }

        fn codec(&self) -> Lines {
            Lines::new()
        }

        fn scenario(&self, _rng: &mut Rng) -> Scenario {
            Scenario { sent: b"hello\n".to_vec(), expected: b"hello\n".to_vec() }
        }
    }

    #[test]
    fn a_failed_seed_is_printed_with_the_command_for_its_story() {
        let test = SimTest::of(&Mute);
        let failure = (0..100).find_map(|seed| test.run(seed).err()).expect("a failure");
        let seed = failure.seed;
        let error = seed_error(&test, &failure);
        assert!(error.message.starts_with(&format!("seed {seed} fails at ")), "{error:?}");
        assert!(error.message.contains("the peer received only part of its answer"), "{error:?}");
        assert!(error.hint.contains(&format!("`readyloop sim --seed {seed} --story`")), "{error:?}");
        let summary = summary(seed, &SimTest::built_in().run(seed).expect("all invariants hold"));
        assert!(summary.starts_with(&format!("seed {seed}: ")), "{summary}");
    }
}
