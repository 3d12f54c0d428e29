//! What this crate is built from: where it comes from, under which licences, and nothing with a hole
//! that is known.
//!
//! Advisories cannot be asked for without a network: those that were known for any crate here when
//! this was last looked through stand below with the version that mends them (rustsec.org; `cargo
//! audit` knows of later ones).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than a copy of themselves.
const LICENCES: [&str; 9] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
];

/// Two versions of one crate are built only where two others insist: ring's and ours of `getrandom`,
/// two generations of derive macros, Windows' own, and what the fuzz targets' crate alone asks for.
const DOUBLE: [&str; 8] = ["getrandom", "r-efi", "rand", "rand_core", "syn", "toml_datetime", "windows-sys", "winnow"];

/// What the library without its features is built from.
const BARE: [&str; 9] = ["libc", "log", "memchr", "memmap2", "mio", "rustix", "slab", "socket2", "thiserror"];

/// The first version of a crate that has what an advisory asks for; two where an older line has it too.
const MENDED: [(&str, &str, &str); 16] = [
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

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn manifest_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The name, version and source of every crate in Cargo.lock; no source: it is in this folder.
fn locked() -> Vec<(String, String, Option<String>)> {
    let text = fs::read_to_string(manifest_directory().join("Cargo.lock")).expect("it is part of the crate");
    let lock: toml::Table = text.parse().expect("cargo wrote it");
    let crates = lock["package"].as_array().expect("there are some");
    let word = |each: &toml::Value, key: &str| each.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let of = |each| Some((word(each, "name")?, word(each, "version")?, word(each, "source")));
    crates.iter().map(|each| of(each).expect("each has a name and a version")).collect()
}

/// What cargo knows of the crates that are built on this system.
fn metadata() -> Vec<Value> {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let target = format!("{}-unknown-linux-{libc}", std::env::consts::ARCH);
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(manifest_directory()).args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    let output = command.args(["--filter-platform", &target]).output().expect("cargo built this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let known: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    known["packages"].as_array().expect("there are some").clone()
}

/// Whether a licence expression can be fulfilled with the licences above.
fn is_known(expression: &str) -> bool {
    // The old way to say OR.
    let expression = expression.replace('/', " OR ");
    let outer = expression.split(" AND ").map(|part| part.trim_matches(['(', ')']));
    outer.into_iter().all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

/// Versions in their order, as far as they are numbers.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or(version);
    plain.split('.').map(|number| number.parse().expect("a number")).collect()
}

/// Whether a version is at or behind the last of the mended ones, or behind another in its own line.
fn is_mended(version: &str, mends: &[&str]) -> bool {
    let (version, last) = (numbers(version), numbers(mends.last().expect("an advisory names one")));
    let is_in_line = |mended: &Vec<u64>| version[..2] == mended[..2] && version >= *mended;
    version >= last || mends.iter().map(|mended| numbers(mended)).any(|mended| is_in_line(&mended))
}

#[test]
fn licences_are_read_as_they_are_meant() {
    assert!(is_known("MIT OR Apache-2.0") && is_known("MIT/Apache-2.0") && is_known("GPL-3.0 OR MIT"));
    assert!(is_known("(MIT OR Apache-2.0) AND Unicode-3.0") && is_known("Apache-2.0 WITH LLVM-exception OR MIT"));
    assert!(!is_known("GPL-3.0") && !is_known("MIT AND GPL-3.0") && !is_known("(MIT OR ISC) AND GPL-3.0"));
    assert!(is_mended("0.9.5", &["0.9.3", "0.10.1"]) && is_mended("0.11.0", &["0.9.3", "0.10.1"]));
    assert!(!is_mended("0.9.2", &["0.9.3", "0.10.1"]) && !is_mended("0.10.0", &["0.9.3", "0.10.1"]));
    assert!(numbers("0.10.0-rc.1") > numbers("0.9.12") && numbers("1.0.103") > numbers("1.0.99"));
}

#[test]
fn every_crate_comes_from_the_registry_under_a_known_licence() {
    let crates = locked();
    let strays: Vec<_> = crates.iter().filter(|(_, _, source)| source.as_deref() != Some(REGISTRY)).collect();
    assert!(strays.len() == 1 && strays[0].0 == "readyloop", "from elsewhere: {strays:?}");
    let known = metadata();
    let refused = known.iter().filter(|each| !each["license"].as_str().is_some_and(is_known));
    let refused: Vec<String> = refused.map(|each| format!("{} {}", each["name"], each["license"])).collect();
    assert!(refused.is_empty() && known.len() > 50, "{refused:?}");
}

#[test]
fn no_crate_is_there_twice_without_need() {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    locked().into_iter().for_each(|(name, _, _)| *versions.entry(name).or_default() += 1);
    let double: Vec<&str> = versions.iter().filter(|(_, count)| **count > 1).map(|(name, _)| name.as_str()).collect();
    assert_eq!(double, DOUBLE);
}

#[test]
fn no_crate_is_older_than_the_mend_of_its_advisory() {
    let crates = locked();
    let mut seen = BTreeSet::new();
    for (name, version, _) in &crates {
        for (_, _, advisory) in MENDED.iter().filter(|(concerned, _, _)| concerned == name) {
            let mends = MENDED.iter().filter(|(concerned, _, of)| concerned == name && of == advisory);
            assert!(
                is_mended(version, &mends.map(|(_, mended, _)| *mended).collect::<Vec<_>>()),
                "{name} {version}: {advisory}"
            );
            seen.insert(name.as_str());
        }
    }
    let gone: Vec<_> = MENDED.iter().filter(|(name, _, _)| !seen.contains(name)).collect();
    assert!(gone.is_empty(), "no longer built from, so no longer to be looked after: {gone:?}");
}

#[test]
fn the_library_alone_stands_on_few_crates() {
    let known = metadata();
    let own = known.iter().find(|each| each["name"] == "readyloop").expect("it is one of them");
    let direct = own["dependencies"].as_array().expect("a list").iter();
    let always = direct.filter(|each| each["kind"].is_null() && each["optional"] == false);
    let names: BTreeSet<&str> = always.filter_map(|each| each["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(BARE));
}

/// The tests that the page on security names, in their files: `close::a_name`.
fn named_tests(page: &str) -> impl Iterator<Item = &str> {
    let cells = page.lines().filter(|line| line.starts_with("| ")).skip(1).filter_map(|row| row.rsplit(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let page = fs::read_to_string(manifest_directory().join("src/guide/security.md")).expect("it is part of the crate");
    let mut count = 0;
    for name in named_tests(&page) {
        let (module, function) = name.rsplit_once("::").unwrap_or_else(|| panic!("{name} is in no file"));
        let path = manifest_directory().join("tests/it").join(module.replace("::", "/")).with_extension("rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let begin = text.find(&format!("\nfn {function}() {{")).unwrap_or_else(|| panic!("{name} is not there"));
        let attributes = text[..begin].rsplit("\n\n").next().unwrap_or_default();
        assert!(attributes.starts_with("#[test]") && !attributes.contains("ignore"), "{name} is no test: {attributes}");
        count += 1;
    }
    let rows = page.lines().filter(|line| line.starts_with("| ")).count() - 1;
    assert!(count >= rows && rows > 20, "{count} tests for {rows} rows");
}
