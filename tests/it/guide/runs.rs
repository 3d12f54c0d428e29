//! The commands of the text that take less than a second are really run.
//!
//! Their addresses and files are replaced by free ports and scratch files, all else is as it stands.

use std::fs;
use std::path::Path;

use crate::support::{ScratchPath, Serve, TIMEOUT, exchange, has_ipv6};

use super::commands::{Call, calls, commands};
use super::page::Page;

/// The address that the commands of clients name; an echo server of the test takes its place.
const SERVED: [&str; 2] = ["127.0.0.1:7007", "localhost:7007"];

/// Flags of commands that take many connections or much time.
const LONG: [&str; 4] = ["-c", "--idle", "-n", "-d"];

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

/// An argument of `serve` with any free port in place of its own, and a file in this folder in place of its own.
fn placed(word: &str, folder: &Path) -> String {
    let hosts = ["127.0.0.1:", "0.0.0.0:", "[::1]:"];
    if let Some(host) = hosts.iter().find(|host| word.contains(**host)) {
        let (scheme, _) = word.split_once(host).expect("it is in there");
        return format!("{scheme}{host}0");
    }
    let (scheme, path) = word.split_once("unix:").map_or(("", word), |(_, path)| ("unix:", path));
    let is_file = [".pem", ".toml", ".sock", ".ready"].iter().any(|ending| path.ends_with(ending));
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_file { format!("{scheme}{}", folder.join(name).display()) } else { word.to_owned() }
}

/// `readyloop` with these arguments.
fn command(subcommand: &str, arguments: &[String]) -> Serve {
    arguments.iter().fold(Serve::command(subcommand), |command, word| command.arg(word))
}

/// A folder with a certificate, its authority and a settings file, as the guide makes them.
fn certified() -> ScratchPath {
    let folder = ScratchPath::directory("guide");
    let ended = Serve::command("cert --dir").arg(folder.text()).run();
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    fs::write(Path::new(folder.text()).join("server.toml"), "idle-timeout = \"2m\"\n").expect("it is ours");
    folder
}

#[test]
fn every_server_in_the_text_starts_and_drains() {
    let folder = certified();
    let all = arguments_of("serve");
    assert!(all.len() > 15, "{all:?}");
    for arguments in all {
        let mut words: Vec<String> = arguments.iter().map(|word| placed(word, Path::new(folder.text()))).collect();
        // Not every machine has IPv6, or a route for multicast.
        let is_possible = |word: &str| (has_ipv6() || word != "[::1]:0") && word != "--multicast";
        if !words.iter().all(|word| is_possible(word)) {
            continue;
        }
        if !words.contains(&"-l".to_owned()) {
            words.extend(["-l".to_owned(), "127.0.0.1:0".to_owned()]);
        }
        let listeners = words.iter().filter(|word| *word == "-l").count();
        command("serve", &words).expect_listeners(listeners).start().drain();
    }
}

#[test]
fn every_short_client_and_benchmark_in_the_text_succeeds() {
    let server = Serve::new().start();
    let address = server.address().to_string();
    let mut count = 0;
    for subcommand in ["client", "bench"] {
        for mut arguments in arguments_of(subcommand) {
            let Some(place) = arguments.iter().position(|word| SERVED.contains(&word.as_str())) else { continue };
            if arguments.iter().any(|word| LONG.contains(&word.as_str())) || arguments.contains(&"-r".to_owned()) {
                continue;
            }
            arguments[place].clone_from(&address);
            let page = ScratchPath::new("html");
            arguments.iter_mut().filter(|word| word.ends_with(".html")).for_each(|word| page.text().clone_into(word));
            if subcommand == "bench" {
                // A limit on latency holds on an idle machine only.
                arguments.iter_mut().filter(|word| *word == "p99>5ms").for_each(|word| *word = "p99>1m".to_owned());
                arguments.extend(["-d", "100ms", "-w", "0s"].map(str::to_owned));
            }
            let ended = command(subcommand, &arguments).run();
            assert_eq!(ended.code, Some(0), "{subcommand} {arguments:?}: {}", ended.log_text());
            count += 1;
        }
    }
    assert!(count > 8, "only {count} commands were run");
    server.drain();
}

#[test]
fn saved_runs_become_the_reports_in_the_text() {
    let server = Serve::new().start();
    let run = Serve::command("bench -d 100ms -w 0s --json").arg(&server.address().to_string()).run();
    assert_eq!(run.code, Some(0), "{}", run.log_text());
    let saved = ScratchPath::with_text("json", &run.out.join("\n"));
    let all = arguments_of("report");
    assert!(all.len() > 2, "{all:?}");
    for mut arguments in all {
        arguments.iter_mut().filter(|word| word.ends_with(".json")).for_each(|word| saved.text().clone_into(word));
        let ended = command("report", &arguments).run_within(TIMEOUT);
        assert_eq!((ended.code, ended.out.is_empty()), (Some(0), false), "{arguments:?}: {}", ended.log_text());
    }
    server.drain();
}

#[test]
fn the_story_in_the_text_is_printed() {
    let stories: Vec<Call> =
        arguments_of("sim").into_iter().filter(|words| words.contains(&"--story".to_owned())).collect();
    assert_eq!(stories.len(), 1);
    let ended = command("sim", &stories[0]).run();
    assert!(ended.code == Some(0) && ended.out.len() > 100, "{} lines: {}", ended.out.len(), ended.log_text());
}

/// The text of a summary line without what differs from run to run: the time before it, and its duration.
fn without_times(line: &str) -> &str {
    let summary = line.rsplit_once("] ").map_or(line, |(_, summary)| summary);
    summary.rsplit_once("; ").map_or(summary, |(counts, _)| counts)
}

#[test]
fn the_first_conversation_in_the_readme_goes_as_shown() {
    let readme = Page::read("README.md");
    let block = |text: &str| -> Vec<String> {
        let blocks = readme.blocks("text");
        let block = blocks.iter().find(|block| block.contains(text)).expect("the block is there");
        block.lines().map(str::to_owned).collect()
    };
    let conversation = block("$ nc ");
    let (_, arguments) = conversation[0].split_once("cargo run --release -- ").expect("a server is started");
    let call = &calls(&format!("readyloop {arguments}")).expect("a shell understands it")[0];
    assert!(conversation[1].starts_with("listening on tcp://127.0.0.1:7007"));
    let server = command("serve", &call[2..]).listen("127.0.0.1:0").start();

    let after_nc: Vec<&String> = conversation.iter().skip_while(|line| !line.starts_with("$ nc ")).skip(1).collect();
    let typed = after_nc.iter().filter_map(|line| line.strip_prefix("> "));
    let typed: String = typed.map(|line| format!("{line}\n")).collect();
    let printed = after_nc.iter().filter(|line| !line.starts_with("> "));
    let printed: String = printed.map(|line| format!("{line}\n")).collect();
    assert!(typed.ends_with("exit\n") && !printed.is_empty());
    let (received, _) = exchange(&mut server.connect(), typed.as_bytes(), typed.len());
    assert_eq!(String::from_utf8_lossy(&received), printed);

    let log = server.drain().log;
    let summary = log.last().expect("the last line is the summary");
    assert_eq!(without_times(&block("; closed:")[0]), without_times(summary));
}
