//! Draws conclusions from the results, in two sentences, or gives the reason why there are none.

use super::comparison::Load;
use super::metric::Metric;
use super::quantity::Unit;
use super::results::{Cell, Family, Unserved};
use super::spread::Verdict;

/// Memory is counted in pages, so with fewer connections the result says little about a connection.
const MEMORY_CONNECTIONS_MIN: u64 = 100;

/// Two sentences for each machine, about the greatest load that allows a comparison. Empty if there is
/// only one server.
pub(super) fn conclude(family: &Family<'_>) -> Vec<String> {
    let mut bases: Vec<usize> = family.servers.iter().filter_map(|server| server.base).collect();
    bases.sort_unstable();
    bases.dedup();
    let mut words: Vec<String> = Vec::new();
    for sentence in bases.into_iter().flat_map(|base| conclude_against(family, base)) {
        // Several machines may have the same sentence, such as that no conclusion is drawn.
        if !words.contains(&sentence) {
            words.push(sentence);
        }
    }
    words
}

/// The sentences about the servers that are compared with this one.
fn conclude_against(family: &Family<'_>, base: usize) -> Vec<String> {
    let mut loads = family.loads();
    loads.sort_by_key(Load::open);
    let is_measured = |server| move |load: &&Load| family.figure(**load, server, Metric::Rate).is_some();
    let has_rival = |load: &&Load| rivals(family, base).any(|rival| family.cell(**load, rival).is_some());
    // A load under which both servers ran several rounds and served all connections says the most.
    let has_comparison = |load: &&Load| {
        let is_complete =
            |server| family.cell(**load, server).is_some_and(|cell| cell.served_all() && cell.runs.len() > 1);
        is_complete(base) && rivals(family, base).any(is_complete)
    };
    let sentence_loads = || loads.iter().rev().filter(has_rival).filter(is_measured(base));
    let Some(&load) = sentence_loads().find(has_comparison).or_else(|| sentence_loads().next()) else {
        return vec![format!("{} was not measured with another server, so nothing is compared.", name(family, base))];
    };
    let rounds = |server| family.figure(load, server, Metric::Rate).map(|figure| figure.rounds);
    if rivals(family, base).chain([base]).filter_map(rounds).any(|rounds| rounds < 2) {
        return vec![
            "These figures come from one round, so they do not separate a difference from noise.".to_owned(),
            "No conclusion is drawn. Run it again with --rounds 5.".to_owned(),
        ];
    }
    let clauses = |clause: fn(&Family<'_>, Load, usize, usize) -> Option<String>| -> Vec<String> {
        rivals(family, base).filter_map(|rival| clause(family, load, base, rival)).collect()
    };
    let costs = clauses(costs);
    let costs = if costs.is_empty() { "The cost of a request was not measured".to_owned() } else { costs.join("; ") };
    // Only the smallest load is named under which a server could not be measured.
    let beyond = rivals(family, base).filter_map(|rival| {
        let is_lost = |load: Load| family.cell(load, rival).is_some_and(Cell::is_lost);
        let lost = loads.iter().copied().find(|beyond| load.open() < beyond.open() && is_lost(*beyond))?;
        Some(format!("with {}, {} could not be measured", load_phrase(lost), name(family, rival)))
    });
    let served: Vec<String> = clauses(service).into_iter().chain(beyond).collect();
    vec![format!("With {}, {}.", load_phrase(load), served.join("; ")), format!("{}.", capital(&costs))]
}

/// The servers that are compared with this one.
fn rivals<'a>(family: &'a Family<'_>, base: usize) -> impl Iterator<Item = usize> + 'a {
    (0..family.servers.len()).filter(move |server| family.servers[*server].base == Some(base))
}

fn name<'a>(family: &'a Family<'_>, server: usize) -> &'a str {
    &family.servers[server].name
}

