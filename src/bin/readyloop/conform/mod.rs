//! `readyloop conform`: checks an echo server of any kind from outside, rule by rule.
//!
//! Each row acts as a client, and its evidence is what that client saw. The help is at the end of this file.

mod chapter;
mod connection;
mod datagram;
mod junit;
mod listener;
mod page;
mod pattern;
mod report;
mod row_run;
mod rows;
mod server;
mod settings;
mod target;
mod text;
mod verdict;
mod wait;

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::child::{Interrupt, StartOptions};
use crate::cli_error::{BUG, CliError};
use crate::descriptors;
use crate::output_file;
use crate::progress::Progress;
use crate::standard_output::print;

use report::Report;
use row_run::RowRun;
use rows::{ROWS, Row, Subject};
use server::StartedServer;
use target::Target;
use verdict::{Checked, RowVerdict, Stop};
use wait::Wait;

pub(crate) use settings::Settings;

/// Time for the end of a server after a failed row.
const END_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs the subcommand: checks the settings, runs the rows and reports.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    if let Some(row) = &settings.explain {
        return print(&format!("{}\n", chapter::section(row)));
    }
    if settings.list {
        return print(&ROWS.iter().map(|row| format!("{:<18}  {}\n", row.name, row.rule)).collect::<String>());
    }
    settings.check()?;
    let descriptors = descriptors::raise_limit();
    let interrupt = Interrupt::install().map_err(|error| CliError::system("cannot handle signals", &error, BUG))?;
    let target = Target::open(settings, &interrupt)?;
    let run = Run { settings, target, descriptors, interrupt: &interrupt };
    let report = run.all_rows();
    write(settings, &report)?;
    conclude(&report)
}

/// A run in progress.
struct Run<'a> {
    settings: &'a Settings,
    target: Target,
    /// The most descriptors of this process.
    descriptors: u64,
    interrupt: &'a Interrupt,
}

impl Run<'_> {
    fn all_rows(&self) -> Report {
        let mut report = Report::begin(&self.target.name());
        let progress = Progress::start();
        let rows = self.settings.rows();
        for (number, row) in rows.iter().enumerate() {
            progress.show(&format!("{} of {}: {}", number + 1, rows.len(), row.name));
            let started = Instant::now();
            let checked = self.row(row);
            // A result during an interrupt says nothing about the server.
            let checked = if self.interrupt.is_set() { Err(Stop::Interrupted) } else { checked };
            let (verdict, evidence) = match checked {
                Ok(evidence) => (RowVerdict::Pass, evidence),
                Err(Stop::Failed(evidence)) => (RowVerdict::Fail, evidence),
                Err(Stop::Skipped(reason)) => (RowVerdict::Skip, reason),
                Err(Stop::Interrupted) => {
                    report.interrupted = true;
                    break;
                }
            };
            report.push(row, verdict, &evidence, started.elapsed());
        }
        progress.show("");
        report
    }

    /// Runs one row, against a new process if the server has a command.
    fn row(&self, row: &Row) -> Checked<String> {
        if let Some(reason) = self.target.refuses(row.subject) {
            return Err(Stop::skipped(reason));
        }
        let (address, server, command) = match &self.target {
            Target::Address(address, _) => (*address, None, None),
            Target::Command(command, _) => {
                let started = StartedServer::start(command, StartOptions::default(), self.interrupt);
                let server = started.map_err(|error| Stop::of_start("the server does not start", &error))?;
                (server.address, Some(server), Some(command))
            }
        };
        let mut run = RowRun {
            address,
            server,
            command,
            wait: Wait::new(self.settings.timeout, self.interrupt),
            interrupt: self.interrupt,
            connections: self.settings.connections,
            descriptors: self.descriptors,
            serial: AtomicU64::new(0),
        };
        let checked = (row.check)(&mut run);
        // The connections of a crashed server end shortly before its process.
        let end_timeout = if checked.is_ok() { Duration::ZERO } else { END_TIMEOUT };
        match (checked, run.server.as_mut().and_then(|server| server.end(end_timeout))) {
            (Err(Stop::Failed(evidence)), Some(end)) if evidence != end => {
                Err(Stop::Failed(format!("{evidence}; {end}")))
            }
            (Ok(_) | Err(Stop::Skipped(_)), Some(end)) if row.subject != Subject::End => Err(Stop::Failed(end)),
            (checked, _) => checked,
        }
    }
}

/// Prints the table and writes the output files.
fn write(settings: &Settings, report: &Report) -> Result<(), CliError> {
    let output = &settings.output;
    let forms =
        [(&output.json, report.to_json()), (&output.html, page::print(report)), (&output.junit, junit::print(report))];
    let files = forms.into_iter().filter_map(|(path, text)| Some((path.as_deref()?, text)));
    let written = output_file::write_all(files);
    print(&text::print(report)).and(written)
}

/// The exit status: success only if a row has passed and none has failed.
fn conclude(report: &Report) -> Result<(), CliError> {
    let failures = report.failures();
    if let Some(first) = failures.first() {
        return Err(CliError::failure(
            format!("{} of {} rows failed: {}", failures.len(), report.rows.len(), failures.join(", ")),
            format!("`readyloop conform --explain {first}` prints the reason for the rule"),
        ));
    }
    if report.interrupted {
        return Err(CliError::failure("interrupted before all rows had run", "select fewer rows with --only"));
    }
    if report.passed == 0 {
        return Err(CliError::failure(
            "every row was skipped, so nothing was measured",
            "see the reasons in the table",
        ));
    }
    Ok(())
}

pub(crate) const UNITS: &str = "Counts: 1000, 10k. Durations: 500ms, 2s, 1m.";

pub(crate) const HELP: &str = "\
Each row is one rule: it passes, fails or is skipped, with the evidence in one line. A row is skipped if
this machine or the way in which the server is reached does not permit it. With --server, every row has
a new process, which ends with its row, together with all processes that it has started. No row decides
by a time below 100 ms, and latencies are compared with those of the same server in the same run.

EXAMPLES
  readyloop conform 127.0.0.1:7007
      Check a server that runs already.
  readyloop conform --server './other-server --port {port}' --html conformance.html
      Start a server for each row, and check its process, too.
  readyloop conform --server 'readyloop serve -l 127.0.0.1:{port} -l udp://127.0.0.1:{port}' --udp
      Check datagrams as well.
  readyloop conform 127.0.0.1:7007 --only half-close,reset --junit conformance.xml
      Run two rows, and write their results for a CI system.
  readyloop conform --list
      Print all rows; `readyloop conform --explain half-close` describes one.

EXIT STATUS
  0  every row passed or was skipped
  1  a row failed, every row was skipped, the server cannot be reached or does not start, the run was
     interrupted, or an output cannot be written
  2  wrong usage, or an output with a path that cannot be written; nothing was started";
