//! Makes the document of a report: its sections with their explanations, and the method of measurement.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use readyloop::load::Record;

use super::comparison::Comparison;
use super::document::{Document, Section, Table};
use super::metric::Metric;
use super::quantity::Unit;
use super::results::{Family, Results};
use super::{charts, conclusions, tables};

/// The report of all comparisons together.
pub(crate) fn document(comparisons: &[Comparison]) -> Document {
    let results = Results::of(comparisons);
    let many = results.families.len() > 1;
    Document {
        title: title(&results),
        about: about(&results),
        conclusions: results
            .families
            .iter()
            .map(conclusions::conclude)
            .find(|conclusions| !conclusions.is_empty())
            .unwrap_or_default(),
        sections: results.families.iter().flat_map(|family| sections(family, many)).collect(),
        method: method(comparisons, &results),
        origin: origin(comparisons, &results),
    }
}

fn title(results: &Results<'_>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for server in results.families.iter().flat_map(|family| &family.servers) {
        if !names.contains(&server.name.as_str()) {
            names.push(&server.name);
        }
    }
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}, compared", others.join(", ")),
        Some(_) | None => names.concat(),
    }
}

fn about(results: &Results<'_>) -> String {
    let labels: Vec<&str> = results.families.iter().map(|family| family.label.as_str()).collect();
    let machines: BTreeSet<String> = results
        .machines
        .iter()
        .map(|machine| format!("{}, {}, {}", machine.kernel, machine.processor, cores(machine.cores)))
        .collect();
    let machines: Vec<String> = machines.into_iter().collect();
    let rounds = match results.rounds() {
        Some(rounds) if rounds > 1 => format!("; {rounds} rounds"),
        Some(_) | None => String::new(),
    };
    format!("{}{rounds}; {}", labels.join("; "), machines.join("; "))
}

fn cores(count: u64) -> String {
    format!("{count} core{}", if count == 1 { "" } else { "s" })
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
            "Requests per second",
            "Answered requests per second, over all connections. Higher is better.",
            &[Metric::Rate],
            &[Metric::Rate],
        ),
        metrics(
            "Latency",
            "Time from a request to its answer: the values that 50 %, 99 % and 99.9 % of all requests did not exceed. Lower is better.",
            &[Metric::P50, Metric::P99, Metric::P999],
            &[Metric::P99],
        ),
        Section {
            heading: "Latency by percentile".to_owned(),
            about: "Latency of the slowest answers. Further to the right are fewer answers: 1 in 100 at 99 %. A line that stays low is better.".to_owned(),
            charts: charts::by_percentile(family),
            table: tables::of_percentiles(family),
        },
        metrics(
            "CPU",
            "CPU time of the server per request, user and system, with its context switches and system calls. Lower is better.",
            &[Metric::Cpu, Metric::Switches, Metric::Calls],
            &[Metric::Cpu],
        ),
        metrics(
            "Memory",
            "Growth of the server's memory per connection, and its number of threads. Lower is better.",
            &[Metric::Memory, Metric::Threads],
            &[Metric::Memory],
        ),
        Section {
            heading: "Over time".to_owned(),
            about: "The round with the median rate. Each point is one interval of the measured time. A level line is better.".to_owned(),
            charts: charts::over_time(family),
            table: tables::of_time(family),
        },
    ];
    sections.retain(Section::has_values);
    if with_label {
        for section in &mut sections {
            section.heading = format!("{}: {}", section.heading, family.label);
        }
    }
    sections
}

impl Section {
    /// Whether its table has a value.
    fn has_values(&self) -> bool {
        self.table.head.len() > self.table.names && !self.table.rows.is_empty()
    }
}

fn method(comparisons: &[Comparison], results: &Results<'_>) -> Vec<String> {
    let records: Vec<&Record> = comparisons.iter().flat_map(Comparison::records).collect();
    let mut sentences = Vec::new();
    let is_compared = comparisons.iter().any(|comparison| comparison.trials.len() > 1);
    if is_compared {
        sentences.push("Each trial started a new server process. Each round ran every server under every load, in a different order.".to_owned());
    }
    match comparisons.iter().find_map(|comparison| comparison.cores) {
        Some(cores) => sentences.push(format!(
            "Servers were pinned to core {}, and the generator to core {}. A design with many threads had one core as well.",
            cores.server, cores.generator
        )),
        None if is_compared => sentences.push("Servers and generator shared the cores, so each slowed the other down.".to_owned()),
        None => {}
    }
    sentences.extend(noise(results));
    if records.iter().any(|record| record.config.rate.is_none()) {
        sentences.push("In a closed loop a request is sent when the previous answer has arrived. A slow server therefore gets fewer requests, and its latencies look better than those of independent users.".to_owned());
    }
    if records.iter().any(|record| is_loopback(&record.config.address)) {
        sentences.push("Loopback is not a network: it has no distance and no loss, and generator and server share caches and memory.".to_owned());
    }
    if records.iter().all(|record| record.config.verified) && !records.is_empty() {
        sentences.push("Every received byte was compared with the expected one.".to_owned());
    }
    if records.iter().any(|record| record.server.is_some()) {
        sentences.push("Memory is the memory of the process with all connections open, minus its memory before the first connection. It is counted in pages, so with few connections it says little. Kernel memory for sockets and threads is not included.".to_owned());
    }
    if comparisons.iter().any(|comparison| !comparison.calls.is_empty()) {
        sentences.push("System calls were counted in separate runs, because counting slows a server down. The calls per request are the difference between a long and a short run, divided by the difference in requests.".to_owned());
    }
    let machines = if results.machines.len() > 1 { "These machines" } else { "One machine" };
    sentences.push(format!(
        "{machines} and one service were measured. Another kernel, processor or load may change the order."
    ));
    sentences
}

