//! A patch: what a bug changes in which file, found by its context and not by line numbers, so
//! that it still applies when the file has grown elsewhere.
//!
//! It is a unified diff whose hunks begin with a bare `@@`.

use std::collections::BTreeMap;

/// A named bug, as its file has it.
#[derive(Clone, Debug)]
pub(super) struct Bug {
    /// The name of its file.
    pub(super) name: String,
    /// The test that sees it.
    pub(super) seen_by: Test,
    /// By file of the crate, what is found there and what stands there instead.
    hunks: Vec<Hunk>,
}

/// A test of this crate, and in which binary it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    /// `lib` or `it`.
    pub(super) binary: String,
    /// Its name with its modules.
    pub(super) path: String,
}

#[derive(Clone, Debug, Default)]
struct Hunk {
    file: String,
    old: String,
    new: String,
}

impl Bug {
    /// Reads the text of its file.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once("\n\n").ok_or("no head")?;
        let seen_by = head.lines().find_map(|line| line.strip_prefix("Seen by: ")).ok_or("nobody sees it")?;
        let (binary, path) = seen_by.split_once(' ').ok_or("write `Seen by: lib NAME` or `it NAME`")?;
        let seen_by = Test { binary: binary.to_owned(), path: path.to_owned() };
        let (mut file, mut hunks) = ("", Vec::<Hunk>::new());
        for line in body.lines() {
            if let Some(name) = line.strip_prefix("+++ b/") {
                file = name;
            } else if line == "@@" {
                hunks.push(Hunk { file: file.to_owned(), ..Hunk::default() });
            } else if !line.starts_with("--- ") {
                hunks.last_mut().ok_or("a line before the first hunk")?.add(line)?;
            }
        }
        if hunks.is_empty() {
            Err("it changes nothing".to_owned())
        } else {
            Ok(Self { name: name.to_owned(), seen_by, hunks })
        }
    }

    /// The files it changes, as they are with it.
    pub(super) fn apply(&self, read: impl Fn(&str) -> String) -> Result<BTreeMap<String, String>, String> {
        let mut files = BTreeMap::new();
        for Hunk { file, old, new } in &self.hunks {
            let text: &mut String = files.entry(file.clone()).or_insert_with(|| read(file));
            match text.matches(old.as_str()).count() {
                1 => *text = text.replacen(old.as_str(), new, 1),
                count => return Err(format!("{}: found {count} times in {file}:\n{old}", self.name)),
            }
        }
        Ok(files)
    }
}

impl Hunk {
    fn add(&mut self, line: &str) -> Result<(), String> {
        let (in_old, in_new) = match line.chars().next() {
            Some(' ') | None => (true, true),
            Some('-') => (true, false),
            Some('+') => (false, true),
            Some(sign) => return Err(format!("a line begins with {sign}")),
        };
        // An editor may have taken the blank from an empty line.
        let text = line.get(1..).unwrap_or("");
        for (side, is_in) in [(&mut self.old, in_old), (&mut self.new, in_new)] {
            if is_in {
                side.push_str(text);
                side.push('\n');
            }
        }
        Ok(())
    }
}

#[test]
fn a_hunk_is_found_wherever_it_is_and_only_once() {
    let text = "A bug.\nSeen by: lib here::it_is\n\n--- a/x.rs\n+++ b/x.rs\n@@\n one\n-two\n+2\n\n three\n";
    let bug = Bug::parse("01-x", text).unwrap();
    assert_eq!(bug.seen_by, Test { binary: "lib".to_owned(), path: "here::it_is".to_owned() });
    let with_bug = bug.apply(|_| "zero\none\ntwo\n\nthree\n".to_owned()).unwrap();
    assert_eq!(with_bug["x.rs"], "zero\none\n2\n\nthree\n");
    assert!(bug.apply(|_| "one\n2\n\nthree\n".to_owned()).is_err());
    assert!(bug.apply(|_| "one\ntwo\n\nthree\n".repeat(2)).is_err());
}
