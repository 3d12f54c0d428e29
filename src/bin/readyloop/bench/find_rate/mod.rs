//! `bench --find-rate`: searches for the highest rate that meets a condition.
//!
//! A run in a closed loop shows the magnitude. Each trial after it is a run in an open loop. `Search` chooses its rate.

mod report;
mod search;

use readyloop::load::plan::Pace;
use readyloop::load::record::RunEnd;
use readyloop::load::{Plan, Record};

use crate::cli_error::CliError;
use crate::output_file;
use crate::report::Form;
use crate::standard_output::print;

use super::drive;
use super::exit_status::{check_measured, check_outcome, exceeded_thresholds, rate_shortfall};
use super::settings::{Output, Settings};
use super::threshold::Goal;

use search::{Search, TrialResult};

/// A search that has ended.
struct Found<'a> {
    goal: &'a Goal,
    search: Search,
    /// The run in a closed loop.
    closed: Record,
    /// In the order in which they ran.
    trials: Vec<Trial>,
    is_interrupted: bool,
}

/// A run at one rate.
struct Trial {
    rate: f64,
    record: Record,
    result: TrialResult,
    /// Why it missed.
    reason: Option<String>,
}

/// Searches, prints the result and writes the output files.
pub(super) fn run(goal: &Goal, plan: &Plan, settings: &Settings) -> Result<(), CliError> {
    let found = search(goal, plan, settings)?;
    let Output { json, html, fail_if, .. } = &settings.output;
    let document = report::document(&found);
    let printed = print(&if *json { report::json(&found) } else { Form::Text.print_document(&document) });
    let page = || Form::Html.print_document(&document);
    let written = output_file::write_all(html.iter().map(|path| (path.as_path(), page())));
    printed.and(written)?;
    let Some(best) = found.best() else {
        if found.is_interrupted {
            return Ok(());
        }
        return Err(CliError::failure(
            format!("no rate was found that keeps {goal}"),
            "type a condition that the server can keep, or a longer --duration",
        ));
    };
    exceeded_thresholds(&best.record, fail_if)
}

fn search<'a>(goal: &'a Goal, plan: &Plan, settings: &Settings) -> Result<Found<'a>, CliError> {
    let measured = drive::measure(&Plan { pace: Pace::Closed, ..plan.clone() }, settings)?;
    check_measured(&measured)?;
    check_outcome(&measured, settings.pid, &[])?;
    let closed = measured.record;
    let mut found = Found {
        goal,
        search: Search::new(closed.rate_per_s),
        is_interrupted: closed.ending == RunEnd::Interrupted,
        closed,
        trials: Vec::new(),
    };
    while !found.is_interrupted
        && let Some(rate) = found.search.next_rate()
    {
        let measured = drive::measure(&Plan { pace: Pace::Open(rate), ..plan.clone() }, settings)?;
        check_measured(&measured)?;
        let record = measured.record;
        // A run that was interrupted does not count.
        found.is_interrupted = record.ending == RunEnd::Interrupted;
        if !found.is_interrupted {
            found.add(rate, record);
        }
    }
    Ok(found)
}

impl Found<'_> {
    fn add(&mut self, rate: f64, record: Record) {
        let reason = miss(self.goal, &record);
        let result = match (&reason, record.generator.was_bottleneck) {
            (None, _) => TrialResult::Held,
            (Some(_), false) => TrialResult::Missed,
            (Some(_), true) => TrialResult::MissedByGenerator,
        };
        self.search.add(rate, result);
        self.trials.push(Trial { rate, record, result, reason });
    }

    /// The last trial that held, at the highest rate that holds.
    fn best(&self) -> Option<&Trial> {
        let rate = self.search.lower()?.rate;
        self.trials.iter().rev().find(|trial| trial.rate == rate && trial.result == TrialResult::Held)
    }
}

/// Why a run does not hold, if it does not.
fn miss(goal: &Goal, record: &Record) -> Option<String> {
    if let Some(error) = record.errors.first() {
        return Some(error.kind.to_string());
    }
    if record.requests.failed > 0 {
        return Some("requests without an answer".to_owned());
    }
    rate_shortfall(record).map(|_| "the rate was not reached".to_owned()).or_else(|| goal.miss(record))
}
