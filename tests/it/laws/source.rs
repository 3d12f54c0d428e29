//! `Source`: a file of this crate as its tokens, so that a law sees code and neither comments nor
//! the insides of strings.
//!
//! It knows what stands where, and no law. It expands no macro: what stands in the arguments of
//! one is seen, what becomes of them is not.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, iter};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Where each file is a program of its own.
const FOLDERS_OF_ROOTS: [&str; 3] = ["tests", "examples", "benches"];

/// One file.
pub(super) struct Source {
    /// From the root of the crate: `src/net/pump.rs`.
    pub(super) path: String,
    pub(super) text: String,
    tokens: Vec<Token>,
}

/// A word, a literal, one sign, or one end of a pair of brackets.
struct Token {
    text: String,
    line: usize,
    /// It is only compiled for tests.
    is_test: bool,
    /// Of the first of a pair of brackets: where the second is.
    close: Option<usize>,
}

/// Which code a law looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// All of it.
    All,
    /// What is also compiled when nothing is tested.
    Shipped,
}

/// Something that is named where it stands: a function, a type, a path behind its first part.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
}

impl Source {
    /// A file with this text, wherever it comes from.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
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
            .flat_map(|folder| files_under(&root.join(folder)))
            .map(|path| Self::read(root, &path))
            .collect();
        // A module that is declared for tests alone may declare others.
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

    /// The folder or file right under `src` that this file belongs to, without its ending.
    pub(super) fn room(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (!["bin", "lib"].contains(&room)).then_some(room)
    }

    /// Whether this is where its room begins: what is above it is the root of the crate.
    pub(super) fn is_door_of_room(&self) -> bool {
        self.room()
            .is_some_and(|room| self.path == format!("src/{room}.rs") || self.path == format!("src/{room}/mod.rs"))
    }

    /// Whether another file must declare this one, and none of them does.
    pub(super) fn is_orphan(&self, all: &[Self]) -> bool {
        self.module().is_some_and(|(folder, name)| declarations(folder, name, all, Code::All) == 0)
    }

    /// Whether it is compiled for tests alone, and not known to be.
    fn is_declared_for_tests(&self, all: &[Self]) -> bool {
        let is_known = self.tokens.iter().all(|token| token.is_test);
        !is_known
            && self.module().is_some_and(|(folder, name)| {
                declarations(folder, name, all, Code::All) > declarations(folder, name, all, Code::Shipped)
            })
    }

    /// In which folder, and as which module of it, this one must be declared; `None` where cargo finds it.
    fn module(&self) -> Option<(&str, &str)> {
        let (folder, file) = self.folder_and_file();
        let stem = file.strip_suffix(".rs").expect("no other files are read");
        match folder.rsplit_once('/') {
            _ if ["main", "lib"].contains(&stem) || FOLDERS_OF_ROOTS.contains(&folder) => None,
            Some(place) if stem == "mod" => Some(place),
            Some(_) | None => Some((folder, stem)),
        }
    }

    /// Whether the modules of `folder` may be declared here.
    fn may_declare_in(&self, folder: &str) -> bool {
        let (place, file) = self.folder_and_file();
        let is_over_its_folder = FOLDERS_OF_ROOTS.contains(&place) || ["mod.rs", "main.rs", "lib.rs"].contains(&file);
        self.path == format!("{folder}.rs") || place == folder && is_over_its_folder
    }

    fn folder_and_file(&self) -> (&str, &str) {
        self.path.rsplit_once('/').expect("no file lies at the root")
    }

    /// The lines where these words and signs stand in a row, whatever space is between them.
    pub(super) fn lines_with(&self, pattern: &str, code: Code) -> Vec<usize> {
        self.lines_of(self.places_of(pattern), code)
    }