/// Explains how rounds are read, and how reliable that is.
fn noise(results: &Results<'_>) -> Option<String> {
    let rounds = results.rounds()?;
    if rounds < 2 {
        return Some(
            "One round is not a comparison: results of the same server vary from round to round, and one round does not show by how much."
                .to_owned(),
        );
    }
    Some(format!(
        "Each value is the median of {rounds} rounds, with the minimum and the maximum beside it. Two servers are reported as different only if their rounds do not overlap. By chance, 1 in {} pairs of equal servers would be reported as different.",
        Unit::Count.print(splits(rounds))
    ))
}

/// One in this many pairs of equal servers has rounds that do not overlap, by chance: the number of ways
/// to divide 2 × `rounds` rounds between two servers, over the 2 ways without an overlap.
fn splits(rounds: usize) -> f64 {
    let ways: f64 = (1..=rounds).map(|at| (rounds + at) as f64 / at as f64).product();
    (ways / 2.0).round()
}

fn is_loopback(address: &str) -> bool {
    ["//127.", "//[::1]", "//localhost"].iter().any(|host| address.contains(host))
}

fn origin(comparisons: &[Comparison], results: &Results<'_>) -> Table {
    let mut table = Table::new(1, &["name", "value"]).ending_in_text();
    let mut row = |name: &str, value: &str| {
        let row = vec![name.to_owned(), value.to_owned()];
        if !value.is_empty() && !table.rows.contains(&row) {
            table.rows.push(row);
        }
    };
    for (place, machine) in results.machines.iter().enumerate() {
        let name = if results.machines.len() > 1 { format!("machine ({})", place + 1) } else { "machine".to_owned() };
        row(&name, &format!("{}, {}", machine.processor, cores(machine.cores)));
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
    fn values_are_computed_from_the_rounds() {
        let document = document(&[comparison()]);
        let first = &document.sections[0];
        assert_eq!(first.heading, "Requests per second");
        assert_eq!(first.table.rows[1], ["10", "threads", "502 /s", "501 /s .. 502 /s", "0.50×"]);
        assert_eq!(first.charts[0].lines[0].points[0].y, 1_001.5);
    }

    #[test]
    fn a_single_run_is_not_a_comparison() {
        let document = document(&[record("tcp://127.0.0.1:7007", 50).into()]);
        assert_eq!((document.title.as_str(), document.conclusions.len()), ("tcp://127.0.0.1:7007", 0));
        let charts: Vec<_> = document.sections.iter().flat_map(|section| &section.charts).collect();
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        let expected = ["Latency by percentile", "Requests per second over time", "Latency over time"];
        assert_eq!(titles, expected.map(|title| format!("{title}, 50 connections")));
    }

    #[test]
    fn another_machine_is_another_server() {
        let here = comparison_of(vec![trial("reactor", 10, 1, 100.0), trial("reactor", 10, 2, 100.0)]);
        let mut there = here.clone();
        there.machine.processor = "another one".to_owned();
        let results = [here.clone(), there];
        let names: Vec<_> =
            Results::of(&results).families[0].servers.iter().map(|server| server.name.clone()).collect();
        assert_eq!(names, ["reactor (1)", "reactor (2)"]);
        let more_rounds = [here.clone(), Comparison { begun_unix_s: 1, ..here }];
        assert_eq!(Results::of(&more_rounds).rounds(), Some(4));
    }

    #[test]
    fn the_chance_of_a_false_difference_follows_from_the_number_of_rounds() {
        assert_eq!([splits(2), splits(3), splits(5)], [3.0, 10.0, 126.0]);
    }

    #[test]
    fn loads_that_differ_in_more_than_connections_have_separate_charts() {
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
