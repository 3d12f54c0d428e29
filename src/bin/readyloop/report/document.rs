//! A report as plain data: sentences, charts and tables.
//!
//! Every printer prints the same cells, so two forms of a report cannot disagree.

use super::chart::Chart;

/// A whole report.
#[derive(Clone, Debug, Default, PartialEq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// The number of columns on the left that hold names.
    pub(crate) names: usize,
    /// The content of the last column.
    pub(crate) last: Last,
    /// Columns before which a table may be split when it is too wide.
    pub(crate) breaks: Vec<usize>,
}

/// The content of the last column of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Last {
    /// Numbers, as in the columns before it.
    #[default]
    Figures,
    /// Text, such as notes.
    Words,
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
    /// Creates an empty table with names in the first `names` columns.
    pub(crate) fn new(names: usize, head: &[&str]) -> Self {
        Self { head: head.iter().map(|&cell| cell.to_owned()).collect(), names, ..Self::default() }
    }

    /// The same table with text in its last column.
    pub(crate) fn ending_in_text(self) -> Self {
        Self { last: Last::Words, ..self }
    }

    /// Whether a column holds text and not numbers.
    pub(crate) fn has_text_in(&self, column: usize) -> bool {
        column < self.names || self.last == Last::Words && column + 1 == self.head.len()
    }

    /// Removes the columns, except names, in which every cell is `empty` or blank.
    pub(crate) fn without_empty_columns(mut self, empty: &str) -> Self {
        for column in (self.names..self.head.len()).rev() {
            if self.rows.iter().all(|row| row[column] == empty || row[column].is_empty()) {
                if self.has_text_in(column) {
                    self.last = Last::Figures;
                }
                self.head.remove(column);
                for later in self.breaks.iter_mut().filter(|later| column < **later) {
                    *later -= 1;
                }
                for row in &mut self.rows {
                    row.remove(column);
                }
            }
        }
        self
    }
}
