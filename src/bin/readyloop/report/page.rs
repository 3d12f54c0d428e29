//! Makes the document of a report: its sections with their explanations, and the method of measurement.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use readyloop::load::Record;
use readyloop::load::record::Machine;

use super::chart::Chart;
use super::comparison::{Comparison, Cores};
use super::document::{Content, Document, Section, Table};
use super::metric::{CALLS, CPU, MEMORY, Metric, P50, P99, P999, PER_CPU_SECOND, PER_GIB, RATE, SWITCHES, THREADS};
use super::results::{Family, Results};
use super::{charts, conclusions, tables};
use crate::escape::plain;
use crate::quantity::{Unit, counted, grouped};

/// The longest foreign text in a cell, such as the command of a server.
const VALUE_CHARS_MAX: usize = 300;

/// The most numbers of cores in a sentence.
const CORES_MAX: usize = 64;

/// The last second of the year 9999, in seconds since 1970.
const UNIX_S_MAX: u64 = 253_402_300_799;

/// With this number of rounds, rounds without an overlap have a chance below 1 in a billion.
const SPLIT_ROUNDS_MAX: usize = 18;

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
            .unwrap_or_default()
            .into_iter()
            .chain(other_work(comparisons))
            .collect(),
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
    match names[..] {
        [ref others @ .., last] if !others.is_empty() => format!("{} and {last}, compared", others.join(", ")),
        [..] => names.concat(),
    }
}

fn about(results: &Results<'_>) -> String {
    let labels = results.families.iter().map(|family| family.label.clone());
    let rounds = results.rounds().filter(|rounds| *rounds > 1).map(|rounds| format!("{rounds} rounds"));
    let machines: BTreeSet<String> = results
        .machines
        .iter()
        .map(|machine| format!("{}, {}", plain(&machine.kernel, VALUE_CHARS_MAX), hardware(machine)))
        .collect();
    labels.chain(rounds).chain(machines).collect::<Vec<_>>().join("; ")
}

fn hardware(machine: &Machine) -> String {
    format!("{}, {}", plain(&machine.processor, VALUE_CHARS_MAX), counted(machine.cores, "core"))
}

fn sections(family: &Family<'_>, with_label: bool) -> Vec<Section> {
    let section = |heading: &str, about: &str, charts: Vec<Chart>, table: Table| Section {
        heading: if with_label { format!("{heading}: {}", family.label) } else { heading.to_owned() },
        about: about.to_owned(),
        charts,
        table,
    };
    let metrics = |heading, about, metrics: &[Metric], (drawn, title, axis): (Metric, &str, &'static str)| {
        let charts = charts::against_connections(family, drawn, title, axis);
        section(heading, about, charts, tables::of_metrics(family, metrics))
    };
    let mut sections = vec![
        metrics(
            "Requests per second",
            "Answered requests per second, over all connections. Higher is better.",
            &[RATE],
            (RATE, "Requests per second", "requests per second, higher is better"),
        ),
        metrics(
            "Latency",
            "Time from a request to its answer: the values that 50 %, 99 % and 99.9 % of all requests did not exceed. Lower is better.",
            &[P50, P99, P999],
            (P99, "p99 latency", "latency, lower is better"),
        ),
        section(
            "Latency by percentile",
            "Latency of the slowest answers. Further to the right are fewer answers: 1 in 100 at 99 %. A line that stays low is better.",
            charts::by_percentile(family),
            tables::of_percentiles(family),
        ),
        metrics(
            "CPU",
            "CPU time of the server per request, user and system, with its context switches and system calls. Lower is better.",
            &[CPU, SWITCHES, CALLS],
            (CPU, "CPU per request", "CPU time per request, lower is better"),
        ),
        metrics(
            "Memory",
            "Growth of the server's memory per connection, and its number of threads. Lower is better.",
            &[MEMORY, THREADS],
            (MEMORY, "Memory per connection", "memory, lower is better"),
        ),
        section(
            "What a server costs",
            "Requests that a second of CPU time answers, and connections that a GiB of the server's memory holds. Higher is better.",
            Vec::new(),
            tables::of_metrics(family, &[PER_CPU_SECOND, PER_GIB]),
        ),
        section(
            "On a ramp",
            "The round with the median rate. Each point is one interval, at the number of connections that were open.",
            charts::along_ramp(family),
            tables::of_ramp(family),
        ),
        section(
            "Over time",
            "The round with the median rate. Each point is one interval of the measured time. A level line is better.",
            charts::over_time(family),
            tables::of_time(family),
        ),
    ];
    // A table without a value was not measured.
    sections.retain(|section| section.table.has_values());
    sections
}

