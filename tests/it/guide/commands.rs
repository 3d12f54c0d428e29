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
const PROGRAMS: [&str; 6] = ["readyloop", "cargo", "kill", "jq", "ulimit", "cd"];

/// Files that a command may read.
const INPUTS: [&str; 1] = ["file"];

/// What cargo itself understands, as far as it is used here.
const CARGO_FLAGS: [&str; 10] = [
    "--release",
    "--example",
    "--test",
    "--bench",
    "--lib",
    "--doc",
    "--path",
    "--open",
    "--no-default-features",
    "--features",
];

/// What the harness of the tests understands.
const TEST_FLAGS: [&str; 3] = ["--ignored", "--nocapture", "--test-threads=1"];

/// A program and its arguments.
pub(super) type Call = Vec<String>;

/// Whether this code is a command line: one of the programs, perhaps after variables.
fn is_command(code: &str) -> bool {
    let is_variable = |word: &&str| word.starts_with("READYLOOP_") && word.contains('=');
    let program = code.split_whitespace().find(|word| !is_variable(word));
    program.is_some_and(|program| PROGRAMS.contains(&program) || program == "printf")
}

/// The command lines of a page: its `sh` blocks, and code in backticks.
pub(super) fn commands(page: &Page) -> Vec<String> {
    let lines = page.blocks("sh").into_iter().flat_map(str::lines).filter(|line| !line.trim().is_empty());
    let spans = page.code_spans().into_iter().filter(|code| is_command(code));
    lines.map(str::to_owned).chain(spans).collect()
}

/// The programs that a shell would start for this line, or what the shell reports instead.
pub(super) fn calls(line: &str) -> Result<Vec<Call>, String> {
    let folder = ScratchPath::directory("shell");
    let folder = Path::new(folder.text());
    for name in INPUTS {
        fs::write(folder.join(name), "").expect("the folder is new");
    }
    let record = "PATH=/nonexistent\npidof() { echo 1; }\nrecord() { printf '%s\\n' \"$@\" '' >> calls; }\n".to_owned();
    let define = |script: String, program: &&str| format!("{script}{program}() {{ record {program} \"$@\"; }}\n");
    let script = PROGRAMS.iter().fold(record, define) + line;
    let output = Command::new("/bin/sh").arg("-c").arg(script).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.expect("there is a shell");
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let recorded = fs::read_to_string(folder.join("calls")).map_err(|_| "it starts no program".to_owned())?;
    let calls = recorded.split_terminator("\n\n");
    Ok(calls.map(|call| call.lines().map(str::to_owned).collect()).collect())
}

/// Whether the command line of `readyloop` understands these arguments.
fn check_readyloop(arguments: &[String]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    // The last argument asks for help, which is printed once all before it are parsed.
    let output = command.args(arguments).arg("--help").stdin(Stdio::null()).output().expect("it starts");
    let is_complete = match arguments.first().map(String::as_str) {
        Some("client" | "bench" | "report") => arguments.len() > 1,
        _ => true,
    };
    if output.status.success() && is_complete {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn require(holds: bool, what: &str, word: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("there is no {what} `{word}`")) }
}

/// Whether some test of `tests/it` has this in its path: `module`, `module::` or `module::function`.
fn is_test_filter(filter: &str) -> bool {
    let (module, function) = filter.split_once("::").unwrap_or((filter, ""));
    let path = format!("tests/it/{module}.rs");
    path_of(&path).exists() && text_of(&path).contains(&format!("fn {function}"))
}

