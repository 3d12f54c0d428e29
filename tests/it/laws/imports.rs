//! Imports point down the rings of `src/lib.rs`, and never in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::source::{Code, ModulePath, Source};
use super::{Law, is_library, is_source};

/// The top modules by ring, read from the table in `src/lib.rs`. Within a ring a module may use those
/// before it; among the programs, only the pair in [`MAY_ALSO`].
static RINGS: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
    let root = Source::all().iter().find(|source| source.path == "src/lib.rs").expect("the crate has a root");
    let mut rings: Vec<Vec<&str>> = Vec::new();
    for row in root.text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        if cells[0] == rings.len().to_string() {
            rings.push(cells[1].split('`').skip(1).step_by(2).collect());
        }
    }
    rings
});

/// The one program that uses another: the load generator is many clients.
const MAY_ALSO: (&str, &str) = ("load", "client");

/// The lowest ring that knows sockets, threads, the clock and the log is the ring of this module.
const BORDER: &str = "net";

/// The ring of the faces and programs is the ring of this module.
const PROGRAM: &str = "server";

/// The ring of a top module, and its position there.
fn place_of(module: &str) -> Option<(usize, usize)> {
    RINGS.iter().enumerate().find_map(|(ring, modules)| Some((ring, modules.iter().position(|it| *it == module)?)))
}

fn ring_of(module: &str) -> Option<usize> {
    place_of(module).map(|(ring, _)| ring)
}

pub(super) fn is_below_the_border(source: &Source) -> bool {
    source.top_module().and_then(ring_of).is_some_and(|ring| Some(ring) < ring_of(BORDER))
}

#[test]
fn every_top_module_is_in_the_table_of_rings() {
    let mut modules: Vec<&str> = Source::all().iter().filter_map(Source::top_module).collect();
    modules.sort_unstable();
    modules.dedup();
    // The guide is text.
    modules.retain(|module| *module != "guide");
    let mut planned = RINGS.concat();
    planned.sort_unstable();
    assert_eq!(modules, planned, "the modules under src, and those in the table of src/lib.rs");
    assert!(ring_of(BORDER) > Some(0), "there is a ring below the border");
}

#[test]
fn imports_point_down_the_rings() {
    Law::new("Imports point down the rings, and name the top module.", is_source, |source| {
        let Some(module) = source.top_module() else { return Vec::new() };
        let here = place_of(module);
        let is_upward = |path: &ModulePath<'_>| {
            let name = path.words[0];
            let there = place_of(name);
            let are_programs = [module, name].iter().all(|it| ring_of(it) == ring_of(PROGRAM));
            let is_allowed = name == module || (module, name) == MAY_ALSO;
            !is_allowed && (there.is_none() || there >= here || are_programs)
        };
        let upward = source.paths_from("crate").into_iter().filter(is_upward);
        let around = if source.is_root_of_top_module() { "super::" } else { "super::super::" };
        upward.map(|path| path.line).chain(source.lines_with(&[around], Code::Shipped)).collect()
    })
    // Its tests use the random numbers of the simulated world.
    .except_in(&["src/net/tls/tests"])
    .forbids("src/connection/mod.rs", "use crate::host::Host;")
    .forbids("src/connection/limits.rs", "use crate::{watermark, net::{Net, Token}};")
    .forbids("src/service/echo.rs", "fn f() { crate::host::f() }")
    .forbids("src/slab.rs", "use crate::timers::Timers;")
    .forbids("src/connection/limits.rs", "use super::super::net::Net;")
    .forbids("src/client/mod.rs", "use crate::blocking::BlockingServer;")
    .forbids("src/client/mod.rs", "use crate::load::Record;")
    .allows("src/load/generator.rs", "use crate::client::Client;")
    .forbids("src/event_loop/mod.rs", "use crate::client::Client;")
    .allows("src/client/reactor.rs", "use crate::event_loop::EventLoop;")
    .forbids("src/sim/world.rs", "use crate::event_loop::EventLoop;")
    .allows("src/simtest/run.rs", "use crate::event_loop::EventLoop;")
    .allows("src/host.rs", "use crate::{connection::Limits, service::Service};")
    .allows("src/connection/limits.rs", "use super::CloseReason; // crate::net")
    .holds();
}

