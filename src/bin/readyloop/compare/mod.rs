//! `readyloop compare`: measures servers under the same loads and reports the differences.
//!
//! Each trial is a new server process and a new generator process. This file has the order of the steps
//! and the help. A trial that fails is a result and does not end the comparison.

mod calls;
mod certificate;
mod contender;
mod cores;
mod generator;
mod loads;
mod machine;
mod request_flags;
mod settings;
mod tracer;
mod trial_place;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use readyloop::load::plan::RunLength;
use readyloop::load::record::Machine;

use crate::child::Interrupt;
use crate::cli_error::{BUG, CliError};
use crate::descriptors;
use crate::output_file;
use crate::progress::Progress;
use crate::report::Form;
use crate::report::comparison::{Calls, Comparison, Cores, Load, Outcome, SCHEMA, Trial, VERSION};
use crate::standard_output::print;

use calls::CallCounter;
use certificate::Certificate;
use contender::Contender;
use generator::{TrialConfig, TrialError};
use loads::ScheduledTrial;
use tracer::Tracer;
use trial_place::TrialPlace;

pub(crate) use settings::Settings;

/// A server is skipped under a load after this many failed trials under it. One failure may be accidental.
const FAILURES_MAX: u64 = 2;

/// Runs the subcommand: checks, measures and reports.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    let contenders = settings.contenders()?;
    let mut loads = loads::loads(&settings.connections(), &settings.sizes());
    let descriptors = descriptors::raise_limit();
    if settings.connections.is_none() {
        // The user did not choose these loads, so too large ones are skipped.
        machine::drop_oversized(&mut loads, settings.requests.threads, descriptors);
    }
    machine::check_descriptors(&loads, settings.requests.threads, descriptors)?;
    settings.check_plans(&loads)?;
    settings.output.check()?;
    let cores = cores::choose(&settings.requests)?;
    let interrupt = Interrupt::install().map_err(|error| CliError::system("cannot handle signals", &error, BUG))?;
    let certificate = settings.requests.is_tls.then(Certificate::new).transpose()?;
    let pinned = cores.clone().unwrap_or_default();
    let place = TrialPlace { cores: &pinned, certificate: certificate.as_ref(), interrupt: &interrupt };
    check_start(&contenders, &place)?;

    let mut comparison = begin(&contenders, cores);
    let mut run = Run { settings, contenders: &contenders, place, progress: Progress::start(), mismatch: None };
    run.measure(&loads, &mut comparison);
    if !settings.no_calls {
        run.count_calls(&loads, &mut comparison);
    }
    run.progress.show("");
    if interrupt.is_set() && comparison.records().next().is_none() {
        return Err(CliError::failure("interrupted before anything was measured", "let it run for at least one trial"));
    }
    if interrupt.is_set() {
        // The notice is optional, so a write error is ignored.
        let _ = writeln!(io::stderr(), "readyloop: interrupted: these are the results so far");
    }
    let mismatch = run.mismatch.take();
    report(settings, &comparison)?;
    if let Some(mismatch) = mismatch {
        return Err(CliError::failure(mismatch, "check that it is an echo server, and ignore its results"));
    }
    if comparison.records().next().is_none() {
        return Err(CliError::failure("every trial failed, so nothing was measured", "see the reasons in the report"));
    }
    Ok(())
}

/// Starts every server once, so that a wrong command fails before a long measurement.
fn check_start(contenders: &[Contender], place: &TrialPlace<'_>) -> Result<(), CliError> {
    for contender in contenders {
        contender.start(place, None).map_err(|reason| {
            CliError::failure(
                format!("{} does not start: {reason}", contender.name),
                "run its command alone: it must print `listening on tcp://HOST:PORT`, or listen on the port {port}",
            )
        })?;
    }
    Ok(())
}

/// A comparison without trials.
fn begin(contenders: &[Contender], cores: Option<Cores>) -> Comparison {
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Comparison {
        schema: SCHEMA.to_owned(),
        version: VERSION,
        begun_unix_s: begun.as_secs(),
        machine: Machine::here(),
        limits: machine::limits(),
        cores,
        servers: contenders.iter().map(Contender::to_server).collect(),
        trials: Vec::new(),
        calls: Vec::new(),
    }
}

