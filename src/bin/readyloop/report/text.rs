//! Prints a report for a terminal, with aligned columns.

use std::fmt::Write as _;
use std::ops::Range;

use super::document::{Document, Table};
use super::escape::plain;

/// The widest line that fits most terminals.
const WIDTH_MAX: usize = 100;

pub(crate) fn print(document: &Document) -> String {
    let mut out = format!("{}\n{}\n", plain(&document.title), plain(&document.about));
    for section in &document.sections {
        let _ = write!(out, "\n{}\n", plain(&section.heading));
        print_table(&section.table, &mut out);
    }
    out.push('\n');
    for sentence in document.conclusions.iter() {
        let _ = writeln!(out, "{}", plain(sentence));
    }
    out
}

/// Prints a table. A table that is too wide is split into several, each with the columns of names.
fn print_table(table: &Table, out: &mut String) {
    let rows = || std::iter::once(&table.head).chain(&table.rows);
    let width_of = |column: usize| rows().map(|row| plain(&row[column]).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.head.len()).map(width_of).collect();
    for (place, figures) in parts(table, &widths).into_iter().enumerate() {
        if place > 0 {
            out.push('\n');
        }
        for row in rows() {
            let mut line = String::new();
            for column in (0..table.names).chain(figures.clone()) {
                let (cell, width) = (plain(&row[column]), widths[column]);
                let _ = if table.has_text_in(column) {
                    write!(line, "  {cell:<width$}")
                } else {
                    write!(line, "  {cell:>width$}")
                };
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
}

/// Splits the columns after the names into as few parts as fit. A metric with several columns stays whole.
fn parts(table: &Table, widths: &[usize]) -> Vec<Range<usize>> {
    let width = |columns: Range<usize>| -> usize { widths[columns].iter().map(|width| width + 2).sum() };
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
        table.rows = vec![vec!["ré\x07".into(), "127 k/s".into()], vec!["other server".into(), "–".into()]];
        let mut out = String::new();
        print_table(&table, &mut out);
        assert_eq!(out, "  server        requests\n  ré\u{fffd}            127 k/s\n  other server         –\n");
    }

    #[test]
    fn a_wide_table_is_split_between_metrics_and_each_part_has_the_names() {
        let wide = "w".repeat(40);
        let mut table = Table::new(1, &["server", "p50", "to reactor", "p99", "to reactor"]);
        table.rows = vec![vec!["one".into(), "1".into(), wide.clone(), "2".into(), wide]];
        table.breaks = vec![1, 3];
        let mut out = String::new();
        print_table(&table, &mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.len() == 5 && lines[2].is_empty(), "{out}");
        assert!(lines[0].starts_with("  server  p50") && lines[3].starts_with("  server  p99"), "{out}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH_MAX), "{out}");
    }
}
