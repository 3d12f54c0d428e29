//! Makes tables of the results: a row for each load and server, with the spread and ratio of each metric.

use readyloop::load::record::Interval;

use super::comparison::Load;
use super::document::{Content, Table};
use super::metric::{CALLS, Metric, RATE, rate_in};
use super::results::{Cell, Family, Unserved};
use super::spread::{Spread, Verdict};
use crate::escape::plain;
use crate::quantity::{Unit, grouped};

/// The cell for a value that was not measured.
pub(crate) const NONE: &str = "–";

/// The cell for a ratio if one of the two servers did not serve all connections.
const UNLIKE: &str = "not all served";

/// The longest reason of a failure in a note.
const REASON_CHARS_MAX: usize = 200;

/// The quantiles of the table of percentiles, with their names.
const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// A table of metrics for all servers under all loads.
pub(super) fn of_metrics(family: &Family<'_>, metrics: &[Metric]) -> Table {
    let ratio = format!("to {}", base_name(family));
    let columns = |metric: &Metric| {
        [(metric.name, Content::Metric), ("min .. max", Content::Numbers), (ratio.as_str(), Content::Numbers)]
    };
    let mut columns: Vec<_> = metrics.iter().flat_map(columns).collect();
    // The notes are in the first table only.
    let has_notes = metrics.iter().any(|metric| metric.name == RATE.name);
    columns.extend(has_notes.then_some(("note", Content::Text)));
    let table = table(family, &columns, |load, server, cell| {
        let figures = metrics.iter().flat_map(|metric| figure(family, load, server, *metric));
        Some(figures.chain(has_notes.then(|| note(cell))).collect())
    });
    table.without_empty_columns(NONE)
}

/// A table of percentiles, each the median over all rounds.
pub(super) fn of_percentiles(family: &Family<'_>) -> Table {
    table(family, &QUANTILES.map(|(name, _)| (name, Content::Numbers)), |_, _, cell| {
        let median = |(_, quantile)| cell.percentile(quantile).map(|spread| spread.median);
        Some(QUANTILES.map(|quantile| print(Unit::Time, median(quantile))).to_vec())
    })
}

/// A table of how much the intervals of the median round varied.
pub(super) fn of_time(family: &Family<'_>) -> Table {
    let titles = ["intervals", "slowest", "fastest", "min p99", "max p99", "intervals without an answer"];
    table(family, &titles.map(|title| (title, Content::Numbers)), |_, _, cell| {
        let series = &cell.middle_run()?.series;
        let answered = || series.iter().filter(|piece| piece.answered > 0);
        let rates = Spread::of(series.iter().map(rate_in));
        let latencies = Spread::of(answered().map(|piece| piece.p99_ns as f64));
        Some(vec![
            grouped(series.len()),
            print(Unit::Rate, rates.map(|spread| spread.least)),
            print(Unit::Rate, rates.map(|spread| spread.most)),
            print(Unit::Time, latencies.map(|spread| spread.least)),
            print(Unit::Time, latencies.map(|spread| spread.most)),
            grouped(series.len() - answered().count()),
        ])
    })
}

/// A table of the ends of a ramp, and of the numbers of connections with the highest rate and the first error.
pub(super) fn of_ramp(family: &Family<'_>) -> Table {
    let titles = ["first", "last", "highest rate", "connections with it", "connections at the first error"];
    table(family, &titles.map(|title| (title, Content::Numbers)), |_, _, cell| {
        let run = cell.middle_run()?;
        let ramp = run.config.ramp?;
        let best = run.series.iter().max_by(|a, b| rate_in(a).total_cmp(&rate_in(b)));
        let first_error = run.series.iter().find(|piece| piece.errors > 0);
        let connections = |piece: Option<&Interval>| print(Unit::Count, piece.map(|piece| piece.connections as f64));
        Some(vec![
            grouped(ramp.from),
            grouped(ramp.to),
            print(Unit::Rate, best.map(rate_in)),
            connections(best),
            connections(first_error),
        ])
    })
}

