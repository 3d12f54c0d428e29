//! Prints a report as one self-contained HTML page: inline charts, and values at the pointer.
//!
//! The page loads nothing and can be printed on paper.

use std::fmt::Write as _;

use super::chart;
use super::document::{Document, Section, Table};
use super::escape::xml;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The content security policy: the page may use only its own inline content.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

pub(crate) fn print(document: &Document) -> String {
    let title = xml(&document.title);
    let mut out = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{STYLE}{}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="about">{}</p>
"#,
        chart::STYLE,
        xml(&document.about)
    );
    // A conclusion has two sentences.
    for conclusions in document.conclusions.chunks(2) {
        let conclusions: Vec<String> = conclusions.iter().map(|sentence| xml(sentence)).collect();
        let _ = writeln!(out, r#"<p class="conclusion">{}</p>"#, conclusions.join(" "));
    }
    for (place, section) in document.sections.iter().enumerate() {
        print_section(section, place, &mut out);
    }
    out.push_str("<section>\n<h2>How it was measured</h2>\n<ul>\n");
    for sentence in &document.method {
        let _ = writeln!(out, "<li>{}</li>", xml(sentence));
    }
    out.push_str("</ul>\n");
    print_table(&document.origin, &mut out);
    let _ = write!(out, "</section>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

fn print_section(section: &Section, place: usize, out: &mut String) {
    let _ = write!(out, "<section>\n<h2>{}</h2>\n<p>{}</p>\n", xml(&section.heading), xml(&section.about));
    let drawn: Vec<_> = section.charts.iter().filter(|chart| !chart.is_empty()).collect();
    if !drawn.is_empty() {
        out.push_str("<div class=\"charts\">\n");
        for (number, chart) in drawn.iter().enumerate() {
            out.push_str(&chart.svg(&format!("chart-{place}-{number}")));
        }
        out.push_str("</div>\n");
    }
    print_table(&section.table, out);
    out.push_str("</section>\n");
}

fn print_table(table: &Table, out: &mut String) {
    if table.rows.is_empty() {
        return;
    }
    out.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    let conclusions = |column| if table.has_text_in(column) { " class=\"words\"" } else { "" };
    for (column, cell) in table.head.iter().enumerate() {
        let _ = write!(out, r#"<th scope="col"{}>{}</th>"#, conclusions(column), xml(cell));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = xml(cell);
            let _ = if column < table.names {
                write!(out, r#"<th scope="row" class="words">{cell}</th>"#)
            } else {
                write!(out, "<td{}>{cell}</td>", conclusions(column))
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_loads_nothing_and_opens_no_tag() {
        let hostile = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>";
        let table =
            Table { head: vec![hostile.into()], rows: vec![vec![hostile.into()]], names: 1, ..Table::default() };
        let section =
            Section { heading: hostile.into(), about: hostile.into(), charts: Vec::new(), table: table.clone() };
        let page = print(&Document {
            title: hostile.into(),
            about: hostile.into(),
            conclusions: vec![hostile.into()],
            sections: vec![section],
            method: vec![hostile.into()],
            origin: table,
        });
        assert_eq!((page.matches("<script").count(), page.matches("<img").count()), (1, 0));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url("));
    }
}
