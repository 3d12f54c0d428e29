//! A bug as a change to named functions, so that it can still be put in when the code around them
//! has moved: neither line numbers nor spaces count, and an item may be in any file of its folder.
//!
//! ```text
//! Takes a short read for the last one, although the event reports the end of the peer's direction.
//! Seen by: lib simtest::tests::the_first_seeds_violate_no_invariant
//!
//! in src/net, fn read
//! - if count < buf.len() && !self.reads_on
//! + if count < buf.len()
//! ```

use std::collections::BTreeMap;

/// A named bug, as its file describes it.
#[derive(Clone, Debug)]
pub(super) struct Bug {
    /// The name of its file.
    pub(super) name: String,
    /// The test that fails with it.
    pub(super) seen_by: Test,
    changes: Vec<Change>,
}

/// A test of this crate, and its binary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    /// `lib` or `it`.
    pub(super) binary: String,
    /// Its name with its modules.
    pub(super) path: String,
}

/// One piece of code that is replaced by another.
#[derive(Clone, Debug, Default)]
struct Change {
    /// A file, or a folder with all files in it.
    place: String,
    /// The item that holds the code, by its first words: `fn read`, `const ACCEPT_BUDGET`.
    item: String,
    old: String,
    new: String,
}

impl Bug {
    /// Reads the text of its file.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once("\n\n").ok_or("there is no head")?;
        let seen_by = head.lines().find_map(|line| line.strip_prefix("Seen by: ")).ok_or("no test sees it")?;
        let (binary, path) = seen_by.split_once(' ').ok_or("write `Seen by: lib NAME` or `it NAME`")?;
        let seen_by = Test { binary: binary.to_owned(), path: path.to_owned() };
        let mut changes = Vec::<Change>::new();
        for line in body.lines().filter(|line| !line.is_empty()) {
            if let Some((place, item)) = line.strip_prefix("in ").and_then(|line| line.split_once(", ")) {
                changes.push(Change { place: place.to_owned(), item: item.to_owned(), ..Change::default() });
                continue;
            }
            let change = changes.last_mut().ok_or("a line before the first `in PLACE, ITEM`")?;
            match line.split_at_checked(1) {
                Some(("-", old)) => change.old += &format!("{old}\n"),
                Some(("+", new)) => change.new += &format!("{new}\n"),
                Some(_) | None => return Err(format!("`{line}` begins with neither -, + nor `in`")),
            }
        }
        if changes.is_empty() || changes.iter().any(|change| change.old.trim().is_empty()) {
            return Err("it changes nothing".to_owned());
        }
        Ok(Self { name: name.to_owned(), seen_by, changes })
    }

    /// The files it changes, with the changes made. `files` has all sources of the crate by path.
    pub(super) fn apply(&self, files: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
        let mut changed = BTreeMap::<String, String>::new();
        for Change { place, item, old, new } in &self.changes {
            let folder = format!("{place}/");
            let inside = files.keys().filter(|file| *file == place || file.starts_with(&folder));
            let current = |file: &String| changed.get(file).unwrap_or(&files[file]).clone();
            let found = inside.flat_map(|file| {
                let text = current(file);
                let spots: Vec<_> = items(&text, item).flat_map(|(from, to)| find(&text, from, to, old)).collect();
                spots.into_iter().map(move |spot| (file, text.clone(), spot))
            });
            let found: Vec<_> = found.collect();
            let [(file, text, (from, to))] = found.as_slice() else {
                return Err(format!("{}: found {} times in {place}, {item}:\n{old}", self.name, found.len()));
            };
            changed.insert((*file).clone(), [&text[..*from], new.trim(), &text[*to..]].concat());
        }
        Ok(changed)
    }
}

/// Where each item begins and ends whose line holds `name`, followed by no further letter. An item
/// ends with the line that closes its indentation, or with its own line if that ends with a semicolon.
fn items(text: &str, name: &str) -> impl Iterator<Item = (usize, usize)> {
    text.match_indices(name).filter_map(move |(at, _)| {
        let is_whole = !text[at + name.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let indentation = text[line..].len() - text[line..].trim_start().len();
        let is_item = !text[line..at].contains("//") && !text[line..at].contains('"');
        let end_of_line = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let closing = format!("\n{}}}\n", &text[line..line + indentation]);
        let end = match text[at..end_of_line].ends_with(';') {
            true => end_of_line,
            false => text[at..].find(&closing).map_or(text.len(), |closing| at + closing + 1),
        };
        (is_whole && is_item).then_some((line, end))
    })
}

/// Where `code` is in that part of a text; spaces and line ends do not count.
fn find(text: &str, from: usize, to: usize, code: &str) -> Vec<(usize, usize)> {
    let signs = |text: &str, offset: usize| -> Vec<(usize, char)> {
        let signs = text.char_indices().filter(|(_, sign)| !sign.is_whitespace());
        signs.map(|(at, sign)| (offset + at, sign)).collect()
    };
    let (here, wanted) = (signs(&text[from..to], from), signs(code, 0));
    let is_equal = |window: &&[(usize, char)]| window.iter().zip(&wanted).all(|((_, a), (_, b))| a == b);
    let ends = |window: &[(usize, char)]| window.last().map(|(at, sign)| (window[0].0, at + sign.len_utf8()));
    here.windows(wanted.len()).filter(is_equal).filter_map(ends).collect()
}

#[test]
fn a_change_is_found_by_its_function_wherever_that_is() {
    let bug = "A bug.\nSeen by: lib here::it_is\n\nin src/net, fn read\n- if a\n-   && b\n+ if a\n";
    let bug = Bug::parse("01-x", bug).unwrap();
    assert_eq!(bug.seen_by, Test { binary: "lib".to_owned(), path: "here::it_is".to_owned() });
    let apply = |file: &str, text: &str| bug.apply(&BTreeMap::from([(file.to_owned(), text.to_owned())]));
    let before = "fn read_all() {\n    if a && b {}\n}\n\nfn read() {\n    if a && b {}\n}\n";
    let after = "fn read_all() {\n    if a && b {}\n}\n\nfn read() {\n    if a {}\n}\n";
    assert_eq!(apply("src/net/pump.rs", before).unwrap()["src/net/pump.rs"], after);
    assert!(apply("src/network.rs", before).is_err(), "another folder");
    assert!(apply("src/net/pump.rs", &before.replace("read()", "write()")).is_err(), "another function");
    assert!(apply("src/net/pump.rs", &before.repeat(2)).is_err(), "more than one place");
}
