//! A chart as plain data: lines of points against two axes. How it is drawn is in `drawing`.
//!
//! Drawn by our own hand, because a chart here has to follow the page's light and dark, to be read
//! without colour and by a screen reader, and to tell its values where the pointer is; chart crates
//! write pictures that can do none of this, or bring a script of a megabyte.

mod drawing;
mod labels;
mod looks;
mod scale;

pub(crate) use drawing::figure;
pub(crate) use looks::Look;
pub(crate) use scale::Scale;

use super::quantity::Unit;

/// The rules of colour that a drawn chart needs on its page, light and dark.
pub(crate) const STYLE: &str = include_str!("chart.css");

/// Lines against two axes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// What is measured along an edge of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) scale: Scale,
}

/// What one server did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// The same in every chart of a page.
    pub(crate) look: Look,
    /// In rising order of `x`.
    pub(crate) points: Vec<Point>,
}

/// One value, and how far the rounds strayed from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    /// No number where there is none: the line is interrupted there.
    pub(crate) y: f64,
    /// The least and the most of all rounds, where there are several.
    pub(crate) spread: Option<(f64, f64)>,
    /// What it says of those who were served, and of whom.
    pub(crate) of: Served,
}

/// Of whom a value tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    All,
    /// Others waited or were refused: a marker that is hollow.
    Some,
}

impl Chart {
    /// Whether there is anything to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.frame().is_none()
    }

    /// What the chart shows, in words, for whoever cannot see it.
    fn description(&self) -> String {
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        format!("{} against {}, for {}", self.y.title, self.x.title, names.join(", "))
    }

    /// What a point says when it is pointed at.
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
            title: "Requests a second".to_owned(),
            x: Axis { title: "connections", unit: Unit::Count, scale: Scale::Log },
            y: Axis { title: "requests a second", unit: Unit::Rate, scale: Scale::Log },
            lines: vec![Line { name: "<b>&\"reactor\"".to_owned(), look: Look::nth(0), points }],
        }
    }

    #[test]
    fn a_point_says_its_value_and_its_spread() {
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
    fn without_a_value_that_has_a_place_there_is_nothing_to_draw() {
        assert!(chart(&[]).is_empty());
        assert!(chart(&[(0.0, 1.0)]).is_empty());
        assert!(!chart(&[(1.0, 1.0)]).is_empty());
    }
}