    /// The lines where a method or function of that name is called with at least one argument.
    pub(super) fn calls_with_arguments(&self, name: &str, code: Code) -> Vec<usize> {
        let mut places = [self.places_of(&format!(".{name}(")), self.places_of(&format!("::{name}("))].concat();
        places.retain(|&at| {
            let bracket = (at..).find(|&at| self.tokens[at].text == "(").expect("both patterns end with one");
            self.tokens[bracket + 1].text != ")"
        });
        self.lines_of(places, code)
    }

    fn lines_of(&self, places: Vec<usize>, code: Code) -> Vec<usize> {
        let tokens = places.into_iter().map(|at| &self.tokens[at]);
        tokens.filter(|token| code == Code::All || !token.is_test).map(|token| token.line).collect()
    }

    /// What follows `root::`, be it one name or several in braces.
    pub(super) fn paths_from(&self, root: &str) -> Vec<Named<'_>> {
        let behind = self.places_of(&format!("{root}::")).into_iter().map(|at| at + 3);
        behind.flat_map(|at| self.first_words(at)).map(|at| self.named(at)).collect()
    }

    /// The word at `at`; or, of a list in braces that begins there, the first of each item.
    fn first_words(&self, at: usize) -> Vec<usize> {
        let Some(end) = self.tokens[at].close else { return vec![at] };
        let (mut words, mut at) = (Vec::new(), at + 1);
        while at < end {
            if ["{", ","].contains(&self.tokens[at - 1].text.as_str()) {
                words.push(at);
            }
            at = self.tokens[at].close.unwrap_or(at) + 1;
        }
        words
    }

    /// Every name that this file gives to something with one of these words.
    pub(super) fn names_after(&self, words: &[&str]) -> Vec<Named<'_>> {
        let pairs = self.tokens.windows(2).enumerate().filter(|(_, pair)| words.contains(&pair[0].text.as_str()));
        let names = pairs.map(|(at, pair)| if pair[1].text == "mut" { at + 2 } else { at + 1 });
        names.filter(|&at| is_word(&self.tokens[at].text)).map(|at| self.named(at)).collect()
    }

    /// Every function with a body, and how many lines it takes from `fn` to its last brace.
    pub(super) fn function_lengths(&self) -> Vec<(Named<'_>, usize)> {
        let functions = self.names_after(&["fn"]);
        let places = self.places_of("fn").into_iter().filter(|&at| is_word(&self.tokens[at + 1].text));
        iter::zip(functions, places)
            .filter_map(|(named, at)| Some((named, self.tokens[self.body_end(at)?].line - self.tokens[at].line + 1)))
            .collect()
    }

    fn body_end(&self, function: usize) -> Option<usize> {
        let mut at = function;
        loop {
            match self.tokens[at].text.as_str() {
                "{" => return self.tokens[at].close,
                ";" => return None,
                _ => at = self.tokens[at].close.unwrap_or(at) + 1,
            }
        }
    }

    fn places_of(&self, pattern: &str) -> Vec<usize> {
        let pattern = words_and_signs(pattern);
        let windows = self.tokens.windows(pattern.len()).enumerate();
        let fits = |window: &[Token]| iter::zip(window, &pattern).all(|(token, text)| token.text == *text);
        windows.filter(|(_, window)| fits(window)).map(|(at, _)| at).collect()
    }

    fn named(&self, at: usize) -> Named<'_> {
        Named { name: &self.tokens[at].text, line: self.tokens[at].line }
    }
}

/// How often that module of a folder is declared.
fn declarations(folder: &str, name: &str, all: &[Source], code: Code) -> usize {
    let declaration = format!("mod {name};");
    let owners = all.iter().filter(|source| source.may_declare_in(folder));
    owners.map(|owner| owner.lines_with(&declaration, code).len()).sum()
}

/// All Rust files in a folder, at any depth; none if there is no such folder.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    let files = paths.into_iter().flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

/// Appends all tokens of `stream`; those behind `#[cfg(test)]`, up to the end of that item, are for tests.
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

/// A pattern cut as a file is, but for strings: `.read(` is a dot, a word and a bracket.
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
