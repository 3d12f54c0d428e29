//! Prints a report in the XML format of JUnit, which CI systems read.

use maud::{PreEscaped, html};

use super::report::Report;
use super::verdict::RowVerdict;

pub(super) fn print(report: &Report) -> String {
    let seconds = |millis: u64| format!("{}.{:03}", millis / 1_000, millis % 1_000);
    let total = report.rows.iter().fold(0_u64, |sum, result| sum.saturating_add(result.duration_ms));
    let markup = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
        testsuites {
            testsuite name="readyloop conform" tests=(report.rows.len()) failures=(report.failed) errors="0"
                skipped=(report.skipped) time=(seconds(total)) {
                @for result in &report.rows {
                    testcase classname=(report.server) name=(result.row) time=(seconds(result.duration_ms)) {
                        @match result.verdict {
                            RowVerdict::Pass => { system-out { (result.evidence) } }
                            RowVerdict::Fail => { failure message=(result.evidence) { (result.rule) } }
                            RowVerdict::Skip => { skipped message=(result.evidence) {} }
                        }
                    }
                }
            }
        }
    };
    markup.into_string() + "\n"
}
