//! Draws a chart as SVG: grid, axes, lines with markers and spreads, and the name of each line at its end.
//!
//! All sizes are in user units of the drawing, which a page scales.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::scale::Span;
use super::{Chart, Line, Point, STYLE, Served, labels};
use crate::escape::cut;

/// The size of the drawing.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;

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
struct Frame {
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
    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    /// Whether there is anything to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.frame().is_none()
    }

    /// The ranges that hold all points with a position.
    fn frame(&self) -> Option<Frame> {
        let heights = self.points().flat_map(|point| {
            let (least, most) = point.spread.unwrap_or((point.y, point.y));
            [least, point.y, most]
        });
        let x = Span::around(self.x.scale, self.points().map(|point| point.x))?;
        Some(Frame { x, y: Span::around(self.y.scale, heights)? })
    }

    /// Draws the chart for a page that includes [`STYLE`]. `name` is unique on the page.
    pub(crate) fn svg(&self, name: &str) -> Markup {
        let (title, description) = (format!("{name}-title"), format!("{name}-desc"));
        html! {
            svg class="chart" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="group" aria-labelledby={ (title) " " (description) } {
                title id=(title) { (self.title) }
                desc id=(description) { (self.description()) }
                (self.drawing())
            }
        }
    }

    fn drawing(&self) -> Markup {
        let frame = self.frame();
        html! {
            text class="heading" x=(LEFT) y="18" { (self.title) }
            @if let Some(frame) = &frame {
                (self.axes(frame))
                @for line in &self.lines { (self.line(frame, line)) }
                (self.labels(frame))
            } @else {
                text class="faint" x=(LEFT) y=(TOP) { "nothing to draw" }
            }
        }
    }

    fn axes(&self, frame: &Frame) -> Markup {
        let rows: Vec<_> = frame.y.ticks().into_iter().filter_map(|tick| Some((tick, frame.y(tick)?))).collect();
        let columns: Vec<_> = frame.x.ticks().into_iter().filter_map(|tick| Some((tick, frame.x(tick)?))).collect();
        let foot = HEIGHT - 8.0;
        let has_hollow = self.points().any(|point| point.of == Served::Some && frame.place(point).is_some());
        html! {
            @for (tick, y) in rows {
                path class="grid" d={ "M" (LEFT) " " (unit(y)) "H" (RIGHT) } {}
                text class="faint" x=(LEFT - 8.0) y=(unit(y + 4.5)) text-anchor="end" { (self.y.unit.print_tick(tick)) }
            }
            @for (tick, x) in columns {
                path class="axis" d={ "M" (unit(x)) " " (BOTTOM) "v5" } {}
                text class="faint" x=(unit(x)) y=(BOTTOM + 20.0) text-anchor="middle" { (self.x.unit.print_tick(tick)) }
            }
            path class="axis" d={ "M" (LEFT) " " (BOTTOM) "H" (RIGHT) } {}
            text class="faint" x=(LEFT) y="36" { (self.y.title) }
            text class="faint" x=(f64::midpoint(LEFT, RIGHT)) y=(foot) text-anchor="middle" { (self.x.title) }
            @if has_hollow {
                text class="faint" x=(WIDTH - 6.0) y=(foot) text-anchor="end" { "hollow: not all served" }
            }
        }
    }

    fn line(&self, frame: &Frame, line: &Line) -> Markup {
        let places: Vec<_> = line.points.iter().filter_map(|point| Some((point, frame.place(point)?))).collect();
        let spread = |point: &Point| point.spread.and_then(|(least, most)| Some((frame.y(least)?, frame.y(most)?)));
        // A point of a server that did not serve all connections is not part of the line.
        let path = path_of(line.points.iter().map(|point| frame.place(point).filter(|_| point.of == Served::All)));
        let mut last_marker = f64::NEG_INFINITY;
        let mut has_marker = |x: f64| {
            let is_apart = x - last_marker >= MARKER_DISTANCE;
            last_marker = if is_apart { x } else { last_marker };
            is_apart
        };
        html! {
            g class=(line.style.class()) {
                @for (x, (least, most)) in places.iter().filter_map(|(point, (x, _))| Some((x, spread(point)?))) {
                    path class="spread" d={ "M" (unit(*x)) " " (unit(least)) "V" (unit(most)) } {}
                }
                @if !path.is_empty() {
                    path class="line" stroke-dasharray=(line.style.dashes()) d=(path) {}
                }
                @for &(point, (x, y)) in &places {
                    g class="point" tabindex="0" {
                        title { (self.words(line, point)) }
                        circle class="reach" cx=(unit(x)) cy=(unit(y)) r="9" {}
                        @if has_marker(x) {
                            @let class = if point.of == Served::All { "marker" } else { "marker hollow" };
                            path class=(class) d=(line.style.marker(x, y)) {}
                        }
                    }
                }
            }
        }
    }

    /// Draws the name of each line at the height of its last point, with a leader to it.
    fn labels(&self, frame: &Frame) -> Markup {
        let end = |line: &Line| {
            let last = |of| line.points.iter().rev().filter(move |point| point.of == of);
            last(Served::All).chain(last(Served::Some)).find_map(|point| frame.place(point))
        };
        let ends: Vec<_> = self.lines.iter().filter_map(|line| Some((line, end(line)?))).collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
        let heights = labels::spread(&wanted, LABEL_DISTANCE, TOP, BOTTOM);
        let (marker, text) = (RIGHT + 11.0, RIGHT + 21.0);
        html! {
            @for ((line, (x, y)), height) in ends.iter().zip(heights) {
                g class=(line.style.class()) {
                    // The leader of a line that ends early would look like a part of the line.
                    @if RIGHT - x < LEADER_LEN_MAX {
                        path class="leader" d={ "M" (unit(x + 7.0)) " " (unit(*y)) "L" (marker - 6.0) " " (unit(height)) } {}
                    }
                    path class="marker" d=(line.style.marker(marker, height)) {}
                    text x=(text) y=(unit(height + 4.5)) { (shortened(&line.name)) }
                }
            }
        }
    }
}

