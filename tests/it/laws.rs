//! The laws of this crate that neither the compiler nor clippy checks. They read the sources.
//!
//! Each law is first applied to code that breaks it and to code that only seems to. So a law that finds
//! nothing fails.

mod imports;
mod language;
mod source;

use source::{Code, Source};

/// The longest a file under `src` may be.
const FILE_LINES_MAX: usize = 400;

/// A sentence about the sources, and how to find the lines that break it.
struct Law {
    sentence: &'static str,
    /// The files that the law is about.
    covers: fn(&Source) -> bool,
    /// The lines of a file that break the law.
    find: fn(&Source) -> Vec<usize>,
    exempt: &'static [&'static str],
}

impl Law {
    const fn new(sentence: &'static str, covers: fn(&Source) -> bool, find: fn(&Source) -> Vec<usize>) -> Self {
        Self { sentence, covers, find, exempt: &[] }
    }

    /// The same law, except in these files or folders.
    const fn except_in(self, exempt: &'static [&'static str]) -> Self {
        Self { exempt, ..self }
    }

    fn broken_lines(&self, source: &Source) -> Vec<usize> {
        let is_exempt = self.exempt.iter().any(|place| source.path.starts_with(place));
        if is_exempt || !(self.covers)(source) { Vec::new() } else { (self.find)(source) }
    }

    /// Asserts that a file with that code in its second line breaks the law there.
    #[track_caller]
    fn forbids(self, path: &str, code: &str) -> Self {
        let lines = self.broken_lines(&Source::new(path, &format!("//! Planted.\n{code}\n")));
        assert!(!lines.is_empty() && lines.iter().all(|&line| line == 2), "not found in {path}: {code} ({lines:?})");
        self
    }

    /// Asserts that a file with that code keeps the law.
    #[track_caller]
    fn allows(self, path: &str, code: &str) -> Self {
        let lines = self.broken_lines(&Source::new(path, &format!("//! Planted.\n{code}\n")));
        assert_eq!(lines, [0; 0], "found in {path}: {code}");
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
        let broken_in =
            |source: &'static Source| self.broken_lines(source).into_iter().map(move |line| (&source.path, line));
        let broken = sources.iter().flat_map(broken_in).map(|(path, line)| format!("\n  {path}:{line}"));
        let broken: String = broken.collect();
        assert!(broken.is_empty(), "{}{broken}", self.sentence);
    }
}

fn is_any(_: &Source) -> bool {
    true
}

fn is_source(source: &Source) -> bool {
    source.path.starts_with("src/")
}

fn is_library(source: &Source) -> bool {
    is_source(source) && !source.path.starts_with("src/bin/")
}

#[test]
fn only_the_pump_moves_bytes() {
    // Below the border no code knows a stream.
    let covers = |source: &Source| is_library(source) && !imports::is_below_the_border(source);
    Law::new("Only net/pump.rs reads or writes a stream.", covers, |source| {
        const CALLS: [&str; 8] =
            ["read", "read_vectored", "read_exact", "read_to_end", "peek", "write", "write_vectored", "write_all"];
        source.calls_with_arguments(&CALLS, Code::Shipped)
    })
    // The streams of the border themselves, real and simulated.
    .except_in(&[
        "src/net/pump.rs",
        "src/net/tls/",
        "src/net/proxy_protocol/layer.rs",
        "src/net/blocking.rs",
        "src/client/blocking.rs",
        "src/sim/",
        "src/recording/",
        "src/faulty/sockets.rs",
        // Their sockets lead to other processes of the same server, on threads of their own.
        "src/admin/processes/fetch.rs",
        "src/event_loop/restart.rs",
    ])
    .forbids("src/event_loop/endpoint.rs", "fn f() { stream.read(&mut scratch); }")
    .forbids("src/event_loop/endpoint.rs", "fn f() { Stream::write(&mut stream, b\"bye\"); }")
    .allows("src/event_loop/endpoint.rs", "fn f() { halves.read() == halves.write() }")
    .allows("src/event_loop/endpoint.rs", "#[cfg(test)] mod tests { fn f() { stream.read(&mut scratch); } }")
    .allows("src/bin/readyloop/main.rs", "fn f() { std::fs::read(\"readyloop.toml\") }")
    .holds();
}

#[test]
fn only_one_file_assigns_a_half() {
    Law::new("Only connection/halves.rs assigns a half.", is_library, |source| {
        let compared = ["== ReadHalf::", "!= ReadHalf::", "== WriteHalf::", "!= WriteHalf::"];
        let compared = source.lines_with(&compared, Code::All);
        let mut lines = source.lines_with(&["= ReadHalf::", "= WriteHalf::"], Code::All);
        lines.retain(|line| !compared.contains(line));
        lines
    })
    .except_in(&["src/connection/halves.rs"])
    .forbids("src/connection/mod.rs", "fn f() { self.read = ReadHalf::Ended; }")
    .forbids("src/host.rs", "fn f() { let write = WriteHalf::Finished; }")
    .allows("src/connection/mod.rs", "fn f() { self.halves.read() == ReadHalf::Ended }")
    .holds();
}

