//! Measures the figures in the tables of the README and of the guide again, and prints them beside the old ones.
//!
//! It runs the command of each row, and reads the figures from its output. Run it on a machine without other work,
//! because other work changes the figures. The first line shows the noise of the machine.
//!
//! ```text
//! cargo bench --bench figures                    all rows, about an hour
//! cargo bench --bench figures -- processes       rows with that word
//! cargo bench --bench figures -- --quick         shorter benchmarks with large noise
//! cargo bench --bench figures -- --write         also writes the new figures into the tables
//! ```
//!
//! A row keeps its old figure if the command fails or its output has no such figure. The exit status is then 1. A new
//! row needs a rule in `rules.rs`.

mod output;
mod rules;
mod table;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use output::Figure;
use rules::{NOISE, NOISE_COMMAND, Rule};

/// The pages with tables of figures.
const PAGES: [&str; 2] = ["README.md", "src/guide/benchmarking.md"];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("figures: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let known = ["--bench", "--quick", "--write"];
    if let Some(unknown) = arguments.iter().find(|flag| flag.starts_with('-') && !known.contains(&flag.as_str())) {
        bail!("unknown flag {unknown}; the flags are --quick and --write");
    }
    ensure!(
        !(has("--quick") && has("--write")),
        "--write needs a full run: the figures of --quick have too much noise"
    );

    let mut pages = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(Path::new(ROOT).join(page)).with_context(|| format!("cannot read {page}"))?;
        // Each row has its rule, before anything is measured.
        let rows = table::rows(&text).into_iter().map(|row| Ok((Rule::of(&row)?, row))).collect::<Result<Vec<_>>>()?;
        pages.push((page, text, rows));
    }
    if !has("--bench") {
        // `cargo test --all-targets` only checks the rules.
        return Ok(ExitCode::SUCCESS);
    }
    let mut outputs = Outputs { is_quick: has("--quick"), by_command: BTreeMap::new() };
    let noise = outputs.of(NOISE_COMMAND).and_then(|text| output::find(text, &NOISE));
    println!("noise, the loop on raw epoll compared with itself: {}", noise?);
    let mut is_complete = true;
    for (page, mut text, rows) in pages {
        println!("\n{page}");
        for (rule, row) in rows.iter().filter(|(_, row)| words.iter().all(|word| row.line.contains(*word))) {
            match outputs.of(&row.command).and_then(|output| rule.figures(output)) {
                Ok(figures) => {
                    let cell = row.cell_with(&figures);
                    let spreads: Vec<String> = figures.iter().map(Figure::to_string).collect();
                    println!("  {}: {} -> {cell}   [{}]", row.what, row.cell, spreads.join(", "));
                    text = text.replace(&row.line, &row.line_with(&cell));
                }
                Err(error) => {
                    is_complete = false;
                    println!("  {}: {} is not measured: {error:#}", row.what, row.cell);
                }
            }
        }
        if has("--write") {
            fs::write(Path::new(ROOT).join(page), text).with_context(|| format!("cannot write {page}"))?;
        }
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the commands have printed. Rows with the same command share one run.
struct Outputs {
    is_quick: bool,
    by_command: BTreeMap<String, Option<String>>,
}

impl Outputs {
    fn of(&mut self, command: &str) -> Result<&str> {
        if !self.by_command.contains_key(command) {
            let output = self.run(command);
            if let Err(error) = &output {
                println!("`{command}`: {error:#}");
            }
            self.by_command.insert(command.to_owned(), output.ok());
        }
        self.by_command[command].as_deref().context("its command has failed")
    }

    /// Runs a command in a shell, at the root of the repository.
    fn run(&self, command: &str) -> Result<String> {
        let is_benchmark = command.starts_with("cargo bench");
        let more = match (self.is_quick && is_benchmark, command.contains(" -- ")) {
            (false, _) => "",
            (true, true) => " --quick",
            (true, false) => " -- --quick",
        };
        eprintln!("running {command}{more}");
        let _server =
            if command.starts_with("readyloop bench 127.0.0.1:7007 ") { Some(Server::start()?) } else { None };
        let output = Self::shell(&format!("{command}{more}")).stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{}\n{text}", output.status);
        Ok(text)
    }

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(ROOT).stdin(Stdio::null());
        // The program that cargo has built with this one is the first `readyloop`.
        let program = Path::new(env!("CARGO_BIN_EXE_readyloop"));
        let folder = program.parent().unwrap_or(program).display();
        command.env("PATH", format!("{folder}:{}", env::var("PATH").unwrap_or_default()));
        // Build scripts depend on what the cargo of this benchmark has set, and would run again.
        for (name, _) in env::vars_os() {
            let is_of_cargo = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
            if name.to_str().is_some_and(is_of_cargo) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// `readyloop serve` at its default address; killed when dropped.
struct Server(Child);

impl Server {
    fn start() -> Result<Self> {
        let mut server = Self(Outputs::shell("exec readyloop serve -q").stdout(Stdio::piped()).spawn()?);
        let mut line = String::new();
        let stdout = server.0.stdout.take().context("standard output is a pipe")?;
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.starts_with("listening on "), "the server does not listen");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
