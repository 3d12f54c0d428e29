//! `report --against`: the change of each metric since a baseline, and whether it is a regression.

use std::path::{Path, PathBuf};

use readyloop::load::Record;

use super::comparison::{Comparison, Load};
use super::document::{Content, Document, Section, Table};
use super::interval::ratio_interval;
use super::metric::{CALLS, CPU, MEMORY, Metric, P50, P99, RATE};
use super::results::{Family, Results};
use super::spread::Verdict;
use super::tables::load_phrase;
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
enum Meaning {
    Better,
    Worse,
    /// The rounds overlap, or the change is within the tolerance.
    None,
    /// A single round does not show how much rounds vary.
    Unknown,
}

impl Meaning {
    const fn text(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::None => "no difference shown",
            Self::Unknown => "one round",
        }
    }
}

/// The change of one metric of a server under a load.
struct Change {
    row: Vec<String>,
    meaning: Meaning,
}

/// Prints the changes of the files since the baseline. A change within `tolerance`, a fraction, is none.
///
/// # Errors
/// A file cannot be read, nothing is in both, or a metric became worse.
pub(super) fn run(files: &[PathBuf], baseline: &Path, tolerance: f64, form: Form) -> Result<(), CliError> {
    let (before, now) = (files::read([baseline])?, files::read(files.iter().map(PathBuf::as_path))?);
    let changes = changes(&Results::of(&before), &Results::of(&now), tolerance);
    if changes.is_empty() {
        return Err(CliError::failure(
            "no server was measured under the same load in both",
            "compare runs with equal names and flags: `bench --name` sets the name",
        ));
    }
    let worse = changes.iter().filter(|change| change.meaning == Meaning::Worse).count();
    print(&form.print_document(&document(&changes, worse, [&before, &now], tolerance)))?;
    if worse == 0 {
        return Ok(());
    }
    let message = format!("{} became worse", counted(worse as u64, "figure"));
    Err(CliError::threshold_exceeded(message, "see the table; --tolerance 5% ignores smaller changes"))
}

fn changes(before: &Results<'_>, now: &Results<'_>, tolerance: f64) -> Vec<Change> {
    let mut changes = Vec::new();
    for family in &now.families {
        let Some(old) = before.families.iter().find(|old| old.label == family.label) else { continue };
        for (server, contender) in family.servers.iter().enumerate() {
            let Some(old_server) = old.servers.iter().position(|old| old.name == contender.name) else { continue };
            for load in family.loads() {
                let pair = Pair { load, name: &contender.name, before: (old, old_server), now: (family, server) };
                changes.extend(METRICS.iter().filter_map(|(metric, better)| pair.change(*metric, *better, tolerance)));
                changes.extend(pair.failure());
            }
        }
    }
    changes
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
        let meaning = match (verdict, better) {
            (Verdict::OneRound, _) => Meaning::Unknown,
            (Verdict::WithinNoise, _) => Meaning::None,
            (Verdict::Less | Verdict::More, _) if is_small => Meaning::None,
            (Verdict::More, Better::Higher) | (Verdict::Less, Better::Lower) => Meaning::Better,
            (Verdict::More, Better::Lower) | (Verdict::Less, Better::Higher) => Meaning::Worse,
        };
        let range = match interval.filter(|(low, high)| low < high) {
            Some((low, high)) => format!("{} to {}", percent(low), percent(high)),
            None => String::new(),
        };
        let [before, now] = [before, now].map(|figure| metric.unit.print(figure.median));
        Some(self.row(metric.name, [before, now, percent(ratio), range], meaning))
    }

    /// A server that was measured before and could not be measured now.
    fn failure(&self) -> Option<Change> {
        let runs =
            |(family, server): (&Family<'_>, usize)| family.cell(self.load, server).map_or(0, |cell| cell.runs.len());
        let is_lost = runs(self.before) > 0 && runs(self.now) == 0;
        let values = ["measured", "failed", "", ""].map(ToOwned::to_owned);
        is_lost.then(|| self.row("any figure", values, Meaning::Worse))
    }

    fn row(&self, metric: &str, values: [String; 4], meaning: Meaning) -> Change {
        let names = [load_phrase(self.load), self.name.to_owned(), metric.to_owned()];
        let row = names.into_iter().chain(values).chain([meaning.text().to_owned()]).collect();
        Change { row, meaning }
    }
}

/// A ratio as a change: `+3.1 %`.
fn percent(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

fn document(changes: &[Change], worse: usize, [before, now]: [&[Comparison]; 2], tolerance: f64) -> Document {
    let columns = [
        ("connections", Content::Names),
        ("server", Content::Names),
        ("figure", Content::Names),
        ("before", Content::Numbers),
        ("now", Content::Numbers),
        ("change", Content::Numbers),
        ("95 % interval", Content::Numbers),
        ("meaning", Content::Text),
    ];
    let mut table = Table::new(columns);
    table.rows = changes.iter().map(|change| change.row.clone()).collect();
    let count = |meaning| changes.iter().filter(|change| change.meaning == meaning).count();
    let better = count(Meaning::Better);
    let mut conclusions = vec![match (worse, better) {
        (0, 0) => "No difference was shown.".to_owned(),
        (worse, better) => format!("{} became worse, {better} better.", counted(worse as u64, "figure")),
    }];
    if count(Meaning::Unknown) > 0 {
        conclusions
            .push("One round decides nothing: measure both with `compare`, or several times with `bench`.".to_owned());
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
        about: format!("{}, and {worse} worse", counted(changes.len() as u64, "figure")),
        conclusions,
        sections: vec![Section {
            heading: "Changes".to_owned(),
            about: "The median of the rounds before and now, and the interval of their ratio.".to_owned(),
            charts: Vec::new(),
            table,
        }],
        method: vec![
            format!(
                "A figure differs if no round before overlaps a round now and the medians differ by more than {}.",
                Unit::Each.print(tolerance * 100.0) + " %"
            ),
            "The 95 % interval is that of the bootstrap over the rounds.".to_owned(),
        ],
        origin: Table::new([]),
    }
}
