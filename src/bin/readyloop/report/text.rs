//! Prints a report for a terminal, with aligned columns.

use std::fmt::Write as _;
use std::ops::Range;

use comfy_table::CellAlignment;
use comfy_table::presets::NOTHING;

use super::document::{Document, Table};

/// The widest line that fits most terminals.
const WIDTH_MAX: usize = 100;

/// The space before a column.
const GAP: u16 = 2;

pub(crate) fn print(document: &Document) -> String {
    let mut out = format!("{}\n{}\n", document.title, document.about);
    for section in &document.sections {
        let _ = write!(out, "\n{}\n{}\n", section.heading, print_table(&section.table));
    }
    out.push('\n');
    for sentence in &document.conclusions {
        let _ = writeln!(out, "{sentence}");
    }
    out
}

/// Prints a table. A table that is too wide is split into several, each with the columns of names.
fn print_table(table: &Table) -> String {
    parts(table).into_iter().map(|figures| print_part(table, figures)).collect::<Vec<_>>().join("\n\n")
}

/// Prints the columns of names and some columns of figures.
fn print_part(table: &Table, figures: Range<usize>) -> String {
    let columns: Vec<usize> = (0..table.names).chain(figures).collect();
    let mut part = comfy_table::Table::new();
    part.load_style(NOTHING);
    part.add_rows(std::iter::once(&table.head).chain(&table.rows).map(|row| columns.iter().map(|at| &row[*at])));
    for (column, at) in part.column_iter_mut().zip(columns) {
        column.set_padding((GAP, 0));
        column.set_cell_alignment(if table.has_text_in(at) { CellAlignment::Left } else { CellAlignment::Right });
    }
    part.trim_fmt()
}

/// Splits the columns after the names into as few parts as fit. A metric with several columns stays whole.
fn parts(table: &Table) -> Vec<Range<usize>> {
    let rows = || std::iter::once(&table.head).chain(&table.rows);
    let width_of = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let width = |columns: Range<usize>| -> usize { columns.map(|at| width_of(at) + usize::from(GAP)).sum() };
    let width_left = WIDTH_MAX.saturating_sub(width(0..table.names));
    let mut begin = table.names;
    let mut parts = Vec::new();
    let ends = table.breaks.iter().copied().skip(1).chain([table.head.len()]);
    for (figure, end) in table.breaks.iter().copied().zip(ends) {
        if begin < figure && width_left < width(begin..end) {
            parts.push(begin..figure);
            begin = figure;
        }
    }
    parts.push(begin..table.head.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(1, &["server", "requests"]);
        table.rows = vec![vec!["漢字".into(), "127 k/s".into()], vec!["other server".into(), "–".into()]];
        assert_eq!(print_table(&table), "  server        requests\n  漢字           127 k/s\n  other server         –");
    }

    #[test]
    fn a_wide_table_is_split_between_metrics_and_each_part_has_the_names() {
        let wide = "w".repeat(40);
        let mut table = Table::new(1, &["server", "p50", "to reactor", "p99", "to reactor"]);
        table.rows = vec![vec!["one".into(), "1".into(), wide.clone(), "2".into(), wide]];
        table.breaks = vec![1, 3];
        let out = print_table(&table);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.len() == 5 && lines[2].is_empty(), "{out}");
        assert!(lines[0].starts_with("  server  p50") && lines[3].starts_with("  server  p99"), "{out}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH_MAX), "{out}");
    }
}
