//! The trials of any number of comparisons, sorted by load and server.
//!
//! The rounds of one cell come from one machine and one command. A server that was measured on two machines, or
//! with two numbers of cores, counts as two, and so does a name that stands for two commands.

use std::collections::{BTreeMap, BTreeSet};

use readyloop::load::Record;
use readyloop::load::record::{ErrorKind, Machine, RunConfig, Transport};

use super::chart::LineStyle;
use super::comparison::{Comparison, Load, Outcome};
use super::metric::{CALLS, Metric};
use super::spread::Spread;
use crate::escape::plain;
use crate::quantity::{Unit, counted, grouped};

/// The other servers are compared with the server of this name.
const BASE: &str = "reactor";

/// The longest name of a server in a report.
const NAME_CHARS_MAX: usize = 60;

/// All trials, sorted by family, load and server.
#[derive(Debug, Default)]
pub(crate) struct Results<'a> {
    /// The machines, in the order of their first trial.
    pub(crate) machines: Vec<&'a Machine>,
    identities: Vec<Identity<'a>>,
    /// Each family has its own charts.
    pub(crate) families: Vec<Family<'a>>,
}

/// A server is the same server if all of this is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity<'a> {
    name: &'a str,
    command: &'a str,
    machine: usize,
    /// Number of cores that it was pinned to; `None` if it was not pinned.
    pub(super) cores: Option<usize>,
}

/// Loads that differ only in their number of connections.
#[derive(Debug, Default)]
pub(crate) struct Family<'a> {
    /// The properties that the loads share: `tcp, 64 B, closed loop`.
    pub(crate) label: String,
    pub(crate) servers: Vec<Contender<'a>>,
    cells: BTreeMap<(Load, usize), Cell<'a>>,
}

/// A server in a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    pub(crate) style: LineStyle,
    pub(super) identity: Identity<'a>,
}

/// All rounds of one server under one load.
#[derive(Debug, Default)]
pub(crate) struct Cell<'a> {
    pub(crate) runs: Vec<&'a Record>,
    pub(crate) failures: Vec<&'a str>,
    calls: Option<f64>,
}

/// The index of the item that `is_it` accepts. If there is none, `new` is added.
fn index_of<T>(all: &mut Vec<T>, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    all.iter().position(is_it).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    })
}

impl<'a> Results<'a> {
    /// Sorts the trials of the comparisons.
    pub(crate) fn of(comparisons: &'a [Comparison]) -> Self {
        let mut results = Self::default();
        // The name of a server depends on all others, so they come first.
        for comparison in comparisons {
            for trial in &comparison.trials {
                results.identity(comparison, &trial.server);
            }
        }
        for comparison in comparisons {
            results.add(comparison);
        }
        results
    }

    fn add(&mut self, comparison: &'a Comparison) {
        let labels = comparison.records().map(|record| (record.config.message_bytes, label(&record.config)));
        let labels: BTreeMap<u64, String> = labels.collect();
        for trial in &comparison.trials {
            let bytes = trial.load.message_bytes;
            let label = match &trial.outcome {
                Outcome::Measured(record) => label(&record.config),
                // A failed trial has no record, so it takes the label of a trial with the same message size.
                Outcome::Failed(_) => labels.get(&bytes).cloned().unwrap_or_else(|| Unit::Bytes.print(bytes as f64)),
            };
            let place = self.identity(comparison, &trial.server);
            let (identity, name) = (self.identities[place], self.name(place));
            let new = || Family { label: label.clone(), ..Family::default() };
            let family = index_of(&mut self.families, |family| family.label == label, new);
            let Family { servers, cells, .. } = &mut self.families[family];
            let new = || Contender { name, style: LineStyle::nth(place), identity };
            let server = index_of(servers, |server| server.identity == identity, new);
            let cell = cells.entry((trial.load, server)).or_default();
            match &trial.outcome {
                Outcome::Measured(record) => cell.runs.push(record),
                Outcome::Failed(reason) => cell.failures.push(reason),
            }
        }
        for calls in &comparison.calls {
            let place = self.identity(comparison, &calls.server);
            let identity = self.identities[place];
            let cells = self.families.iter_mut().filter_map(|family| {
                let server = family.servers.iter().position(|server| server.identity == identity)?;
                family.cells.get_mut(&(calls.load, server))
            });
            // A negative number comes from an older version, which did not recognize noise.
            cells.for_each(|cell| cell.calls = Some(calls.per_request).filter(|calls| *calls > 0.0));
        }
    }

