//! Every example does what its head says: it is run, and what is printed there is what it prints.
//!
//! Their folder is read, so none is forgotten. An example is one of three kinds, which its source
//! tells:
//!
//! - It prints `listening on …`: a server. It is given a free port for its address, is talked to,
//!   and told to end. The rows `said  →  heard` of the text in its head are the conversation; where
//!   there are none it is an echo.
//! - Its head has a command with `-- serve`: that server is started, and the example is given its
//!   address and must end by itself.
//! - Any other must end by itself, without arguments.
//!
//! Those that end must exit with 0, and the lines of the text in their head must be among what they
//! print, in that order. `…` stands for anything.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Program, Serve, TIMEOUT, connect};

/// Some compute for seconds.
const LONG: Duration = Duration::from_secs(120);

/// What stands for anything.
const ANYTHING: char = '…';

/// What some are given behind the address, where their own choice is too much for any machine.
const MORE_WORDS: [(&str, &str); 1] = [("11_many_clients", "500")];

struct Example {
    name: String,
    path: PathBuf,
    source: String,
}

impl Example {
    /// All of them, in reading order.
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let entries = fs::read_dir(folder).expect("there are examples");
        let mut all: Vec<Self> = entries.map(|entry| Self::of(entry.expect("it can be read").path())).collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }

    fn of(path: PathBuf) -> Self {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("an example is one file of text");
        Self { name, path, source }
    }

    /// What stands before the code.
    fn head(&self) -> Vec<&str> {
        let head = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        head.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect()
    }

    /// The lines of the text in its head, but empty ones.
    fn text(&self) -> Vec<String> {
        let head = self.head();
        let behind = head.iter().skip_while(|line| **line != "```text").skip(1);
        let text = behind.take_while(|line| **line != "```").filter(|line| !line.trim().is_empty());
        text.map(|line| (*line).to_owned()).collect()
    }

    /// What is said to a server and what it answers.
    fn conversation(&self) -> Vec<(String, String)> {
        let rows = self.text();
        let rows = rows.iter().filter_map(|row| row.split_once(" →  "));
        let mut rows: Vec<_> = rows.map(|(said, heard)| (said.trim().to_owned(), heard.to_owned())).collect();
        if rows.is_empty() {
            rows.push(("hello".to_owned(), "hello".to_owned()));
        }
        rows
    }

    fn is_server(&self) -> bool {
        self.source.contains("\"listening on ")
    }

    /// The flags of the `serve` that it wants to talk to.
    fn serve_flags(&self) -> Option<String> {
        let head = self.head().join(" ");
        let (_, behind) = head.split_once("-- serve")?;
        behind.split_once('`').map(|(flags, _)| flags.to_owned())
    }

    /// Its program, which is as new as its source.
    #[track_caller]
    fn program(&self) -> String {
        let own = std::env::current_exe().expect("this test is a program");
        // This one lies in `deps`; examples have a folder beside that.
        let path = own.ancestors().nth(2).expect("two folders above").join("examples").join(&self.name);
        let age_of = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let is_new = age_of(&path).is_some_and(|built| age_of(&self.path).is_some_and(|written| built >= written));
        assert!(is_new, "it is not built: `cargo test` does so, or `cargo build --examples`");
        path.to_string_lossy().into_owned()
    }

    #[track_caller]
    fn run(&self) {
        let head = self.head();
        assert!(!head.is_empty() && head.iter().any(|line| line.contains(&format!("--example {}", self.name))));
        let more = MORE_WORDS.iter().filter(|(name, _)| *name == self.name).map(|(_, word)| *word);
        if self.is_server() {
            self.talk_to();
        } else if let Some(flags) = self.serve_flags() {
            let server = Serve::new().with(&flags).start();
            let mut words = vec![server.address().to_string()];
            words.extend(more.map(str::to_owned));
            self.run_to_its_end(&words);
            server.drain();
        } else {
            self.run_to_its_end(&[]);
        }
    }

    #[track_caller]
    fn run_to_its_end(&self, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut running = Program::start(&self.program(), &words);
        let code = running.wait(LONG);
        let (out, errors) = (running.out.all(), running.errors.all().join("\n"));
        assert_eq!(code, Some(0), "{}\n{errors}", out.join("\n"));
        assert!(!out.is_empty(), "it says nothing");
        let mut rest = out.iter();
        for line in self.text() {
            assert!(rest.any(|printed| is_like(&line, printed)), "no `{line}`, or not there, in:\n{}", out.join("\n"));
        }
    }

    #[track_caller]
    fn talk_to(&self) {
        let mut running = Program::start(&self.program(), &["127.0.0.1:0"]);
        running.prints("listening on ");
        let out = running.out.all();
        let (_, address) = out[0].split_once("listening on ").expect("it says so first");
        let address: SocketAddr = address.trim_start_matches("tcp://").parse().expect("an address behind it");
        let mut peer = connect(address);
        let mut replies = BufReader::new(peer.try_clone().expect("a descriptor is free")).lines();
        for (said, heard) in self.conversation() {
            if !said.is_empty() {
                writeln!(peer, "{said}").expect("it reads");
            }
            let reply = replies.next().expect("it has not ended").expect("it answers in time");
            assert!(is_like(&heard, &reply), "to `{said}` not `{heard}` but `{reply}`");
        }
        drop((peer, replies));
        running.signal("INT");
        let code = running.wait(TIMEOUT);
        // Whoever does not know the signal is ended by it.
        assert!(matches!(code, Some(0) | None), "{code:?}: {}", running.errors.all().join("\n"));
    }
}

/// Whether `line` reads like `pattern`, in which [`ANYTHING`] may be anything.
fn is_like(pattern: &str, line: &str) -> bool {
    let (pattern, line) = (pattern.trim_end(), line.trim_end());
    let mut parts = pattern.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn every_example_does_what_its_head_says() {
    let all = Example::all();
    assert!(all.len() > 10);
    let failed: Vec<&str> = all
        .iter()
        .filter(|example| {
            eprintln!("{}", example.name);
            // All are run, so that all that is wrong is seen at once.
            catch_unwind(AssertUnwindSafe(|| example.run())).is_err()
        })
        .map(|example| example.name.as_str())
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_kinds_are_told_apart() {
    let kinds = Example::all().into_iter().map(|example| {
        let kind = if example.is_server() {
            "server"
        } else if example.serve_flags().is_some() {
            "client"
        } else {
            "ends"
        };
        (example.name, kind)
    });
    let kinds: Vec<(String, &str)> = kinds.collect();
    for (name, kind) in
        [("01_by_hand", "ends"), ("04_echo", "server"), ("11_many_clients", "client"), ("15_tls_chat", "ends")]
    {
        assert!(kinds.contains(&(name.to_owned(), kind)), "{name}: {kinds:?}");
    }
}

#[test]
fn a_line_is_like_its_pattern_or_not() {
    for (pattern, line) in
        [("a", "a"), ("a…", "abc"), ("…c", "abc"), ("a…c…e", "abcde"), ("…", ""), ("a … c ", "a b c")]
    {
        assert!(is_like(pattern, line), "{pattern}: {line}");
    }
    for (pattern, line) in [("a", "ab"), ("a…", "ba"), ("…c", "cb"), ("a…x…e", "abcde"), ("ab…ba", "aba")] {
        assert!(!is_like(pattern, line), "{pattern}: {line}");
    }
}
