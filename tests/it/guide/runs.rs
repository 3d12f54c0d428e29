//! Runs the commands of the text that take less than a second.
//!
//! Their addresses and files are replaced by free ports and scratch files.

use std::fs;
use std::path::Path;

use crate::support::{ScratchPath, Serve, TIMEOUT, exchange, has_ipv6};

use super::commands::{Call, calls, commands};
use super::page::Page;

/// The addresses that the commands of clients name. A server of the test takes their place.
const SERVED: [&str; 2] = ["127.0.0.1:7007", "localhost:7007"];

/// Flags of commands that take many connections or much time.
const LONG: [&str; 5] = ["-c", "--idle", "-n", "-d", "-r"];

/// The arguments of every command with this subcommand in the README and the guide, each once.
fn arguments_of(subcommand: &str) -> Vec<Call> {
    let lines: Vec<String> = Page::all().iter().flat_map(commands).collect();
    let all = lines.iter().flat_map(|line| calls(line).expect("another test checks it"));
    let starts = |call: &Call| call[0] == "readyloop" && call.get(1).is_some_and(|word| word == subcommand);
    let mut found: Vec<Call> = all.filter(starts).map(|call| call[2..].to_vec()).collect();
    found.sort();
    found.dedup();
    found
}

/// An argument of `serve` with a free port instead of its own, and a file in this folder instead of its own.
fn placed(word: &str, folder: &Path) -> String {
    if let Some(host) = ["127.0.0.1:", "0.0.0.0:", "[::1]:"].iter().find(|host| word.contains(**host)) {
        let (scheme, _) = word.split_once(host).expect("it contains the host");
        return format!("{scheme}{host}0");
    }
    let (scheme, path) = word.split_once("unix:").map_or(("", word), |(_, path)| ("unix:", path));
    let is_file = [".pem", ".toml", ".sock", ".ready", ".rec"].iter().any(|ending| path.ends_with(ending));
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_file { format!("{scheme}{}", folder.join(name).display()) } else { word.to_owned() }
}

fn command(subcommand: &str, arguments: &[String]) -> Serve {
    arguments.iter().fold(Serve::command(subcommand), |command, word| command.arg(word))
}

#[test]
fn every_server_in_the_text_starts_and_drains() {
    let scratch = ScratchPath::directory("guide");
    let folder = Path::new(scratch.text());
    assert_eq!(Serve::command("cert --dir").arg(scratch.text()).run().code, Some(0));
    fs::write(folder.join("server.toml"), "idle-timeout = \"2m\"\n").expect("the folder is new");
    let all = arguments_of("serve");
    assert!(all.len() > 15, "{all:?}");
    for arguments in all {
        let mut words: Vec<String> = arguments.iter().map(|word| placed(word, folder)).collect();
        // Not every machine has IPv6, or a route for multicast.
        if words.iter().any(|word| word == "--multicast" || word == "[::1]:0" && !has_ipv6()) {
            continue;
        }
        if !words.contains(&"-l".to_owned()) {
            words.extend(["-l", "127.0.0.1:0"].map(str::to_owned));
        }
        let listeners = words.iter().filter(|word| *word == "-l").count();
        command("serve", &words).expect_listeners(listeners).start().drain();
    }
}

#[test]
fn every_short_client_benchmark_and_report_in_the_text_succeeds() {
    let server = Serve::new().start();
    let (address, page) = (server.address().to_string(), ScratchPath::new("html"));
    let run = Serve::command("bench -d 100ms -w 0s --json").arg(&address).run();
    assert_eq!(run.code, Some(0), "{}", run.log_text());
    let saved = ScratchPath::with_text("json", &run.out.join("\n"));
    let mut count = 0;
    for subcommand in ["client", "bench", "report"] {
        for mut arguments in arguments_of(subcommand) {
            let has = |words: &[&str]| arguments.iter().any(|word| words.contains(&word.as_str()));
            if subcommand != "report" && !has(&SERVED) || has(&LONG) {
                continue;
            }
            for word in &mut arguments {
                match word.as_str() {
                    served if SERVED.contains(&served) => word.clone_from(&address),
                    file if file.ends_with(".html") => page.text().clone_into(word),
                    file if file.ends_with(".json") => saved.text().clone_into(word),
                    // A limit on latency holds on an idle machine only.
                    "p99>5ms" => *word = "p99>1m".to_owned(),
                    _ => {}
                }
            }
            if subcommand == "bench" {
                arguments.extend(["-d", "100ms", "-w", "0s"].map(str::to_owned));
            }
            let ended = command(subcommand, &arguments).run_within(TIMEOUT);
            assert_eq!(ended.code, Some(0), "{subcommand} {arguments:?}: {}", ended.log_text());
            count += 1;
        }
    }
    assert!(count > 11, "only {count} commands were run");
    server.drain();
}

/// The counts in a summary line, without the time and level before them and the duration after them.
fn counts_in(line: &str) -> &str {
    let summary = line.split_once("INFO").map_or(line, |(_, summary)| summary.trim_start());
    summary.rsplit_once("; ").map_or(summary, |(counts, _)| counts)
}

#[test]
fn the_first_conversation_in_the_readme_goes_as_shown() {
    let readme = Page::read("README.md");
    let blocks = readme.blocks("text");
    let block = |text: &str| *blocks.iter().find(|block| block.contains(text)).expect("the block is there");
    let (server, client) = block("$ nc ").split_once("\n\n").expect("there are two terminals");
    let (start, started) = server.split_once('\n').expect("the server prints its address");
    assert_eq!(started, "listening on tcp://127.0.0.1:7007");
    let (_, arguments) = start.split_once("cargo run --release -- ").expect("a server is started");
    let call = &calls(&format!("readyloop {arguments}")).expect("a shell understands it")[0];
    let server = command("serve", &call[2..]).listen("127.0.0.1:0").start();

    let (typed, printed): (Vec<&str>, Vec<&str>) = client.lines().skip(1).partition(|line| line.starts_with("> "));
    let typed: String = typed.iter().map(|line| format!("{}\n", &line[2..])).collect();
    assert!(typed.ends_with("exit\n") && !printed.is_empty());
    let (received, _) = exchange(&mut server.connect(), typed.as_bytes(), typed.len());
    assert_eq!(String::from_utf8_lossy(&received).lines().collect::<Vec<_>>(), printed);

    let log = server.drain().log;
    assert_eq!(counts_in(block("; closed:")), counts_in(log.last().expect("the last line is the summary")));
}
