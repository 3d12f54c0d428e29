//! The rows of the tables of figures, and new figures in the place of old ones.

use crate::output::Figure;

/// The heading of a table of figures.
const HEADING: &str = "| what | figure | command |";

/// A row of a table of figures.
pub(crate) struct Row {
    pub(crate) line: String,
    pub(crate) what: String,
    /// The cell with the figures.
    pub(crate) cell: String,
    pub(crate) command: String,
}

/// All rows of all tables of figures in a page.
pub(crate) fn rows(page: &str) -> Vec<Row> {
    let tables = page.split(HEADING).skip(1);
    let lines = tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    lines.filter_map(Row::parse).collect()
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (what, cell, command) = (cells.next()?, cells.next()?, cells.next()?);
        let command = command.trim_matches('`').replace("\\|", "|");
        Some(Self { line: line.to_owned(), what: what.to_owned(), cell: cell.to_owned(), command })
    }

    /// The cell with these figures in the place of its first numbers, each with as many decimals as before.
    pub(crate) fn cell_with(&self, figures: &[Figure]) -> String {
        let (mut cell, mut rest) = (String::new(), self.cell.as_str());
        for figure in figures {
            let Some(start) = rest.find(|char: char| char.is_ascii_digit()) else { break };
            let (before, number_on) = rest.split_at(start);
            let end = number_on.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(number_on.len());
            let (number, after) = number_on.split_at(end);
            let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            cell += &format!("{before}{:.decimals$}", figure.value);
            rest = after;
        }
        cell + rest
    }

    /// The row with another cell of figures.
    pub(crate) fn line_with(&self, cell: &str) -> String {
        self.line.replacen(&format!("| {} |", self.cell), &format!("| {cell} |"), 1)
    }
}
