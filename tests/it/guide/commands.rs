//! Every command in the README, the guide and the results is one that can be typed.
//!
//! A shell splits each line into the programs that it starts, without starting them. The command
//! line of `readyloop` then parses its own arguments. The arguments of cargo are compared with the
//! files of the repository.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::ScratchPath;

use super::page::{Page, path_of, text_of};

/// Programs and shell built-ins that the text may use. The shell only records their arguments.
const PROGRAMS: [&str; 7] = ["readyloop", "cargo", "kill", "jq", "ulimit", "cd", "sleep"];

/// The flags of cargo, as far as they are used here, and those of the test harness and the benchmarks.
pub(super) const CARGO_FLAGS: &str =
    "--release --debug --example --test --bench --lib --doc --path --open --no-default-features --features";
pub(super) const HARNESS_FLAGS: &str =
    "--ignored --nocapture --test-threads=1 --cell --server --rate -c --noise --quick --update --write";

/// A program and its arguments.
pub(super) type Call = Vec<String>;

/// Whether this code is a command line: one of the programs, perhaps after variables.
fn is_command(code: &str) -> bool {
    let program = code.split_whitespace().find(|word| !word.starts_with("READYLOOP_") || !word.contains('='));
    program.is_some_and(|program| PROGRAMS.contains(&program) || program == "printf")
}

/// The command lines of a page: its `sh` blocks, and code in backticks.
pub(super) fn commands(page: &Page) -> Vec<String> {
    let lines = page.blocks("sh").into_iter().flat_map(str::lines).filter(|line| !line.trim().is_empty());
    let spans = page.code_spans().into_iter().filter(|code| is_command(code));
    lines.map(str::to_owned).chain(spans).collect()
}

/// The programs that a shell would start for this line, or the error of the shell.
pub(super) fn calls(line: &str) -> Result<Vec<Call>, String> {
    let folder = ScratchPath::directory("shell");
    let folder = Path::new(folder.text());
    // A command may read a file of this name.
    fs::write(folder.join("file"), "").expect("the folder is new");
    let record = "PATH=/nonexistent\npidof() { echo 1; }\nrecord() { printf '%s\\n' \"$@\" '' >> calls; }\n";
    let define = |program: &&str| format!("{program}() {{ record {program} \"$@\"; }}\n");
    let script = format!("{record}{}{line}", PROGRAMS.iter().map(define).collect::<String>());
    let output = Command::new("/bin/sh").arg("-c").arg(script).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.expect("there is a shell");
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let recorded = fs::read_to_string(folder.join("calls")).map_err(|_| "it starts no program".to_owned())?;
    Ok(recorded.split_terminator("\n\n").map(|call| call.lines().map(str::to_owned).collect()).collect())
}

/// Whether the command line of `readyloop` understands these arguments.
fn check_readyloop(arguments: &[String]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    // The last argument asks for help, which is printed once all before it are parsed.
    let output = command.args(arguments).arg("--help").stdin(Stdio::null()).output().expect("it starts");
    let needs_more = arguments.len() == 1 && ["client", "bench", "conform", "report"].contains(&arguments[0].as_str());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && !needs_more { Ok(()) } else { Err(error) }
}

fn require(holds: bool, kind: &str, word: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("there is no {kind} `{word}`")) }
}

