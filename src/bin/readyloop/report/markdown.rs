//! Prints a report as Markdown, for a repository, a pull request, or an issue.

use std::fmt::Write as _;

use super::document::{Document, Table};
use super::escape::markdown;

pub(crate) fn print(document: &Document) -> String {
    let mut out = format!("# {}\n\n{}\n", markdown(&document.title), markdown(&document.about));
    if !document.conclusions.is_empty() {
        out.push('\n');
    }
    for sentence in &document.conclusions {
        let _ = writeln!(out, "{}", markdown(sentence));
    }
    for section in &document.sections {
        let _ = write!(out, "\n## {}\n\n{}\n\n", markdown(&section.heading), markdown(&section.about));
        print_table(&section.table, &mut out);
    }
    out.push_str("\n## How it was measured\n\n");
    for sentence in &document.method {
        let _ = writeln!(out, "- {}", markdown(sentence));
    }
    out.push('\n');
    print_table(&document.origin, &mut out);
    out
}

fn print_table(table: &Table, out: &mut String) {
    if table.rows.is_empty() {
        return;
    }
    let print_row = |row: &[String], out: &mut String| {
        let cells: Vec<String> = row.iter().map(|cell| markdown(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    print_row(&table.head, out);
    let rules: Vec<&str> = (0..table.head.len()).map(|at| if table.has_text_in(at) { "---" } else { "---:" }).collect();
    let _ = writeln!(out, "|{}|", rules.join("|"));
    for row in &table.rows {
        print_row(row, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_table_cell() {
        let mut table = Table::new(1, &["server", "requests"]);
        table.rows = vec![vec!["a|b".into(), "1".into()]];
        let mut out = String::new();
        print_table(&table, &mut out);
        assert_eq!(out, "| server | requests |\n|---|---:|\n| a\\|b | 1 |\n");
    }
}
