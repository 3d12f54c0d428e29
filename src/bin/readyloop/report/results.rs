//! The trials of any number of comparisons, sorted by load and server.
//!
//! The rounds of one cell come from one machine. A server that was measured on two machines counts as two.

use std::collections::BTreeMap;

use readyloop::load::Record;
use readyloop::load::record::{ErrorKind, Machine, RunConfig, Transport};

use super::chart::LineStyle;
use super::comparison::{Comparison, Load, Outcome, Trial};
use super::metric::Metric;
use super::quantity::Unit;
use super::spread::Spread;

/// The other servers are compared with the server of this name.
const BASE: &str = "reactor";

/// All trials, sorted by family, load and server.
#[derive(Debug)]
pub(crate) struct Results<'a> {
    /// The machines, in the order of their first trial.
    pub(crate) machines: Vec<&'a Machine>,
    /// Each family has its own charts.
    pub(crate) families: Vec<Family<'a>>,
}

/// Loads that differ only in their number of connections.
#[derive(Debug, Default)]
pub(crate) struct Family<'a> {
    /// The properties that the loads share: `tcp, 64 B, closed loop`.
    pub(crate) label: String,
    pub(crate) servers: Vec<Contender>,
    cells: BTreeMap<(Load, usize), Cell<'a>>,
}

/// A server in a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) style: LineStyle,
    /// The index of the server in this family that it is compared with.
    pub(crate) base: Option<usize>,
    machine: usize,
}

/// All rounds of one server under one load.
#[derive(Debug, Default)]
pub(crate) struct Cell<'a> {
    pub(crate) runs: Vec<&'a Record>,
    pub(crate) failures: Vec<&'a str>,
    calls: Option<f64>,
}

impl<'a> Results<'a> {
    /// Sorts the trials of the comparisons.
    pub(crate) fn of(comparisons: &'a [Comparison]) -> Self {
        let mut machines: Vec<&Machine> = Vec::new();
        for comparison in comparisons {
            if !machines.contains(&&comparison.machine) {
                machines.push(&comparison.machine);
            }
        }
        let mut results = Self { families: Vec::new(), machines };
        let mut styles = Vec::new();
        for comparison in comparisons {
            for trial in &comparison.trials {
                results.add(comparison, trial, &mut styles);
            }
        }
        for comparison in comparisons {
            results.add_calls(comparison);
        }
        results.families.iter_mut().for_each(Family::find_bases);
        results
    }

    fn add(&mut self, comparison: &Comparison, trial: &'a Trial, styles: &mut Vec<String>) {
        let label = family_of(comparison, trial);
        let place = self.families.iter().position(|family| family.label == label).unwrap_or_else(|| {
            self.families.push(Family { label, ..Family::default() });
            self.families.len() - 1
        });
        let name = self.name_of(comparison, &trial.server);
        let machine = self.machine_of(comparison);
        let style = styles.iter().position(|known| *known == name).unwrap_or_else(|| {
            styles.push(name.clone());
            styles.len() - 1
        });
        let family = &mut self.families[place];
        let server = family.servers.iter().position(|server| server.name == name).unwrap_or_else(|| {
            family.servers.push(Contender { name, style: LineStyle::nth(style), base: None, machine });
            family.servers.len() - 1
        });
        let cell = family.cells.entry((trial.load, server)).or_default();
        match &trial.outcome {
            Outcome::Measured(record) => cell.runs.push(record),
            Outcome::Failed(reason) => cell.failures.push(reason),
        }
    }

    fn add_calls(&mut self, comparison: &Comparison) {
        for calls in &comparison.calls {
            let name = self.name_of(comparison, &calls.server);
            for family in &mut self.families {
                let Some(server) = family.servers.iter().position(|server| server.name == name) else { continue };
                if let Some(cell) = family.cells.get_mut(&(calls.load, server)) {
                    cell.calls = Some(calls.per_request);
                }
            }
        }
    }

    /// The smallest number of rounds of any cell that has a round.
    pub(crate) fn rounds(&self) -> Option<usize> {
        let cells = self.families.iter().flat_map(|family| family.cells.values());
        cells.map(|cell| cell.runs.len()).filter(|rounds| *rounds > 0).min()
    }

