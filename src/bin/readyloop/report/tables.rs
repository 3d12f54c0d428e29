//! Makes tables of the results: a row for each load and server, with the spread and ratio of each metric.

use super::comparison::Load;
use super::document::Table;
use super::metric::{Metric, rate_in};
use super::quantity::Unit;
use super::results::{Cell, Family, Unserved};
use super::spread::{Spread, Verdict};

/// The cell for a value that was not measured.
pub(crate) const NONE: &str = "–";

/// The cell for a ratio if one of the two servers did not serve all connections.
pub(crate) const UNLIKE: &str = "not all served";

/// The number of columns with names.
const NAMES: usize = 2;

/// The columns of a metric: its median, spread and ratio.
const FIGURE: usize = 3;

/// The quantiles of the table of percentiles, with their names.
const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// A table of metrics for all servers under all loads.
pub(super) fn of_metrics(family: &Family<'_>, metrics: &[Metric]) -> Table {
    let mut head = vec!["connections", "server"];
    let ratio = format!("to {}", base_name(family));
    for metric in metrics {
        head.extend([metric.name(), "min .. max", &ratio]);
    }
    // The notes are in the first table only.
    let has_notes = metrics.contains(&Metric::Rate);
    if has_notes {
        head.push("note");
    }
    let mut table = Table::new(NAMES, &head);
    table.breaks = (0..metrics.len()).map(|place| NAMES + place * FIGURE).collect();
    if has_notes {
        table = table.ending_in_text();
    }
    for_each_row(family, |load, server, cell| {
        let mut row = names(family, load, server);
        for &metric in metrics {
            row.extend(figure(family, load, server, metric));
        }
        if has_notes {
            row.push(note(cell));
        }
        table.rows.push(row);
    });
    table.without_empty_columns(NONE)
}

/// A table of percentiles, each the median over all rounds.
pub(super) fn of_percentiles(family: &Family<'_>) -> Table {
    let mut head = vec!["connections", "server"];
    head.extend(QUANTILES.map(|(name, _)| name));
    let mut table = Table::new(NAMES, &head);
    for_each_row(family, |load, server, cell| {
        let mut row = names(family, load, server);
        row.extend(QUANTILES.map(|(_, quantile)| {
            print(Unit::Time, Spread::of(cell.runs.iter().filter_map(|run| Some(run.latency.at(quantile)? as f64))))
        }));
        table.rows.push(row);
    });
    table
}

/// A table of how much the intervals of the median round varied.
pub(super) fn of_time(family: &Family<'_>) -> Table {
    let head = [
        "connections",
        "server",
        "intervals",
        "slowest",
        "fastest",
        "min p99",
        "max p99",
        "intervals without an answer",
    ];
    let mut table = Table::new(NAMES, &head);
    for_each_row(family, |load, server, cell| {
        let Some(run) = cell.middle_run() else { return };
        let rates = Spread::of(run.series.iter().map(rate_in));
        let answered = || run.series.iter().filter(|piece| piece.answered > 0);
        let latencies = Spread::of(answered().map(|piece| piece.p99_ns as f64));
        let silent = run.series.len() - answered().count();
        let ends = |unit: Unit, spread: Option<Spread>| {
            let end = |value| value_or_none(unit, value);
            [end(spread.map(|spread| spread.least)), end(spread.map(|spread| spread.most))]
        };
        let mut row = names(family, load, server);
        row.push(run.series.len().to_string());
        row.extend(ends(Unit::Rate, rates));
        row.extend(ends(Unit::Time, latencies));
        row.push(silent.to_string());
        table.rows.push(row);
    });
    table
}

fn for_each_row(family: &Family<'_>, mut act: impl FnMut(Load, usize, &Cell<'_>)) {
    for load in family.loads() {
        for server in 0..family.servers.len() {
            if let Some(cell) = family.cell(load, server) {
                act(load, server, cell);
            }
        }
    }
}

fn names(family: &Family<'_>, load: Load, server: usize) -> Vec<String> {
    vec![load_phrase(load), family.servers[server].name.clone()]
}

/// `100 connections`, or `100 + 900 idle connections`.
pub(super) fn connections_phrase(load: Load) -> String {
    format!("{} connection{}", load_phrase(load), if load.open() == 1 { "" } else { "s" })
}

/// `100`, or `100 + 900 idle`.
pub(super) fn load_phrase(load: Load) -> String {
    let print = |count: u64| Unit::Count.print(count as f64);
    match load.idle_connections {
        0 => print(load.connections),
        idle => format!("{} + {} idle", print(load.connections), print(idle)),
    }
}

fn figure(family: &Family<'_>, load: Load, server: usize, metric: Metric) -> [String; FIGURE] {
    let unit = metric.unit();
    let Some(spread) = family.figure(load, server, metric) else { return [NONE; FIGURE].map(ToOwned::to_owned) };
    let ends = format!("{} .. {}", unit.print(spread.least), unit.print(spread.most));
    let base = family.servers[server].base.and_then(|base| family.figure(load, base, metric));
    // System calls are counted once, in a separate run, so there are no rounds to compare.
    let is_counted = metric == Metric::Calls;
    // A server that serves only some connections serves those faster, so a ratio would mislead.
    let serves_all = |server| family.cell(load, server).is_none_or(|cell| cell.unserved().is_none());
    let is_alike = serves_all(server) && family.servers[server].base.is_none_or(serves_all);
    let ratio = match base {
        None => NONE.to_owned(),
        Some(_) if !is_alike => UNLIKE.to_owned(),
        Some(base) => ratio_text(&spread, &base, is_counted),
    };
    [unit.print(spread.median), if spread.rounds > 1 { ends } else { NONE.to_owned() }, ratio]
}

