//! Prints a report as one self-contained HTML page, with the reason for each rule.

use maud::{Markup, html};

use super::report::{Report, RowResult};
use super::{chapter, verdict::RowVerdict};
use crate::html_page::page;

const STYLE: &str = include_str!("page.css");

pub(super) fn print(report: &Report) -> String {
    let body = html! {
        main {
            h1 { "Conformance of an echo server" }
            p { code { (report.server) } }
            p class="summary" { (report.summary()) @if report.interrupted { "; the run was interrupted" } "." }
            table {
                thead { tr { th { "Verdict" } th { "Rule" } th { "Evidence" } } }
                tbody { @for result in &report.rows { (print_row(result)) } }
            }
            p class="about" { (report.machine()) }
        }
    };
    page(&format!("Conformance of {}", report.server), &[STYLE], &[], &body)
}

fn print_row(result: &RowResult) -> Markup {
    let class = match result.verdict {
        RowVerdict::Pass => "pass",
        RowVerdict::Fail => "fail",
        RowVerdict::Skip => "skip",
    };
    html! {
        tr class=(class) {
            td { b { (result.verdict.word()) } }
            td {
                (result.rule)
                details open[result.verdict == RowVerdict::Fail] {
                    summary { code { (result.row) } }
                    @for paragraph in chapter::paragraphs(result.row) { p { (paragraph) } }
                }
            }
            td { (result.evidence) }
        }
    }
}