/// Draws charts below each other as one self-contained SVG, with style, background, and a footer about the
/// measurement. Its fixed width keeps the text readable on a page.
pub(crate) fn figure(charts: &[Chart], about: &str) -> String {
    let height = HEIGHT * charts.len() as f64 + FOOT;
    let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
    let bars =
        if charts.iter().flat_map(Chart::points).any(|point| point.spread.is_some()) { SPREAD_WORDS } else { "" };
    let view = format!("0 0 {WIDTH} {height}");
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox=(view) width=(WIDTH) height=(height) role="img" {
            title { (titles.join("; ")) }
            style { (PreEscaped(STYLE)) }
            rect class="paper" width=(WIDTH) height=(height) {}
            @for (place, chart) in charts.iter().enumerate() {
                g transform={ "translate(0 " (HEIGHT * place as f64) ")" } { (chart.drawing()) }
            }
            @for (text, y) in [(about, height - 30.0), (bars, height - 12.0)] {
                text class="faint" x="12" y=(y) { (cut(text, FOOT_CHARS_MAX)) }
            }
        }
    };
    svg.into_string() + "\n"
}

/// A coordinate with the precision that a screen can show.
fn unit(value: f64) -> String {
    format!("{value:.1}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_interrupted_where_there_is_no_value() {
        assert_eq!(
            path_of([Some((1.0, 2.0)), Some((3.0, 4.0)), None, Some((5.0, 6.0))].into_iter()),
            "M1.0 2.0L3.0 4.0M5.0 6.0"
        );
        assert_eq!(path_of([None, None].into_iter()), "");
    }

    #[test]
    fn a_long_name_is_shortened() {
        assert_eq!(shortened("a thread per connection"), "a thread per …");
        assert_eq!(shortened("vierzehn ärger"), "vierzehn ärger");
        assert_eq!(shortened("tcp://127.0.0.1:7007"), "127.0.0.1:7007");
    }
}
