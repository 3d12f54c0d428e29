//! A report as plain data: sentences, charts and tables. How it is printed is for each printer.
//!
//! Every printer prints the same cells, so no two forms of a report can disagree.

use super::chart::Chart;

/// A whole report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Document {
    pub(crate) title: String,
    /// What was measured, in one line.
    pub(crate) about: String,
    /// What the numbers say, in plain words.
    pub(crate) words: Vec<String>,
    pub(crate) sections: Vec<Section>,
    /// How it was measured, and what that cannot show.
    pub(crate) method: Vec<String>,
    /// Machines, kernels, limits and versions.
    pub(crate) origin: Table,
}

/// Charts and the table beneath them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) heading: String,
    /// What is seen here, and what is better.
    pub(crate) about: String,
    pub(crate) charts: Vec<Chart>,
    pub(crate) table: Table,
}

/// Cells in rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// How many columns, from the left, are names and not figures.
    pub(crate) names: usize,
    /// What the last column holds.
    pub(crate) last: Last,
    /// Columns that begin a figure of several: where there is no room, a table is broken there.
    pub(crate) breaks: Vec<usize>,
}

/// What the last column of a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Last {
    /// Figures, as those before it.
    #[default]
    Figures,
    /// Words.
    Words,
}

/// How many charts the figure for a README shows.
const HEADLINE_CHARTS: usize = 2;

impl Document {
    /// The charts that say most.
    pub(crate) fn headline(&self) -> Vec<Chart> {
        let charts = self.sections.iter().flat_map(|section| &section.charts);
        charts.filter(|chart| !chart.is_empty()).take(HEADLINE_CHARTS).cloned().collect()
    }
}

impl Table {
    /// A table whose first `names` columns are names.
    pub(crate) fn new(names: usize, head: &[&str]) -> Self {
        Self { head: head.iter().map(|&cell| cell.to_owned()).collect(), names, ..Self::default() }
    }

    /// The same with words in its last column.
    pub(crate) fn ending_in_words(self) -> Self {
        Self { last: Last::Words, ..self }
    }

    /// Whether a column holds words, and no figures.
    pub(crate) fn has_words_in(&self, column: usize) -> bool {
        column < self.names || self.last == Last::Words && column + 1 == self.head.len()
    }

    /// Leaves out columns beside the names in which every cell is `empty` or has nothing in it.
    pub(crate) fn without_empty_columns(mut self, empty: &str) -> Self {
        for column in (self.names..self.head.len()).rev() {
            if self.rows.iter().all(|row| row[column] == empty || row[column].is_empty()) {
                if self.has_words_in(column) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_a_figure_are_left_out() {
        let mut table = Table::new(1, &["server", "a", "b"]);
        table.rows = vec![vec!["–".into(), "–".into(), "1".into()], vec!["y".into(), "–".into(), "–".into()]];
        table.breaks = vec![1, 2];
        let table = table.without_empty_columns("–");
        assert_eq!(table.head, ["server", "b"]);
        assert_eq!(table.rows, [["–", "1"], ["y", "–"]]);
        assert_eq!(table.breaks, [1, 1]);
    }
}