#[test]
fn below_the_border_is_no_socket_no_clock_no_thread_and_no_log() {
    Law::new("Below the border is no socket, no clock, no thread, no log.", is_below_the_border, |source| {
        let std = source.paths_from("std").into_iter();
        let std = std.filter(|path| ["fs", "io", "net", "os", "thread"].contains(&path.words[0]));
        let words = ["Instant::now", "time::Instant", "SystemTime", "mio", "socket2", "rustls", "log::"];
        std.map(|path| path.line).chain(source.lines_with(&words, Code::All)).collect()
    })
    // An error of a connect or of a layer is a value.
    .except_in(&["src/service/mod.rs", "src/host/orders.rs", "src/host/ending.rs"])
    .forbids("src/connection/mod.rs", "fn f() { let now = Instant::now(); }")
    .forbids("src/codec/raw.rs", "use std::net::SocketAddr;")
    .forbids("src/host.rs", "use std::{fmt, thread};")
    .forbids("src/buffer/reserve.rs", "fn f() { log::debug!(\"lent\") }")
    .allows("src/connection/mod.rs", "use crate::instant::Instant; // Instant::now")
    .allows("src/service/echo.rs", "const LOG: &str = \"std::net and mio\";")
    .allows("src/net/reactor.rs", "use std::net::SocketAddr;")
    .holds();
}

/// Which file uses which. A module and the modules inside it are one unit: a parent declares and
/// re-exports its children, and they share its types.
fn imports_between(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let files: BTreeMap<Vec<&str>, &str> =
        sources.iter().filter_map(|source| Some((source.module_path()?, source.path.as_str()))).collect();
    let mut imports = BTreeMap::new();
    for source in sources {
        let Some(here) = source.module_path() else { continue };
        let mut used = BTreeSet::new();
        for (root, base) in [("crate", &here[..1]), ("super", &here[..here.len() - 1])] {
            for ModulePath { words, is_test, .. } in source.paths_from(root) {
                let ups = words.iter().take_while(|word| **word == "super").count();
                let full = [&base[..base.len().saturating_sub(ups)], &words[ups..]].concat();
                let there = (0..=full.len()).rev().map(|len| &full[..len]).find(|path| files.contains_key(*path));
                let is_other = |there: &[&str]| !here.starts_with(there) && !there.starts_with(&here);
                used.extend(there.filter(|there| !is_test && is_other(there)).map(|there| files[there]));
            }
        }
        imports.insert(source.path.as_str(), used);
    }
    imports
}

/// Removes files that import no other file of the rest, until each one left is part of a circle or
/// leads into one.
fn circles<'a>(mut imports: BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    while let Some((&leaf, _)) = imports.iter().find(|(_, used)| used.is_empty()) {
        imports.remove(leaf);
        imports.values_mut().for_each(|used| _ = used.remove(leaf));
    }
    imports
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let planted = [
        Source::new("src/net/a.rs", "use super::b::B; use super::c::{C, d};"),
        Source::new("src/net/b.rs", "use crate::net::c::C;"),
        Source::new("src/net/c.rs", "#[cfg(test)] mod tests { use super::super::a::A; }"),
        Source::new("src/net/mod.rs", "mod a; mod b; mod c; use a::A;"),
    ];
    assert!(circles(imports_between(&planted)).is_empty(), "a parent, and a test, are no circle");
    assert_eq!(imports_between(&planted)["src/net/a.rs"].len(), 2);
    let circle = [
        Source::new("src/net/a.rs", "use super::b::B;"),
        Source::new("src/net/b.rs", "use super::{x, c::C};"),
        Source::new("src/net/c.rs", "fn f() { super::a::f() }"),
        Source::new("src/net/x.rs", ""),
    ];
    assert_eq!(circles(imports_between(&circle)).len(), 3);
    let circles = circles(imports_between(Source::all()));
    assert!(circles.is_empty(), "each of these files imports the next ones, around a circle: {circles:#?}");
}

#[test]
fn a_type_of_the_library_has_its_name_alone() {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in Source::all().iter().filter(|source| is_library(source)) {
        for (name, _) in source.names_after(&["struct", "enum", "trait", "union"], Code::Shipped) {
            places.entry(name).or_default().push(&source.path);
        }
    }
    assert!(places.len() > 100, "the types are found");
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "these names have more than one meaning: {places:#?}");
}
