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

use crate::quantity::Unit;

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
