//! A chart as plain data: lines of points against two axes. `drawing` draws it.
//!
//! The charts are drawn by hand rather than by a crate. They follow the light and dark theme of the page,
//! can be read without color and by a screen reader, and show values at the pointer. Chart crates draw
//! pictures without these properties, or need a script of a megabyte.

mod drawing;
mod labels;
mod scale;
mod styles;

pub(crate) use drawing::figure;
pub(crate) use scale::Scale;
pub(crate) use styles::LineStyle;

use super::quantity::Unit;

/// The style sheet of the charts, with light and dark colors.
pub(crate) const STYLE: &str = include_str!("chart.css");

/// Lines against two axes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// An axis of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) scale: Scale,
}

/// The values of one server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// The same in every chart of a page.
    pub(crate) style: LineStyle,
    /// In ascending order of `x`.
    pub(crate) points: Vec<Point>,
}

/// One value, and its spread over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    /// NaN if there is no value; the line is interrupted there.
    pub(crate) y: f64,
    /// The minimum and maximum of the rounds, if there are several.
    pub(crate) spread: Option<(f64, f64)>,
    /// Whether the server served all connections.
    pub(crate) of: Served,
}

/// The connections that a value is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    All,
    /// Some connections waited or were refused. Drawn as a faint hollow marker outside of the line.
    Some,
}

impl Chart {
    /// Whether there is anything to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.frame().is_none()
    }

    /// A description of the chart for screen readers.
    fn description(&self) -> String {
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        format!("{} against {}, for {}", self.y.title, self.x.title, names.join(", "))
    }

    /// The text that is shown for a point under the pointer.
    fn words(&self, line: &Line, point: &Point) -> String {
        let print = |value| self.y.unit.print(value);
        let spread = point.spread.filter(|(least, most)| least < most);
        let spread = spread.map_or_else(String::new, |(least, most)| format!(" ({} to {})", print(least), print(most)));
        let (x, y) = (self.x.unit.print(point.x), print(point.y));
        let noun = if self.x.unit == Unit::Count { format!(" {}", self.x.title) } else { String::new() };
        let of = match point.of {
            Served::All => "",
            Served::Some => ", not all served",
        };
        format!("{}: {y}{spread} at {x}{noun}{of}", line.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn chart(points: &[(f64, f64)]) -> Chart {
        let points =
            points.iter().map(|&(x, y)| Point { x, y, spread: Some((y * 0.9, y * 1.1)), of: Served::All }).collect();
        Chart {
            title: "Requests per second".to_owned(),
            x: Axis { title: "connections", unit: Unit::Count, scale: Scale::Log },
            y: Axis { title: "requests per second", unit: Unit::Rate, scale: Scale::Log },
            lines: vec![Line { name: "<b>&\"reactor\"".to_owned(), style: LineStyle::nth(0), points }],
        }
    }

    #[test]
    fn a_point_shows_its_value_and_its_spread() {
        let chart = chart(&[(100.0, 50_000.0)]);
        let line = &chart.lines[0];
        assert_eq!(
            chart.words(line, &line.points[0]),
            "<b>&\"reactor\": 50.0 k/s (45.0 k/s to 55.0 k/s) at 100 connections"
        );
        let alone = Point { spread: None, of: Served::Some, ..line.points[0] };
        assert_eq!(chart.words(line, &alone), "<b>&\"reactor\": 50.0 k/s at 100 connections, not all served");
    }

    #[test]
    fn a_chart_without_a_value_on_its_axes_is_empty() {
        assert!(chart(&[]).is_empty());
        assert!(chart(&[(0.0, 1.0)]).is_empty());
        assert!(!chart(&[(1.0, 1.0)]).is_empty());
    }
}
