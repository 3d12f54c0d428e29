//! `Source`: one file of this crate as tokens, so that a law sees code and neither comments nor the
//! insides of strings.
//!
//! It knows positions and no law. Macros are not expanded: a law sees their arguments as written.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, iter};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The folders in which each file is a program of its own.
const FOLDERS_OF_PROGRAMS: [&str; 3] = ["tests", "examples", "benches"];

/// The root of the command, a crate of its own.
const COMMAND: &str = "src/bin/readyloop";

/// One file.
pub(super) struct Source {
    /// From the root of the crate: `src/net/pump.rs`.
    pub(super) path: String,
    pub(super) text: String,
    tokens: Vec<Token>,
}

/// A word, a literal, one sign, or one bracket of a pair.
struct Token {
    text: String,
    line: usize,
    /// Whether it is compiled for tests only.
    is_test: bool,
    /// For an opening bracket: the index of its closing one.
    close: Option<usize>,
}

/// The part of the code that a law looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Every line.
    All,
    /// Lines that are compiled outside of tests.
    Shipped,
}

/// A path such as `net::Token`, and where it is.
#[derive(Clone)]
pub(super) struct ModulePath<'a> {
    pub(super) words: Vec<&'a str>,
    pub(super) line: usize,
    pub(super) is_test: bool,
}

impl Source {
    /// A file with this text.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, false, &mut tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    /// All files of this crate, read once.
    pub(super) fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Source>> = LazyLock::new(Source::read_all);
        &ALL
    }

    fn read_all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources: Vec<Self> = ["src", "tests", "examples", "benches"]
            .iter()
            .flat_map(|folder| files_under(&root.join(folder), "rs"))
            .map(|path| Self::read(root, &path))
            .collect();
        // A module that is declared for tests only may declare others.
        while let Some(at) = (0..sources.len()).find(|&at| sources[at].is_declared_for_tests(&sources)) {
            sources[at].tokens.iter_mut().for_each(|token| token.is_test = true);
        }
        sources
    }

    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let path = path.strip_prefix(root).expect("it was found under the root");
        Self::new(&path.to_string_lossy(), &text)
    }

    /// The folder or file directly under `src` that this file belongs to, without its ending.
    pub(super) fn top_module(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        let module = first.strip_suffix(".rs").unwrap_or(first);
        (!["bin", "lib"].contains(&module)).then_some(module)
    }

    /// Whether this file is the root of its top module, so that its `super` is the crate.
    pub(super) fn is_root_of_top_module(&self) -> bool {
        let is_root = |module| self.path == format!("src/{module}.rs") || self.path == format!("src/{module}/mod.rs");
        self.top_module().is_some_and(is_root)
    }

    /// Its module path, with the name of its crate first: `lib::net::pump`. `None` outside of `src`.
    pub(super) fn module_path(&self) -> Option<Vec<&str>> {
        let (krate, inside) = match self.path.strip_prefix(COMMAND) {
            Some(inside) => ("command", inside.trim_start_matches('/')),
            None => ("lib", self.path.strip_prefix("src/")?),
        };
        let mut path: Vec<&str> = iter::once(krate).chain(inside.strip_suffix(".rs")?.split('/')).collect();
        if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(last)) {
            path.pop();
        }
        Some(path)
    }

    /// Whether another file must declare this one, and none does.
    pub(super) fn is_orphan(&self, all: &[Self]) -> bool {
        self.declarations(all, Code::All) == Some(0)
    }

    /// Whether it is compiled for tests only, and not yet marked so.
    fn is_declared_for_tests(&self, all: &[Self]) -> bool {
        let is_marked = self.tokens.iter().all(|token| token.is_test);
        !is_marked && self.declarations(all, Code::All) > self.declarations(all, Code::Shipped)
    }

    /// How often other files declare this one as a module; `None` where cargo finds it.
    fn declarations(&self, all: &[Self], code: Code) -> Option<usize> {
        let module = self.path.strip_suffix(".rs").expect("only Rust files are read");
        let (folder, name) = module.trim_end_matches("/mod").rsplit_once('/').expect("no file is at the root");
        if ["main", "lib"].contains(&name) || FOLDERS_OF_PROGRAMS.contains(&folder) && !module.ends_with("/mod") {
            return None;
        }
        let owners = all.iter().filter(|owner| {
            let (parent, file) = owner.path.rsplit_once('/').expect("no file is at the root");
            let is_root = FOLDERS_OF_PROGRAMS.contains(&parent) || ["mod.rs", "main.rs", "lib.rs"].contains(&file);
            owner.path == format!("{folder}.rs") || parent == folder && is_root
        });
        Some(owners.map(|owner| owner.lines_with(&[&format!("mod {name};")], code).len()).sum())
    }

    /// The lines with one of these patterns: words and signs that follow each other, with any space between.
    pub(super) fn lines_with(&self, patterns: &[&str], code: Code) -> Vec<usize> {
        patterns.iter().flat_map(|pattern| self.lines_of(self.places_of(pattern), code)).collect()
    }

    /// The lines that call a method or function of one of these names with at least one argument.
    pub(super) fn calls_with_arguments(&self, names: &[&str], code: Code) -> Vec<usize> {
        let patterns = names.iter().flat_map(|name| [format!(".{name}("), format!("::{name}(")]);
        let mut places: Vec<usize> = patterns.flat_map(|pattern| self.places_of(&pattern)).collect();
        places.retain(|&at| {
            let bracket = (at..).find(|&at| self.tokens[at].text == "(").expect("each pattern ends with one");
            self.tokens[bracket + 1].text != ")"
        });
        self.lines_of(places, code)
    }

    fn lines_of(&self, places: Vec<usize>, code: Code) -> Vec<usize> {
        let tokens = places.into_iter().map(|at| &self.tokens[at]);
        tokens.filter(|token| code == Code::All || !token.is_test).map(|token| token.line).collect()
    }

    /// Every path that begins with `root::`, without that; a list in braces is one path for each item.
    pub(super) fn paths_from(&self, root: &str) -> Vec<ModulePath<'_>> {
        let mut starts = self.places_of(&format!("{root}::"));
        starts.retain(|&at| at == 0 || self.tokens[at - 1].text != ":");
        let mut paths = Vec::new();
        for at in starts {
            let Token { line, is_test, .. } = self.tokens[at];
            self.add_paths(at + 3, &ModulePath { words: Vec::new(), line, is_test }, &mut paths);
        }
        paths
    }

    /// Adds the paths of the tree at `at`, each after the words of `before`.
    fn add_paths<'a>(&'a self, at: usize, before: &ModulePath<'a>, paths: &mut Vec<ModulePath<'a>>) {
        let Some(close) = self.tokens[at].close else {
            let mut path = before.clone();
            path.words.push(&self.tokens[at].text);
            let goes_on = self.tokens[at + 1..].iter().take(2).all(|token| token.text == ":");
            return if goes_on { self.add_paths(at + 3, &path, paths) } else { paths.push(path) };
        };
        let mut item = at + 1;
        while item < close {
            self.add_paths(item, before, paths);
            while item < close && self.tokens[item].text != "," {
                item = self.tokens[item].close.unwrap_or(item) + 1;
            }
            item += 1;
        }
    }

    /// Every name that this file declares with one of these words, and its line.
    pub(super) fn names_after(&self, words: &[&str], code: Code) -> Vec<(&str, usize)> {
        let pairs = self.tokens.windows(2).enumerate().filter(|(_, pair)| words.contains(&pair[0].text.as_str()));
        let pairs = pairs.filter(|(_, pair)| code == Code::All || !pair[0].is_test);
        let names = pairs.map(|(at, pair)| &self.tokens[if pair[1].text == "mut" { at + 2 } else { at + 1 }]);
        names.filter(|name| is_word(&name.text)).map(|name| (name.text.as_str(), name.line)).collect()
    }

    fn places_of(&self, pattern: &str) -> Vec<usize> {
        let pattern = words_and_signs(pattern);
        let windows = self.tokens.windows(pattern.len()).enumerate();
        let matches = |window: &[Token]| iter::zip(window, &pattern).all(|(token, text)| token.text == *text);
        windows.filter(|(_, window)| matches(window)).map(|(at, _)| at).collect()
    }
}

