//! The README and the guide agree with the command, the library, the examples and the files.
//!
//! Their code is compiled as documentation tests.

mod commands;
mod links;
mod page;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Serve;

use page::{Page, code_in, names_in, text_of};

/// The subcommands with flags that the text names.
const SUBCOMMANDS: [&str; 7] = ["serve", "client", "bench", "compare", "report", "sim", "cert"];

/// The flags of cargo, of the harness of the tests and of the benchmarks.
const OTHER_FLAGS: [&str; 15] = [
    "--release",
    "--example",
    "--test",
    "--bench",
    "--lib",
    "--doc",
    "--open",
    "--path",
    "--no-default-features",
    "--features",
    "--nocapture",
    "--ignored",
    "--test-threads",
    "--cell",
    "--server",
];

/// The help text of each flag of a subcommand, in one line.
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

/// The flag at the beginning of a word: `--no-nodelay[=<BOOL>]` is `--no-nodelay`.
fn flag_in(word: &str) -> &str {
    let end = word.find(|sign: char| !(sign.is_ascii_lowercase() || sign == '-')).unwrap_or(word.len());
    &word[..end]
}

/// The default in the help text of a flag.
fn default_in(help: &str) -> Option<&str> {
    let (_, rest) = help.split_once("[default: ")?;
    rest.split_once(']').map(|(default, _)| default)
}

/// The words in a text that begin with `start`, at the beginning or after a separator.
fn words_with<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let words = text.split(|sign: char| sign.is_whitespace() || "`(),:;=\"[]|".contains(sign));
    words.filter(|word| word.starts_with(start)).collect()
}

#[test]
fn every_flag_in_the_text_exists() {
    let flags: BTreeSet<String> = SUBCOMMANDS.iter().flat_map(|name| flags_of(name).into_keys()).collect();
    let unknown_in = |text: &str| -> Vec<String> {
        let named = words_with(text, "--").into_iter().map(flag_in).map(str::to_owned);
        // Dashes alone are a row of a table, or end the flags of cargo.
        let named = named.filter(|flag| !flag.trim_matches('-').is_empty());
        named.filter(|flag| !OTHER_FLAGS.contains(&flag.as_str()) && !flags.contains(flag)).collect()
    };
    for page in Page::all() {
        assert_eq!(unknown_in(&page.text), [""; 0], "{}", page.path);
    }
    assert_eq!(unknown_in("`--idle-timout 1m`, `--idle-timeout`"), ["--idle-timout"]);
}

#[test]
fn every_variable_in_the_text_exists() {
    let flags = flags_of("serve");
    let help = SUBCOMMANDS.map(|name| Serve::command(&format!("{name} --help")).run().out.concat()).concat();
    let tests = ["soak", "bugs", "bad_path", "sim"].map(|name| text_of(&format!("tests/it/{name}.rs"))).concat();
    let is_known = |variable: &str| {
        let flag = format!("--{}", variable["READYLOOP_".len()..].to_lowercase().replace('_', "-"));
        flags.contains_key(&flag) || help.contains(variable) || tests.contains(&format!("\"{variable}\""))
    };
    for page in Page::all() {
        let unknown: Vec<&str> =
            words_with(&page.text, "READYLOOP_").into_iter().filter(|name| !is_known(name)).collect();
        assert_eq!(unknown, [""; 0], "{}", page.path);
    }
    assert!(!is_known("READYLOOP_IDLE_TIMOUT"));
}

#[test]
fn the_table_of_limits_has_every_limit_with_its_default() {
    let (chapter, flags) = (Page::read("src/guide/operations.md"), flags_of("serve"));
    let listed: BTreeMap<String, String> = chapter
        .table("| in the library |")
        .iter()
        .filter_map(|cells| Some((code_in(cells[1])?.to_owned(), cells[2].trim_matches('`').to_owned())))
        .collect();
    for (flag, default) in &listed {
        match default_in(&flags[flag]) {
            Some(expected) => assert_eq!(default, expected, "{flag}"),
            // A switch.
            None => assert!(["on", "off"].contains(&default.as_str()), "{flag}"),
        }
    }
    let endings = ["-timeout", "-max", "-high", "-low", "-buffer", "-per-ip", "-connections", "-rate"];
    let limits = flags.keys().filter(|flag| endings.iter().any(|ending| flag.ends_with(ending)));
    let missing: Vec<_> = limits.filter(|flag| !listed.contains_key(*flag)).collect();
    assert!(missing.is_empty() && listed.len() > 10, "{missing:?}");
}

