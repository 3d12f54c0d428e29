//! The laws of this crate that neither the compiler nor clippy checks, held by reading the sources.
//!
//! Each law is first shown code that breaks it and code that only looks so. A law that sees nothing
//! therefore fails.

mod imports;
mod language;
mod source;

use source::{Code, Source};

/// The longest a function may be: one screen.
const FUNCTION_LINES_MAX: usize = 70;

/// The longest a file may be.
const FILE_LINES_MAX: usize = 400;

/// A sentence about the sources, and how to find the lines that break it.
struct Law {
    sentence: &'static str,
    /// The lines of a file that break the law, unless the file is exempt.
    find: fn(&Source) -> Vec<usize>,
    exempt: &'static [&'static str],
}

impl Law {
    const fn new(sentence: &'static str, find: fn(&Source) -> Vec<usize>) -> Self {
        Self { sentence, find, exempt: &[] }
    }

    /// The same law, except in these files or folders.
    const fn except_in(self, exempt: &'static [&'static str]) -> Self {
        Self { exempt, ..self }
    }

    fn broken_lines(&self, source: &Source) -> Vec<usize> {
        let is_exempt = self.exempt.iter().any(|place| source.path.starts_with(place));
        if is_exempt { Vec::new() } else { (self.find)(source) }
    }

    /// Asserts that a file with that code in its second line breaks the law there.
    #[track_caller]
    fn forbids(self, path: &str, code: &str) -> Self {
        let planted = Source::new(path, &format!("//! Planted.\n{code}\n"));
        let lines = self.broken_lines(&planted);
        assert!(!lines.is_empty() && lines.iter().all(|&line| line == 2), "not found in {path}: {code} ({lines:?})");
        self
    }

    /// Asserts that a file with that code keeps the law.
    #[track_caller]
    fn allows(self, path: &str, code: &str) -> Self {
        let planted = Source::new(path, &format!("//! Planted.\n{code}\n"));
        assert_eq!(self.broken_lines(&planted), [0; 0], "found in {path}: {code}");
        self
    }

    /// Asserts that every file of this crate keeps the law, and that every exemption is needed.
    #[track_caller]
    fn holds(self) {
        let sources = Source::all();
        for place in self.exempt {
            let mut inside = sources.iter().filter(|source| source.path.starts_with(place));
            assert!(inside.any(|source| !(self.find)(source).is_empty()), "{place} no longer needs its exemption");
        }
        let broken: Vec<String> = sources
            .iter()
            .flat_map(|source| self.broken_lines(source).into_iter().map(|line| format!("{}:{line}", source.path)))
            .collect();
        assert!(broken.is_empty(), "{}\n  {}", self.sentence, broken.join("\n  "));
    }
}

fn is_library(source: &Source) -> bool {
    source.path.starts_with("src/") && !source.path.starts_with("src/bin/")
}

/// The lines with any of these patterns.
fn lines_with_any(source: &Source, patterns: &[&str], code: Code) -> Vec<usize> {
    patterns.iter().flat_map(|pattern| source.lines_with(pattern, code)).collect()
}

#[test]
fn the_library_prints_nothing() {
    Law::new("The library prints nothing. It logs, at the border and above.", |source| {
        let print = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
        if is_library(source) { lines_with_any(source, &print, Code::Shipped) } else { Vec::new() }
    })
    .forbids("src/server/mod.rs", "fn f() { println!(\"turn\"); }")
    .allows("src/server/mod.rs", "#[cfg(test)] mod tests { fn f() { println!(\"turn\"); } }")
    .allows("src/bin/readyloop/main.rs", "fn f() { println!(\"turn\"); }")
    .holds();
}

