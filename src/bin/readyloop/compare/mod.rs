//! `readyloop compare`: servers under the same loads, in turns, as one report.
//!
//! Each trial is a fresh server and a fresh generator, each a child process. Here is only the order
//! of the steps; a trial that fails is a result, and no failure of the whole.

mod calls;
mod contender;
mod cores;
mod generator;
mod interrupt;
mod loads;
mod machine;
mod process;
mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use readyloop::load::record::Machine;

use crate::cli_error::{CliError, io_message};
use crate::report::comparison::{Calls, Comparison, Load, Outcome, SCHEMA, Trial, VERSION};
use crate::report::{Form, print_result};

use calls::Tracer;
use contender::Contender;
use generator::{Asked, Bound, Trouble};
use interrupt::Interrupt;
use loads::Turn;
use settings::Settings;

/// The name of this subcommand.
pub(crate) const NAME: &str = "compare";

/// Once may be the machine's doing; who fails twice under a load fails under it.
const FAILURES_MAX: u64 = 2;

/// Compares, and tells what came of it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = Settings::from_arg_matches(matches).expect("clap has checked what it declares");
    let contenders = settings.contenders()?;
    let mut loads = loads::loads(&settings.connections, &settings.size);
    let descriptors = machine::raise_descriptors();
    if matches.value_source("connections") == Some(ValueSource::DefaultValue) {
        // Nobody asked for so many: a machine that cannot have them compares with fewer.
        machine::leave_out(&mut loads, descriptors);
    }
    machine::check_room(&loads, descriptors)?;
    settings.output.check()?;
    let interrupt = Interrupt::listen().map_err(|error| {
        CliError::failure(format!("signals cannot be had: {}", io_message(&error)), "this should not happen")
    })?;
    check_start(&contenders, &interrupt)?;

    let mut comparison = begin(&contenders);
    let mut run = Run {
        settings: &settings,
        contenders: &contenders,
        interrupt: &interrupt,
        progress: Progress::new(),
        liar: None,
    };
    run.measure(&loads, &mut comparison);
    if !settings.no_calls {
        run.count_calls(&loads, &mut comparison);
    }
    run.progress.clear();
    if interrupt.has_come() && comparison.records().next().is_none() {
        return Err(CliError::failure("interrupted before anything was measured", "let it run for one trial at least"));
    }
    if interrupt.has_come() {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "readyloop: interrupted: this is what was measured until then");
    }
    let liar = run.liar.take();
    report(&settings, &comparison)?;
    let advice = "it is no echo: its figures, if it has any, count for nothing";
    liar.map_or(Ok(()), |liar| Err(CliError::failure(liar, advice)))
}

/// Every server is started once: one that does not start ends all, before an hour is spent.
fn check_start(contenders: &[Contender], interrupt: &Interrupt) -> Result<(), CliError> {
    for contender in contenders {
        contender.start(None, None, interrupt).map_err(|reason| {
            CliError::failure(
                format!("{} does not start: {reason}", contender.name),
                "try its command by itself; it is to print `listening on tcp://HOST:PORT` or listen on {port}",
            )
        })?;
    }
    Ok(())
}

/// A comparison without trials.
fn begin(contenders: &[Contender]) -> Comparison {
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Comparison {
        schema: SCHEMA.to_owned(),
        version: VERSION,
        begun_unix_s: begun.as_secs(),
        machine: Machine::here(),
        limits: machine::limits(),
        cores: cores::choose(),
        servers: contenders.iter().map(Contender::to_server).collect(),
        trials: Vec::new(),
        calls: Vec::new(),
    }
}

/// A run while it is on.
struct Run<'a> {
    settings: &'a Settings,
    contenders: &'a [Contender],
    interrupt: &'a Interrupt,
    progress: Progress,
    /// Who sent back other bytes than it was sent, in words.
    liar: Option<String>,
}