/// A clause about the rate and the latency of both servers.
fn service(family: &Family<'_>, load: Load, base: usize, rival: usize) -> Option<String> {
    let cell = family.cell(load, rival)?;
    let them = name(family, rival);
    if cell.runs.is_empty() {
        return Some(format!("{them} could not be measured"));
    }
    if let Some(unserved) = cell.unserved() {
        return Some(format!("{them} {}", unserved_phrase(unserved)));
    }
    let us = name(family, base);
    if let Some(unserved) = family.cell(load, base).and_then(Cell::unserved) {
        return Some(format!("{us} {}, and {them} served all of them", unserved_phrase(unserved)));
    }
    let rate = match compare(family, load, Metric::Rate, base, rival)? {
        Difference::Noise => format!("no difference in requests per second could be shown between {us} and {them}"),
        Difference::More { which, times, than } => {
            format!("{which} answered {times} times as many requests per second as {than}")
        }
    };
    let latency = match compare(family, load, Metric::P99, base, rival)? {
        Difference::Noise => "no difference in p99 latency could be shown".to_owned(),
        Difference::More { which, times, than } => {
            format!("the p99 latency of {which} was {times} times that of {than}")
        }
    };
    Some(format!("{rate}, and {latency}"))
}

/// A clause about the connections that were not served.
fn unserved_phrase(unserved: Unserved) -> String {
    let print = |count: u64| Unit::Count.print(count as f64);
    let (served, all) = (print(unserved.all.saturating_sub(unserved.count())), print(unserved.all));
    let served = if unserved.is_least {
        format!("held at most {served} of {all} connections")
    } else {
        format!("served {served} of {all} connections")
    };
    match unserved {
        Unserved { refused: 0, .. } => format!("{served} and left the others waiting"),
        Unserved { waiting: 0, .. } => format!("{served} and refused the others"),
        Unserved { waiting, refused, .. } => {
            format!("{served}, refused {} and left {} waiting", print(refused), print(waiting))
        }
    }
}

/// A clause about the CPU and the memory that both servers used.
fn costs(family: &Family<'_>, load: Load, base: usize, rival: usize) -> Option<String> {
    // A server that left connections unserved has no comparable cost per request and connection.
    for server in [base, rival] {
        family.cell(load, server).filter(|cell| cell.unserved().is_none())?;
    }
    let (us, them) = (name(family, base), name(family, rival));
    let clause = |metric, each: &str, what: &str| match compare(family, load, metric, base, rival)? {
        Difference::Noise => Some(format!("{each}, no difference in {what} could be shown between {us} and {them}")),
        Difference::More { which, times, than } => {
            Some(format!("{each}, {which} used {times} times the {what} of {than}"))
        }
    };
    let memory = clause(Metric::Memory, "per connection", "memory").filter(|_| load.open() >= MEMORY_CONNECTIONS_MIN);
    let clauses: Vec<String> = clause(Metric::Cpu, "per request", "CPU").into_iter().chain(memory).collect();
    (!clauses.is_empty()).then(|| clauses.join(", and "))
}

/// Which of two servers has the larger value.
enum Difference<'a> {
    Noise,
    More { which: &'a str, times: String, than: &'a str },
}

fn compare<'a>(
    family: &'a Family<'_>,
    load: Load,
    metric: Metric,
    base: usize,
    rival: usize,
) -> Option<Difference<'a>> {
    let (ours, theirs) = (family.figure(load, base, metric)?, family.figure(load, rival, metric)?);
    let more = |which, than, times: f64| {
        let times = Unit::Each.print(times);
        Difference::More { which: name(family, which), times, than: name(family, than) }
    };
    Some(match theirs.against(&ours) {
        Verdict::OneRound | Verdict::WithinNoise => Difference::Noise,
        Verdict::More => more(rival, base, theirs.ratio(&ours)),
        Verdict::Less => more(base, rival, ours.ratio(&theirs)),
    })
}