#[test]
fn only_the_pump_moves_bytes() {
    Law::new("Only net/pump.rs reads or writes a stream.", |source| {
        const CALLS: [&str; 8] =
            ["read", "read_vectored", "read_exact", "read_to_end", "peek", "write", "write_vectored", "write_all"];
        let calls = CALLS.iter().flat_map(|call| source.calls_with_arguments(call, Code::Shipped));
        // Below the border no code knows a stream.
        if is_library(source) && !imports::is_below_the_border(source) { calls.collect() } else { Vec::new() }
    })
    // The streams of the border themselves, real and simulated.
    .except_in(&[
        "src/net/pump.rs",
        "src/net/stream.rs",
        "src/net/tls/",
        "src/net/blocking.rs",
        "src/client/blocking.rs",
        "src/sim/",
    ])
    .forbids("src/server/endpoint.rs", "fn f() { stream.read(&mut scratch); }")
    .forbids("src/server/endpoint.rs", "fn f() { Stream::write(&mut stream, b\"bye\"); }")
    .forbids("src/net/link.rs", "fn f() { self.stream.write_vectored(&[first, second]) }")
    .allows("src/server/endpoint.rs", "fn f() { halves.read() == halves.write() }")
    .allows("src/bin/readyloop/main.rs", "fn f() { std::fs::read(\"readyloop.toml\") }")
    .holds();
}

#[test]
fn only_one_file_assigns_a_half() {
    Law::new("Only connection/halves.rs assigns a half.", |source| {
        if !is_library(source) {
            return Vec::new();
        }
        let compared = ["== ReadHalf::", "!= ReadHalf::", "== WriteHalf::", "!= WriteHalf::"];
        let compared = lines_with_any(source, &compared, Code::All);
        let mut lines = lines_with_any(source, &["= ReadHalf::", "= WriteHalf::"], Code::All);
        lines.retain(|line| !compared.contains(line));
        lines
    })
    .except_in(&["src/connection/halves.rs"])
    .forbids("src/connection/mod.rs", "fn f() { self.read = ReadHalf::Ended; }")
    .forbids("src/host.rs", "fn f() { let write = WriteHalf::Finished; }")
    .allows("src/connection/mod.rs", "fn f() { self.halves.read() == ReadHalf::Ended }")
    .holds();
    Law::new("The halves are private to connection/halves.rs.", |source| source.lines_with("pub read:", Code::All))
        .forbids("src/connection/halves.rs", "pub struct Halves { pub read: ReadHalf }")
        .holds();
}

#[test]
fn only_the_reactor_polls() {
    Law::new("Only net/reactor.rs polls the system.", |source| {
        let words = ["Poll", "epoll_wait", "mio::poll"];
        if source.path.starts_with("src/") { lines_with_any(source, &words, Code::All) } else { Vec::new() }
    })
    .except_in(&["src/net/reactor.rs"])
    .forbids("src/server/mod.rs", "fn f() { let poll = Poll::new(); }")
    .allows("src/server/mod.rs", "fn f() { self.net.poll(&mut events, until) }")
    .holds();
    Law::new("Only a turn polls the net.", |source| {
        if source.path.starts_with("src/") { source.calls_with_arguments("poll", Code::Shipped) } else { Vec::new() }
    })
    .except_in(&[
        "src/net/reactor.rs",
        "src/server/mod.rs",
        "src/blocking/mod.rs",
        "src/client/reactor.rs",
        "src/client/connect.rs",
        "src/load/datagrams.rs",
        "src/sim/",
    ])
    .forbids("src/server/endpoint.rs", "fn f() { state.net.poll(&mut events, None) }")
    .holds();
}

#[test]
fn interest_never_changes() {
    Law::new("A stream is registered once, and no code calls reregister.", |source| {
        if source.path.starts_with("src/") { source.lines_with("reregister", Code::All) } else { Vec::new() }
    })
    .forbids("src/net/reactor.rs", "fn f() { self.poll.registry().reregister(stream, token, both) }")
    .holds();
}

#[test]
fn there_is_no_unsafe_code_and_no_shared_ownership() {
    Law::new("No unsafe, no Rc, no RefCell.", |source| {
        // The raw loop that benchmarks compare with makes its system calls by hand.
        let is_bench = source.path.starts_with("benches/");
        if is_bench { Vec::new() } else { lines_with_any(source, &["unsafe", "Rc", "RefCell"], Code::All) }
    })
    // `GlobalAlloc` is an unsafe trait.
    .except_in(&["tests/allocations.rs"])
    .forbids("src/host.rs", "fn f() { unsafe { g() } }")
    .forbids("tests/it/main.rs", "use std::cell::RefCell;")
    .allows("src/host.rs", "#![deny(unsafe_code)] // no unsafe")
    .holds();
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    Law::new("No unwrap outside tests: expect states the invariant.", |source| {
        let is_test = source.path.starts_with("tests/");
        if is_test { Vec::new() } else { source.lines_with(".unwrap()", Code::Shipped) }
    })
    .forbids("src/bin/readyloop/main.rs", "fn f() { file.unwrap(); }")
    .allows("src/host.rs", "#[cfg(test)] mod tests { fn f() { file.unwrap(); } }")
    .allows("src/host.rs", "/// file.unwrap()\nfn f() { file.unwrap_or_default(); }")
    .holds();
}

