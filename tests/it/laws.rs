//! The laws of the house, held by reading the sources.
//!
//! The compiler holds what it can, and clippy more; these are the rest. A law is shown code that
//! breaks it and code that only looks so, before it is asked about this crate's: none of them can
//! pass because it sees nothing.

mod source;

use std::sync::LazyLock;

use source::{Code, Source};

/// The rooms by ring, as the table in `src/lib.rs` has them. Within a ring a room may use those that
/// stand before it; in that of the programs, none but what [`MAY_ALSO`] names.
static PLAN: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
    let front = Source::all().iter().find(|source| source.path == "src/lib.rs").expect("the crate has a front page");
    let mut plan: Vec<Vec<&str>> = Vec::new();
    for row in front.text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        if cells[0] == plan.len().to_string() {
            plan.push(cells[1].split('`').skip(1).step_by(2).collect());
        }
    }
    plan
});

/// The one program that stands on another: the load generator is many clients.
const MAY_ALSO: (&str, &str) = ("load", "client");

/// The first ring that knows sockets, threads, the clock and the log is that of this room.
const BORDER: &str = "net";

/// The ring of the programs is that of this room.
const PROGRAM: &str = "server";

/// The longest a function may be: what fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// A sentence about the sources, and how to see where it does not hold.
struct Law {
    sentence: &'static str,
    /// The lines of a file where it is broken, as long as the file is none of `exempt`.
    see: fn(&Source) -> Vec<usize>,
    exempt: &'static [&'static str],
}

impl Law {
    const fn new(sentence: &'static str, see: fn(&Source) -> Vec<usize>) -> Self {
        Self { sentence, see, exempt: &[] }
    }

    /// The same law for all but these files or folders.
    const fn but_in(self, exempt: &'static [&'static str]) -> Self {
        Self { exempt, ..self }
    }

    fn broken_lines(&self, source: &Source) -> Vec<usize> {
        let is_exempt = self.exempt.iter().any(|place| source.path.starts_with(place));
        if is_exempt { Vec::new() } else { (self.see)(source) }
    }

    /// A file with that code in its second line breaks the law there.
    #[track_caller]
    fn forbids(self, path: &str, code: &str) -> Self {
        let planted = Source::new(path, &format!("//! Planted.\n{code}\n"));
        let lines = self.broken_lines(&planted);
        assert!(!lines.is_empty() && lines.iter().all(|&line| line == 2), "not seen in {path}: {code} ({lines:?})");
        self
    }

    /// A file with that code keeps the law.
    #[track_caller]
    fn allows(self, path: &str, code: &str) -> Self {
        let planted = Source::new(path, &format!("//! Planted.\n{code}\n"));
        assert_eq!(self.broken_lines(&planted), [0; 0], "seen in {path}: {code}");
        self
    }

    /// Every file of this crate keeps the law, and every exemption is in use.
    #[track_caller]
    fn holds(self) {
        let sources = Source::all();
        for place in self.exempt {
            let mut inside = sources.iter().filter(|source| source.path.starts_with(place));
            assert!(inside.any(|source| !(self.see)(source).is_empty()), "{place} needs no exemption any more");
        }
        let broken: Vec<String> = sources
            .iter()
            .flat_map(|source| self.broken_lines(source).into_iter().map(|line| format!("{}:{line}", source.path)))
            .collect();
        assert!(broken.is_empty(), "{}\n  {}", self.sentence, broken.join("\n  "));
    }
}

/// The place of a room on the plan: its ring, and where in that.
fn place_of(room: &str) -> Option<(usize, usize)> {
    PLAN.iter().enumerate().find_map(|(ring, rooms)| Some((ring, rooms.iter().position(|other| *other == room)?)))
}

fn is_below_the_border(source: &Source) -> bool {
    let ring = |room| place_of(room).map(|(ring, _)| ring);
    source.room().and_then(ring).is_some_and(|here| Some(here) < ring(BORDER))
}

fn is_library(source: &Source) -> bool {
    source.path.starts_with("src/") && !source.path.starts_with("src/bin/")
}

/// The lines that hold any of these patterns.
fn lines_with_any(source: &Source, patterns: &[&str], code: Code) -> Vec<usize> {
    patterns.iter().flat_map(|pattern| source.lines_with(pattern, code)).collect()
}

