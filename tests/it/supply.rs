//! The dependencies of this crate: how many the library needs, and known vulnerabilities.
//!
//! The test needs no network, so it contains a list of advisories with the versions that fix them
//! (rustsec.org). `cargo audit` reports later advisories. The gate checks licenses, sources and duplicates
//! with `cargo deny` (`.ci/deny.toml`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::Program;

/// The dependencies of the library without features.
const REQUIRED: [&str; 12] = [
    "command-fds",
    "libc",
    "listenfd",
    "log",
    "memchr",
    "memmap2",
    "mio",
    "nix",
    "rustix",
    "slab",
    "socket2",
    "thiserror",
];

/// The first version of a crate that fixes an advisory. An older line with a fix has its own row.
const FIXED: [(&str, &str, &str); 16] = [
    ("anstream", "0.6.8", "RUSTSEC-2024-0404"),
    ("anyhow", "1.0.103", "RUSTSEC-2026-0190"),
    ("hashbrown", "0.15.1", "RUSTSEC-2024-0402"),
    ("memmap2", "0.9.11", "RUSTSEC-2026-0186"),
    ("mio", "0.8.11", "RUSTSEC-2024-0019"),
    ("nix", "0.23.0", "RUSTSEC-2021-0119"),
    ("once_cell", "1.0.1", "RUSTSEC-2019-0017"),
    ("rand", "0.9.3", "RUSTSEC-2026-0097"),
    ("rand", "0.10.1", "RUSTSEC-2026-0097"),
    ("regex", "1.5.5", "RUSTSEC-2022-0013"),
    ("ring", "0.17.12", "RUSTSEC-2025-0009"),
    ("rustls", "0.23.18", "RUSTSEC-2024-0399"),
    ("rustls-webpki", "0.103.13", "RUSTSEC-2026-0104"),
    ("slab", "0.4.11", "RUSTSEC-2025-0047"),
    ("socket2", "0.3.16", "RUSTSEC-2020-0079"),
    ("time", "0.3.47", "RUSTSEC-2026-0009"),
];

fn manifest_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The name and version of every crate in Cargo.lock.
fn locked() -> Vec<(String, String)> {
    let text = fs::read_to_string(manifest_directory().join("Cargo.lock")).expect("Cargo.lock can be read");
    let lock: toml::Table = text.parse().expect("Cargo.lock is TOML");
    let crates = lock["package"].as_array().expect("packages are a list");
    let word = |each: &toml::Value, key: &str| each.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let of = |each| Some((word(each, "name")?, word(each, "version")?));
    crates.iter().map(|each| of(each).expect("a package has a name and a version")).collect()
}

/// The output of `cargo metadata` about the crates that are built on this system.
fn metadata() -> Vec<Value> {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let target = format!("{}-unknown-linux-{libc}", std::env::consts::ARCH);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1", "--manifest-path", manifest];
    let mut cargo = Program::start(env!("CARGO"), &[&arguments[..], &["--filter-platform", &target]].concat());
    // It may wait for the lock of another cargo command.
    assert_eq!(cargo.wait(Duration::from_secs(300)), Some(0), "{}", cargo.errors.all().join("\n"));
    let metadata: Value = serde_json::from_str(&cargo.out.all().concat()).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("packages are a list").clone()
}

/// The numbers of a version, for comparison.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or(version);
    plain.split('.').map(|number| number.parse().expect("a number")).collect()
}

/// Whether `version` is not older than the last of `fixes`, or than a fix in its own line.
fn is_fixed(version: &str, fixes: &[&str]) -> bool {
    let (version, last) = (numbers(version), numbers(fixes.last().expect("an advisory has a fix")));
    let is_in_line = |fixed: &Vec<u64>| version[..2] == fixed[..2] && version >= *fixed;
    version >= last || fixes.iter().map(|fixed| numbers(fixed)).any(|fixed| is_in_line(&fixed))
}

#[test]
fn versions_are_compared_by_their_numbers() {
    assert!(is_fixed("0.9.5", &["0.9.3", "0.10.1"]) && is_fixed("0.11.0", &["0.9.3", "0.10.1"]));
    assert!(!is_fixed("0.9.2", &["0.9.3", "0.10.1"]) && !is_fixed("0.10.0", &["0.9.3", "0.10.1"]));
    assert!(numbers("0.10.0-rc.1") > numbers("0.9.12") && numbers("1.0.103") > numbers("1.0.99"));
}

#[test]
fn no_crate_has_a_known_advisory() {
    let crates = locked();
    let mut seen = BTreeSet::new();
    for (name, version) in &crates {
        for (_, _, advisory) in FIXED.iter().filter(|(affected, _, _)| affected == name) {
            let fixes = FIXED.iter().filter(|(affected, _, of)| affected == name && of == advisory);
            let fixes: Vec<_> = fixes.map(|(_, fixed, _)| *fixed).collect();
            assert!(is_fixed(version, &fixes), "{name} {version}: {advisory}");
            seen.insert(name.as_str());
        }
    }
    let gone: Vec<_> = FIXED.iter().filter(|(name, _, _)| !seen.contains(name)).collect();
    assert!(gone.is_empty(), "not a dependency, so remove the advisory: {gone:?}");
}

#[test]
fn the_library_alone_depends_on_few_crates() {
    let packages = metadata();
    let own = packages.iter().find(|each| each["name"] == "readyloop").expect("this crate is a package");
    let direct = own["dependencies"].as_array().expect("a list").iter();
    let always = direct.filter(|each| each["kind"].is_null() && each["optional"] == false);
    let names: BTreeSet<&str> = always.filter_map(|each| each["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(REQUIRED));
}

/// The tests that the security page names, with their module: `close::a_name`.
fn named_tests(page: &str) -> impl Iterator<Item = &str> {
    let cells = page.lines().filter(|line| line.starts_with("| ")).skip(1).filter_map(|row| row.rsplit(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_named_in_the_security_page_exists() {
    let page = fs::read_to_string(manifest_directory().join("src/guide/security.md")).expect("the page can be read");
    let mut count = 0;
    for name in named_tests(&page) {
        let (module, function) = name.rsplit_once("::").unwrap_or_else(|| panic!("{name} has no module"));
        let path = manifest_directory().join("tests/it").join(module.replace("::", "/")).with_extension("rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let begin = text.find(&format!("\nfn {function}() {{")).unwrap_or_else(|| panic!("{name} does not exist"));
        let attributes = text[..begin].rsplit("\n\n").next().unwrap_or_default();
        let is_test = attributes.starts_with("#[test]") && !attributes.contains("ignore");
        assert!(is_test, "{name} is not a test: {attributes}");
        count += 1;
    }
    let rows = page.lines().filter(|line| line.starts_with("| ")).count() - 1;
    assert!(count >= rows && rows > 20, "{count} tests for {rows} rows");
}
