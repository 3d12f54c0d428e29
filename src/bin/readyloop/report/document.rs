//! A report as plain data: sentences, charts and tables.
//!
//! Every printer prints the same cells, so two forms of a report cannot disagree.

use super::chart::Chart;

/// A whole report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) title: String,
    /// One line about the load, the rounds and the machine.
    pub(crate) about: String,
    /// The conclusions, as sentences.
    pub(crate) conclusions: Vec<String>,
    pub(crate) sections: Vec<Section>,
    /// The method of measurement and its limits.
    pub(crate) method: Vec<String>,
    /// Machines, kernels, limits and versions.
    pub(crate) origin: Table,
}

/// Charts and their table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) heading: String,
    /// What the charts show, and which direction is better.
    pub(crate) about: String,
    pub(crate) charts: Vec<Chart>,
    pub(crate) table: Table,
}

/// A table of text cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// The title and the content of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) title: String,
    pub(crate) content: Content,
}

/// The content of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The names of the rows, in the first columns.
    Names,
    /// The values of a metric. A table that is too wide may be split before it.
    Metric,
    /// Numbers, such as the spread of the metric before it.
    Numbers,
    /// Other text, such as notes.
    Text,
}

/// The number of charts in the figure for a README.
const HEADLINE_CHARTS: usize = 2;

impl Document {
    /// The first chart of each of the first sections, for the figure.
    pub(crate) fn headline(&self) -> Vec<Chart> {
        let charts = self.sections.iter().flat_map(|section| &section.charts);
        charts.filter(|chart| !chart.is_empty()).take(HEADLINE_CHARTS).cloned().collect()
    }
}

impl Table {
    /// Creates a table without rows.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Content)>) -> Self {
        let columns = columns.into_iter().map(|(title, content)| Column { title: title.to_owned(), content });
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// All lines of cells: the titles, then the rows.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Vec<&str>> {
        let titles = self.columns.iter().map(|column| column.title.as_str()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(String::as_str).collect());
        std::iter::once(titles).chain(rows)
    }

    /// Removes the columns, except names, in which every cell is `empty` or blank.
    pub(crate) fn without_empty_columns(mut self, empty: &str) -> Self {
        for place in (0..self.columns.len()).rev() {
            let is_empty = |row: &Vec<String>| row[place] == empty || row[place].is_empty();
            if self.columns[place].content != Content::Names && self.rows.iter().all(is_empty) {
                self.columns.remove(place);
                self.rows.iter_mut().for_each(|row| drop(row.remove(place)));
            }
        }
        self
    }

    /// Whether there is more than names.
    pub(crate) fn has_values(&self) -> bool {
        !self.rows.is_empty() && self.columns.iter().any(|column| column.content != Content::Names)
    }
}

impl Column {
    /// Whether it holds text and not numbers.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.content, Content::Names | Content::Text)
    }
}
