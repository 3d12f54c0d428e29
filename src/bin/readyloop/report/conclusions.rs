//! Draws conclusions from the results, in two sentences, or gives the reason why there are none.

use super::comparison::Load;
use super::interval::ratio_interval;
use super::metric::{CPU, MEMORY, Metric, P99, RATE};
use super::results::{Family, Unserved};
use super::spread::Verdict;
use crate::quantity::{Unit, counted, grouped};

/// Memory is counted in pages, so with fewer connections the result says little about a connection.
const MEMORY_CONNECTIONS_MIN: u64 = 100;

/// Two sentences for each machine, about the greatest load that allows a comparison. Empty if there is
/// only one server.
pub(super) fn conclude(family: &Family<'_>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for sentence in family.bases().into_iter().flat_map(|base| conclude_against(family, base)) {
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
    let pairs = || rivals(family, base).map(|rival| Pair { family, load, base, rival });
    let costs = pairs().filter_map(|pair| pair.costs()).collect::<Vec<_>>().join("; ");
    // Only the smallest load is named under which a server could not be measured.
    let beyond = rivals(family, base).filter_map(|rival| {
        let is_lost = |load: Load| family.cell(load, rival).is_some_and(|cell| cell.runs.is_empty());
        let lost = loads.iter().copied().find(|beyond| load.open() < beyond.open() && is_lost(*beyond))?;
        Some(format!("with {}, {} could not be measured", load_phrase(lost), name(family, rival)))
    });
    let served: Vec<String> = pairs().filter_map(|pair| pair.service()).chain(beyond).collect();
    let costs = match costs.strip_prefix("per ") {
        Some(costs) => format!("Per {costs}."),
        None => "The cost of a request was not measured.".to_owned(),
    };
    vec![format!("With {}, {}.", load_phrase(load), served.join("; ")), costs]
}

/// The servers that are compared with this one.
fn rivals<'a>(family: &'a Family<'_>, base: usize) -> impl Iterator<Item = usize> + 'a {
    (0..family.servers.len()).filter(move |server| family.base(*server) == Some(base))
}

fn name<'a>(family: &'a Family<'_>, server: usize) -> &'a str {
    &family.servers[server].name
}

/// Two servers under one load.
struct Pair<'a> {
    family: &'a Family<'a>,
    load: Load,
    base: usize,
    rival: usize,
}

impl Pair<'_> {
    fn names(&self) -> [&str; 2] {
        [name(self.family, self.base), name(self.family, self.rival)]
    }

    fn unserved(&self) -> [Option<Unserved>; 2] {
        [self.base, self.rival].map(|server| self.family.unserved(self.load, server))
    }

    /// A clause about the rate and the latency of both servers.
    fn service(&self) -> Option<String> {
        let [us, them] = self.names();
        match self.unserved() {
            _ if self.family.cell(self.load, self.rival)?.runs.is_empty() => {
                return Some(format!("{them} could not be measured"));
            }
            [_, Some(unserved)] => return Some(format!("{them} {}", unserved_phrase(unserved))),
            [Some(unserved), None] => {
                return Some(format!("{us} {}, and {them} served all of them", unserved_phrase(unserved)));
            }
            [None, None] => {}
        }
        let rate = self.difference(
            RATE,
            format!("no difference in requests per second could be shown between {us} and {them}"),
            |which, times, than| format!("{which} answered {times} times as many requests per second as {than}"),
        )?;
        let latency =
            self.difference(P99, "no difference in p99 latency could be shown".to_owned(), |which, times, than| {
                format!("the p99 latency of {which} was {times} times that of {than}")
            })?;
        Some(format!("{rate}, and {latency}"))
    }

    /// A clause about the CPU and the memory that both servers used.
    fn costs(&self) -> Option<String> {
        // A server that left connections unserved has no comparable cost per request and connection.
        if self.unserved() != [None, None] {
            return None;
        }
        let [us, them] = self.names();
        let clause = |metric, each: &str, what: &str| {
            self.difference(
                metric,
                format!("{each}, no difference in {what} could be shown between {us} and {them}"),
                |which, times, than| format!("{each}, {which} used {times} times the {what} of {than}"),
            )
        };
        let memory = clause(MEMORY, "per connection", "memory").filter(|_| self.load.open() >= MEMORY_CONNECTIONS_MIN);
        let clauses: Vec<String> = clause(CPU, "per request", "CPU").into_iter().chain(memory).collect();
        (!clauses.is_empty()).then(|| clauses.join(", and "))
    }

    /// A clause about a metric: `noise`, or that of `more` about the server with the larger value, the ratio and
    /// the other server. `None` if one of the servers has no value.
    fn difference(&self, metric: Metric, noise: String, more: impl Fn(&str, &str, &str) -> String) -> Option<String> {
        let figure = |server| self.family.figure(self.load, server, metric);
        let (ours, theirs) = (figure(self.base)?, figure(self.rival)?);
        // There is no ratio to zero.
        if ![theirs.ratio(&ours), ours.ratio(&theirs)].into_iter().all(f64::is_finite) {
            return None;
        }
        let [us, them] = self.names();
        let values = |server| self.family.values(self.load, server, metric);
        let times = |large, small, ratio| times(ratio_interval(&values(large), &values(small)), ratio);
        Some(match theirs.against(&ours) {
            Verdict::OneRound | Verdict::WithinNoise => noise,
            Verdict::More => more(them, &times(self.rival, self.base, theirs.ratio(&ours)), us),
            Verdict::Less => more(us, &times(self.base, self.rival, ours.ratio(&theirs)), them),
        })
    }
}

/// The interval of a ratio: `between 1.8 and 2.3`. Without one, or if it has no width, the ratio itself.
fn times(interval: Option<(f64, f64)>, ratio: f64) -> String {
    let print = |ratio| Unit::Each.print(ratio);
    match interval.map(|(low, high)| (print(low), print(high))) {
        Some((low, high)) if low != high => format!("between {low} and {high}"),
        Some(_) | None => print(ratio),
    }
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

fn load_phrase(load: Load) -> String {
    counted(load.open(), if load.idle_connections == 0 { "connection" } else { "open connection" })
}
