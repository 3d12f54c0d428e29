//! A report for a terminal: tables with aligned columns, sentences as they are.

use std::fmt::Write as _;

use super::document::{Document, Table};
use super::escape::plain;

/// The whole report.
pub(crate) fn print(document: &Document) -> String {
    let mut out = format!("{}\n{}\n", plain(&document.title), plain(&document.about));
    for section in &document.sections {
        let _ = write!(out, "\n{}\n", plain(&section.heading));
        print_table(&section.table, &mut out);
    }
    out.push('\n');
    for sentence in document.words.iter() {
        let _ = writeln!(out, "{}", plain(sentence));
    }
    out
}

fn print_table(table: &Table, out: &mut String) {
    let rows = || std::iter::once(&table.head).chain(&table.rows);
    let width_of = |column: usize| rows().map(|row| plain(&row[column]).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.head.len()).map(width_of).collect();
    for row in rows() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = plain(cell);
            let _ = if table.has_words_in(column) {
                write!(line, "  {cell:<width$}")
            } else {
                write!(line, "  {cell:>width$}")
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
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
}
