//! From comparisons to a report: which sections there are, what is said above each, and how it was measured.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use readyloop::load::Record;

use super::board::{Board, Family};
use super::comparison::Comparison;
use super::document::{Document, Section, Table};
use super::metric::Metric;
use super::quantity::Unit;
use super::{charts, tables, words};

/// The report of all these comparisons together.
pub(crate) fn document(comparisons: &[Comparison]) -> Document {
    let board = Board::of(comparisons);
    let many = board.families.len() > 1;
    Document {
        title: title(&board),
        about: about(&board),
        words: board.families.iter().map(words::conclude).find(|words| !words.is_empty()).unwrap_or_default(),
        sections: board.families.iter().flat_map(|family| sections(family, many)).collect(),
        method: method(comparisons, &board),
        origin: origin(comparisons, &board),
    }
}

fn title(board: &Board<'_>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for server in board.families.iter().flat_map(|family| &family.servers) {
        if !names.contains(&server.name.as_str()) {
            names.push(&server.name);
        }
    }
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}, compared", others.join(", ")),
        Some(_) | None => names.concat(),
    }
}

fn about(board: &Board<'_>) -> String {
    let labels: Vec<&str> = board.families.iter().map(|family| family.label.as_str()).collect();
    let machines: BTreeSet<String> = board
        .machines
        .iter()
        .map(|machine| format!("{}, {}, {} cores", machine.kernel, machine.processor, machine.cores))
        .collect();
    let machines: Vec<String> = machines.into_iter().collect();
    let rounds = match board.rounds() {
        Some(rounds) if rounds > 1 => format!("; {rounds} rounds"),
        Some(_) | None => String::new(),
    };
    format!("{}{rounds}; {}", labels.join("; "), machines.join("; "))
}

fn sections(family: &Family<'_>, with_label: bool) -> Vec<Section> {
    let metrics = |heading: &str, about: &str, metrics: &[Metric], drawn: &[Metric]| Section {
        heading: heading.to_owned(),
        about: about.to_owned(),
        charts: drawn.iter().flat_map(|metric| charts::against_connections(family, *metric)).collect(),
        table: tables::of_metrics(family, metrics),
    };
    let mut sections = vec![
        metrics(
            "Requests a second",
            "Answered requests a second, of all connections together. More is better.",
            &[Metric::Rate],
            &[Metric::Rate],
        ),
        metrics(
            "Latency",
            "From when a request left until its answer was there: what half, 99 % and 99.9 % of all did not exceed. Less is better.",
            &[Metric::P50, Metric::P99, Metric::P999],
            &[Metric::P99],
        ),
        Section {
            heading: "Latency by percentile".to_owned(),
            about: "How long the slowest took: further right are fewer answers, 1 of 100 at 99 %. A line that stays low is better.".to_owned(),
            charts: charts::by_percentile(family),
            table: tables::of_percentiles(family),
        },
        metrics(
            "CPU",
            "Time of the server on a core, user and system, for each request; and what it is spent on. Less is better.",
            &[Metric::Cpu, Metric::Switches, Metric::Calls],
            &[Metric::Cpu],
        ),
        metrics(
            "Memory",
            "What the server's own memory grew by for each connection, and its threads. Less is better.",
            &[Metric::Memory, Metric::Threads],
            &[Metric::Memory],
        ),
        Section {
            heading: "Over time".to_owned(),
            about: "One round, the one with the median rate: each point is a piece of the measured time. A level line is better.".to_owned(),
            charts: charts::over_time(family),
            table: tables::of_time(family),
        },
    ];
    sections.retain(Section::tells_something);
    if with_label {
        for section in &mut sections {
            section.heading = format!("{}: {}", section.heading, family.label);
        }
    }
    sections
}

impl Section {
    /// Whether there is a figure in its table.
    fn tells_something(&self) -> bool {
        self.table.head.len() > self.table.names && !self.table.rows.is_empty()
    }
}