impl Run<'_> {
    /// All trials, in their order. Who has failed too often under a load is not put under it again.
    fn measure(&mut self, loads: &[Load], comparison: &mut Comparison) {
        let mut failures: BTreeMap<_, u64> = BTreeMap::new();
        for turn in loads::turns(self.settings.rounds, loads, self.contenders.len()) {
            let place = (turn.server, turn.load);
            if failures.get(&place).is_some_and(|count| *count >= FAILURES_MAX) {
                continue;
            }
            let outcome = match self.trial(turn, comparison) {
                Ok(outcome) => outcome,
                Err(Interrupted) => return,
            };
            if let Outcome::Failed(_) = outcome {
                *failures.entry(place).or_default() += 1;
            }
            let server = self.contenders[turn.server].name.clone();
            comparison.trials.push(Trial { server, load: turn.load, round: turn.round, outcome });
        }
    }

    fn trial(&mut self, turn: Turn, comparison: &Comparison) -> Result<Outcome, Interrupted> {
        let contender = &self.contenders[turn.server];
        let (rounds, load) = (self.settings.rounds, load_words(turn.load));
        self.progress.show(&format!("round {} of {rounds}, {load} connections: {}", turn.round, contender.name));
        if self.interrupt.has_come() {
            return Err(Interrupted);
        }
        let (server_core, generator_core) =
            comparison.cores.map_or((None, None), |cores| (Some(cores.server), Some(cores.generator)));
        let asked =
            Asked { load: turn.load, bound: Bound::Time(self.settings.duration), warm_up: self.settings.warm_up };
        let started = contender.start(server_core, None, self.interrupt).map_err(Trouble::Failed);
        let measured =
            started.and_then(|mut server| generator::run(&mut server, &asked, generator_core, self.interrupt));
        match measured {
            // Whatever ends while it is interrupted says nothing of the server.
            _ if self.interrupt.has_come() => Err(Interrupted),
            Ok(mut record) => {
                contender.name.clone_into(&mut record.name);
                Ok(Outcome::Measured(Box::new(record)))
            }
            Err(Trouble::Failed(reason)) => Ok(Outcome::Failed(reason)),
            Err(Trouble::Mismatch(reason)) => {
                self.liar.get_or_insert_with(|| format!("{}: {reason}", contender.name));
                Ok(Outcome::Failed(reason))
            }
        }
    }

    /// System calls of whoever was measured, if anything here can count them.
    fn count_calls(&mut self, loads: &[Load], comparison: &mut Comparison) {
        let Some(tracer) = Tracer::find() else { return };
        for &load in loads {
            for contender in self.contenders {
                let is_it = |trial: &&Trial| trial.server == contender.name && trial.load == load;
                let outcomes = || comparison.trials.iter().filter(is_it).map(|trial| &trial.outcome);
                let is_measured = outcomes().any(|outcome| matches!(outcome, Outcome::Measured(_)));
                if self.interrupt.has_come() || !is_measured {
                    continue;
                }
                self.progress.show(&format!("system calls, {} connections: {}", load_words(load), contender.name));
                let counted = tracer.count(contender, load, comparison.cores, self.interrupt);
                if let Some(per_request) = counted.filter(|_| !self.interrupt.has_come()) {
                    comparison.calls.push(Calls { server: contender.name.clone(), load, per_request });
                }
            }
        }
    }
}

/// The user has had enough.
struct Interrupted;

/// Prints the table, and writes what was asked for.
fn report(settings: &Settings, comparison: &Comparison) -> Result<(), CliError> {
    let output = &settings.output;
    let printed = [(&output.html, Form::Html), (&output.md, Form::Markdown), (&output.svg, Form::Svg)];
    let all = std::slice::from_ref(comparison);
    let printed = printed.map(|(path, form)| (path, path.as_ref().map_or_else(String::new, |_| form.print(all))));
    let json = (&output.json, output.json.as_ref().map_or_else(String::new, |_| comparison.to_json()));
    for (path, text) in printed.into_iter().chain([json]) {
        if let Some(path) = path {
            fs::write(path, text).map_err(|error| settings::cannot_write(path, &error))?;
        }
    }
    print_result(&Form::Text.print(all))
}

fn load_words(load: Load) -> String {
    match load.idle_connections {
        0 => load.connections.to_string(),
        idle => format!("{}+{idle}", load.connections),
    }
}

/// One line that says what is going on, on a terminal only.
struct Progress {
    is_on: bool,
}

impl Progress {
    fn new() -> Self {
        Self { is_on: io::stderr().is_terminal() }
    }

    fn show(&self, text: &str) {
        if self.is_on {
            // Losing it harms nothing.
            let _ = write!(io::stderr(), "\r\x1b[K{}", text.escape_debug());
        }
    }

    fn clear(&self) {
        self.show("");
    }
}

/// The flags and the help of `compare`.
pub(crate) fn command() -> Command {
    Settings::augment_args(Command::new(NAME))
        .about("Compares the designs of a server, and other echo servers, under the same loads")
        .long_about(None)
        .after_help("Counts are 1000, 10k or 1M; sizes 64B, 4KiB or 1MiB; durations 500ms, 2s or 1m.")
        .after_long_help(HELP)
}

const HELP: &str = "\
In each round every server has its turn under every load: a fresh server and a fresh generator, each
a process on a core of its own where there are two. A figure is the median of all rounds, beside it
the least and the most. Servers differ where no round of one lies among those of the other; all else
is within noise.

EXAMPLES
  readyloop compare
      Three designs, 10 to 10,000 connections, five rounds: some seven minutes.
  readyloop compare --json all.json --html all.html
      With a page to look at, and all trials for `readyloop report`.
  readyloop compare -c 100,100+900,100+18900 --designs reactor,threads
      A hundred connections at work, and more and more beside them that are idle.
  readyloop compare --peer 'other=./other-server --port {port}' --designs reactor
      Any echo server; one that prints `listening on tcp://HOST:PORT` needs no {port}.

EXIT STATUS
  0  done, or interrupted by Ctrl-C: what was measured until then is printed. A server that could
     not be measured under a load is a result
  1  a server does not start, or sent back other bytes than it was sent
  2  wrong usage; nothing was started";