#[test]
fn every_room_is_on_the_plan() {
    let mut rooms: Vec<&str> = Source::all().iter().filter_map(Source::room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let mut planned = PLAN.concat();
    planned.sort_unstable();
    assert_eq!(rooms, planned, "the rooms under src, and those in the table of src/lib.rs");
    let below = PLAN.iter().position(|rooms| rooms.contains(&BORDER)).expect("the border is on the plan");
    assert!(below > 0, "there is something below the border");
}

#[test]
fn imports_point_down_the_rings() {
    Law::new("Imports point down the rings, and to rooms by their names.", |source| {
        let Some(room) = source.room() else { return Vec::new() };
        let here = place_of(room);
        let upward = source.paths_from("crate").into_iter().filter(|path| {
            let there = place_of(path.name);
            let ring = |place: Option<(usize, usize)>| place.map(|(ring, _)| ring);
            let programs = ring(place_of(PROGRAM));
            let are_programs = ring(here) == programs && ring(there) == programs;
            let is_allowed = path.name == room || (room, path.name) == MAY_ALSO;
            !is_allowed && (there.is_none() || there >= here || are_programs)
        });
        let around = if source.is_door_of_room() { "super::" } else { "super::super::" };
        upward.map(|path| path.line).chain(source.lines_with(around, Code::Shipped)).collect()
    })
    // Its tests draw their weather from the simulated world's dice.
    .but_in(&["src/net/tls/tests"])
    .forbids("src/connection/mod.rs", "use crate::host::Host;")
    .forbids("src/connection/limits.rs", "use crate::{watermark, net::{Net, Token}};")
    .forbids("src/service/echo.rs", "fn f() { crate::host::f() }")
    .forbids("src/slab.rs", "use crate::timers::Timers;")
    .forbids("src/slab.rs", "use super::timers::Timers;")
    .forbids("src/connection/limits.rs", "use super::super::net::Net;")
    .forbids("src/client/mod.rs", "use crate::server::Server;")
    .forbids("src/server/mod.rs", "use crate::client::Client;")
    .forbids("src/load/generator.rs", "use crate::server::Server;")
    .forbids("src/client/mod.rs", "use crate::load::Record;")
    .forbids("src/host.rs", "use crate::Server;")
    .allows("src/load/generator.rs", "use crate::client::Client;")
    .forbids("src/sim/world.rs", "use crate::server::Server;")
    .forbids("src/server/mod.rs", "use crate::simtest::SimTest;")
    .allows("src/simtest/run.rs", "use crate::server::Server;")
    .allows("src/host.rs", "use crate::{conn::Limits, service::Service};")
    .allows("src/connection/limits.rs", "use super::CloseReason; // crate::net")
    .allows("src/lib.rs", "pub use crate::server::Server;")
    .holds();
}

#[test]
fn below_the_border_is_no_socket_no_clock_no_thread_and_no_log() {
    Law::new("Below the border is no socket, no clock, no thread, no log.", |source| {
        if !is_below_the_border(source) {
            return Vec::new();
        }
        let std = source.paths_from("std").into_iter();
        let std = std.filter(|path| ["fs", "io", "net", "os", "thread"].contains(&path.name));
        let words = ["Instant::now", "time::Instant", "SystemTime", "mio", "socket2", "rustls", "log::"];
        std.map(|path| path.line).chain(lines_with_any(source, &words, Code::All)).collect()
    })
    .forbids("src/connection/mod.rs", "fn f() { let now = Instant::now(); }")
    .forbids("src/timers.rs", "use std::time::SystemTime;")
    .forbids("src/codec/raw.rs", "use std::net::SocketAddr;")
    .forbids("src/host.rs", "use std::{fmt, thread};")
    .forbids("src/service/echo.rs", "use mio::Poll;")
    .forbids("src/buffer/reserve.rs", "fn f() { log::debug!(\"lent\") }")
    .allows("src/connection/mod.rs", "use crate::instant::Instant; // Instant::now")
    .allows("src/service/echo.rs", "const LOG: &str = \"std::net and mio\";")
    .allows("src/net/reactor.rs", "use std::net::SocketAddr;")
    .holds();
}

#[test]
fn the_library_prints_nothing() {
    Law::new("The library prints nothing: it logs, at the border and above.", |source| {
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
        // Below the border nobody knows a stream.
        if is_library(source) && !is_below_the_border(source) { calls.collect() } else { Vec::new() }
    })
    // The border's streams themselves, real and simulated.
    .but_in(&[
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
    Law::new("Only conn/halves.rs assigns a half.", |source| {
        if !is_library(source) {
            return Vec::new();
        }
        let compared = ["== ReadHalf::", "!= ReadHalf::", "== WriteHalf::", "!= WriteHalf::"];
        let compared = lines_with_any(source, &compared, Code::All);
        let mut lines = lines_with_any(source, &["= ReadHalf::", "= WriteHalf::"], Code::All);
        lines.retain(|line| !compared.contains(line));
        lines
    })
    .but_in(&["src/connection/halves.rs"])
    .forbids("src/connection/mod.rs", "fn f() { self.read = ReadHalf::Ended; }")
    .forbids("src/host.rs", "fn f() { let write = WriteHalf::Finished; }")
    .allows("src/connection/mod.rs", "fn f() { self.halves.read() == ReadHalf::Ended }")
    .holds();
    Law::new("The halves are private to conn/halves.rs.", |source| source.lines_with("pub read:", Code::All))
        .forbids("src/connection/halves.rs", "pub struct Halves { pub read: ReadHalf }")
        .holds();
}

#[test]
fn only_the_reactor_polls() {
    Law::new("Only net/reactor.rs polls the system.", |source| {
        let words = ["Poll", "epoll_wait", "mio::poll"];
        if source.path.starts_with("src/") { lines_with_any(source, &words, Code::All) } else { Vec::new() }
    })
    .but_in(&["src/net/reactor.rs"])
    .forbids("src/server/mod.rs", "fn f() { let poll = Poll::new(); }")
    .allows("src/server/mod.rs", "fn f() { self.net.poll(&mut facts, until) }")
    .holds();
    Law::new("Only a turn polls the net.", |source| {
        if source.path.starts_with("src/") { source.calls_with_arguments("poll", Code::Shipped) } else { Vec::new() }
    })
    // A thread that blocks waits for its stream and a bell at once.
    .but_in(&[
        "src/net/reactor.rs",
        "src/net/blocking/bell.rs",
        "src/server/mod.rs",
        "src/blocking/mod.rs",
        "src/client/reactor.rs",
        "src/client/connect.rs",
        "src/load/datagrams.rs",
        "src/sim/",
    ])
    .forbids("src/server/endpoint.rs", "fn f() { shared.net.poll(&mut facts, None) }")
    .holds();
}

#[test]
fn interest_never_changes() {
    Law::new("A stream is registered once; nothing calls reregister.", |source| {
        if source.path.starts_with("src/") { source.lines_with("reregister", Code::All) } else { Vec::new() }
    })
    .forbids("src/net/reactor.rs", "fn f() { self.poll.registry().reregister(stream, token, both) }")
    .holds();
}

#[test]
fn nothing_is_unsafe_and_nothing_is_shared_by_counting() {
    Law::new("No unsafe, no Rc, no RefCell.", |source| {
        // A benchmark's baseline makes its system calls by hand.
        let is_bench = source.path.starts_with("benches/");
        if is_bench { Vec::new() } else { lines_with_any(source, &["unsafe", "Rc", "RefCell"], Code::All) }
    })
    // An allocator can be written in no other way.
    .but_in(&["tests/allocations.rs"])
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
fn a_function_fits_on_a_screen() {
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
}

#[test]
fn every_file_says_what_it_is() {
    let law = Law::new("Every file opens with what it is.", |source| {
        if source.text.starts_with("//! ") { Vec::new() } else { vec![1] }
    });
    assert_eq!(law.broken_lines(&Source::new("src/host.rs", "\n//! Late.\n")), [1]);
    law.allows("src/host.rs", "fn f() {}").holds();
}

#[test]
fn every_file_is_somebodys_module() {
    let sources = Source::all();
    let planted = Source::new("src/net/forgotten.rs", "//! Nobody compiles this.\n");
    assert!(planted.is_orphan(sources));
    let orphans = sources.iter().filter(|source| source.is_orphan(sources)).map(|source| source.path.as_str());
    assert_eq!(orphans.collect::<Vec<_>>(), [""; 0]);
    Law::new("A module is where its name says.", |source| source.lines_with("#[path", Code::All))
        .forbids("src/bin/readyloop/main.rs", "#[path = \"../../host.rs\"] mod host;")
        .holds();
}

#[test]
fn nothing_is_named_with_a_word_that_says_nothing() {
    Law::new("One word per idea: no get_, set_, do_, process, manager, helper, utils, common.", |source| {
        let verb = |name: &str| ["get_", "set_", "do_", "process"].iter().any(|verb| name.starts_with(verb));
        // std's own name for the second of a pair.
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
fn nothing_waits_by_sleeping() {
    Law::new("No sleep: wait for an event with a deadline.", |source| {
        let places = ["src/", "tests/"];
        let is_here = places.iter().any(|place| source.path.starts_with(place));
        if is_here { source.lines_with("thread::sleep", Code::All) } else { Vec::new() }
    })
    .forbids("tests/it/main.rs", "fn f() { std::thread::sleep(second); }")
    .allows("src/sim/state.rs", "fn f() { self.sleep(until) }")
    .holds();
}
