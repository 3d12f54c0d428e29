//! The sections of the guide about the rows, which are part of the command.

/// The chapter. Each row has a section below its name.
const CHAPTER: &str = include_str!("../../../guide/conformance.md");

/// The section about a row, without its heading; empty if there is none.
pub(super) fn section(row: &str) -> &'static str {
    let heading = format!("\n## `{row}`\n");
    let rest = CHAPTER.split_once(&heading).map_or("", |(_, rest)| rest);
    rest.split_once("\n## ").map_or(rest, |(section, _)| section).trim()
}

/// The paragraphs of that section as plain text, each in one line.
pub(super) fn paragraphs(row: &str) -> Vec<String> {
    let paragraphs = section(row).split("\n\n").filter(|paragraph| !paragraph.is_empty());
    paragraphs.map(|paragraph| paragraph.replace('\n', " ").replace(['`', '*'], "")).collect()
}
