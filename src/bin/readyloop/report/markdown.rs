//! Prints a report as Markdown, for a repository, a pull request, or an issue.
//!
//! Tables are written by hand. Table crates do not write the alignment of a column into the line below
//! the head of the table.

use std::fmt::Write as _;

use super::document::{Document, Table};
use crate::escape::markdown;

pub(crate) fn print(document: &Document) -> String {
    let mut out = format!("# {}\n\n{}\n", markdown(&document.title), markdown(&document.about));
    if !document.conclusions.is_empty() {
        let _ = write!(out, "\n{}\n", markdown(&document.conclusions.join("\n")));
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
    for (place, line) in table.lines().enumerate() {
        let _ = writeln!(out, "| {} |", line.into_iter().map(markdown).collect::<Vec<_>>().join(" | "));
        if place == 0 {
            let rules = table.columns.iter().map(|column| if column.is_text() { "---" } else { "---:" });
            let _ = writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"));
        }
    }
}