#[test]
fn only_the_reactor_polls() {
    Law::new("Only net/reactor.rs polls the system.", is_source, |source| {
        source.lines_with(&["Poll", "epoll_wait", "mio::poll"], Code::All)
    })
    .except_in(&["src/net/reactor.rs"])
    .forbids("src/event_loop/mod.rs", "fn f() { let poll = Poll::new(); }")
    .allows("src/event_loop/mod.rs", "fn f() { self.net.poll(&mut events, until) }")
    .holds();
    Law::new("Only a turn polls the net.", is_source, |source| source.calls_with_arguments(&["poll"], Code::Shipped))
        .except_in(&[
            "src/net/reactor.rs",
            "src/event_loop/mod.rs",
            "src/blocking/mod.rs",
            "src/client/connect.rs",
            "src/recording/network.rs",
            "src/sim/",
            "src/faulty/mod.rs",
        ])
        .forbids("src/event_loop/endpoint.rs", "fn f() { state.net.poll(&mut events, None) }")
        .holds();
}

#[test]
fn interest_never_changes() {
    let find = |source: &Source| source.lines_with(&["reregister"], Code::All);
    Law::new("A stream is registered once, and no code calls reregister.", is_source, find)
        .forbids("src/net/reactor.rs", "fn f() { self.poll.registry().reregister(stream, token, both) }")
        .holds();
}

#[test]
fn there_is_no_unsafe_code_and_no_shared_ownership() {
    // The raw loop that benchmarks compare with makes its system calls by hand.
    let covers = |source: &Source| !source.path.starts_with("benches/");
    let find = |source: &Source| source.lines_with(&["unsafe", "Rc", "RefCell"], Code::All);
    Law::new("No unsafe, no Rc, no RefCell.", covers, find)
        // `GlobalAlloc` is an unsafe trait.
        .except_in(&["tests/allocations.rs"])
        .forbids("src/host.rs", "fn f() { unsafe { g() } }")
        .forbids("tests/it/main.rs", "use std::cell::RefCell;")
        .allows("src/host.rs", "#![deny(unsafe_code)] // no unsafe")
        .holds();
}

#[test]
fn every_file_is_short_and_opens_with_its_purpose() {
    let law = Law::new("No file under src is longer than 400 lines.", is_source, |source| {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX { vec![lines] } else { Vec::new() }
    });
    let long = Source::new("src/host.rs", &"\n".repeat(FILE_LINES_MAX + 1));
    assert_eq!(law.broken_lines(&long), [FILE_LINES_MAX + 1]);
    law.allows("src/host.rs", &"\n".repeat(FILE_LINES_MAX - 3)).holds();

    let law = Law::new("Every file opens with its purpose.", is_any, |source| {
        if source.text.starts_with("//! ") { Vec::new() } else { vec![1] }
    });
    assert_eq!(law.broken_lines(&Source::new("src/host.rs", "\n//! Late.\n")), [1]);
    law.allows("src/host.rs", "fn f() {}").holds();
}

#[test]
fn every_file_is_declared_as_a_module() {
    let sources = Source::all();
    assert!(Source::new("src/net/forgotten.rs", "//! Not compiled.\n").is_orphan(sources));
    let orphans = sources.iter().filter(|source| source.is_orphan(sources)).map(|source| source.path.as_str());
    assert_eq!(orphans.collect::<Vec<_>>(), [""; 0]);
    let find = |source: &Source| source.lines_with(&["#[path"], Code::All);
    Law::new("The name of a module says where its file is.", is_any, find)
        // An example is where cargo looks for it.
        .except_in(&["tests/it/example_tests.rs"])
        .forbids("src/bin/readyloop/main.rs", "#[path = \"../../host.rs\"] mod host;")
        .holds();
}

#[test]
fn no_name_is_an_empty_word() {
    Law::new("One word per idea: no get_, set_, do_, process, manager, helper, utils, common.", is_any, |source| {
        let verbs = ["get_", "set_", "do_", "process"];
        // The standard library's own name for the second of a pair.
        let is_verb = |name: &str| verbs.iter().any(|verb| name.starts_with(verb)) && name != "get_mut";
        let nouns = ["manager", "helper", "util", "common"];
        let is_noun = |name: &str| nouns.iter().any(|noun| name.to_lowercase().contains(noun));
        let named = ["struct", "enum", "trait", "type", "mod", "const", "static", "let", "macro_rules!"];
        let functions = source.names_after(&["fn"], Code::All).into_iter().filter(|(name, _)| is_verb(name));
        let names = source.names_after(&named, Code::All).into_iter().filter(|(name, _)| is_noun(name));
        functions.chain(names).map(|(_, line)| line).collect()
    })
    .forbids("src/host.rs", "fn get_peer() {}")
    .forbids("src/host.rs", "struct PeerManager;")
    .forbids("tests/it/main.rs", "fn f() { let mut helper = 1; }")
    .allows("src/host.rs", "fn f() { std::process::exit(peers.get(target)) }")
    .holds();
}

#[test]
fn no_code_waits_by_sleeping() {
    let covers = |source: &Source| is_source(source) || source.path.starts_with("tests/");
    let find = |source: &Source| source.lines_with(&["thread::sleep"], Code::All);
    Law::new("No sleep: wait for an event with a deadline.", covers, find)
        .forbids("tests/it/main.rs", "fn f() { std::thread::sleep(second); }")
        .allows("src/sim/state.rs", "fn f() { self.sleep(until) }")
        .holds();
}
