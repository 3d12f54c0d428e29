//! Draws a chart as SVG: grid, axes, lines with markers and spreads, and the name of each line at its end.
//!
//! All sizes are in user units of the drawing, which a page scales.

use std::fmt::Write as _;

use super::super::escape::xml;
use super::scale::Span;
use super::{Chart, Line, Point, STYLE, Served, labels};

/// The size of the drawing.
pub(crate) const WIDTH: f64 = 640.0;
pub(crate) const HEIGHT: f64 = 340.0;

/// The position of the axes.
const LEFT: f64 = 78.0;
const RIGHT: f64 = WIDTH - 136.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = HEIGHT - 46.0;
/// The distance of the values from the axes, so that a marker covers no number.
const INSET: f64 = 12.0;

/// The distance between labels.
const LABEL_DISTANCE: f64 = 17.0;
/// The longest label that fits to the right of the plot.
const LABEL_CHARS_MAX: usize = 14;
/// The longest leader from the end of a line to its label.
const LEADER_LEN_MAX: f64 = 60.0;
/// The distance between markers; closer markers would hide their line.
const MARKER_DISTANCE: f64 = 11.0;

/// The height of the two lines of text below the charts of a figure.
const FOOT: f64 = 52.0;
/// The longest line of text below the charts.
const FOOT_CHARS_MAX: usize = 92;
/// The explanation of the bars.
const SPREAD_WORDS: &str = "Each point is the median of all rounds. Its bar shows the minimum and the maximum.";

/// Maps values to positions in the drawing.
pub(super) struct Frame {
    x: Span,
    y: Span,
}

impl Frame {
    fn x(&self, value: f64) -> Option<f64> {
        Some(LEFT + INSET + self.x.place(value)? * (RIGHT - LEFT - 2.0 * INSET))
    }

    fn y(&self, value: f64) -> Option<f64> {
        Some(BOTTOM - self.y.place(value)? * (BOTTOM - TOP))
    }

    fn place(&self, point: &Point) -> Option<(f64, f64)> {
        Some((self.x(point.x)?, self.y(point.y)?))
    }
}