/// Whether cargo would find what it is asked for.
fn check_cargo(arguments: &[String]) -> Result<(), String> {
    let split = arguments.iter().position(|word| word == "--");
    let (own, passed) = arguments.split_at(split.unwrap_or(arguments.len()));
    let passed = passed.get(1..).unwrap_or_default();
    let (subcommand, words) = own.split_first().map_or(("", own), |(first, words)| (first.as_str(), words));
    let is_known = ["run", "test", "bench", "doc", "install", "new", "add"].contains(&subcommand);
    require(is_known, "subcommand of cargo", subcommand)?;
    let mut words = words.iter().map(String::as_str);
    let mut is_example = false;
    while let Some(word) = words.next() {
        match word {
            "--example" => {
                is_example = true;
                let name = words.next().unwrap_or_default();
                require(name == "NAME" || path_of(&format!("examples/{name}.rs")).exists(), "example", name)?;
            }
            "--test" => {
                let name = words.next().unwrap_or_default();
                let places = [format!("tests/{name}.rs"), format!("tests/{name}/main.rs")];
                require(places.iter().any(|place| path_of(place).exists()), "test", name)?;
            }
            "--bench" => {
                let name = words.next().unwrap_or_default();
                require(path_of(&format!("benches/{name}.rs")).exists(), "benchmark", name)?;
            }
            "--features" => {
                let names = words.next().unwrap_or_default();
                let manifest = text_of("Cargo.toml");
                for name in names.split(',') {
                    require(manifest.contains(&format!("\n{name} = [")), "feature", name)?;
                }
            }
            "--path" => drop(words.next()),
            flag if flag.starts_with('-') => require(CARGO_FLAGS.contains(&flag), "flag of cargo", flag)?,
            filter if subcommand == "test" => require(is_test_filter(filter), "test", filter)?,
            _ => {}
        }
    }
    match subcommand {
        "run" if !is_example => check_readyloop(passed),
        "test" => passed.iter().try_for_each(|flag| require(TEST_FLAGS.contains(&flag.as_str()), "flag", flag)),
        "bench" => check_benchmark(passed),
        _ => Ok(()),
    }
}

/// Whether the benchmarks have these flags, cells and servers.
fn check_benchmark(arguments: &[String]) -> Result<(), String> {
    let (cells, servers) = (text_of("benches/rig/cell.rs"), text_of("benches/rig/server.rs"));
    for pair in arguments.chunks(2) {
        let value = pair.get(1).map_or("", String::as_str);
        match pair[0].as_str() {
            "--cell" => require(cells.contains(&format!("\"{value}\"")), "cell", value)?,
            "--server" => require(servers.contains(&format!("\"{value}\"")), "server", value)?,
            "-c" => require(value.parse::<u32>().is_ok(), "number", value)?,
            flag => require(false, "flag of a benchmark", flag)?,
        }
    }
    Ok(())
}

fn check_call(call: &Call) -> Result<(), String> {
    let (program, arguments) = call.split_first().expect("a call has a program");
    match program.as_str() {
        "readyloop" => check_readyloop(arguments),
        "cargo" => check_cargo(arguments),
        "kill" => require(["-TERM", "-HUP", "-USR1"].contains(&arguments[0].as_str()), "signal", &arguments[0]),
        _ => Ok(()),
    }
}

fn check_command(line: &str) -> Result<(), String> {
    calls(line)?.iter().try_for_each(check_call)
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
        "readyloop serve --idle-timeout 5parsecs",
        "readyloop serve -l 'unclosed",
        "readyloop sreve",
        "readyloop bench",
        "readyloop client nowhere",
        "readyloop client localhost:7007 < missing-file",
        "printf 'x' | readyloop client --hexadecimal localhost:80",
        "redyloop serve",
        "kill -STOPP $(pidof readyloop)",
        "cargo run --release -- serve --fast",
        "cargo run --example 99_none",
        "cargo test --test none",
        "cargo test --test it none_of_them -- --nocapture",
        "cargo test --test it full::no_such_test -- --nocapture",
        "cargo test -- --no-capture",
        "cargo bench --bench none",
        "cargo bench --bench yardstick -- --cell 65B-1",
        "cargo bench --bench yardstick -- --fast 1",
        "cargo add readyloop --features none",
        "cargo biuld",
    ] {
        assert!(check_command(line).is_err(), "`{line}` passes");
    }
}

#[test]
fn commands_are_found_in_blocks_and_in_backticks() {
    let text = "`readyloop serve` and `serve`, `READYLOOP_SOAK=1m cargo test`\n\n```sh\nulimit -n 20\n\ncargo test # all\n```\n\
                | a | `printf x \\| readyloop client a:1` |\n";
    let expected = [
        "ulimit -n 20",
        "cargo test # all",
        "readyloop serve",
        "READYLOOP_SOAK=1m cargo test",
        "printf x | readyloop client a:1",
    ];
    assert_eq!(commands(&Page::new("README.md", text)), expected);
    let call = calls("readyloop serve --prefix 'echo: '  # a comment").expect("a shell understands it");
    assert_eq!(call, [["readyloop", "serve", "--prefix", "echo: "]]);
}
