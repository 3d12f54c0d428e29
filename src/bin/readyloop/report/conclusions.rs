//! Draws conclusions from the results, in two sentences, or gives the reason why there are none.

use super::comparison::Load;
use super::metric::{CPU, MEMORY, Metric, P99, RATE};
use super::results::{Cell, Family, Unserved};
use super::spread::Verdict;
use crate::quantity::{Unit, counted, grouped};

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
    let is_measured = |server| move |load: &&Load| family.figure(**load, server, RATE).is_some();
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
    let rounds = |server| family.figure(load, server, RATE).map(|figure| figure.rounds);
    if rivals(family, base).chain([base]).filter_map(rounds).any(|rounds| rounds < 2) {
        return vec![
            "These figures come from one round, so they do not separate a difference from noise.".to_owned(),
            "No conclusion is drawn. Run it again with --rounds 5.".to_owned(),
        ];
    }
    let clauses = |clause: fn(&Family<'_>, Load, usize, usize) -> Option<String>| -> Vec<String> {
        rivals(family, base).filter_map(|rival| clause(family, load, base, rival)).collect()
    };
    let costs = clauses(costs).join("; ");
    // Only the smallest load is named under which a server could not be measured.
    let beyond = rivals(family, base).filter_map(|rival| {
        let is_lost = |load: Load| family.cell(load, rival).is_some_and(|cell| cell.runs.is_empty());
        let lost = loads.iter().copied().find(|beyond| load.open() < beyond.open() && is_lost(*beyond))?;
        Some(format!("with {}, {} could not be measured", load_phrase(lost), name(family, rival)))
    });
    let served: Vec<String> = clauses(service).into_iter().chain(beyond).collect();
    let costs = match costs.strip_prefix("per ") {
        Some(costs) => format!("Per {costs}."),
        None => "The cost of a request was not measured.".to_owned(),
    };
    vec![format!("With {}, {}.", load_phrase(load), served.join("; ")), costs]
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
    let rate = match compare(family, load, RATE, base, rival)? {
        Difference::Noise => format!("no difference in requests per second could be shown between {us} and {them}"),
        Difference::More { which, times, than } => {
            format!("{which} answered {times} times as many requests per second as {than}")
        }
    };
    let latency = match compare(family, load, P99, base, rival)? {
        Difference::Noise => "no difference in p99 latency could be shown".to_owned(),
        Difference::More { which, times, than } => {
            format!("the p99 latency of {which} was {times} times that of {than}")
        }
    };
    Some(format!("{rate}, and {latency}"))
}

/// A clause about the connections that were not served.
fn unserved_phrase(unserved: Unserved) -> String {
    let (served, all) = (grouped(unserved.all.saturating_sub(unserved.count())), grouped(unserved.all));
    let served = if unserved.is_least {
        format!("held at most {served} of {all} connections")
    } else {
        format!("served {served} of {all} connections")
    };
    match unserved {
        Unserved { refused: 0, .. } => format!("{served} and left the others waiting"),
        Unserved { waiting: 0, .. } => format!("{served} and refused the others"),
        Unserved { waiting, refused, .. } => {
            format!("{served}, refused {} and left {} waiting", grouped(refused), grouped(waiting))
        }
    }
}

/// A clause about the CPU and the memory that both servers used.
fn costs(family: &Family<'_>, load: Load, base: usize, rival: usize) -> Option<String> {
    // A server that left connections unserved has no comparable cost per request and connection.
    if [base, rival].into_iter().any(|server| family.unserved(load, server).is_some()) {
        return None;
    }
    let (us, them) = (name(family, base), name(family, rival));
    let clause = |metric, each: &str, what: &str| match compare(family, load, metric, base, rival)? {
        Difference::Noise => Some(format!("{each}, no difference in {what} could be shown between {us} and {them}")),
        Difference::More { which, times, than } => {
            Some(format!("{each}, {which} used {times} times the {what} of {than}"))
        }
    };
    let memory = clause(MEMORY, "per connection", "memory").filter(|_| load.open() >= MEMORY_CONNECTIONS_MIN);
    let clauses: Vec<String> = clause(CPU, "per request", "CPU").into_iter().chain(memory).collect();
    (!clauses.is_empty()).then(|| clauses.join(", and "))
}

/// Which of two servers has the larger value; `None` if one of them has none.
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

enum Difference<'a> {
    Noise,
    More { which: &'a str, times: String, than: &'a str },
}

fn load_phrase(load: Load) -> String {
    counted(load.open(), if load.idle_connections == 0 { "connection" } else { "open connection" })
}
