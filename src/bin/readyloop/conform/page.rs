//! Prints a report as one self-contained HTML page, with the reason for each rule.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{Report, RowResult};
use super::{chapter, verdict::Verdict};

const STYLE: &str = include_str!("page.css");

/// The content security policy: the page may use only its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

pub(super) fn print(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width";
                meta name="color-scheme" content="light dark";
                title { "Conformance of " (report.server) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
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
            }
        }
    };
    page.into_string() + "\n"
}

fn print_row(result: &RowResult) -> Markup {
    let class = match result.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Skip => "skip",
    };
    html! {
        tr class=(class) {
            td { b { (result.verdict.word()) } }
            td {
                (result.rule)
                details open[result.verdict == Verdict::Fail] {
                    summary { code { (result.row) } }
                    @for paragraph in chapter::paragraphs(result.row) { p { (paragraph) } }
                }
            }
            td { (result.evidence) }
        }
    }
}