/// The time that is left after some of the trials, for the progress line.
fn time_left(elapsed: Duration, done: u32, all: u64) -> String {
    let left = all.saturating_sub(u64::from(done));
    let each = elapsed.checked_div(done).unwrap_or_default();
    match each.as_secs_f64() * left as f64 {
        0.0 => String::new(),
        short if short < 90.0 => format!("; about {short:.0} s left"),
        long => format!("; about {:.0} min left", long / 60.0),
    }
}

/// A comparison in progress.
struct Run<'a> {
    settings: &'a Settings,
    contenders: &'a [Contender],
    place: TrialPlace<'a>,
    progress: Progress,
    /// Message about the first server that returned other bytes than it received.
    mismatch: Option<String>,
}

impl Run<'_> {
    /// Runs all trials in order, without those of servers that failed too often under a load. A trial while the
    /// machine was busy runs again, at the end of its round.
    fn measure(&mut self, loads: &[Load], comparison: &mut Comparison) {
        let mut failures: BTreeMap<_, u64> = BTreeMap::new();
        let begun = Instant::now();
        let all = self.settings.rounds.saturating_mul(loads.len() as u64).saturating_mul(self.contenders.len() as u64);
        let mut done = 0;
        for round in 1..=self.settings.rounds {
            let mut busy = Vec::new();
            for scheduled in loads::schedule(round, loads, self.contenders.len()) {
                let left = time_left(begun.elapsed(), done, all);
                done += 1;
                let case = (scheduled.server, scheduled.load);
                if failures.get(&case).is_some_and(|count| *count >= FAILURES_MAX) {
                    continue;
                }
                let Some(outcome) = self.trial(scheduled, &left) else { break };
                if let Outcome::Failed(_) = outcome {
                    *failures.entry(case).or_default() += 1;
                }
                let server = self.contenders[scheduled.server].name.clone();
                let trial = Trial { server, load: scheduled.load, round, outcome, is_repeated: false };
                if trial.was_busy() { busy.push((scheduled, trial)) } else { comparison.trials.push(trial) }
            }
            comparison.trials.extend(busy.into_iter().map(|(scheduled, trial)| self.repeat(scheduled, trial)));
            if self.place.interrupt.is_set() {
                return;
            }
        }
    }

    /// Runs a trial again that was measured while the machine was busy. If the second one has a result, it counts.
    fn repeat(&mut self, scheduled: ScheduledTrial, first: Trial) -> Trial {
        match self.trial(scheduled, ", again, because the machine was busy") {
            Some(outcome @ Outcome::Measured(_)) => Trial { outcome, is_repeated: true, ..first },
            Some(Outcome::Failed(_)) | None => first,
        }
    }

    /// Runs one trial; `None` if the user interrupts it.
    fn trial(&mut self, trial: ScheduledTrial, left: &str) -> Option<Outcome> {
        let contender = &self.contenders[trial.server];
        let (rounds, load) = (self.settings.rounds, trial.load.phrase());
        self.progress.show(&format!("round {} of {rounds}, {load}: {}{left}", trial.round, contender.name));
        if self.place.interrupt.is_set() {
            return None;
        }
        let config = TrialConfig {
            has_certificate: contender.has_certificate(),
            load: trial.load,
            requests: self.settings.requests,
            run_length: RunLength::Time(self.settings.duration),
            warm_up: self.settings.warm_up,
        };
        let started = contender.start(&self.place, None).map_err(TrialError::Failed);
        let measured = started.and_then(|mut server| generator::run(&mut server, &config, &self.place));
        match measured {
            // A result during an interrupt says nothing about the server.
            _ if self.place.interrupt.is_set() => None,
            Ok(mut record) => {
                contender.name.clone_into(&mut record.name);
                Some(Outcome::Measured(Box::new(record)))
            }
            Err(TrialError::Failed(reason)) => Some(Outcome::Failed(reason)),
            Err(TrialError::Mismatch(reason)) => {
                self.mismatch.get_or_insert_with(|| format!("{}: {reason}", contender.name));
                Some(Outcome::Failed(reason))
            }
        }
    }

    /// Counts system calls of the measured servers, if a tracer is available.
    fn count_calls(&mut self, loads: &[Load], comparison: &mut Comparison) {
        let Some(tracer) = Tracer::find() else { return };
        let counter = CallCounter { tracer, place: self.place, requests: self.settings.requests };
        for &load in loads {
            for contender in self.contenders {
                let is_this = |trial: &&Trial| trial.server == contender.name && trial.load == load;
                let outcomes = || comparison.trials.iter().filter(is_this).map(|trial| &trial.outcome);
                let is_measured = outcomes().any(|outcome| matches!(outcome, Outcome::Measured(_)));
                if self.place.interrupt.is_set() || !is_measured {
                    continue;
                }
                self.progress.show(&format!("system calls, {}: {}", load.phrase(), contender.name));
                let counted = counter.count(contender, load);
                if let Some(per_request) = counted.filter(|_| !self.place.interrupt.is_set()) {
                    comparison.calls.push(Calls { server: contender.name.clone(), load, per_request });
                }
            }
        }
    }
}