fn method(comparisons: &[Comparison], board: &Board<'_>) -> Vec<String> {
    let records: Vec<&Record> = comparisons.iter().flat_map(Comparison::records).collect();
    let mut said = Vec::new();
    let is_compared = comparisons.iter().any(|comparison| comparison.trials.len() > 1);
    if is_compared {
        said.push("Each server was a process of its own, started anew for each trial. In each round every server had its turn under every load, in another order each time.".to_owned());
    }
    match comparisons.iter().find_map(|comparison| comparison.cores) {
        Some(cores) => said.push(format!(
            "Servers ran on core {} and nowhere else, the generator on core {}. A design with many threads has one core as well.",
            cores.server, cores.generator
        )),
        None if is_compared => said.push("Servers and generator shared cores as the kernel saw fit, so each disturbed the other.".to_owned()),
        None => {}
    }
    said.extend(noise(board));
    if records.iter().any(|record| record.config.rate.is_none()) {
        said.push("In a closed loop a request leaves when the answer before it has come. A slow server is asked less often, so its latencies are better than those of users who do not wait for each other.".to_owned());
    }
    if records.iter().any(|record| is_loopback(&record.config.address)) {
        said.push("Over loopback there is no network: no distance, no loss, and generator and server share caches and memory.".to_owned());
    }
    if records.iter().all(|record| record.config.verified) && !records.is_empty() {
        said.push("Every byte that came back was compared with what it should be.".to_owned());
    }
    if records.iter().any(|record| record.server.is_some()) {
        said.push("Memory is the process's own, with all connections open, less what it was before the first. It comes in pages, so of few connections it tells little; what the kernel holds for a socket or a thread is not in it.".to_owned());
    }
    if comparisons.iter().any(|comparison| !comparison.calls.is_empty()) {
        said.push("System calls were counted in runs of their own, because counting slows a server down: those of a long run less those of a short one, for each request that the long one had more.".to_owned());
    }
    let machines = if board.machines.len() > 1 { "These machines" } else { "One machine" };
    said.push(format!("{machines}, one service: another kernel, processor or load may turn the order around."));
    said
}

/// How rounds are read, and how far that can be trusted.
fn noise(board: &Board<'_>) -> Option<String> {
    let rounds = board.rounds()?;
    if rounds < 2 {
        return Some(
            "One round is no comparison: the same server strays from itself, and nothing here tells how far."
                .to_owned(),
        );
    }
    Some(format!(
        "A figure is the median of {rounds} rounds, beside it the least and the most. Two servers differ where no round of one lies among those of the other, and are within noise otherwise; of two equal servers, that calls 1 pair in {} different.",
        Unit::Count.print(splits(rounds))
    ))
}

/// In how many ways two times `rounds` rounds are dealt to two servers, for each way in which all
/// rounds of one are above all of the other.
fn splits(rounds: usize) -> f64 {
    let ways: f64 = (1..=rounds).map(|at| (rounds + at) as f64 / at as f64).product();
    (ways / 2.0).round()
}

fn is_loopback(address: &str) -> bool {
    ["//127.", "//[::1]", "//localhost"].iter().any(|host| address.contains(host))
}