#[test]
fn the_table_of_close_reasons_has_every_reason() {
    let chapter = Page::read("src/guide/operations.md");
    let listed: BTreeSet<&str> = chapter
        .table("| in the summary |")
        .iter()
        .flat_map(|cells| cells[0].split('`').skip(1).step_by(2).collect::<Vec<_>>())
        .collect();
    let source = text_of("src/connection/close.rs");
    let names = source.split(" => \"").skip(1).filter_map(|rest| rest.split_once('"'));
    let names: BTreeSet<&str> = names.map(|(name, _)| name).collect();
    assert!(names.len() > 15, "{names:?}");
    assert_eq!(listed, names);
}

#[test]
fn the_table_of_examples_has_every_example() {
    let (chapter, names) = (Page::read("src/guide/cookbook.md"), names_in("examples", ".rs"));
    let listed: Vec<String> =
        chapter.table("| name |").iter().filter_map(|cells| code_in(cells[0]).map(str::to_owned)).collect();
    assert_eq!(listed, names);
    let readme = Page::read("README.md");
    for example in ["03_bare_mio", "20_level_triggered"] {
        assert!(readme.links().contains(&format!("examples/{example}.rs")), "{example} is not on the front page");
    }
}

#[test]
fn the_table_of_results_has_every_full_test() {
    let results = Page::read("tests/RESULTS.md");
    let listed: BTreeSet<&str> =
        results.table("| test |").iter().filter_map(|cells| code_in(cells[0]).map(str::trim)).collect();
    let sources = ["full", "bugs"].map(|name| text_of(&format!("tests/it/{name}.rs"))).concat();
    let ignored = sources.split("#[ignore").skip(1).filter_map(|rest| rest.split_once("\nfn ")?.1.split_once('('));
    let names: BTreeSet<&str> = ignored.map(|(name, _)| name).collect();
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(listed, names);
}

#[test]
fn the_code_in_the_readme_is_that_of_the_documentation() {
    let (readme, front) = (text_of("README.md"), text_of("src/lib.rs"));
    let code = front.split("```").nth(1).expect("the documentation begins with an example");
    let lines: Vec<&str> = code.lines().skip(1).map(|line| line.trim_start_matches("//!")).collect();
    let code: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(code.len() > 10 && readme.contains(code.join("\n").trim()));
}

#[test]
fn the_map_in_the_guide_has_every_module() {
    let (chapter, front) = (Page::read("src/guide/internals.md"), text_of("src/lib.rs"));
    let on_map: Vec<&str> = chapter.blocks("text")[0].split([' ', '/', '\n']).collect();
    let modules = front.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let missing: Vec<&str> = modules.clone().filter(|module| !on_map.contains(module)).collect();
    assert!(missing.is_empty() && modules.count() > 10, "{missing:?}");
}

#[test]
fn the_figure_in_the_readme_exists_and_loads_nothing() {
    let readme = text_of("README.md");
    let (_, rest) = readme.split_once("](benches/").expect("the README shows a figure");
    let name = rest.split(')').next().expect("it has a name");
    assert!(readme.contains(&format!("--svg benches/{name}`")), "no command that draws it");
    let figure = text_of(&format!("benches/{name}"));
    assert!(figure.starts_with("<svg xmlns=") && figure.contains("prefers-color-scheme:dark"));
    assert!(!figure.contains("href") && !figure.contains("url("), "it loads something");
    for part in [">Requests ", ">p99 latency<", ">reactor<", ">threads<", ">pool<"] {
        assert!(figure.contains(part), "no {part} in it");
    }
}