    fn identity(&mut self, comparison: &'a Comparison, name: &'a str) -> usize {
        let own = &comparison.machine;
        let machine = index_of(&mut self.machines, |machine| *machine == own, || own);
        let server = comparison.servers.iter().find(|server| server.name == name);
        let command = server.map_or("", |server| server.command.as_str());
        let cores = comparison.cores.as_ref().map(|cores| cores.server.len());
        let identity = Identity { name, command, machine, cores };
        index_of(&mut self.identities, |other| *other == identity, || identity)
    }

    /// The name of a server. The number of its machine follows if there are several machines, the number of its
    /// cores if that differs, and the number of its command if several such servers have the name.
    fn name(&self, identity: usize) -> String {
        let own = self.identities[identity];
        let mut name = plain(own.name, NAME_CHARS_MAX);
        if self.machines.len() > 1 {
            name += &format!(" ({})", own.machine + 1);
        }
        if let Some(cores) = own.cores.filter(|_| self.identities.iter().any(|other| other.cores != own.cores)) {
            name += &format!(" on {}", counted(cores as u64, "core"));
        }
        let is_namesake =
            |other: &&Identity<'_>| (other.name, other.machine, other.cores) == (own.name, own.machine, own.cores);
        if self.identities.iter().filter(is_namesake).nth(1).is_some() {
            name += &format!(" #{}", self.identities[..=identity].iter().filter(is_namesake).count());
        }
        name
    }

    /// The names and commands of all servers.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (String, &'a str)> {
        self.identities.iter().enumerate().map(|(place, identity)| (self.name(place), identity.command))
    }

    /// The smallest number of rounds of any cell that has a round.
    pub(crate) fn rounds(&self) -> Option<usize> {
        let cells = self.families.iter().flat_map(|family| family.cells.values());
        cells.map(|cell| cell.runs.len()).filter(|rounds| *rounds > 0).min()
    }
}

impl<'a> Family<'a> {
    /// The base of a server: the server named [`BASE`] of the same machine, or else the first one of this machine.
    /// The base itself has none.
    pub(crate) fn base(&self, server: usize) -> Option<usize> {
        let machine = self.servers[server].identity.machine;
        let on_it = || (0..self.servers.len()).filter(|other| self.servers[*other].identity.machine == machine);
        let base = on_it().find(|other| self.servers[*other].identity.name == BASE).or_else(|| on_it().next());
        base.filter(|base| *base != server)
    }

    /// The servers that others are compared with, in order.
    pub(crate) fn bases(&self) -> BTreeSet<usize> {
        (0..self.servers.len()).filter_map(|server| self.base(server)).collect()
    }

    /// All loads, from the fewest connections to the most.
    pub(crate) fn loads(&self) -> Vec<Load> {
        let mut loads: Vec<Load> = self.cells.keys().map(|(load, _)| *load).collect();
        loads.dedup();
        loads.sort_by_key(|load| (load.idle_connections > 0, load.open(), load.connections));
        loads
    }

    /// The rounds of one server under one load, if it was tried.
    pub(crate) fn cell(&self, load: Load, server: usize) -> Option<&Cell<'a>> {
        self.cells.get(&(load, server))
    }

    /// A metric of one server under one load.
    pub(crate) fn figure(&self, load: Load, server: usize, metric: Metric) -> Option<Spread> {
        self.cell(load, server)?.figure(metric)
    }

    /// The values of a metric of one server under one load, one for each round.
    pub(crate) fn values(&self, load: Load, server: usize, metric: Metric) -> Vec<f64> {
        self.cell(load, server).map_or_else(Vec::new, |cell| cell.values(metric).collect())
    }

    /// Connections that a server did not serve under a load, if there are any.
    pub(crate) fn unserved(&self, load: Load, server: usize) -> Option<Unserved> {
        self.cell(load, server)?.unserved()
    }
}

