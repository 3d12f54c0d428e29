//! `report --against`: the change of each metric since a baseline, and whether it is a regression.

use std::path::{Path, PathBuf};

use readyloop::load::Record;

use super::comparison::{Comparison, Load};
use super::document::{Content, Document, Section, Table};
use super::interval::ratio_interval;
use super::metric::{CALLS, CPU, MEMORY, Metric, P50, P99, RATE};
use super::results::{Contender, Family, Results};
use super::spread::Verdict;
use super::tables::{NONE, load_phrase};
use super::{Form, files};
use crate::cli_error::CliError;
use crate::quantity::{Unit, counted};
use crate::standard_output::print;

/// Which change of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// The metrics that are compared.
const METRICS: [(Metric, Better); 6] = [
    (RATE, Better::Higher),
    (P50, Better::Lower),
    (P99, Better::Lower),
    (CPU, Better::Lower),
    (CALLS, Better::Lower),
    (MEMORY, Better::Lower),
];

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Better,
    Worse,
    /// The rounds overlap, or the change is within the tolerance.
    NoDifference,
    /// A single round does not show how much rounds vary.
    OneRound,
}

impl Effect {
    const fn text(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "no difference shown",
            Self::OneRound => "one round",
        }
    }
}

/// The change of one metric of a server under a load.
struct Change {
    row: Vec<String>,
    effect: Effect,
}

/// Prints the changes of the files since the baseline. A change within `tolerance`, a fraction, is none.
///
/// # Errors
/// A file cannot be read, nothing is in both, or a metric became worse.
pub(super) fn run(files: &[PathBuf], baseline: &Path, tolerance: f64, form: Form) -> Result<(), CliError> {
    let (before, now) = (files::read([baseline])?, files::read(files.iter().map(PathBuf::as_path))?);
    let (changes, missing) = changes(&Results::of(&before), &Results::of(&now), tolerance);
    if changes.is_empty() {
        return Err(CliError::failure(
            "no server was measured under the same load in both",
            "compare runs with equal names and flags: `bench --name` sets the name",
        ));
    }
    let worse = changes.iter().filter(|change| change.effect == Effect::Worse).count();
    print(&form.print_document(&document(&changes, missing, [&before, &now], tolerance)))?;
    if worse == 0 {
        return Ok(());
    }
    let message = format!("{} became worse", counted(worse as u64, "metric"));
    Err(CliError::threshold_exceeded(message, "see the table; --tolerance 5% ignores smaller changes"))
}

/// The changes of all that is in both, and the number of servers and loads that are only in the baseline.
fn changes(before: &Results<'_>, now: &Results<'_>, tolerance: f64) -> (Vec<Change>, usize) {
    let (mut changes, mut missing) = (Vec::new(), 0);
    for old in &before.families {
        let family = now.families.iter().find(|family| family.label == old.label);
        for (old_server, contender) in old.servers.iter().enumerate() {
            let server = family.and_then(|family| {
                let is_same = |server: &Contender| {
                    (server.name.as_str(), server.identity.cores) == (contender.name.as_str(), contender.identity.cores)
                };
                Some((family, family.servers.iter().position(is_same)?))
            });
            for load in old.loads() {
                match server.filter(|(family, server)| family.cell(load, *server).is_some()) {
                    Some(now) => {
                        let pair = Pair { load, name: &contender.name, before: (old, old_server), now };
                        let metrics = METRICS.iter();
                        changes.extend(metrics.filter_map(|(metric, better)| pair.change(*metric, *better, tolerance)));
                        changes.extend(pair.failure());
                    }
                    None => missing += 1,
                }
            }
        }
    }
    (changes, missing)
}

/// A server under a load, in both reports.
struct Pair<'a> {
    load: Load,
    name: &'a str,
    before: (&'a Family<'a>, usize),
    now: (&'a Family<'a>, usize),
}

