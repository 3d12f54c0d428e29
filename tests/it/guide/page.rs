//! A page of Markdown: its links, code spans, fenced blocks and tables.

use std::fs;
use std::path::{Path, PathBuf};

/// A path in this repository.
pub(super) fn path_of(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(super) fn text_of(path: &str) -> String {
    fs::read_to_string(path_of(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the files in a folder without their endings, sorted.
pub(super) fn names_in(folder: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(path_of(folder)).expect("the folder exists");
    let names = entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    names.sort();
    names
}

/// The code at the beginning of a cell.
pub(super) fn code_in(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.split_once('`').map(|(code, _)| code)
}

pub(super) struct Page {
    /// Its path in this repository.
    pub(super) path: String,
    pub(super) text: String,
}

impl Page {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(super) fn read(path: &str) -> Self {
        Self::new(path, &text_of(path))
    }

    /// The README, the results of the tests, and the chapters of the guide.
    pub(super) fn all() -> Vec<Self> {
        let pages = ["README.md", "tests/RESULTS.md"].map(Self::read).into_iter();
        pages.chain(["src/guide", "src/guide/course"].into_iter().flat_map(Self::in_folder)).collect()
    }

    /// The pages in a folder, sorted by name.
    pub(super) fn in_folder(folder: &str) -> Vec<Self> {
        names_in(folder, ".md").iter().map(|name| Self::read(&format!("{folder}/{name}.md"))).collect()
    }

    /// The lines outside fenced blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        self.text.split("```").step_by(2).flat_map(str::lines)
    }

    /// The fenced blocks of a language, as their text.
    pub(super) fn blocks(&self, language: &str) -> Vec<&str> {
        let blocks = self.text.split("```").skip(1).step_by(2);
        blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).map(str::trim_end).collect()
    }

    /// The code in backticks. A `\|` stands for a `|` in a table.
    pub(super) fn code_spans(&self) -> Vec<String> {
        let spans = self.prose().flat_map(|line| line.split('`').skip(1).step_by(2));
        spans.map(|span| span.replace("\\|", "|")).collect()
    }

    /// The lines of prose that open a code span and do not close it.
    pub(super) fn unclosed_spans(&self) -> Vec<&str> {
        self.prose().filter(|line| line.matches('`').count() % 2 == 1).collect()
    }

    /// The targets of the links.
    pub(super) fn links(&self) -> Vec<String> {
        let prose: String = self.prose().flat_map(|line| line.split('`').step_by(2)).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| target.to_owned()).collect()
    }

    /// The rows of the table below `heading`, as their cells.
    pub(super) fn table(&self, heading: &str) -> Vec<Vec<&str>> {
        let (_, rest) = self.text.split_once(heading).unwrap_or_else(|| panic!("no table {heading} in {}", self.path));
        let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
        rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
    }
}

#[test]
fn every_part_of_a_page_is_found() {
    let text = "[one](a.md) and `[no](b.md)` [`two`](c.md)\n\n```sh\nls | wc\n```\n\
                | a | b |\n|---|---|\n| `x \\| y` | z |\n\nopen ` span\n";
    let page = Page::new("a.md", text);
    assert_eq!(page.links(), ["a.md", "c.md"]);
    assert_eq!((page.blocks("sh"), page.blocks("rust")), (vec!["ls | wc"], vec![]));
    assert!(page.code_spans().contains(&"x | y".to_owned()));
    assert_eq!(page.table("| a |"), [["`x \\| y`", "z"]]);
    assert_eq!(page.unclosed_spans(), ["open ` span"]);
}