fn ratio_text(spread: &Spread, base: &Spread, is_counted: bool) -> String {
    let ratio = spread.ratio(base);
    if !ratio.is_finite() {
        return NONE.to_owned();
    }
    let ratio = Unit::Ratio.print(ratio);
    match spread.against(base) {
        Verdict::OneRound if is_counted => ratio,
        Verdict::OneRound => format!("{ratio}, one round"),
        Verdict::WithinNoise => format!("{ratio}, within noise"),
        Verdict::Less | Verdict::More => ratio,
    }
}

fn print(unit: Unit, spread: Option<Spread>) -> String {
    value_or_none(unit, spread.map(|spread| spread.median))
}

fn value_or_none(unit: Unit, value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| unit.print(value))
}

/// The name of the server that the others are compared with.
fn base_name(family: &Family<'_>) -> String {
    let mut bases: Vec<usize> = family.servers.iter().filter_map(|server| server.base).collect();
    bases.dedup();
    match bases[..] {
        [base] => family.servers[base].name.clone(),
        // Each machine has its own base.
        _ => "its reactor".to_owned(),
    }
}

/// The note of a row: failures, unserved connections, errors.
fn note(cell: &Cell<'_>) -> String {
    let mut notes = Vec::new();
    if let Some(reason) = cell.failures.first() {
        let (failed, all) = (cell.failures.len(), cell.failures.len() + cell.runs.len());
        notes.push(format!("failed in {failed} of {all} rounds: {reason}"));
    }
    if let Some(Unserved { waiting, refused, all, is_least }) = cell.unserved() {
        let print = |count: u64| Unit::Count.print(count as f64);
        let each = [("waiting", waiting), ("refused", refused)].into_iter().filter(|(_, count)| *count > 0);
        let at_least = if is_least { "at least " } else { "" };
        notes.extend(each.map(|(what, count)| format!("{what}: {at_least}{} of {}", print(count), print(all))));
    }
    if let Some((kind, count)) = cell.error() {
        notes.push(format!("errors: {} {kind}", Unit::Count.print(count as f64)));
    }
    if cell.runs.iter().any(|run| run.generator.was_bottleneck) {
        notes.push("the generator may have been the bottleneck".to_owned());
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use readyloop::load::record::{ErrorCount, ErrorKind};

    use super::super::comparison::{Outcome, Trial};
    use super::super::results::Results;
    use super::super::samples::{comparison_of, trial};
    use super::*;

    /// The rows of the table of requests per second for these trials.
    fn rows(trials: Vec<Trial>) -> Vec<Vec<String>> {
        let comparison = comparison_of(trials);
        of_metrics(&Results::of(&[comparison]).families[0], &[Metric::Rate]).rows
    }

    #[test]
    fn waiting_connections_are_noted_and_are_not_errors() {
        let mut waiting = trial("pool", 100, 1, 500.0);
        let Outcome::Measured(record) = &mut waiting.outcome else { unreachable!("it was measured") };
        record.connections.silent = 36;
        let error = |kind, count| ErrorCount { kind, count, example: String::new() };
        record.errors = vec![error(ErrorKind::TimedOut, 36)];
        let mut broken = waiting.clone();
        assert_eq!(rows(vec![waiting]), [["100", "pool", "500 /s", "waiting: 36 of 100"]]);
        let Outcome::Measured(record) = &mut broken.outcome else { unreachable!("it was measured") };
        record.errors = vec![error(ErrorKind::TimedOut, 40), error(ErrorKind::Reset, 7)];
        assert_eq!(rows(vec![broken])[0][3], "waiting: 36 of 100; errors: 7 reset");
    }

    #[test]
    fn refused_connections_and_failed_connects_are_noted_apart() {
        let mut full = trial("threads", 100, 1, 500.0);
        let Outcome::Measured(record) = &mut full.outcome else { unreachable!("it was measured") };
        (record.connections.silent, record.connections.failed) = (30, 20);
        let error = |kind, count| ErrorCount { kind, count, example: String::new() };
        record.errors =
            vec![error(ErrorKind::Reset, 25), error(ErrorKind::ConnectTimedOut, 20), error(ErrorKind::TimedOut, 8)];
        assert_eq!(rows(vec![full])[0][3], "waiting: 28 of 100; refused: 22 of 100; errors: 3 reset");
    }

    #[test]
    fn a_server_that_leaves_connections_waiting_has_no_ratio() {
        let mut waiting = trial("pool", 100, 1, 50_000.0);
        let Outcome::Measured(record) = &mut waiting.outcome else { unreachable!("it was measured") };
        record.connections.silent = 36;
        record.errors = vec![ErrorCount { kind: ErrorKind::TimedOut, count: 36, example: String::new() }];
        let rows = rows(vec![trial("reactor", 100, 1, 500.0), waiting]);
        assert_eq!(rows[1], ["100", "pool", "50.0 k/s", UNLIKE, "waiting: 36 of 100"]);
    }

    #[test]
    fn a_failed_trial_has_a_row_without_values() {
        let mut failed = trial("threads", 100, 1, 0.0);
        failed.outcome = Outcome::Failed("no threads left".to_owned());
        assert_eq!(
            rows(vec![trial("reactor", 100, 1, 500.0), failed]),
            [["100", "reactor", "500 /s", ""], ["100", "threads", "–", "failed in 1 of 1 rounds: no threads left"]]
        );
    }

    #[test]
    fn idle_connections_are_shown_apart() {
        assert_eq!(
            load_phrase(Load { message_bytes: 1, connections: 100, idle_connections: 18_900 }),
            "100 + 18,900 idle"
        );
    }
}