impl Pair<'_> {
    fn change(&self, metric: Metric, better: Better, tolerance: f64) -> Option<Change> {
        let figure = |(family, server): (&Family<'_>, usize)| family.figure(self.load, server, metric);
        let (before, now) = (figure(self.before)?, figure(self.now)?);
        let ratio = now.ratio(&before);
        let values = |(family, server): (&Family<'_>, usize)| family.values(self.load, server, metric);
        let interval = ratio_interval(&values(self.now), &values(self.before));
        let verdict = now.against(&before);
        let is_small = (ratio - 1.0).abs() <= tolerance;
        let effect = match (verdict, better) {
            (Verdict::OneRound, _) => Effect::OneRound,
            // There is no ratio to zero.
            _ if !ratio.is_finite() => Effect::NoDifference,
            (Verdict::WithinNoise, _) => Effect::NoDifference,
            (Verdict::Less | Verdict::More, _) if is_small => Effect::NoDifference,
            (Verdict::More, Better::Higher) | (Verdict::Less, Better::Lower) => Effect::Better,
            (Verdict::More, Better::Lower) | (Verdict::Less, Better::Higher) => Effect::Worse,
        };
        let range = match interval.filter(|(low, high)| low < high) {
            Some((low, high)) => format!("{} to {}", percent(low), percent(high)),
            None => String::new(),
        };
        let [before, now] = [before, now].map(|figure| metric.unit.print(figure.median));
        Some(self.row(metric.name, [before, now, percent(ratio), range], effect))
    }

    /// A server that was measured before and could not be measured now.
    fn failure(&self) -> Option<Change> {
        let runs =
            |(family, server): (&Family<'_>, usize)| family.cell(self.load, server).map_or(0, |cell| cell.runs.len());
        let is_lost = runs(self.before) > 0 && runs(self.now) == 0;
        let values = ["measured", "failed", "", ""].map(ToOwned::to_owned);
        is_lost.then(|| self.row("any metric", values, Effect::Worse))
    }

    fn row(&self, metric: &str, values: [String; 4], effect: Effect) -> Change {
        let names = [load_phrase(self.load), self.name.to_owned(), metric.to_owned()];
        let row = names.into_iter().chain(values).chain([effect.text().to_owned()]).collect();
        Change { row, effect }
    }
}

/// A ratio as a change: `+3.1 %`.
fn percent(ratio: f64) -> String {
    if !ratio.is_finite() {
        return NONE.to_owned();
    }
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

fn document(changes: &[Change], missing: usize, [before, now]: [&[Comparison]; 2], tolerance: f64) -> Document {
    let columns = [
        ("connections", Content::Names),
        ("server", Content::Names),
        ("metric", Content::Names),
        ("before", Content::Numbers),
        ("now", Content::Numbers),
        ("change", Content::Numbers),
        ("95 % interval", Content::Numbers),
        ("effect", Content::Text),
    ];
    let mut table = Table::new(columns);
    table.rows = changes.iter().map(|change| change.row.clone()).collect();
    let count = |effect| changes.iter().filter(|change| change.effect == effect).count();
    let (worse, better) = (count(Effect::Worse), count(Effect::Better));
    let mut conclusions = vec![match (worse, better) {
        (0, 0) => "No difference was shown.".to_owned(),
        (worse, better) => format!("{} became worse, {better} better.", counted(worse as u64, "metric")),
    }];
    if count(Effect::OneRound) > 0 {
        conclusions
            .push("One round decides nothing: measure both with `compare`, or several times with `bench`.".to_owned());
    }
    if missing > 0 {
        let cases =
            if missing == 1 { "1 server under a load is" } else { &format!("{missing} servers under a load are") };
        conclusions.push(format!("{cases} only in the baseline."));
    }
    let machine = |comparisons: &[Comparison]| {
        comparisons.iter().flat_map(Comparison::records).map(|record: &Record| record.machine.clone()).next()
    };
    let are_equal = |a: &readyloop::load::record::Machine, b: &readyloop::load::record::Machine| {
        (&a.processor, a.cores, &a.kernel) == (&b.processor, b.cores, &b.kernel)
    };
    if let (Some(old), Some(new)) = (machine(before), machine(now))
        && !are_equal(&old, &new)
    {
        conclusions.push("The two were measured on different machines.".to_owned());
    }
    Document {
        title: "Changes since the baseline".to_owned(),
        about: format!("{}, and {worse} worse", counted(changes.len() as u64, "metric")),
        conclusions,
        sections: vec![Section {
            heading: "Changes".to_owned(),
            about: "The median of the rounds before and now, and the interval of their ratio.".to_owned(),
            charts: Vec::new(),
            table,
        }],
        method: vec![
            format!(
                "A metric differs if no round before overlaps a round now and the medians differ by more than {}.",
                Unit::Each.print(tolerance * 100.0) + " %"
            ),
            "The 95 % interval is that of the bootstrap over the rounds.".to_owned(),
        ],
        origin: Table::new([]),
    }
}
