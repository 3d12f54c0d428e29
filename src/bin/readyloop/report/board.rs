//! The board: trials of any number of comparisons, sorted by load and server.
//!
//! Rounds of one cell come from one machine: what was measured elsewhere is another server here.

use std::collections::BTreeMap;

use readyloop::load::Record;
use readyloop::load::record::{ErrorKind, Machine, RunConfig, Transport};

use super::chart::Look;
use super::comparison::{Comparison, Load, Outcome, Trial};
use super::metric::Metric;
use super::quantity::Unit;
use super::spread::Spread;

/// With this name a server is what the others are compared with.
const BASE: &str = "reactor";

/// Trials, sorted.
#[derive(Debug)]
pub(crate) struct Board<'a> {
    /// Different machines, in the order they were met.
    pub(crate) machines: Vec<&'a Machine>,
    /// What may stand in one chart.
    pub(crate) families: Vec<Family<'a>>,
}

/// Loads that differ by their connections only.
#[derive(Debug, Default)]
pub(crate) struct Family<'a> {
    /// What they share: `tcp, 64 B, closed loop`.
    pub(crate) label: String,
    pub(crate) servers: Vec<Contender>,
    cells: BTreeMap<(Load, usize), Cell<'a>>,
}

/// A server in a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) look: Look,
    /// What it is compared with: the place of another in the same family.
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

impl<'a> Board<'a> {
    /// Sorts all trials of these comparisons.
    pub(crate) fn of(comparisons: &'a [Comparison]) -> Self {
        let mut machines: Vec<&Machine> = Vec::new();
        for comparison in comparisons {
            if !machines.contains(&&comparison.machine) {
                machines.push(&comparison.machine);
            }
        }
        let mut board = Self { families: Vec::new(), machines };
        let mut looks = Vec::new();
        for comparison in comparisons {
            for trial in &comparison.trials {
                board.add(comparison, trial, &mut looks);
            }
        }
        for comparison in comparisons {
            board.add_calls(comparison);
        }
        board.families.iter_mut().for_each(Family::find_bases);
        board
    }

