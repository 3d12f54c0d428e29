//! The report of a search: the curve of latency against rate, the result and its limits.

use readyloop::load::Record;
use serde_json::json;

use crate::bench::text;
use crate::quantity::Unit;
use crate::report::chart::{Axis, Chart, Line, LineStyle, Point, Scale, Served};
use crate::report::document::{Content, Document, Section, Table};

use super::search::TrialResult;
use super::{Found, Trial};

/// The version of the JSON.
const VERSION: u32 = 1;

/// The latency has begun to rise when it is above that at the lowest rate by this factor.
const KNEE: f64 = 2.0;

/// The quantile of the bars and of the knee.
const DRAWN: f64 = 0.99;

/// The columns of latencies.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", DRAWN), ("p99.9", 0.999), ("max", 1.0)];

/// The longest bar, in characters.
const BAR_CHARS: usize = 24;

/// The search as JSON. `trials` has the record of each trial, in the order in which they ran.
pub(super) fn json(found: &Found<'_>) -> String {
    let bound = |tried: &super::search::Tried| json!({"rate": tried.rate, "trials": tried.trials, "held": tried.held});
    let upper = found.search.upper();
    let search = json!({
        "schema": "readyloop.rate-search",
        "version": VERSION,
        "condition": found.goal.to_string(),
        "lower": found.search.lower().map(bound),
        "upper": upper.map(bound),
        "is_limited_by_generator": upper.is_some_and(|tried| tried.is_generator_limit()),
        "is_interrupted": found.is_interrupted,
        "knee_rate": knee(&found.sorted()),
        "closed_loop_rate": found.closed.rate_per_s,
        "trials": found.trials.iter().map(|trial| &trial.record).collect::<Vec<_>>(),
    });
    format!("{search}\n")
}

/// The search as a document.
pub(super) fn document(found: &Found<'_>) -> Document {
    let trials = found.sorted();
    Document {
        title: format!("The highest rate with {}", found.goal),
        about: text::heading(&found.closed, "open loop"),
        conclusions: conclusions(found, &trials),
        sections: vec![Section {
            heading: "Latency against rate".to_owned(),
            about: "Each point is a run at a planned rate. Latency is measured from the planned time of a request."
                .to_owned(),
            charts: vec![chart(&trials)],
            table: table(&trials),
        }],
        method: vec![
            "A run in a closed loop showed the magnitude. Each other run was an open loop.".to_owned(),
            "A rate holds if most of its runs meet the condition, without an error and at 99 % of the planned rate."
                .to_owned(),
            format!(
                "The knee is the first rate from which on p99 stays above {KNEE} times its value at the lowest rate."
            ),
        ],
        origin: Table::new([]),
    }
}

impl Found<'_> {
    /// The trials in ascending order of the rate.
    fn sorted(&self) -> Vec<&Trial> {
        let mut trials: Vec<&Trial> = self.trials.iter().collect();
        trials.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        trials
    }
}

fn conclusions(found: &Found<'_>, trials: &[&Trial]) -> Vec<String> {
    let rate = |rate| Unit::Rate.print(rate);
    let mut sentences = Vec::new();
    sentences.extend(match (found.search.lower(), found.search.upper()) {
        (Some(lower), Some(upper)) if upper.is_generator_limit() => Some(format!(
            "The generator reached its own limit: the server keeps {} at {}, and the generator cannot send {}.",
            found.goal,
            rate(lower.rate),
            rate(upper.rate)
        )),
        (Some(lower), Some(upper)) => Some(format!(
            "The highest rate with {} is between {} and {}: {} of {} runs held at the one, {} of {} at the other.",
            found.goal,
            rate(lower.rate),
            rate(upper.rate),
            lower.held,
            lower.trials,
            upper.held,
            upper.trials
        )),
        (Some(lower), None) => Some(format!("{} held at every rate, up to {}.", found.goal, rate(lower.rate))),
        (None, Some(upper)) => Some(format!("{} did not hold at any rate, down to {}.", found.goal, rate(upper.rate))),
        (None, None) => None,
    });
    sentences.extend(knee(trials).map(|knee| format!("Latency begins to rise at {}.", rate(knee))));
    if trials.iter().any(|trial| trial.record.other_work.is_notable()) {
        sentences.push("The machine was busy with other work in some of the runs, so the result may vary.".to_owned());
    }
    if found.is_interrupted {
        sentences.push("The search was interrupted.".to_owned());
    }
    sentences
}

/// The first rate after the last one with a p99 of at most [`KNEE`] times that of the lowest rate.
fn knee(trials: &[&Trial]) -> Option<f64> {
    let lowest = at(&trials.first()?.record, DRAWN)?;
    let is_low = |trial: &&&Trial| at(&trial.record, DRAWN).is_some_and(|latency| latency <= KNEE * lowest);
    let last_low = trials.iter().rposition(|trial| is_low(&trial))?;
    Some(trials.get(last_low + 1)?.rate)
}

fn at(record: &Record, quantile: f64) -> Option<f64> {
    record.latency.at(quantile).map(|nanos| nanos as f64)
}

fn chart(trials: &[&Trial]) -> Chart {
    let line = |(place, (name, quantile)): (usize, (&str, f64))| Line {
        name: name.to_owned(),
        style: LineStyle::nth(place),
        points: trials
            .iter()
            .map(|trial| Point {
                x: trial.rate,
                y: at(&trial.record, quantile).unwrap_or(f64::NAN),
                spread: None,
                of: if trial.result == TrialResult::Held { Served::All } else { Served::Some },
            })
            .collect(),
    };
    Chart {
        title: "Latency against rate".to_owned(),
        x: Axis { title: "requests per second", unit: Unit::Rate, scale: Scale::Linear },
        y: Axis { title: "latency, lower is better", unit: Unit::Time, scale: Scale::Log },
        lines: QUANTILES.into_iter().enumerate().map(line).collect(),
    }
}

fn table(trials: &[&Trial]) -> Table {
    let titles = QUANTILES.map(|(name, _)| (name, Content::Numbers));
    let columns = [("rate", Content::Names)].into_iter().chain(titles);
    let mut table = Table::new(columns.chain([("p99, log scale", Content::Text), ("result", Content::Text)]));
    let drawn: Vec<f64> = trials.iter().filter_map(|trial| at(&trial.record, DRAWN)).collect();
    let least = drawn.iter().copied().fold(f64::INFINITY, f64::min);
    let most = drawn.iter().copied().fold(0.0, f64::max);
    for trial in trials {
        let latencies = QUANTILES
            .map(|(_, quantile)| at(&trial.record, quantile).map_or_else(String::new, |nanos| Unit::Time.print(nanos)));
        let bar = at(&trial.record, DRAWN).map_or_else(String::new, |nanos| bar(nanos, least, most));
        let result = trial.reason.clone().unwrap_or_else(|| "held".to_owned());
        let row = [Unit::Rate.print(trial.rate)].into_iter().chain(latencies).chain([bar, result]);
        table.rows.push(row.collect());
    }
    table
}

/// A bar on a logarithmic scale: one character for the least value.
fn bar(value: f64, least: f64, most: f64) -> String {
    let part = (value / least).ln() / (most / least).ln().max(f64::MIN_POSITIVE);
    "▪".repeat(1 + (part.clamp(0.0, 1.0) * (BAR_CHARS - 1) as f64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_place_between_the_ends() {
        let len = |value| bar(value, 10.0, 1_000.0).chars().count();
        assert_eq!((len(10.0), len(100.0), len(1_000.0)), (1, 12, 24));
        assert_eq!(bar(5.0, 5.0, 5.0).chars().count(), 1);
    }
}
