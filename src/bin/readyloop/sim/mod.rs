//! `readyloop sim`: the server that ships, in simulated worlds, watched at every turn.
//!
//! It opens no socket. What must hold, and what a run is, is in `readyloop::simtest`; here is which
//! seeds are run, and how it is told.

mod progress;

use std::io::{self, Write, stdout};
use std::ops::Range;
use std::panic::{PanicHookInfo, set_hook};
use std::sync::{Mutex, PoisonError};

use clap::{ArgMatches, Args, Command, FromArgMatches};
use readyloop::simtest::{Failure, Outcome, Trial};
use thiserror::Error;

use crate::cli_error::{CliError, io_message};

use progress::Progress;

/// The name of this subcommand.
pub(crate) const NAME: &str = "sim";

/// What is asked of `sim`.
#[derive(Args, Clone, Debug)]
struct Settings {
    /// The seeds to run: the first, two dots, and one past the last
    #[arg(long, value_name = "A..B", default_value = "0..2000", value_parser = range, conflicts_with = "seed")]
    seeds: Range<u64>,

    /// Run this one seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Tell that run, a line for each thing that happens in it
    #[arg(long, requires = "seed")]
    story: bool,
}

/// What is wrong with a range of seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a range of seeds: write the first, two dots, and one past the last, such as 0..50000")]
struct NoRange;

fn range(text: &str) -> Result<Range<u64>, NoRange> {
    let parsed = text.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    parsed.filter(|range: &Range<u64>| !range.is_empty()).ok_or(NoRange)
}

/// Runs what is asked for, and tells what came of it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = Settings::from_arg_matches(matches).expect("clap has checked what it declares");
    // A run fails by a panic, and services panic on purpose: what there is to say is said once, by us.
    set_hook(Box::new(note_place));
    let trial = Trial::house();
    match settings.seed {
        Some(seed) if settings.story => tell(&trial, seed),
        Some(seed) => {
            let outcome = trial.run(seed).map_err(|failure| broken(&trial, &failure))?;
            print(&summary(seed, &outcome))
        }
        None => sweep(&trial, settings.seeds),
    }
}

fn tell(trial: &Trial<'_>, seed: u64) -> Result<(), CliError> {
    let tale = trial.tell(seed);
    print(&tale.story)?;
    match tale.outcome {
        Ok(outcome) => print(&summary(seed, &outcome)),
        Err(failure) => Err(CliError::failure(words(&failure), "the end of the story above is what led there")),
    }
}

fn sweep(trial: &Trial<'_>, seeds: Range<u64>) -> Result<(), CliError> {
    let progress = Progress::new(seeds.end - seeds.start);
    let sum = trial.sweep(seeds, |done| progress.show(done));
    progress.clear();
    print(&format!("{sum}\n"))?;
    match sum.failures.first() {
        Some(failure) => Err(broken(trial, failure)),
        None => print("everything that must hold after a turn held after each of them\n"),
    }
}

fn broken(trial: &Trial<'_>, failure: &Failure) -> CliError {
    // Once more with nobody beside it, so that the place of the last panic is its own.
    let again = trial.run(failure.seed).err();
    let seed = failure.seed;
    CliError::failure(
        words(again.as_ref().unwrap_or(failure)),
        format!("type `readyloop sim --seed {seed} --story` to see what led there"),
    )
}

/// Where something panicked last.
static PLACE: Mutex<String> = Mutex::new(String::new());

fn note_place(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
}

/// What does not hold, in one line that is not too long, and where that was found.
fn words(Failure { seed, message }: &Failure) -> String {
    const LEN_MAX: usize = 500;
    let line: Vec<&str> = message.split_whitespace().collect();
    let mut line = line.join(" ");
    if let Some((end, _)) = line.char_indices().nth(LEN_MAX) {
        line.truncate(end);
        line.push('…');
    }
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    format!("seed {seed} fails at {place}: {line}")
}

fn summary(seed: u64, outcome: &Outcome) -> String {
    let struck: u64 = outcome.rows().map(|(_, count)| count).sum();
    let Outcome { turns, trace_hash, .. } = outcome;
    format!("seed {seed}: {turns} turns, {struck} things went wrong, and all held; trace {trace_hash:016x}\n")
}

/// Prints on standard output; who has read enough and closed it is no failure.
fn print(text: &str) -> Result<(), CliError> {
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| {
            let message = format!("cannot write to standard output: {}", io_message(&error));
            CliError::failure(message, "check where it goes: a full disk, perhaps")
        }),
    }
}

/// The flags and the help of `sim`.
pub(crate) fn command() -> Command {
    Settings::augment_args(Command::new(NAME))
        .about("Runs the server in simulated worlds, where everything goes wrong that can")
        .long_about(None)
        .after_help("The same seed is the same run, on every machine.")
        .after_long_help(HELP)
}

const HELP: &str = "\
WHAT IT RUNS
  The server that `serve` runs, over a network, a clock and peers that are made up out of a seed.
  Reads and writes are short, blocked, interrupted; connections break; accepts fail; facts come
  late, twice, untrue or about somebody who has gone; the clock stands, or jumps 50 days; peers
  drip, stall and vanish; services misbehave. After every turn it is checked that no byte is lost
  or added, nobody is forgotten, nothing grows, spins or is late, and everything is accounted for.

EXAMPLES
  readyloop sim
      2,000 worlds, on every core.
  readyloop sim --seeds 0..50000
      As many as before every change of this program; a night is --seeds 0..10000000.
  readyloop sim --seed 7 --story
      One of them, told a line at a time.

EXIT STATUS
  0  everything held
  1  something did not: the seed is named
  2  wrong usage; nothing was run";

#[cfg(test)]
mod tests {
    use readyloop::sim::Rng;
    use readyloop::simtest::{Play, Script};
    use readyloop::{Context, Lines, Service};

    use super::*;

    #[test]
    fn a_range_has_two_ends_and_something_between() {
        assert_eq!(range("3..10"), Ok(3..10));
        for wrong in ["", "3", "3..", "..3", "3..3", "4..3", "a..b", "-1..3"] {
            assert_eq!(range(wrong), Err(NoRange), "{wrong}");
        }
    }

    /// Says nothing, where an echo is expected.
    struct Mute;

    impl Service for Mute {
        type Peer = ();
        type Message = ();

        fn on_frame(&mut self, _peer: &mut (), _line: &[u8], cx: &mut Context<'_, '_>) {
            cx.finish();
        }
    }

    impl Play for Mute {
        type Service = Self;
        type Codec = Lines;

        fn service(&self) -> Self {
            Self
        }

        fn codec(&self) -> Lines {
            Lines::new()
        }

        fn script(&self, _rng: &mut Rng) -> Script {
            Script { sent: b"hello\n".to_vec(), heard: b"hello\n".to_vec() }
        }
    }

    #[test]
    fn a_seed_that_fails_is_named_with_what_to_type() {
        let trial = Trial::of(&Mute);
        let failure = (0..100).find_map(|seed| trial.run(seed).err()).expect("nobody is answered");
        let seed = failure.seed;
        let problem = broken(&trial, &failure);
        assert!(problem.message.starts_with(&format!("seed {seed} fails at ")), "{problem:?}");
        assert!(problem.message.contains("closed for service, and heard only part of its answer"), "{problem:?}");
        assert!(problem.hint.contains(&format!("`readyloop sim --seed {seed} --story`")), "{problem:?}");
        let summary = summary(seed, &Trial::house().run(seed).expect("the house keeps its promises"));
        assert!(summary.starts_with(&format!("seed {seed}: ")), "{summary}");
    }
}
