//! Plain English: words that no prose of this crate uses.
//!
//! A list finds words and not meaning. It keeps out pronouns for things that have names, and pictures
//! in the place of terms.

use std::fs;
use std::path::Path;

use super::source::files_under;

/// Pronouns for things that have names, and pictures in the place of terms.
const FORBIDDEN: &str = "who whom whose whoever whomever nobody somebody everybody anybody newcomer newcomers bury \
    buries buried obey obeys wish wishes lest thereof whereupon guest guests house bedroom doorstep farewell";

/// People have pronouns.
const PEOPLE: &str = "people users engineers readers operators developers students";

/// The one line that may use such a word, in the text of the MIT license.
const EXEMPT: &str = "persons to whom the Software is";

/// The prose of one line of Rust: its comment, or its strings of three words and more.
fn prose_in(line: &str) -> Vec<&str> {
    let start = line.trim_start();
    if start.starts_with("//") {
        return vec![start];
    }
    let (code, comment) = line.split_once("// ").unwrap_or((line, ""));
    let strings = code.split('"').skip(1).step_by(2).filter(|text| text.split_whitespace().count() >= 3);
    strings.chain([comment]).collect()
}

/// The forbidden words of a text; what stands between backticks is code.
fn forbidden_in(text: &str) -> Vec<&str> {
    let prose = text.split('`').step_by(2);
    let words = prose.flat_map(|part| part.split(|sign: char| !sign.is_alphanumeric() && sign != '_' && sign != '\''));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let is_in = |list: &str, word: &str| list.split(' ').any(|listed| listed.eq_ignore_ascii_case(word));
    let is_forbidden = |at: &usize| is_in(FORBIDDEN, words[*at]) && !(*at > 0 && is_in(PEOPLE, words[at - 1]));
    (0..words.len()).filter(is_forbidden).map(|at| words[at]).collect()
}

/// Every line with a forbidden word: `FILE:LINE: word: the line`.
fn findings(path: &str, text: &str) -> Vec<String> {
    let is_rust = path.ends_with(".rs");
    let mut is_code = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let is_fence = line.trim_start_matches(['/', '!', ' ']).starts_with("```");
        is_code ^= is_fence;
        if is_fence || line.contains(EXEMPT) || is_code && (!is_rust || line.trim_start().starts_with("//")) {
            continue;
        }
        let prose = if is_rust { prose_in(line) } else { vec![line] };
        let words = prose.into_iter().flat_map(forbidden_in);
        found.extend(words.map(|word| format!("{path}:{}: {word}: {}", at + 1, line.trim())));
    }
    found
}

#[track_caller]
fn check(path: &str, text: &str, expected: usize) {
    let found = findings(path, text);
    assert_eq!(found.len(), expected, "{text}: {found:?}");
}

#[test]
fn a_forbidden_word_is_found_in_prose_only() {
    check("src/x.rs", "/// Whose.", 1);
    check("src/x.rs", "let who = 1; // the peer, who is gone, and nobody else", 2);
    check("src/x.rs", "let text = \"a newcomer is here\"; let name = \"who\";", 1);
    check("src/x.rs", "/// People who run servers, and `who(1)`.", 0);
    check("src/x.rs", "//! ```\n//! // who\n//! ```\n//! Who?", 1);
    check("src/x.rs", "fn whose() { who(nobody) }", 0);
    check("README.md", "A peer whose queue is full.\n```sh\nwho\n```\n", 1);
}

#[test]
fn the_prose_uses_no_forbidden_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [("src", "rs"), ("src", "md"), ("examples", "rs")];
    let mut files: Vec<_> = folders.iter().flat_map(|(folder, end)| files_under(&root.join(folder), end)).collect();
    files.push(root.join("README.md"));
    let mut found = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).expect("the file is part of the crate");
        let path = file.strip_prefix(root).expect("it was found under the root").to_string_lossy();
        found.extend(findings(&path, &text));
    }
    assert!(files.len() > 200, "the files are found");
    assert!(found.is_empty(), "write the name of the thing instead:\n  {}", found.join("\n  "));
}