fn load_phrase(load: Load) -> String {
    let open = if load.idle_connections == 0 { "" } else { "open " };
    let noun = if load.open() == 1 { "connection" } else { "connections" };
    format!("{} {open}{noun}", Unit::Count.print(load.open() as f64))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::super::comparison::{Comparison, Outcome, Trial};
    use super::super::results::Results;
    use super::super::samples::{comparison, comparison_of, trial};
    use super::*;

    fn conclusions_of(comparison: Comparison) -> Vec<String> {
        conclude(&Results::of(&[comparison]).families[0])
    }

    /// Two rounds of each server, at these rates.
    fn rounds(rates: [(&str, [f64; 2]); 2]) -> Vec<Trial> {
        let each = (0..2).flat_map(|round| rates.map(|(name, rates)| trial(name, 100, round as u64 + 1, rates[round])));
        each.collect()
    }

    #[test]
    fn a_difference_that_no_round_contradicts_is_reported_with_its_size() {
        assert_eq!(
            conclusions_of(comparison()),
            [
                "With 100 connections, reactor answered 2.00 times as many requests per second as threads, and no \
                 difference in p99 latency could be shown.",
                "Per request, no difference in CPU could be shown between reactor and threads, and per connection, no \
                 difference in memory could be shown between reactor and threads."
            ]
        );
    }

    #[test]
    fn the_better_server_is_named_first() {
        let words = conclusions_of(comparison_of(rounds([("reactor", [100.0, 110.0]), ("threads", [300.0, 330.0])])));
        assert!(words[0].contains("threads answered 3.00 times as many requests per second as reactor"), "{words:?}");
    }

    #[test]
    fn rounds_that_overlap_show_no_difference() {
        let words = conclusions_of(comparison_of(rounds([("reactor", [100.0, 110.0]), ("threads", [105.0, 330.0])])));
        assert!(words[0].contains("no difference in requests per second could be shown"), "{words:?}");
    }

    #[test]
    fn one_round_allows_no_conclusion() {
        let words = conclusions_of(comparison_of(vec![trial("reactor", 10, 1, 900.0), trial("threads", 10, 1, 100.0)]));
        assert_eq!(words.len(), 2);
        assert!(words[1].starts_with("No conclusion is drawn"), "{words:?}");
    }

    #[test]
    fn a_server_that_failed_is_no_slow_server() {
        let mut trials = rounds([("reactor", [100.0, 110.0]), ("threads", [50.0, 55.0])]);
        for trial in trials.iter_mut().filter(|trial| trial.server == "threads") {
            trial.outcome = Outcome::Failed("no threads left".to_owned());
        }
        let words = conclusions_of(comparison_of(trials));
        assert_eq!(
            words,
            ["With 100 connections, threads could not be measured.", "The cost of a request was not measured."]
        );
    }

    #[test]
    fn a_larger_load_that_one_server_cannot_serve_is_named_too() {
        let mut trials = rounds([("reactor", [100.0, 110.0]), ("threads", [50.0, 55.0])]);
        let mut lost = trial("threads", 1_000, 1, 0.0);
        lost.outcome = Outcome::Failed("no threads left".to_owned());
        trials.extend([trial("reactor", 1_000, 1, 90.0), trial("reactor", 1_000, 2, 90.0), lost]);
        let words = conclusions_of(comparison_of(trials));
        assert!(words[0].starts_with("With 100 connections, reactor answered 2.00 times"), "{words:?}");
        assert!(words[0].ends_with("; with 1,000 connections, threads could not be measured."), "{words:?}");
    }

    #[test]
    fn every_machine_has_its_own_conclusion() {
        let here = comparison_of(rounds([("reactor", [100.0, 110.0]), ("threads", [50.0, 55.0])]));
        let mut there = comparison_of(rounds([("reactor", [100.0, 110.0]), ("threads", [300.0, 330.0])]));
        there.machine.processor = "another one".to_owned();
        let both = [here, there];
        let words = conclude(&Results::of(&both).families[0]);
        assert_eq!(words.len(), 4, "{words:?}");
        assert!(words[0].contains("reactor (1) answered 2.00 times"), "{words:?}");
        assert!(words[2].contains("threads (2) answered 3.00 times"), "{words:?}");
    }

    #[test]
    fn a_single_server_has_no_conclusion() {
        assert_eq!(conclusions_of(comparison_of(vec![trial("reactor", 10, 1, 900.0)])), [""; 0]);
    }
}