impl Cell<'_> {
    /// A metric over all rounds that measured it.
    pub(crate) fn figure(&self, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(metric))
    }

    fn values(&self, metric: Metric) -> impl Iterator<Item = f64> {
        let calls = self.calls.filter(|_| metric.name == CALLS.name);
        self.runs.iter().filter_map(move |record| (metric.of)(record)).chain(calls)
    }

    /// A latency percentile over all rounds.
    pub(crate) fn percentile(&self, quantile: f64) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| Some(run.latency.at(quantile)? as f64)))
    }

    /// The run with the median rate, which represents the others where only one run can be shown.
    pub(crate) fn middle_run(&self) -> Option<&Record> {
        let mut runs = self.runs.clone();
        runs.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        runs.get(runs.len() / 2).copied()
    }

    /// The most frequent error of any round, and its count. Connections that were not served are not errors.
    pub(crate) fn error(&self) -> Option<(ErrorKind, u64)> {
        let errors = self.runs.iter().flat_map(|record| {
            let mut unserved = Unserved::in_run(record);
            record.errors.iter().map(move |error| {
                let is_late = matches!(error.kind, ErrorKind::TimedOut | ErrorKind::ConnectTimedOut);
                let known = if is_late { &mut unserved.waiting } else { &mut unserved.refused };
                let count = error.count.saturating_sub(*known);
                *known -= error.count - count;
                (error.kind, count)
            })
        });
        errors.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count)
    }

    /// Whether the machine was busy with other work in a round.
    pub(crate) fn was_busy(&self) -> bool {
        self.runs.iter().any(|run| run.other_work.is_notable())
    }

    /// Whether it was measured and served every connection.
    pub(crate) fn served_all(&self) -> bool {
        !self.runs.is_empty() && self.unserved().is_none()
    }

    /// The connections without service, in the round that had the most of them.
    pub(crate) fn unserved(&self) -> Option<Unserved> {
        let unserved = self.runs.iter().copied().map(Unserved::in_run);
        unserved.max_by_key(Unserved::count).filter(|unserved| unserved.count() > 0)
    }
}

/// Connections that the server did not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unserved {
    /// Connections without any answer: in the backlog, or accepted and never served.
    pub(crate) waiting: u64,
    /// Connections that were refused or reset.
    pub(crate) refused: u64,
    /// The number of connections that were planned.
    pub(crate) all: u64,
    /// Whether the real number may be higher: an idle connection in the backlog looks as if it were served.
    pub(crate) is_least: bool,
}

impl Unserved {
    /// Counts the connections of a run that never got an answer. With one connection per request
    /// (`churn`), or with replaced connections, a missing answer is an ordinary error.
    fn in_run(record: &Record) -> Self {
        let RunConfig { connections, idle_connections, churn, .. } = record.config;
        if churn || record.config.lifetime.is_some() {
            return Self { waiting: 0, refused: 0, all: connections, is_least: false };
        }
        let count_of = |kind| record.errors.iter().find(|error| error.kind == kind).map_or(0, |error| error.count);
        let (silent, failed) = (record.connections.silent, record.connections.failed);
        let (inside, outside) =
            (silent.min(count_of(ErrorKind::TimedOut)), failed.min(count_of(ErrorKind::ConnectTimedOut)));
        // A connection without an answer and without an error was never used: the run ended before.
        // The numbers come from a file and may not agree, hence the saturating arithmetic.
        let ended = count_of(ErrorKind::Reset).saturating_add(count_of(ErrorKind::Ended));
        let turned_away = (silent - inside).min(ended);
        // Idle connections get no answers; they count only when some connections failed to open.
        let idle = if failed > 0 { idle_connections } else { 0 };
        Self {
            waiting: inside.saturating_add(outside),
            refused: turned_away.saturating_add(failed - outside),
            all: connections.saturating_add(idle),
            is_least: idle > 0,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.waiting.saturating_add(self.refused)
    }
}

fn label(asked: &RunConfig) -> String {
    let transport = match asked.transport {
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Unix => "unix",
        Transport::Udp => "udp",
    };
    let closed = || "closed loop".to_owned();
    let shown = |what: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("{what} {}", plain(value, NAME_CHARS_MAX)))
    };
    let size = Unit::Bytes.print(asked.message_bytes as f64);
    let parts = [
        Some(transport.to_owned()),
        Some(match asked.message_bytes_min {
            None => size,
            Some(min) => format!("{} to {size}", Unit::Bytes.print(min as f64)),
        }),
        shown("request", &asked.request),
        shown("answer", &asked.answer),
        (asked.framing != "raw").then(|| plain(&asked.framing, NAME_CHARS_MAX)),
        Some(asked.rate.map_or_else(closed, |rate| format!("{} planned", Unit::Rate.print(rate)))),
        (asked.pipeline > 1).then(|| format!("{} in flight", grouped(asked.pipeline))),
        shown("think time", &asked.think),
        shown("lifetime", &asked.lifetime),
        asked.ramp.map(|ramp| {
            let span = Unit::Time.print(ramp.duration_ns as f64);
            format!("{} to {} connections over {span}", grouped(ramp.from), grouped(ramp.to))
        }),
        asked.churn.then(|| "one connection per request".to_owned()),
        (asked.threads > 1).then(|| format!("{} of the generator", counted(asked.threads, "thread"))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