impl Chart {
    /// The ranges that hold all points with a position.
    pub(super) fn frame(&self) -> Option<Frame> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let heights = points().flat_map(|point| {
            let (least, most) = point.spread.unwrap_or((point.y, point.y));
            [least, point.y, most]
        });
        let x = Span::around(self.x.scale, points().map(|point| point.x))?;
        Some(Frame { x, y: Span::around(self.y.scale, heights)? })
    }

    /// Draws the chart for a page that includes [`STYLE`]. `name` is unique on the page.
    pub(crate) fn svg(&self, name: &str) -> String {
        let mut out = String::new();
        let _ = write!(
            out,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-labelledby="{name}-title {name}-desc">"#
        );
        let _ = write!(
            out,
            r#"<title id="{name}-title">{}</title><desc id="{name}-desc">{}</desc>"#,
            xml(&self.title),
            xml(&self.description())
        );
        self.draw(&mut out);
        out.push_str("</svg>\n");
        out
    }

    fn draw(&self, out: &mut String) {
        let _ = write!(out, r#"<text class="heading" x="{LEFT}" y="18">{}</text>"#, xml(&self.title));
        let Some(frame) = self.frame() else {
            let _ = write!(out, r#"<text class="faint" x="{LEFT}" y="{TOP}">nothing to draw</text>"#);
            return;
        };
        self.draw_axes(&frame, out);
        for line in &self.lines {
            self.draw_line(&frame, line, out);
        }
        self.draw_labels(&frame, out);
    }

    fn draw_axes(&self, frame: &Frame, out: &mut String) {
        for tick in frame.y.ticks() {
            let Some(y) = frame.y(tick) else { continue };
            let _ = write!(out, r#"<path class="grid" d="M{LEFT} {y:.1}H{RIGHT}"/>"#);
            let name = self.y.unit.print_tick(tick);
            let _ = write!(
                out,
                r#"<text class="faint" x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#,
                LEFT - 8.0,
                y + 4.5
            );
        }
        for tick in frame.x.ticks() {
            let Some(x) = frame.x(tick) else { continue };
            let _ = write!(out, r#"<path class="axis" d="M{x:.1} {BOTTOM}v5"/>"#);
            let name = self.x.unit.print_tick(tick);
            let _ = write!(
                out,
                r#"<text class="faint" x="{x:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#,
                BOTTOM + 20.0
            );
        }
        let _ = write!(out, r#"<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>"#);
        let _ = write!(out, r#"<text class="faint" x="{LEFT}" y="36">{}</text>"#, xml(self.y.title));
        let (x, y) = (f64::midpoint(LEFT, RIGHT), HEIGHT - 8.0);
        let _ = write!(
            out,
            r#"<text class="faint" x="{x:.1}" y="{y:.1}" text-anchor="middle">{}</text>"#,
            xml(self.x.title)
        );
        let mut points = self.lines.iter().flat_map(|line| &line.points);
        if points.any(|point| point.of == Served::Some && frame.place(point).is_some()) {
            let x = WIDTH - 6.0;
            let _ = write!(
                out,
                r#"<text class="faint" x="{x:.1}" y="{y:.1}" text-anchor="end">hollow: not all served</text>"#
            );
        }
    }

    fn draw_line(&self, frame: &Frame, line: &Line, out: &mut String) {
        let places: Vec<_> = line.points.iter().filter_map(|point| Some((point, frame.place(point)?))).collect();
        let _ = write!(out, r#"<g class="{}">"#, line.style.class());
        for (point, (x, _)) in &places {
            let ends = point.spread.and_then(|(least, most)| Some((frame.y(least)?, frame.y(most)?)));
            if let Some((least, most)) = ends {
                let _ = write!(out, r#"<path class="spread" d="M{x:.1} {least:.1}V{most:.1}"/>"#);
            }
        }
        // A point of a server that did not serve all connections is not part of the line.
        let place = |point: &Point| frame.place(point).filter(|_| point.of == Served::All);
        let path = path_of(line.points.iter().map(place));
        if !path.is_empty() {
            let dashes = line.style.dashes();
            let _ = write!(out, r#"<path class="line" stroke-dasharray="{dashes}" d="{path}"/>"#);
        }
        let mut last_marker = f64::NEG_INFINITY;
        for (point, (x, y)) in &places {
            let _ = write!(out, r#"<g class="point" tabindex="0"><title>{}</title>"#, xml(&self.words(line, point)));
            let _ = write!(out, r#"<circle class="reach" cx="{x:.1}" cy="{y:.1}" r="9"/>"#);
            if x - last_marker >= MARKER_DISTANCE {
                last_marker = *x;
                let class = match point.of {
                    Served::All => "marker",
                    Served::Some => "marker hollow",
                };
                let _ = write!(out, r#"<path class="{class}" d="{}"/>"#, line.style.marker(*x, *y));
            }
            out.push_str("</g>");
        }
        out.push_str("</g>");
    }

    /// Draws the name of each line at the height of its last point, with a leader to it.
    fn draw_labels(&self, frame: &Frame, out: &mut String) {
        let ends: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| {
                let last = |of| line.points.iter().rev().filter(move |point| point.of == of);
                let mut ends = last(Served::All).chain(last(Served::Some));
                Some((line, ends.find_map(|point| frame.place(point))?))
            })
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
        let heights = labels::spread(&wanted, LABEL_DISTANCE, TOP, BOTTOM);
        for ((line, (x, y)), height) in ends.iter().zip(heights) {
            let (start, marker, text) = (x + 7.0, RIGHT + 11.0, RIGHT + 21.0);
            let _ = write!(out, r#"<g class="{}">"#, line.style.class());
            // The leader of a line that ends early would look like a part of the line.
            if RIGHT - x < LEADER_LEN_MAX {
                let _ = write!(out, r#"<path class="leader" d="M{start:.1} {y:.1}L{:.1} {height:.1}"/>"#, marker - 6.0);
            }
            let _ = write!(out, r#"<path class="marker" d="{}"/>"#, line.style.marker(marker, height));
            let name = xml(&shortened(&line.name));
            let _ = write!(out, r#"<text x="{text:.1}" y="{:.1}">{name}</text></g>"#, height + 4.5);
        }
    }
}

/// Draws charts below each other as one self-contained SVG, with style, background, and a footer about the
/// measurement. Its fixed width keeps the text readable on a page.
pub(crate) fn figure(charts: &[Chart], about: &str) -> String {
    let height = HEIGHT * charts.len() as f64 + FOOT;
    let mut out = String::new();
    let _ = write!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">"#
    );
    let titles: Vec<String> = charts.iter().map(|chart| xml(&chart.title)).collect();
    let _ = write!(out, "<title>{}</title><style>\n{STYLE}</style>\n", titles.join("; "));
    let _ = writeln!(out, r#"<rect class="paper" width="{WIDTH}" height="{height}"/>"#);
    for (place, chart) in charts.iter().enumerate() {
        let _ = write!(out, r#"<g transform="translate(0 {})">"#, HEIGHT * place as f64);
        chart.draw(&mut out);
        out.push_str("</g>\n");
    }
    let mut points = charts.iter().flat_map(|chart| &chart.lines).flat_map(|line| &line.points);
    let bars = if points.any(|point| point.spread.is_some()) { SPREAD_WORDS } else { "" };
    for (text, y) in [(about, height - 30.0), (bars, height - 12.0)] {
        let _ = writeln!(out, r#"<text class="faint" x="12" y="{y}">{}</text>"#, xml(&cut(text, FOOT_CHARS_MAX)));
    }
    out.push_str("</svg>\n");
    out
}

/// A path through the positions. It is interrupted where a position is missing.
fn path_of(places: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for place in places {
        if let Some((x, y)) = place {
            let _ = write!(path, "{}{x:.1} {y:.1}", if is_drawing { 'L' } else { 'M' });
        }
        is_drawing = place.is_some();
    }
    path
}

/// A name that fits beside the plot. The points show the full name.
fn shortened(name: &str) -> String {
    let is_long = name.chars().count() > LABEL_CHARS_MAX;
    let address = name.split_once("://").filter(|_| is_long).map_or(name, |(_, address)| address);
    cut(address, LABEL_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::chart;
    use super::*;

    /// The path of the only line of a drawing.
    fn path_in(svg: &str) -> &str {
        let (_, line) = svg.split_once(r#"<path class="line""#).expect("a line");
        line.split(r#" d=""#).nth(1).and_then(|path| path.split('"').next()).expect("a path")
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let svg = chart(&[(10.0, 5.0), (100.0, 7.0)]).svg("one");
        assert!(!svg.contains("<b>") && svg.contains("&lt;b&gt;&amp;&quot;reactor&quot;"), "{svg}");
    }

    #[test]
    fn every_point_with_a_position_is_drawn_within_the_axes() {
        let svg = chart(&[(10.0, 5.0), (100.0, 7.0), (1_000.0, f64::NAN), (0.0, 3.0)]).svg("one");
        assert_eq!(svg.matches(r#"class="point""#).count(), 2);
        for circle in svg.split("<circle").skip(1) {
            let number = |name: &str| -> f64 {
                let (_, rest) = circle.split_once(name).unwrap();
                rest.split('"').next().unwrap().parse().unwrap()
            };
            assert!((LEFT..=RIGHT).contains(&number(r#"cx=""#)) && (TOP..=BOTTOM).contains(&number(r#"cy=""#)));
        }
    }

    #[test]
    fn dense_markers_are_thinned_but_every_value_can_be_pointed_at() {
        let points: Vec<_> = (1..=1_000).map(|x| (f64::from(x), 5.0)).collect();
        let svg = chart(&points).svg("one");
        assert_eq!(svg.matches("<title>").count(), 1_000);
        assert!(svg.matches(r#"class="marker""#).count() < 60);
    }

    #[test]
    fn a_line_is_interrupted_where_there_is_no_value() {
        assert_eq!(
            path_of([Some((1.0, 2.0)), Some((3.0, 4.0)), None, Some((5.0, 6.0))].into_iter()),
            "M1.0 2.0L3.0 4.0M5.0 6.0"
        );
        assert_eq!(path_of([None, None].into_iter()), "");
        let mut chart = chart(&[(10.0, 5.0)]);
        let nowhere = Point { x: 10.0, y: 0.0, spread: None, of: Served::All };
        chart.lines.push(Line { points: vec![nowhere], ..chart.lines[0].clone() });
        assert_eq!(chart.svg("one").matches(r#"class="line""#).count(), 1);
    }

    #[test]
    fn a_point_of_a_server_that_did_not_serve_all_is_hollow_explained_and_outside_of_the_line() {
        let mut chart = chart(&[(10.0, 5.0), (100.0, 7.0)]);
        assert!(!chart.svg("one").contains("hollow"));
        chart.lines[0].points[1].of = Served::Some;
        let svg = chart.svg("one");
        assert_eq!(svg.matches(r#"class="marker hollow""#).count(), 1);
        assert!(svg.contains(">hollow: not all served<"), "{svg}");
        assert_eq!(path_in(&svg).matches(['M', 'L']).count(), 1, "{svg}");
    }

    #[test]
    fn a_figure_is_self_contained() {
        let charts = [chart(&[(10.0, 5.0)]), chart(&[])];
        let svg = figure(&charts, "over <here>");
        assert!(svg.starts_with("<svg xmlns=") && svg.contains(".style-0") && svg.contains("nothing to draw"));
        assert!(svg.contains(">over &lt;here&gt;<") && svg.contains(SPREAD_WORDS));
        assert_eq!(svg.matches("translate(").count(), 2);
    }

    #[test]
    fn a_long_name_is_shortened() {
        assert_eq!(shortened("a thread per connection"), "a thread per …");
        assert_eq!(shortened("vierzehn ärger"), "vierzehn ärger");
        assert_eq!(shortened("tcp://127.0.0.1:7007"), "127.0.0.1:7007");
    }
}
