//! Prints a report for a terminal, with aligned columns.

use std::fmt::Write as _;
use std::ops::Range;

use comfy_table::CellAlignment;
use comfy_table::presets::NOTHING;

use super::document::{Content, Document, Table};

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
    parts(table).into_iter().map(|values| print_part(table, values)).collect::<Vec<_>>().join("\n\n")
}

/// The number of columns with names.
fn names(table: &Table) -> usize {
    table.columns.iter().take_while(|column| column.content == Content::Names).count()
}

/// Prints the columns of names and some columns of values.
fn print_part(table: &Table, values: Range<usize>) -> String {
    let columns: Vec<usize> = (0..names(table)).chain(values).collect();
    let mut part = comfy_table::Table::new();
    part.load_style(NOTHING);
    part.add_rows(table.lines().map(|line| columns.iter().map(|place| line[*place]).collect::<Vec<_>>()));
    for (column, place) in part.column_iter_mut().zip(columns) {
        let is_text = table.columns[place].is_text();
        column.set_padding((GAP, 0));
        column.set_cell_alignment(if is_text { CellAlignment::Left } else { CellAlignment::Right });
    }
    part.trim_fmt()
}

/// Splits the columns after the names into as few parts as fit. A metric with several columns stays whole.
fn parts(table: &Table) -> Vec<Range<usize>> {
    let width_of = |place: usize| table.lines().map(|line| line[place].chars().count()).max().unwrap_or(0);
    let width = |columns: Range<usize>| -> usize { columns.map(|place| width_of(place) + usize::from(GAP)).sum() };
    let (names, all) = (names(table), table.columns.len());
    let width_left = WIDTH_MAX.saturating_sub(width(0..names));
    let metrics = (names + 1..all).filter(|place| table.columns[*place].content == Content::Metric);
    let mut parts = Vec::new();
    let mut part = names..names;
    for end in metrics.chain([all]) {
        if !part.is_empty() && width_left < width(part.start..end) {
            parts.push(part.clone());
            part.start = part.end;
        }
        part.end = end;
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([("server", Content::Names), ("requests", Content::Metric)]);
        table.rows = vec![vec!["漢字".into(), "127 k/s".into()], vec!["other server".into(), "–".into()]];
        assert_eq!(print_table(&table), "  server        requests\n  漢字           127 k/s\n  other server         –");
    }

    #[test]
    fn a_wide_table_is_split_between_metrics_and_each_part_has_the_names() {
        let wide = "w".repeat(40);
        let metric = |name| [(name, Content::Metric), ("to reactor", Content::Numbers)];
        let mut table = Table::new([("server", Content::Names)].into_iter().chain(["p50", "p99"].map(metric).concat()));
        table.rows = vec![vec!["one".into(), "1".into(), wide.clone(), "2".into(), wide]];
        let out = print_table(&table);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.len() == 5 && lines[2].is_empty(), "{out}");
        assert!(lines[0].starts_with("  server  p50") && lines[3].starts_with("  server  p99"), "{out}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH_MAX), "{out}");
    }
}
