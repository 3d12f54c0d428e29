//! Figures in the output of a command.

use std::fmt;

use anyhow::{Context, Result};

/// Where a figure is in an output: in the first line with these words in a row, between the line that contains
/// `section` and the next empty line, or anywhere without a section. `{}` is the figure, `{<}` and `{>}` are the
/// minimum and the maximum of its rounds, and `*` is any word.
pub(crate) struct Place {
    pub(crate) section: &'static str,
    pub(crate) words: &'static str,
    /// The figure is divided by this, such as 1e9 for one in billions.
    pub(crate) divisor: f64,
}

/// A figure, with the minimum and the maximum of its rounds if the output has them. It is NaN if the words contain no
/// `{}`.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    least: Option<f64>,
    most: Option<f64>,
}

impl Place {
    pub(crate) const fn new(words: &'static str) -> Self {
        Self { section: "", words, divisor: 1.0 }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_nan() {
            return write!(f, "holds");
        }
        write!(f, "{}", self.value)?;
        match (self.least, self.most) {
            (Some(least), Some(most)) => write!(f, " ({least} .. {most})"),
            (None, _) | (_, None) => Ok(()),
        }
    }
}

/// The figure at `place`.
pub(crate) fn find(output: &str, place: &Place) -> Result<Figure> {
    let pattern: Vec<&str> = place.words.split_whitespace().collect();
    let lines = output.lines().skip_while(|line| !line.contains(place.section));
    let mut lines = lines.take_while(|line| place.section.is_empty() || !line.is_empty());
    let found = lines.find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(pattern.len()).find_map(|words| matched(&pattern, words, place.divisor))
    });
    found.with_context(|| format!("no `{}` in its output {}", place.words, place.section))
}

/// The figure in these words, if they match.
fn matched(pattern: &[&str], words: &[&str], divisor: f64) -> Option<Figure> {
    let mut figure = Figure { value: f64::NAN, least: None, most: None };
    for (expected, word) in pattern.iter().zip(words) {
        match *expected {
            "{}" => figure.value = number(word)? / divisor,
            "{<}" => figure.least = Some(number(word)? / divisor),
            "{>}" => figure.most = Some(number(word)? / divisor),
            "*" => {}
            literal if literal == *word => {}
            _ => return None,
        }
    }
    Some(figure)
}

/// A number, perhaps in brackets, with a unit of time in milliseconds.
fn number(word: &str) -> Option<f64> {
    let word = word.trim_matches(['(', ')', ',', ';']);
    let end = word.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(word.len());
    let (number, unit) = word.split_at(end);
    let scale = match unit {
        "" | "ms" => 1.0,
        "s" => 1e3,
        "µs" => 1e-3,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * scale)
}