    fn add(&mut self, comparison: &Comparison, trial: &'a Trial, looks: &mut Vec<String>) {
        let label = family_of(comparison, trial);
        let place = self.families.iter().position(|family| family.label == label).unwrap_or_else(|| {
            self.families.push(Family { label, ..Family::default() });
            self.families.len() - 1
        });
        let name = self.name_of(comparison, &trial.server);
        let machine = self.machine_of(comparison);
        let look = looks.iter().position(|known| *known == name).unwrap_or_else(|| {
            looks.push(name.clone());
            looks.len() - 1
        });
        let family = &mut self.families[place];
        let server = family.servers.iter().position(|server| server.name == name).unwrap_or_else(|| {
            family.servers.push(Contender { name, look: Look::nth(look), base: None, machine });
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

    /// The fewest rounds that any server had under any load, of those that had any.
    pub(crate) fn rounds(&self) -> Option<usize> {
        let cells = self.families.iter().flat_map(|family| family.cells.values());
        cells.map(|cell| cell.runs.len()).filter(|rounds| *rounds > 0).min()
    }

    fn machine_of(&self, comparison: &Comparison) -> usize {
        self.machines.iter().position(|machine| **machine == comparison.machine).unwrap_or_default()
    }

    /// A server's name, with its machine where there are several.
    fn name_of(&self, comparison: &Comparison, server: &str) -> String {
        match self.machines.len() {
            0 | 1 => server.to_owned(),
            _ => format!("{server} ({})", self.machine_of(comparison) + 1),
        }
    }
}

impl<'a> Family<'a> {
    /// In each machine's servers the first that is called so, or else the first of all.
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

    /// All loads, from few connections to many.
    pub(crate) fn loads(&self) -> Vec<Load> {
        let mut loads: Vec<Load> = self.cells.keys().map(|(load, _)| *load).collect();
        loads.dedup();
        loads.sort_by_key(|load| (load.idle_connections > 0, load.open(), load.connections));
        loads
    }

    /// What one server did under one load, if it was put under it.
    pub(crate) fn cell(&self, load: Load, server: usize) -> Option<&Cell<'a>> {
        self.cells.get(&(load, server))
    }

    /// A figure of one server under one load.
    pub(crate) fn figure(&self, load: Load, server: usize, metric: Metric) -> Option<Spread> {
        self.cell(load, server)?.figure(metric)
    }
}

impl Cell<'_> {
    /// A figure over all rounds that have it.
    pub(crate) fn figure(&self, metric: Metric) -> Option<Spread> {
        let of_runs = self.runs.iter().filter_map(|record| metric.of(record));
        if metric == Metric::Calls { Spread::of(self.calls) } else { Spread::of(of_runs) }
    }

    /// The run whose rate is in the middle: where one is to stand for all.
    pub(crate) fn middle_run(&self) -> Option<&Record> {
        let mut runs = self.runs.clone();
        runs.sort_by(|a, b| a.requests.rate.total_cmp(&b.requests.rate));
        runs.get(runs.len() / 2).copied()
    }

    /// What went wrong most often in any round, and how often. Who was not served did nothing wrong.
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

    /// Whether it was measured, and nobody was left out.
    pub(crate) fn served_all(&self) -> bool {
        !self.runs.is_empty() && self.unserved().is_none()
    }

    /// Whether it was put under this load, and never measured.
    pub(crate) fn is_lost(&self) -> bool {
        self.runs.is_empty()
    }

    /// Connections that nobody served, in the round that had most of them.
    pub(crate) fn unserved(&self) -> Option<Unserved> {
        let unserved = self.runs.iter().copied().map(Unserved::in_run);
        unserved.max_by_key(Unserved::count).filter(|unserved| unserved.count() > 0)
    }
}

/// Connections that nobody served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unserved {
    /// Those that nobody answered: before the server, in its backlog, or inside it.
    pub(crate) waiting: u64,
    /// Those that were turned away.
    pub(crate) refused: u64,
    /// All that there were to be.
    pub(crate) all: u64,
    /// Whether there may be more: who carries nothing and is in the backlog looks as if it were served.
    pub(crate) is_least: bool,
}

impl Unserved {
    /// Who was not answered once. Where each request has a connection of its own, that is an error
    /// like any other.
    fn in_run(record: &Record) -> Self {
        let RunConfig { connections, idle_connections, churn, .. } = record.config;
        if churn {
            return Self { waiting: 0, refused: 0, all: connections, is_least: false };
        }
        let count_of = |kind| record.errors.iter().find(|error| error.kind == kind).map_or(0, |error| error.count);
        let (silent, failed) = (record.connections.silent, record.connections.failed);
        let (inside, outside) =
            (silent.min(count_of(ErrorKind::TimedOut)), failed.min(count_of(ErrorKind::ConnectTimedOut)));
        // Who is silent and met no error was not asked anything: the run was over before. Numbers of a
        // file may be any.
        let ended = count_of(ErrorKind::Reset).saturating_add(count_of(ErrorKind::Ended));
        let turned_away = (silent - inside).min(ended);
        // Those who carry nothing are not answered anyway, unless they did not even come in.
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

/// What a trial's load is called apart from its connections. A trial that failed has no record to
/// tell it, but is of the family of those it was to be compared with.
fn family_of(comparison: &Comparison, trial: &Trial) -> String {
    let told = |trial: &Trial| match &trial.outcome {
        Outcome::Measured(record) => Some(label(&record.config)),
        Outcome::Failed(_) => None,
    };
    let bytes = trial.load.message_bytes;
    let alike = || comparison.trials.iter().filter(|other| other.load.message_bytes == bytes).find_map(told);
    told(trial).or_else(alike).unwrap_or_else(|| Unit::Bytes.print(bytes as f64))
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
        parts.push(format!("{} at once", asked.pipeline));
    }
    if asked.churn {
        parts.push("a connection for each request".to_owned());
    }
    parts.join(", ")
}