fn origin(comparisons: &[Comparison], board: &Board<'_>) -> Table {
    let mut table = Table::new(1, &["what", "where and with what"]).ending_in_words();
    let mut row = |name: &str, value: &str| {
        let row = vec![name.to_owned(), value.to_owned()];
        if !value.is_empty() && !table.rows.contains(&row) {
            table.rows.push(row);
        }
    };
    for (place, machine) in board.machines.iter().enumerate() {
        let name = if board.machines.len() > 1 { format!("machine ({})", place + 1) } else { "machine".to_owned() };
        row(&name, &format!("{}, {} cores", machine.processor, machine.cores));
        row("kernel", &machine.kernel);
        row("congestion control", &machine.congestion_control);
        row("readyloop", &machine.readyloop);
    }
    for comparison in comparisons {
        let begun = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(comparison.begun_unix_s));
        let begun = begun.map(|begun| humantime::format_rfc3339_seconds(begun).to_string());
        row("begun", &begun.unwrap_or_default());
        for (name, value) in &comparison.limits {
            row(name, value);
        }
        for server in &comparison.servers {
            row(&server.name, &server.command);
        }
    }
    for record in comparisons.iter().flat_map(Comparison::records) {
        let seconds = |ns: u64| Unit::Time.print(ns as f64);
        let measured = record.config.duration_ns.map(seconds);
        let measured =
            measured.or(record.config.requests.map(|count| format!("{} requests", Unit::Count.print(count as f64))));
        row(
            "measured",
            &format!("{} after {} of warm-up", measured.unwrap_or_default(), seconds(record.config.warm_up_ns)),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::samples::{comparison, comparison_of, record, trial};
    use super::super::{Form, escape};
    use super::*;

    #[test]
    fn every_form_has_the_same_cells() {
        let comparisons = [comparison()];
        let document = document(&comparisons);
        let [text, markdown, html] = [Form::Text, Form::Markdown, Form::Html].map(|form| form.print(&comparisons));
        let cells = document.sections.iter().flat_map(|section| section.table.rows.concat());
        let mut count = 0;
        for cell in cells {
            count += 1;
            assert!(text.contains(&cell) && markdown.contains(&escape::markdown(&cell)), "{cell}");
            assert!(html.contains(&format!(">{}<", escape::xml(&cell))), "{cell}");
        }
        assert!(count > 100, "only {count} cells");
    }

    #[test]
    fn figures_are_those_of_the_rounds() {
        let document = document(&[comparison()]);
        let first = &document.sections[0];
        assert_eq!(first.heading, "Requests a second");
        assert_eq!(first.table.rows[1], ["10", "threads", "502 /s", "501 /s .. 502 /s", "0.50×"]);
        assert_eq!(first.charts[0].lines[0].points[0].y, 1_001.5);
    }

    #[test]
    fn a_single_run_is_no_comparison() {
        let document = document(&[record("tcp://127.0.0.1:7007", 50).into()]);
        assert_eq!((document.title.as_str(), document.words.len()), ("tcp://127.0.0.1:7007", 0));
        let charts: Vec<_> = document.sections.iter().flat_map(|section| &section.charts).collect();
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        let expected = ["Latency by percentile", "Answers over time", "Latency over time"];
        assert_eq!(titles, expected.map(|title| format!("{title}, 50 connections")));
    }

    #[test]
    fn another_machine_is_another_server() {
        let here = comparison_of(vec![trial("reactor", 10, 1, 100.0), trial("reactor", 10, 2, 100.0)]);
        let mut there = here.clone();
        there.machine.processor = "another one".to_owned();
        let board = [here.clone(), there];
        let names: Vec<_> = Board::of(&board).families[0].servers.iter().map(|server| server.name.clone()).collect();
        assert_eq!(names, ["reactor (1)", "reactor (2)"]);
        let more_rounds = [here.clone(), Comparison { begun_unix_s: 1, ..here }];
        assert_eq!(Board::of(&more_rounds).rounds(), Some(4));
    }

    #[test]
    fn the_chance_of_an_error_is_that_of_the_draw() {
        assert_eq!([splits(2), splits(3), splits(5)], [3.0, 10.0, 126.0]);
    }

    #[test]
    fn what_differs_by_more_than_connections_has_charts_of_its_own() {
        let mut large = record("reactor", 10);
        large.config.message_bytes = 16_384;
        let document = document(&[record("reactor", 10).into(), large.into()]);
        let headings: Vec<_> = document.sections.iter().map(|section| section.heading.as_str()).collect();
        assert!(
            headings.contains(&"Memory: tcp, 64 B, closed loop")
                && headings.contains(&"Memory: tcp, 16.4 kB, closed loop")
        );
    }
}
