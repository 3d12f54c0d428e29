//! Prints a report as a table for a terminal.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::report::Report;

/// The space before a column.
const GAP: u16 = 2;

pub(super) fn print(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for result in &report.rows {
        table.add_row([result.verdict.word(), result.row, &result.evidence]);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if place == 0 { 0 } else { GAP }, 0));
    }
    format!("{}\n\n{}\n\n{}\n", report.server, table.trim_fmt(), report.summary())
}
