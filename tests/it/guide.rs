//! The README and the guide agree with the command, the library, the examples and the files.
//!
//! Their code is compiled as documentation tests.

mod commands;
mod course;
mod links;
mod page;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use readyloop::CloseReason;

use crate::support::Serve;

use commands::{CARGO_FLAGS, HARNESS_FLAGS};
use page::{Page, code_in, names_in, path_of, text_of};

/// The help of a subcommand.
fn help_of(subcommand: &str) -> String {
    Serve::command(&format!("{subcommand} --help")).run().out.join("\n")
}

/// The help of all subcommands.
fn help() -> String {
    [
        "serve",
        "client",
        "bench",
        "compare",
        "conform",
        "report",
        "sim",
        "replay",
        "stat",
        "cert",
        "doctor",
        "man",
        "completions",
    ]
    .map(help_of)
    .join("\n")
}

/// The flags in a text. Dashes alone are a row of a table, or end the flags of cargo.
fn flags_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|sign: char| !(sign.is_ascii_lowercase() || sign == '-'));
    words.filter(|word| word.starts_with("--") && !word.trim_matches('-').is_empty()).collect()
}

/// The default of a flag in the help.
fn default_of(flag: &str, help: &str) -> Option<String> {
    // A dash and a space begin the description of a possible value.
    let is_flag = |line: &str| line.trim_start().starts_with('-') && !line.trim_start().starts_with("- ");
    let after = help.lines().skip_while(|line| !(is_flag(line) && flags_in(line).contains(flag))).skip(1);
    let text = after.take_while(|line| !is_flag(line)).map(str::trim).collect::<Vec<_>>().join(" ");
    let (_, rest) = text.split_once("[default: ")?;
    rest.split_once(']').map(|(default, _)| default.to_owned())
}

#[test]
fn every_flag_in_the_text_exists() {
    let help = [help().as_str(), CARGO_FLAGS, HARNESS_FLAGS].join(" ");
    let unknown_in = |text: &str| -> Vec<String> {
        flags_in(text).difference(&flags_in(&help)).map(|flag| (*flag).to_owned()).collect()
    };
    for page in Page::all() {
        assert_eq!(unknown_in(&page.text), [""; 0], "{}", page.path);
    }
    assert_eq!(unknown_in("`--idle-timout 1m`, `--idle-timeout`"), ["--idle-timout"]);
}

#[test]
fn every_variable_in_the_text_exists() {
    let tests = ["soak", "bugs", "bad_path", "sim"].map(|name| text_of(&format!("tests/it/{name}.rs"))).concat();
    let (serve, all) = (help_of("serve"), help());
    let is_known = |variable: &str| {
        let flag = format!("--{}", variable["READYLOOP_".len()..].to_lowercase().replace('_', "-"));
        flags_in(&serve).contains(flag.as_str()) || [&all, &tests].iter().any(|text| text.contains(variable))
    };
    for page in Page::all() {
        let words = page.text.split(|sign: char| !(sign.is_ascii_uppercase() || sign == '_'));
        let unknown: Vec<_> = words.filter(|word| word.starts_with("READYLOOP_") && !is_known(word)).collect();
        assert_eq!(unknown, [""; 0], "{}", page.path);
    }
    assert!(!is_known("READYLOOP_IDLE_TIMOUT"));
}

#[test]
fn the_table_of_limits_has_every_limit_with_its_default() {
    let (chapter, help) = (Page::read("src/guide/operations.md"), help_of("serve"));
    let rows = chapter.table("| in the library |");
    let listed: BTreeMap<&str, &str> =
        rows.iter().filter_map(|cells| Some((code_in(cells[1])?, cells[2].trim_matches('`')))).collect();
    for (flag, default) in &listed {
        match default_of(flag, &help) {
            Some(expected) => assert_eq!(*default, expected, "{flag}"),
            // A switch.
            None => assert!(["on", "off"].contains(default), "{flag}"),
        }
    }
    let endings = ["-timeout", "-max", "-high", "-low", "-buffer", "-per-ip", "-connections", "-rate"];
    let mut missing = flags_in(&help);
    missing.retain(|flag| endings.iter().any(|ending| flag.ends_with(ending)) && !listed.contains_key(flag));
    assert!(missing.is_empty() && listed.len() > 10, "{missing:?}");
}

#[test]
fn the_table_of_close_reasons_has_every_reason() {
    let chapter = Page::read("src/guide/operations.md");
    let rows = chapter.table("| in the summary |");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|cells| cells[0].split('`').skip(1).step_by(2)).collect();
    assert_eq!(listed, BTreeSet::from(CloseReason::ALL.map(CloseReason::name)));
}

#[test]
fn the_table_of_examples_has_every_example() {
    let (chapter, readme) = (Page::read("src/guide/cookbook.md"), Page::read("README.md"));
    let listed: Vec<_> = chapter.table("| name |").into_iter().filter_map(|cells| code_in(cells[0])).collect();
    let mut examples = names_in("examples", ".rs");
    // An example of several files is a folder.
    let is_program = |name: &String| path_of(&format!("examples/{name}/main.rs")).exists();
    examples.extend(names_in("examples", "").into_iter().filter(is_program));
    examples.sort_unstable();
    assert_eq!(listed, examples);
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
    let front = text_of("src/lib.rs").replace("\n//! ", "\n").replace("\n//!", "\n");
    let (_, code) = front.split("```").nth(1).and_then(|block| block.split_once('\n')).expect("there is an example");
    assert!(code.lines().count() > 10 && text_of("README.md").contains(code));
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
fn each_figure_has_the_rule_by_which_it_is_measured_again() {
    let rules = text_of("benches/figures/rules.rs");
    let rules: Vec<&str> = rules.split("what: \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    let pages = ["README.md", "src/guide/benchmarking.md"].map(Page::read);
    let tables = pages.iter().flat_map(|page| page.table("| what | figure | command |"));
    let rows: Vec<&str> = tables.map(|cells| cells[0]).collect();
    let without_rule: Vec<_> = rows.iter().filter(|row| !rules.iter().any(|rule| row.starts_with(rule))).collect();
    let without_row: Vec<_> = rules.iter().filter(|rule| !rows.iter().any(|row| row.starts_with(*rule))).collect();
    assert!(without_rule.is_empty() && without_row.is_empty(), "{without_rule:?} {without_row:?}");
    assert!(rows.len() > 15, "the rows are found");
}

#[test]
fn the_figure_in_the_readme_exists_and_loads_nothing() {
    let (readme, figure) = (text_of("README.md"), text_of("benches/designs.svg"));
    assert!(readme.contains("](benches/designs.svg)") && readme.contains("--svg benches/designs.svg`"));
    assert!(figure.starts_with("<svg xmlns=") && figure.contains("prefers-color-scheme:dark"));
    assert!(!figure.contains("href") && !figure.contains("url("), "it loads something");
    for part in [">Requests ", ">p99 latency<", ">reactor<", ">threads<", ">pool<"] {
        assert!(figure.contains(part), "no {part} in it");
    }
}
