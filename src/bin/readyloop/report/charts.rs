//! Makes charts of the results: metrics against connections, latency by percentile, and both over time.

use std::collections::BTreeSet;

use readyloop::load::record::Interval;
use readyloop::load::{Latencies, Record};

use super::chart::{Axis, Chart, Line, LineStyle, Point, Scale, Served};
use super::comparison::Load;
use super::metric::{Metric, rate_in};
use super::results::{Cell, Family};
use super::spread::Spread;
use crate::quantity::{Unit, grouped};

/// The quantiles that are drawn, as far as there are enough answers for them.
const QUANTILES: [f64; 12] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999];

/// Charts of a metric against connections, with this title and axis: one for loads without idle connections, and
/// one for each number of busy connections beside idle ones. A chart needs at least two loads.
pub(super) fn against_connections(family: &Family<'_>, metric: Metric, title: &str, axis: &'static str) -> Vec<Chart> {
    let loads = family.loads();
    let having = |is_shown: &dyn Fn(&Load) -> bool| loads.iter().copied().filter(is_shown).collect::<Vec<_>>();
    let mut sets = vec![(title.to_owned(), having(&|load| load.idle_connections == 0))];
    let busy: BTreeSet<u64> = having(&|load| load.idle_connections > 0).iter().map(|load| load.connections).collect();
    for count in busy {
        let title = format!("{title}, {} busy connections, the others idle", grouped(count));
        sets.push((title, having(&|load| load.connections == count)));
    }
    let sets = sets.into_iter().filter(|(_, loads)| loads.len() > 1);
    sets.map(|(title, mut loads)| {
        loads.sort_by_key(Load::open);
        let lines = lines(family, |server| {
            let figure = |load: &Load| match family.figure(*load, server, metric) {
                Some(figure) => point(load.open() as f64, figure, served(family, *load, server)),
                None => Point { x: load.open() as f64, y: f64::NAN, spread: None, of: Served::All },
            };
            loads.iter().map(figure).collect()
        });
        Chart {
            title,
            x: Axis { title: "connections", unit: Unit::Count, scale: Scale::Log },
            y: Axis { title: axis, unit: metric.unit, scale: Scale::Log },
            lines,
        }
    })
    .collect()
}

/// Charts of latency by percentile, one for each load. In an open loop the service time is drawn too.
pub(super) fn by_percentile(family: &Family<'_>) -> Vec<Chart> {
    let draw = |load| {
        let percentiles = |server, of: fn(&Record) -> Option<&Latencies>| {
            let Some(cell) = family.cell(load, server) else { return Vec::new() };
            let histograms: Vec<&Latencies> = cell.runs.iter().filter_map(|run| of(run)).collect();
            let of = served(family, load, server);
            QUANTILES.iter().filter_map(|&quantile| percentile(&histograms, quantile, of)).collect()
        };
        let mut lines = lines(family, |server| percentiles(server, |run| Some(&run.latency)));
        for (place, server) in family.servers.iter().enumerate() {
            let points = percentiles(place, |run| run.service.as_ref());
            if points.is_empty() {
                continue;
            }
            let style = LineStyle::nth(family.servers.len() + place);
            let name = match &mut lines[..] {
                // With one server its name would say nothing, and there is no space for both names.
                [alone] if family.servers.len() == 1 => {
                    alone.name = "response time".to_owned();
                    "service time".to_owned()
                }
                [..] => format!("{}, service time", server.name),
            };
            lines.push(Line { name, style, points });
        }
        Chart {
            title: format!("Latency by percentile, {}", load.phrase()),
            x: Axis { title: "share of all answers", unit: Unit::Percentile, scale: Scale::Log },
            y: Axis { title: "latency, lower is better", unit: Unit::Time, scale: Scale::Log },
            lines,
        }
    };
    family.loads().into_iter().map(draw).collect()
}

/// Charts of rate and latency over time of the median round, two for each load.
pub(super) fn over_time(family: &Family<'_>) -> Vec<Chart> {
    let time = Axis { title: "measured time", unit: Unit::Time, scale: Scale::Linear };
    let draw = |load| rate_and_latency(family, load, "over time", &time, |piece| piece.begin_ns as f64);
    family.loads().into_iter().flat_map(draw).collect()
}

/// Charts of rate and latency against the connections of a ramp, in the median round.
pub(super) fn along_ramp(family: &Family<'_>) -> Vec<Chart> {
    let connections = Axis { title: "open connections", unit: Unit::Count, scale: Scale::Linear };
    let draw = |load| rate_and_latency(family, load, "on a ramp", &connections, |piece| piece.connections as f64);
    family.loads().into_iter().flat_map(draw).collect()
}

/// Charts of the intervals of the median round. `at` returns the value of an interval on the axis `x`.
fn rate_and_latency(family: &Family<'_>, load: Load, what: &str, x: &Axis, at: fn(&Interval) -> f64) -> [Chart; 2] {
    let pieces = |server, value: fn(&Interval) -> f64| -> Vec<Point> {
        let run = family.cell(load, server).and_then(Cell::middle_run);
        let pieces = run.into_iter().flat_map(|run| &run.series);
        let of = served(family, load, server);
        let points = pieces.map(|piece| Point { x: at(piece), y: value(piece), spread: None, of });
        let mut points: Vec<Point> = points.collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        points
    };
    let chart =
        |title: &str, y, lines| Chart { title: format!("{title} {what}, {}", load.phrase()), x: x.clone(), y, lines };
    let rate = Axis { title: "requests per second", unit: Unit::Rate, scale: Scale::Linear };
    let rate = chart("Requests per second", rate, lines(family, |server| pieces(server, rate_in)));
    let time = Axis { title: "latency, lower is better", unit: Unit::Time, scale: Scale::Log };
    if family.servers.len() > 1 {
        return [rate, chart("p99 latency", time, lines(family, |server| pieces(server, |piece| piece.p99_ns as f64)))];
    }
    // With one server there is space for more of its latencies.
    let line = |place, name: &str, value| Line {
        name: name.to_owned(),
        style: LineStyle::nth(place),
        points: pieces(0, value),
    };
    let max = line(0, "max", |piece| piece.max_ns as f64);
    let p99 = line(1, "p99", |piece| piece.p99_ns as f64);
    let p50 = line(2, "p50", |piece| piece.p50_ns as f64);
    [rate, chart("Latency", time, vec![max, p99, p50])]
}

fn lines(family: &Family<'_>, points: impl Fn(usize) -> Vec<Point>) -> Vec<Line> {
    let each = family.servers.iter().enumerate();
    let lines =
        each.map(|(place, server)| Line { name: server.name.clone(), style: server.style, points: points(place) });
    lines.filter(|line| line.points.iter().any(|point| point.y.is_finite())).collect()
}

fn point(x: f64, figure: Spread, of: Served) -> Point {
    Point { x, y: figure.median, spread: (figure.rounds > 1).then_some((figure.least, figure.most)), of }
}

fn served(family: &Family<'_>, load: Load, server: usize) -> Served {
    family.unserved(load, server).map_or(Served::All, |_| Served::Some)
}

/// A percentile over all rounds with enough answers, so that at least one answer is above it.
fn percentile(histograms: &[&Latencies], quantile: f64, of: Served) -> Option<Point> {
    let enough = histograms.iter().filter(|latencies| latencies.count as f64 * (1.0 - quantile) >= 1.0);
    let figure = Spread::of(enough.filter_map(|latencies| Some(latencies.at(quantile)? as f64)))?;
    Some(point(1.0 / (1.0 - quantile), figure, of))
}