fn method(comparisons: &[Comparison], results: &Results<'_>) -> Vec<String> {
    let records: Vec<&Record> = comparisons.iter().flat_map(Comparison::records).collect();
    let mut sentences = Vec::new();
    let is_compared = comparisons.iter().any(|comparison| comparison.trials.len() > 1);
    if is_compared {
        sentences.push("Each trial started a new server process. Each round ran every server under every load, in a different order.".to_owned());
    }
    let mut cores: Vec<&Cores> = comparisons.iter().filter_map(|comparison| comparison.cores.as_ref()).collect();
    cores.dedup();
    if cores.is_empty() && is_compared {
        sentences.push("Servers and generator shared the cores, so each slowed the other down.".to_owned());
    }
    sentences.extend(cores.into_iter().map(pinning));
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

/// How many trials were repeated or are marked, because of other work on the machine.
fn other_work(comparisons: &[Comparison]) -> impl Iterator<Item = String> {
    let trials = || comparisons.iter().flat_map(|comparison| &comparison.trials);
    let (repeated, busy) = (
        trials().filter(|trial| trial.is_repeated).count() as u64,
        trials().filter(|trial| trial.was_busy()).count() as u64,
    );
    let ran_again = "ran again, because other work used the cores of the machine.";
    let marked = "other work used the cores of the machine; * marks the figures.";
    let repeated = (repeated > 0).then(|| format!("{} {ran_again}", counted(repeated, "trial")));
    let busy = (busy > 0).then(|| format!("In {}, {marked}", counted(busy, "trial")));
    repeated.into_iter().chain(busy)
}

/// Names the cores of servers and generator.
fn pinning(Cores { server, generator }: &Cores) -> String {
    let phrase = |cores: &[usize]| {
        let numbers: Vec<String> = cores.iter().take(CORES_MAX).map(ToString::to_string).collect();
        format!("{} {}", if cores.len() == 1 { "core" } else { "cores" }, numbers.join(", "))
    };
    let pinned = format!("Servers were pinned to {}, and the generator to {}.", phrase(server), phrase(generator));
    let shared = server.iter().any(|core| generator.contains(core));
    if shared {
        format!("{pinned} They shared cores, because there were too few, so each slowed the other down.")
    } else if server.len() == 1 {
        format!("{pinned} A design with many threads had one core as well.")
    } else {
        pinned
    }
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
        "Each value is the median of {rounds} rounds, with the minimum and the maximum beside it. Two servers are reported as different only if their rounds do not overlap. By chance, {} pairs of equal servers would be reported as different. A range of a ratio is the 95 % interval of the bootstrap over the rounds.",
        splits(rounds)
    ))
}

/// The share of pairs of equal servers that have rounds without an overlap, by chance. It is 2 over the number
/// of ways to divide 2 × `rounds` rounds between two servers.
fn splits(rounds: usize) -> String {
    let ways: f64 = (1..=rounds.min(SPLIT_ROUNDS_MAX)).map(|at| (rounds + at) as f64 / at as f64).product();
    match rounds {
        0..SPLIT_ROUNDS_MAX => format!("1 in {}", grouped((ways / 2.0).round())),
        _ => "fewer than 1 in a billion".to_owned(),
    }
}

fn is_loopback(address: &str) -> bool {
    ["//127.", "//[::1]", "//localhost"].iter().any(|host| address.contains(host))
}

fn origin(comparisons: &[Comparison], results: &Results<'_>) -> Table {
    let mut table = Table::new([("name", Content::Names), ("value", Content::Text)]);
    let mut row = |name: &str, value: &str| {
        let row = vec![plain(name, VALUE_CHARS_MAX), plain(value, VALUE_CHARS_MAX)];
        if !value.is_empty() && !table.rows.contains(&row) {
            table.rows.push(row);
        }
    };
    for (place, machine) in results.machines.iter().enumerate() {
        let name = if results.machines.len() > 1 { format!("machine ({})", place + 1) } else { "machine".to_owned() };
        row(&name, &hardware(machine));
        row("kernel", &machine.kernel);
        row("congestion control", &machine.congestion_control);
        row("readyloop", &machine.readyloop);
    }
    for comparison in comparisons {
        row("begun", &date(comparison.begun_unix_s));
        comparison.limits.iter().for_each(|(name, value)| row(name, value));
    }
    results.commands().for_each(|(name, command)| row(&name, command));
    for config in comparisons.iter().flat_map(Comparison::records).map(|record| &record.config) {
        let time = |ns: u64| Unit::Time.print(ns as f64);
        let requests = || config.requests.map(|count| counted(count, "request"));
        let measured = config.duration_ns.map(time).or_else(requests).unwrap_or_default();
        row("measured", &format!("{measured} after {} of warm-up", time(config.warm_up_ns)));
    }
    table
}

/// A point in time in RFC 3339, which has four digits for the year.
fn date(unix_s: u64) -> String {
    let time = Some(unix_s).filter(|unix_s| *unix_s <= UNIX_S_MAX).map(Duration::from_secs);
    let time = time.and_then(|time| SystemTime::UNIX_EPOCH.checked_add(time));
    time.map_or_else(String::new, |time| humantime::format_rfc3339_seconds(time).to_string())
}
