//! What the README says of the command, the library and the examples is so.
//!
//! Its code is compiled as a doc test; what only a person can try is not tried here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::Serve;

fn text_of(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file is part of the crate")
}

/// What the help of a subcommand says of each flag, in one line.
fn flags_of(subcommand: &str) -> BTreeMap<String, String> {
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in Serve::command(&format!("{subcommand} --help")).run().out {
        let words = line.split_whitespace().find(|word| word.starts_with("--"));
        let is_flag = line.trim_start().starts_with('-') && line.starts_with("  ");
        match (words, flags.last_mut()) {
            (Some(flag), _) if is_flag => flags.push((flag_in(flag).to_owned(), line)),
            (_, Some((_, text))) => *text = format!("{text} {}", line.trim()),
            (_, None) => {}
        }
    }
    flags.into_iter().collect()
}

/// The flag that a word begins with: `--no-nodelay[=<BOOL>]` is `--no-nodelay`.
fn flag_in(word: &str) -> &str {
    let end = word.find(|sign: char| !(sign.is_ascii_lowercase() || sign == '-')).unwrap_or(word.len());
    &word[..end]
}

/// The default that the help tells of a flag, if it tells one.
fn default_in(help: &str) -> Option<&str> {
    let (_, rest) = help.split_once("[default: ")?;
    rest.split_once(']').map(|(default, _)| default)
}

/// The rows of the table whose heading holds `heading`, as their cells.
fn table<'a>(readme: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let behind = readme.split_once(heading).expect("the table is there").1;
    let rows = behind.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn code_in(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.split_once('`').map(|(code, _)| code)
}

#[test]
fn every_flag_in_the_readme_is_one_of_the_command() {
    let (readme, mut flags) = (text_of("README.md"), flags_of("serve"));
    flags.extend(["client", "bench", "compare", "report", "sim"].into_iter().flat_map(flags_of));
    let words = readme.split(|sign: char| sign.is_whitespace() || "`(),:;".contains(sign));
    // Behind a `--` of its own, or with cargo's name in front, a flag is cargo's.
    let cargos = ["--release", "--example", "--test", "--bench", "--nocapture", "--ignored", "--"];
    // What a benchmark is told, see `benches/rig/arguments.rs`.
    let benches = ["--cell", "--server"];
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("--")).map(flag_in).collect();
    let is_known = |flag: &str| cargos.contains(&flag) || benches.contains(&flag) || flags.contains_key(flag);
    let unknown: Vec<_> = named.into_iter().filter(|flag| !is_known(flag)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!flags.contains_key("--idle-timout"), "what is not there is not found");
}

#[test]
fn the_table_of_limits_has_every_limit_with_its_default() {
    let (readme, flags) = (text_of("README.md"), flags_of("serve"));
    let told: BTreeMap<&str, &str> = table(&readme, "| in the library |")
        .iter()
        .filter_map(|cells| Some((code_in(cells[1])?, cells[2].trim_matches('`'))))
        .collect();
    for (flag, default) in &told {
        match default_in(&flags[*flag]) {
            Some(really) => assert_eq!(*default, really, "{flag}"),
            // A switch.
            None => assert!(["on", "off"].contains(default), "{flag}"),
        }
    }
    let endings = ["-timeout", "-max", "-high", "-low", "-buffer", "-per-ip", "-connections"];
    let limits = flags.keys().filter(|flag| endings.iter().any(|ending| flag.ends_with(ending)));
    let missing: Vec<_> = limits.filter(|flag| !told.contains_key(flag.as_str())).collect();
    assert!(missing.is_empty() && told.len() > 10, "{missing:?}");
}

#[test]
fn the_table_of_examples_has_every_example() {
    let readme = text_of("README.md");
    let told: Vec<&str> = table(&readme, "| name |").iter().filter_map(|cells| code_in(cells[0])).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(folder).expect("there are examples").map(|entry| entry.expect("it can be read").path());
    let mut names: Vec<_> =
        files.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(told, names);
}

#[test]
fn the_example_in_the_readme_is_that_of_the_front_page() {
    let (readme, front) = (text_of("README.md"), text_of("src/lib.rs"));
    let code = front.split("```").nth(1).expect("the front page has an example");
    let lines: Vec<&str> = code.lines().skip(1).map(|line| line.trim_start_matches("//!")).collect();
    let code: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(code.len() > 10 && readme.contains(code.join("\n").trim()));
}

#[test]
fn the_map_in_the_readme_has_every_room() {
    let (readme, front) = (text_of("README.md"), text_of("src/lib.rs"));
    let map = readme.split_once("## The rooms").expect("there is a map").1;
    let on_map: Vec<&str> = map.split("```").nth(1).expect("it is drawn").split([' ', '/', '\n']).collect();
    let rooms = front.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let missing: Vec<&str> = rooms.clone().filter(|room| !on_map.contains(room)).collect();
    assert!(missing.is_empty() && rooms.count() > 10, "{missing:?}");
}

#[test]
fn the_figure_in_the_readme_is_there_and_stands_alone() {
    let readme = text_of("README.md");
    let (_, behind) = readme.split_once("](benches/").expect("a figure is shown");
    let name = behind.split(')').next().expect("it has a name");
    assert!(readme.contains(&format!("--svg benches/{name}\n")), "no command that draws it");
    let figure = text_of(&format!("benches/{name}"));
    assert!(figure.starts_with("<svg xmlns=") && figure.contains("prefers-color-scheme:dark"));
    assert!(!figure.contains("href") && !figure.contains("url("), "it loads something");
    for part in [">Requests a second<", ">p99 latency<", ">reactor<", ">threads<", ">pool<"] {
        assert!(figure.contains(part), "no {part} in it");
    }
}