/// Whether cargo would find what its arguments name.
fn check_cargo(arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let split = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
    let (own, passed) = (&arguments[..split], arguments.get(split + 1..).unwrap_or_default());
    let exists = |path: String| path_of(&path).exists();
    let is_flag_of = |flags: &str, flag: &str| flags.split(' ').any(|known| known == flag);
    let mut words = own.iter().copied();
    let subcommand = words.next().unwrap_or_default();
    let is_known = ["run", "test", "bench", "doc", "install", "new", "add"].contains(&subcommand);
    require(is_known, "subcommand of cargo", subcommand)?;
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word {
            "--example" | "--test" | "--bench" => {
                let (name, folder) = (value(), if word == "--bench" { "benche" } else { &word[2..] });
                let is_there = [".rs", "/main.rs"].iter().any(|end| exists(format!("{folder}s/{name}{end}")));
                require(is_there || name == "NAME", folder, name)?;
            }
            "--features" => {
                let manifest = text_of("Cargo.toml");
                for name in value().split(',') {
                    require(manifest.contains(&format!("\n{name} = [")), "feature", name)?;
                }
            }
            "--path" => _ = value(),
            flag if flag.starts_with('-') => require(is_flag_of(CARGO_FLAGS, flag), "flag of cargo", flag)?,
            filter if subcommand == "test" => {
                // `module`, `module::` or `module::function` of `tests/it`.
                let (module, function) = filter.split_once("::").unwrap_or((filter, ""));
                let path = format!("tests/it/{module}.rs");
                let is_test = exists(path.clone()) && text_of(&path).contains(&format!("fn {function}"));
                require(is_test, "test", filter)?;
            }
            _ => {}
        }
    }
    if subcommand == "run" && !own.contains(&"--example") {
        return check_readyloop(&passed.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    }
    let rig = ["cell", "server"].map(|name| text_of(&format!("benches/rig/{name}.rs"))).concat();
    passed.iter().try_for_each(|word| {
        let is_value = subcommand == "bench" && (word.parse::<u32>().is_ok() || rig.contains(&format!("\"{word}\"")));
        require(is_value || is_flag_of(HARNESS_FLAGS, word), "flag or value", word)
    })
}

fn check_command(line: &str) -> Result<(), String> {
    calls(line)?.iter().try_for_each(|call| match call[0].as_str() {
        "readyloop" => check_readyloop(&call[1..]),
        "cargo" => check_cargo(&call[1..]),
        "kill" => require(["-TERM", "-HUP", "-USR1", "-USR2"].contains(&call[1].as_str()), "signal", &call[1]),
        _ => Ok(()),
    })
}

#[test]
fn every_command_in_the_text_can_be_typed() {
    let mut count = 0;
    for page in Page::all() {
        for command in commands(&page) {
            count += 1;
            check_command(&command).unwrap_or_else(|error| panic!("{}: `{command}`: {error}", page.path));
        }
    }
    assert!(count > 80, "only {count} commands were found");
}

#[test]
fn a_command_that_cannot_be_typed_is_found() {
    for line in [
        "readyloop serve --fast",
        "readyloop serve -l 'unclosed",
        "readyloop bench",
        "readyloop client localhost:7007 < missing-file",
        "printf 'x' | readyloop client --hexadecimal localhost:80",
        "redyloop serve",
        "kill -STOPP $(pidof readyloop)",
        "cargo run --release -- serve --fast",
        "cargo run --example 99_none",
        "cargo test --test none",
        "cargo test --test it full::no_such_test -- --nocapture",
        "cargo test -- --no-capture",
        "cargo bench --bench none",
        "cargo bench --bench yardstick -- --cell 65B-1",
        "cargo add readyloop --features none",
        "cargo biuld",
    ] {
        assert!(check_command(line).is_err(), "`{line}` passes");
    }
}

#[test]
fn commands_are_found_in_blocks_and_in_backticks() {
    let text = "`readyloop serve` and `serve`, `READYLOOP_SOAK=1m cargo test`\n\n```sh\nulimit -n 20\n\ncargo test\n```\n\
                | a | `printf x \\| readyloop client a:1` |\n";
    let spans = ["readyloop serve", "READYLOOP_SOAK=1m cargo test", "printf x | readyloop client a:1"];
    assert_eq!(commands(&Page::new("README.md", text)), [["ulimit -n 20", "cargo test"].as_slice(), &spans].concat());
    let call = calls("readyloop serve --prefix 'echo: '  # a comment").expect("a shell understands it");
    assert_eq!(call, [["readyloop", "serve", "--prefix", "echo: "]]);
}