/// All files with that ending in a folder, at any depth; none if there is no such folder.
pub(super) fn files_under(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    let files = paths.into_iter().flat_map(|path| if path.is_dir() { files_under(&path, ending) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|its| its == ending)).collect()
}

/// Appends all tokens of `stream`; those after `#[cfg(test)]`, up to the end of that item, are for tests.
fn flatten(stream: TokenStream, is_test: bool, tokens: &mut Vec<Token>) {
    let mut is_test_item = false;
    for tree in stream {
        let is_test = is_test || is_test_item;
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                is_test_item |= group.delimiter() == Delimiter::Bracket && group.stream().to_string() == "cfg (test)";
                is_test_item &= group.delimiter() != Delimiter::Brace;
                flatten_group(&group, is_test, tokens);
            }
            leaf @ (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_)) => {
                let text = leaf.to_string();
                is_test_item &= text != ";";
                tokens.push(Token { text, line, is_test, close: None });
            }
        }
    }
}

fn flatten_group(group: &Group, is_test: bool, tokens: &mut Vec<Token>) {
    let [open, close] = match group.delimiter() {
        Delimiter::Parenthesis => ["(", ")"],
        Delimiter::Brace => ["{", "}"],
        Delimiter::Bracket => ["[", "]"],
        Delimiter::None => return flatten(group.stream(), is_test, tokens),
    };
    let token = |text: &str, line| Token { text: text.to_owned(), line, is_test, close: None };
    let at = tokens.len();
    tokens.push(token(open, group.span_open().start().line));
    flatten(group.stream(), is_test, tokens);
    tokens[at].close = Some(tokens.len());
    tokens.push(token(close, group.span_close().start().line));
}

/// Splits a pattern as a file is split, except for strings: `.read(` is a dot, a word and a bracket.
fn words_and_signs(pattern: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for character in pattern.chars() {
        match parts.last_mut() {
            Some(word) if is_word(word) && is_word(character.encode_utf8(&mut [0; 4])) => word.push(character),
            Some(_) | None => parts.push(character.to_string()),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn is_word(text: &str) -> bool {
    text.chars().all(|character| character.is_alphanumeric() || character == '_')
}