/// Prints the text report and writes the output files.
fn report(settings: &Settings, comparison: &Comparison) -> Result<(), CliError> {
    let output = &settings.output;
    let printed = [(&output.html, Form::Html), (&output.md, Form::Markdown), (&output.svg, Form::Svg)];
    let all = std::slice::from_ref(comparison);
    let printed = printed.into_iter().filter_map(|(path, form)| Some((path.as_deref()?, form.print(all))));
    let json = output.json.iter().map(|path| (path.as_path(), comparison.to_json()));
    let written = output_file::write_all(printed.chain(json));
    print(&Form::Text.print(all)).and(written)
}

pub(crate) const UNITS: &str = "Counts: 1000, 10k, 1M. Sizes: 64B, 4KiB, 1MiB. Durations: 500ms, 2s, 1m.";

pub(crate) const HELP: &str = "\
In each round, every server runs under every load. Each trial has a new server process and a new
generator process, pinned to different cores if there are enough. A result is the median of all rounds,
with the minimum and the maximum. Two servers differ only if their rounds do not overlap; all other
differences are within noise. System calls are counted with perf or strace if one is installed.
All processes of a command end with the comparison, also those that it started in the background.
If other processes used the cores during a trial, it runs again at the end of its round. If the second
run was disturbed as well, its figures are marked with *.

EXAMPLES
  readyloop compare
      Three designs with 10 to 10,000 connections in five rounds; takes about seven minutes, and up to
      twice as long on a busy machine.
  readyloop compare --json all.json --html all.html
      Also write all trials for `readyloop report`, and a page with charts.
  readyloop compare -c 100,100+900,100+18900 --designs reactor,threads
      100 busy connections with 0, 900 and 18,900 idle ones.
  readyloop compare --framing lines -p 16 -c 100
      Frames are lines, and up to 16 requests are in flight on a connection.
  readyloop compare --server-cores 2 --threads 2 --peer 'other=./other-server --port {port}'
      Each server has two cores, and the generator has two other ones if there are four.
  readyloop compare --tls --peer 'other=./other-server {port} {cert} {key}'
      The reactor and another server over TLS, with a certificate that is made for both.
  readyloop compare --peer 'other=./other-server --port {port}' --designs reactor
      The reactor and another echo server.

EXIT STATUS
  0  finished, or interrupted after at least one trial; a server that could not be measured under a
     load is a result
  1  a server does not start, a server returned other bytes than it received, no trial succeeded,
     there are too few descriptors, or an output cannot be written
  2  wrong usage, or an output with a path that cannot be written; no server was started";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_trials_so_far() {
        assert_eq!(time_left(Duration::ZERO, 0, 60), "");
        assert_eq!(time_left(Duration::from_secs(8), 2, 12), "; about 40 s left");
        assert_eq!(time_left(Duration::from_secs(8), 2, 62), "; about 4 min left");
        assert_eq!(time_left(Duration::from_secs(8), 2, 0), "");
    }
}