#[test]
fn a_function_fits_on_a_screen_and_a_file_in_one_reading() {
    let long = format!("fn long() {{{}}}", "\n".repeat(FUNCTION_LINES_MAX));
    let whole = format!("fn whole() {{{}}}", "\n".repeat(FUNCTION_LINES_MAX - 1));
    Law::new("No function is longer than 70 lines.", |source| {
        let long = source.function_lengths().into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        long.map(|(function, _)| function.line).collect()
    })
    .forbids("src/host.rs", &long)
    .allows("src/host.rs", &whole)
    .allows("src/host.rs", &format!("trait T {{ fn none(); }} {whole} {whole}"))
    .holds();
    let law = Law::new("No file under src is longer than 400 lines.", |source| {
        let lines = source.text.lines().count();
        if source.path.starts_with("src/") && lines > FILE_LINES_MAX { vec![lines] } else { Vec::new() }
    });
    let long = Source::new("src/host.rs", &"\n".repeat(FILE_LINES_MAX + 1));
    assert_eq!(law.broken_lines(&long), [FILE_LINES_MAX + 1]);
    law.allows("src/host.rs", &"\n".repeat(FILE_LINES_MAX - 3)).holds();
}

#[test]
fn every_file_opens_with_its_purpose() {
    let law = Law::new("Every file opens with its purpose.", |source| {
        if source.text.starts_with("//! ") { Vec::new() } else { vec![1] }
    });
    assert_eq!(law.broken_lines(&Source::new("src/host.rs", "\n//! Late.\n")), [1]);
    law.allows("src/host.rs", "fn f() {}").holds();
}

#[test]
fn every_file_is_declared_as_a_module() {
    let sources = Source::all();
    let planted = Source::new("src/net/forgotten.rs", "//! Not compiled.\n");
    assert!(planted.is_orphan(sources));
    let orphans = sources.iter().filter(|source| source.is_orphan(sources)).map(|source| source.path.as_str());
    assert_eq!(orphans.collect::<Vec<_>>(), [""; 0]);
    Law::new("The name of a module says where its file is.", |source| source.lines_with("#[path", Code::All))
        .forbids("src/bin/readyloop/main.rs", "#[path = \"../../host.rs\"] mod host;")
        .holds();
}

#[test]
fn no_name_is_an_empty_word() {
    Law::new("One word per idea: no get_, set_, do_, process, manager, helper, utils, common.", |source| {
        let verb = |name: &str| ["get_", "set_", "do_", "process"].iter().any(|verb| name.starts_with(verb));
        // The standard library's own name for the second of a pair.
        let verb = |name: &str| verb(name) && name != "get_mut";
        let functions = source.names_after(&["fn"]).into_iter().filter(|function| verb(function.name));
        let named = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static", "let", "macro_rules!"];
        let empty = |name: &str| {
            let name = name.to_lowercase();
            ["manager", "helper", "util", "common"].iter().any(|word| name.contains(word))
        };
        let names = source.names_after(&named).into_iter().filter(|name| empty(name.name));
        functions.chain(names).map(|name| name.line).collect()
    })
    .forbids("src/host.rs", "fn get_peer() {}")
    .forbids("src/host.rs", "mod utils {}")
    .forbids("src/host.rs", "struct PeerManager;")
    .forbids("tests/it/main.rs", "fn f() { let mut helper = 1; }")
    .allows("src/host.rs", "fn f() { std::process::exit(peers.get(target)) }")
    .holds();
}

#[test]
fn no_code_waits_by_sleeping() {
    Law::new("No sleep: wait for an event with a deadline.", |source| {
        let is_covered = ["src/", "tests/"].iter().any(|place| source.path.starts_with(place));
        if is_covered { source.lines_with("thread::sleep", Code::All) } else { Vec::new() }
    })
    .forbids("tests/it/main.rs", "fn f() { std::thread::sleep(second); }")
    .allows("src/sim/state.rs", "fn f() { self.sleep(until) }")
    .holds();
}
