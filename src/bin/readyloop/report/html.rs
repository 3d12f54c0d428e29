//! Prints a report as one self-contained HTML page: inline charts, and values at the pointer.
//!
//! The page loads nothing and can be printed on paper.

use maud::{Markup, html};

use super::chart;
use super::document::{Column, Content, Document, Section, Table};
use crate::html_page::page;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(crate) fn print(document: &Document) -> String {
    let body = html! {
        main {
            h1 { (document.title) }
            p class="about" { (document.about) }
            // A conclusion has two sentences.
            @for conclusion in document.conclusions.chunks(2) { p class="conclusion" { (conclusion.join(" ")) } }
            @for (place, section) in document.sections.iter().enumerate() { (print_section(section, place)) }
            section {
                h2 { "How it was measured" }
                ul { @for sentence in &document.method { li { (sentence) } } }
                (print_table(&document.origin))
            }
        }
    };
    page(&document.title, &[STYLE, chart::STYLE], &[SCRIPT], &body)
}

fn print_section(section: &Section, place: usize) -> Markup {
    let drawn: Vec<_> = section.charts.iter().filter(|chart| !chart.is_empty()).collect();
    html! {
        section {
            h2 { (section.heading) }
            p { (section.about) }
            @if !drawn.is_empty() {
                div class="charts" {
                    @for (number, chart) in drawn.iter().enumerate() { (chart.svg(&format!("chart-{place}-{number}"))) }
                }
            }
            (print_table(&section.table))
        }
    }
}

fn print_table(table: &Table) -> Markup {
    let class = |column: &Column| column.is_text().then_some("words");
    html! {
        @if !table.rows.is_empty() {
            div class="wide" {
                table {
                    thead { tr {
                        @for column in &table.columns { th scope="col" class=[class(column)] { (column.title) } }
                    } }
                    tbody {
                        @for row in &table.rows { tr {
                            @for (column, cell) in table.columns.iter().zip(row) {
                                @if column.content == Content::Names { th scope="row" class="words" { (cell) } }
                                @else { td class=[class(column)] { (cell) } }
                            }
                        } }
                    }
                }
            }
        }
    }
}