    fn machine_of(&self, comparison: &Comparison) -> usize {
        self.machines.iter().position(|machine| **machine == comparison.machine).unwrap_or_default()
    }

    /// The name of a server, with the number of its machine if there are several machines.
    fn name_of(&self, comparison: &Comparison, server: &str) -> String {
        match self.machines.len() {
            0 | 1 => server.to_owned(),
            _ => format!("{server} ({})", self.machine_of(comparison) + 1),
        }
    }
}

impl<'a> Family<'a> {
    /// Finds the base of each machine: its server named [`BASE`], or else its first server.
    fn find_bases(&mut self) {
        let base_of = |machine: usize| {
            let on_it = || self.servers.iter().enumerate().filter(move |(_, server)| server.machine == machine);
            let is_base = |server: &Contender| server.name.split(' ').next() == Some(BASE);
            let base = on_it().find(|(_, server)| is_base(server)).or_else(|| on_it().next());
            base.map(|(place, _)| place)
        };
        let bases: Vec<_> = self.servers.iter().map(|server| base_of(server.machine)).collect();
        for (place, (server, base)) in self.servers.iter_mut().zip(bases).enumerate() {
            server.base = base.filter(|base| *base != place);
        }
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
}

impl Cell<'_> {
    /// A metric over all rounds that measured it.
    pub(crate) fn figure(&self, metric: Metric) -> Option<Spread> {
        let of_runs = self.runs.iter().filter_map(|record| metric.of(record));
        if metric == Metric::Calls { Spread::of(self.calls) } else { Spread::of(of_runs) }
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
                let known = match error.kind {
                    ErrorKind::TimedOut | ErrorKind::ConnectTimedOut => &mut unserved.waiting,
                    ErrorKind::Refused
                    | ErrorKind::Unreachable
                    | ErrorKind::Tls
                    | ErrorKind::Reset
                    | ErrorKind::Ended
                    | ErrorKind::Mismatch
                    | ErrorKind::NoDescriptors
                    | ErrorKind::NoPorts
                    | ErrorKind::Other => &mut unserved.refused,
                };
                let count = error.count.saturating_sub(*known);
                *known -= error.count - count;
                (error.kind, count)
            })
        });
        errors.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count)
    }

    /// Whether it was measured and served every connection.
    pub(crate) fn served_all(&self) -> bool {
        !self.runs.is_empty() && self.unserved().is_none()
    }

    /// Whether every trial of it failed.
    pub(crate) fn is_lost(&self) -> bool {
        self.runs.is_empty()
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
    /// (`churn`) a missing answer is an ordinary error.
    fn in_run(record: &Record) -> Self {
        let RunConfig { connections, idle_connections, churn, .. } = record.config;
        if churn {
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

/// The label of a trial's family. A failed trial has no record, so it takes the label of the trials with
/// the same message size.
fn family_of(comparison: &Comparison, trial: &Trial) -> String {
    let label_of_trial = |trial: &Trial| match &trial.outcome {
        Outcome::Measured(record) => Some(label(&record.config)),
        Outcome::Failed(_) => None,
    };
    let bytes = trial.load.message_bytes;
    let similar =
        || comparison.trials.iter().filter(|other| other.load.message_bytes == bytes).find_map(label_of_trial);
    label_of_trial(trial).or_else(similar).unwrap_or_else(|| Unit::Bytes.print(bytes as f64))
}

fn label(asked: &RunConfig) -> String {
    let transport = match asked.transport {
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Unix => "unix",
        Transport::Udp => "udp",
    };
    let mut parts = vec![transport.to_owned(), Unit::Bytes.print(asked.message_bytes as f64)];
    if asked.framing != "raw" {
        parts.push(asked.framing.clone());
    }
    parts.push(
        asked.rate.map_or_else(|| "closed loop".to_owned(), |rate| format!("{} planned", Unit::Rate.print(rate))),
    );
    if asked.pipeline > 1 {
        parts.push(format!("{} in flight", asked.pipeline));
    }
    if asked.churn {
        parts.push("one connection per request".to_owned());
    }
    parts.join(", ")
}