/// A table with a row for each load and each server that was tried under it.
fn table(
    family: &Family<'_>,
    columns: &[(&str, Content)],
    values: impl Fn(Load, usize, &Cell<'_>) -> Option<Vec<String>>,
) -> Table {
    let names = [("connections", Content::Names), ("server", Content::Names)];
    let mut table = Table::new(names.iter().chain(columns).copied());
    for load in family.loads() {
        for (server, contender) in family.servers.iter().enumerate() {
            let values = family.cell(load, server).and_then(|cell| values(load, server, cell));
            let mark = if family.cell(load, server).is_some_and(Cell::was_busy) { " *" } else { "" };
            let names = || vec![load_phrase(load), format!("{}{mark}", contender.name)];
            table.rows.extend(values.map(|values| [names(), values].concat()));
        }
    }
    table
}

/// `100`, or `100 + 900 idle`.
pub(super) fn load_phrase(load: Load) -> String {
    match load.idle_connections {
        0 => grouped(load.connections),
        idle => format!("{} + {} idle", grouped(load.connections), grouped(idle)),
    }
}

/// The median of a metric, its spread and its ratio to the base.
fn figure(family: &Family<'_>, load: Load, server: usize, metric: Metric) -> [String; 3] {
    let unit = metric.unit;
    let Some(spread) = family.figure(load, server, metric) else { return [NONE; 3].map(ToOwned::to_owned) };
    let ends = format!("{} .. {}", unit.print(spread.least), unit.print(spread.most));
    let base = family.base(server);
    // A server that serves only some connections serves those faster, so a ratio would mislead.
    let is_alike = [Some(server), base].into_iter().flatten().all(|server| family.unserved(load, server).is_none());
    let ratio = match base.and_then(|base| family.figure(load, base, metric)) {
        None => NONE.to_owned(),
        Some(_) if !is_alike => UNLIKE.to_owned(),
        Some(base) => ratio_text(&spread, &base, metric),
    };
    [unit.print(spread.median), if spread.rounds > 1 { ends } else { NONE.to_owned() }, ratio]
}

fn ratio_text(spread: &Spread, base: &Spread, metric: Metric) -> String {
    let ratio = print(Unit::Ratio, Some(spread.ratio(base)));
    match spread.against(base) {
        _ if ratio == NONE => ratio,
        // System calls are counted once, in separate runs, so there are no rounds to compare.
        Verdict::OneRound if metric.name == CALLS.name => ratio,
        Verdict::OneRound => format!("{ratio}, one round"),
        Verdict::WithinNoise => format!("{ratio}, within noise"),
        Verdict::Less | Verdict::More => ratio,
    }
}

fn print(unit: Unit, value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| unit.print(value))
}

/// The name of the server that the others are compared with.
fn base_name(family: &Family<'_>) -> String {
    let bases = family.bases();
    match bases.first() {
        Some(base) if bases.len() == 1 => family.servers[*base].name.clone(),
        // Each machine has its own base.
        Some(_) | None => "its reactor".to_owned(),
    }
}

/// The note of a row: failures, unserved connections, errors.
fn note(cell: &Cell<'_>) -> String {
    let mut notes = Vec::new();
    if let Some(reason) = cell.failures.first() {
        let (failed, all) = (cell.failures.len(), cell.failures.len() + cell.runs.len());
        notes.push(format!("failed in {failed} of {all} rounds: {}", plain(reason, REASON_CHARS_MAX)));
    }
    if let Some(Unserved { waiting, refused, all, is_least }) = cell.unserved() {
        let each = [("waiting", waiting), ("refused", refused)].into_iter().filter(|(_, count)| *count > 0);
        let at_least = if is_least { "at least " } else { "" };
        notes.extend(each.map(|(what, some)| format!("{what}: {at_least}{} of {}", grouped(some), grouped(all))));
    }
    if let Some((kind, errors)) = cell.error() {
        notes.push(format!("errors: {} {kind}", grouped(errors)));
    }
    if cell.runs.iter().any(|run| run.generator.was_bottleneck) {
        notes.push("the generator may have been the bottleneck".to_owned());
    }
    if cell.was_busy() {
        notes.push("the machine was busy with other work".to_owned());
    }
    notes.join("; ")
}
