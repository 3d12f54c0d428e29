//! `readyloop compare`: servers under the same loads, in turns, as one report.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Ended, ScratchPath, Serve, TIMEOUT, wait_until};

/// Trials as short as they can be: what is looked at here is not how fast anything is.
const SHORT: &str = "compare -d 500ms -w 50ms --no-calls";

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_readyloop")
}

fn compare(words: &str) -> Serve {
    Serve::command(SHORT).with(words)
}

/// A server beside the designs, by name and shell command.
fn with_peer(serve: Serve, peer: &str) -> Serve {
    serve.arg("--peer").arg(peer)
}

#[track_caller]
fn run(serve: Serve) -> Ended {
    serve.run_within(4 * TIMEOUT)
}

/// Every trial of a comparison as its server, its connections, its round, and its rate if it has one.
fn trials(json: &Value) -> Vec<(String, u64, u64, Option<f64>)> {
    let trials = json["trials"].as_array().expect("there are trials");
    let each = trials.iter().map(|trial| {
        let rate = trial["outcome"]["measured"]["requests"]["rate"].as_f64();
        let connections = trial["load"]["connections"].as_u64().expect("a number");
        let server = trial["server"].as_str().expect("a name").to_owned();
        (server, connections, trial["round"].as_u64().expect("a number"), rate)
    });
    each.collect()
}

#[test]
fn two_designs_are_compared_in_turns_and_every_form_agrees() {
    let [json_path, md, html, svg] = ["json", "md", "html", "svg"].map(ScratchPath::new);
    let mut command = compare("-c 2,4 --rounds 2 --designs reactor,threads");
    for (flag, path) in [("--json", &json_path), ("--md", &md), ("--html", &html), ("--svg", &svg)] {
        command = command.arg(flag).arg(path.text());
    }
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let [json, md, html, svg] =
        [&json_path, &md, &html, &svg].map(|path| fs::read_to_string(path.text()).expect("it is written"));
    // What was written at once is what `report` makes of the trials alone.
    for (form, written) in [("--md", &md), ("--html", &html), ("--svg", &svg)] {
        let again = Serve::command("report").with(form).arg(json_path.text()).run();
        assert_eq!(again.out.join("\n"), written.trim_end(), "{form}");
    }
    let json: Value = serde_json::from_str(&json).expect("it is JSON");

    let trials = trials(&json);
    let order: Vec<_> = trials.iter().map(|(server, load, round, _)| (server.as_str(), *load, *round)).collect();
    let [a, b] = ["reactor", "threads"];
    // Round after round, and who is first changes; who fails again and again is left out.
    let mut expected = vec![(a, 2, 1), (b, 2, 1), (b, 4, 1), (a, 4, 1), (b, 2, 2), (a, 2, 2), (a, 4, 2), (b, 4, 2)];
    expected.retain(|turn| turn.2 == 1 || order.contains(turn));
    assert_eq!(order, expected);
    for (server, connections) in [(a, 2), (b, 2), (a, 4), (b, 4)] {
        let row = format!("| {connections} | {server} | ");
        let (_, row) = md.split_once(&row).unwrap_or_else(|| panic!("no {row} in\n{md}"));
        let cell = row.split(" | ").next().expect("a cell");
        assert!(html.contains(&format!("<td>{cell}</td>")), "{cell} is not on the page");
        assert!(ended.out.iter().any(|line| line.contains(cell)), "{cell} is not in the text");
        let of_it = trials.iter().filter(|trial| (trial.0.as_str(), trial.1) == (server, connections));
        let mut rates: Vec<f64> = of_it.filter_map(|trial| trial.3).collect();
        // On a machine that does something else for half a second, nobody answers.
        if cell != "–" {
            rates.sort_by(f64::total_cmp);
            let median = (rates[(rates.len() - 1) / 2] + rates[rates.len() / 2]) / 2.0;
            let (number, unit) = cell.split_once(' ').expect("a number with its unit");
            let scale = if unit == "k/s" { 1e3 } else { 1.0 };
            let printed = number.parse::<f64>().expect("a number") * scale;
            assert!((printed / median - 1.0).abs() < 0.01, "{printed} is not the median of {rates:?}");
        }
    }
    assert!(svg.starts_with("<svg xmlns="));
    let mut cells = 0;
    for row in md.lines().filter(|line| line.starts_with("| ")) {
        for cell in row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('\\', "")) {
            let marked_up = cell.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            assert!(html.contains(&format!(">{marked_up}<")), "{cell} is not on the page");
            cells += 1;
        }
    }
    assert!(cells > 100, "only {cells} cells in\n{md}");
    let last = ended.out.last().expect("it says something");
    assert!(last.ends_with('.') && !last.starts_with(' '), "no sentence at the end:\n{}", ended.out.join("\n"));
    assert!(md.contains(last.as_str()), "{last}");
}

#[test]
fn one_round_concludes_nothing() {
    let ended = run(compare("-c 2 --rounds 1 --designs reactor,threads"));
    let text = ended.out.join("\n");
    assert!(ended.code == Some(0) && text.contains("No conclusion is drawn"), "{text}\n{}", ended.log_text());
    assert!(text.contains(", one round") && !text.contains("times as many"), "{text}");
}

#[test]
fn who_finds_all_workers_of_a_pool_busy_waits_and_is_no_error() {
    let ended = run(compare("-c 5 --rounds 1 --designs reactor,pool --workers 2"));
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    assert!(text.contains("waiting: 3 of 5") && !text.contains("errors"), "{text}");
}

#[test]
fn who_does_not_even_come_in_waits_as_well() {
    // One is served, five are in the backlog: what the others knock at is full.
    let peer = format!("one={} serve -l 127.0.0.1:0 --design iterative --backlog 4", binary());
    let ended = run(with_peer(compare("-c 20 --rounds 2 --designs reactor"), &peer));
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    assert!(text.contains("waiting: 19 of 20") && !text.contains("failed"), "{text}");
    assert!(text.contains("one served 1 of 20 connections and left the others waiting"), "{text}");
}

#[test]
fn who_is_turned_away_is_counted_beside_those_who_are_served() {
    let peer = format!("small={} serve -l 127.0.0.1:0 --max-connections 3 --when-full refuse", binary());
    let ended = run(with_peer(compare("-c 5 --rounds 2 --designs reactor"), &peer));
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    assert!(text.contains("refused: 2 of 5") && !text.contains("errors"), "{text}");
    assert!(text.contains("small served 3 of 5 that asked and refused the others"), "{text}");
}

#[test]
fn what_nobody_asked_for_is_left_out_where_there_are_too_few_descriptors() {
    let command = Serve::command("compare -d 200ms -w 0s --no-calls --rounds 1 --designs reactor").descriptors(150);
    let ended = run(command);
    let log = ended.log_text();
    assert_eq!(ended.code, Some(0), "{log}");
    for left_out in ["100 connections", "1000 connections", "10000 connections"] {
        assert!(log.contains(&format!("{left_out} are left out: they need ")), "no {left_out} in: {log}");
    }
    assert!(log.contains("the limit is 150") && ended.out.join("\n").contains("  10           reactor"), "{log}");
}

#[test]
fn other_servers_are_found_by_their_line_or_by_their_port() {
    let json = ScratchPath::new("json");
    let told = format!("told={} serve -l 127.0.0.1:0", binary());
    let silent = format!("silent=exec {} serve -l 127.0.0.1:{{port}} >/dev/null", binary());
    let command = with_peer(with_peer(compare("-c 2 --rounds 1 --designs reactor"), &told), &silent);
    let ended = run(command.arg("--json").arg(json.text()));
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let json = serde_json::from_str(&fs::read_to_string(json.text()).expect("it is written")).expect("it is JSON");
    let measured: Vec<_> = trials(&json).into_iter().map(|trial| (trial.0, trial.3.is_some())).collect();
    assert_eq!(measured, ["reactor", "told", "silent"].map(|name| (name.to_owned(), true)));
}

#[track_caller]
fn does_not_start(peer: &str, parts: &[&str]) {
    let ended = run(with_peer(compare("--designs reactor"), peer));
    let log = ended.log_text();
    assert_eq!((ended.code, ended.out.len()), (Some(1), 0), "{log}");
    for part in parts {
        assert!(log.contains(part), "no `{part}` in: {log}");
    }
}

#[test]
fn a_peer_that_does_not_start_is_named_before_anything_is_measured() {
    does_not_start("dead=echo no luck >&2; exit 7", &["dead does not start", "exit status 7", "no luck", "hint: "]);
    does_not_start("dead=/no/such/program", &["dead does not start", "exit status 127", "/no/such/program"]);
    does_not_start("dead=true {port}", &["dead does not start", "exit status 0"]);
}

#[test]
fn a_peer_that_does_not_say_where_it_listens_is_named_and_ended() {
    let mark = ScratchPath::with_text("mark", "");
    let peer = format!("mute=tail -f {}", mark.text());
    does_not_start(&peer, &["mute does not start", "did not print `listening on tcp://HOST:PORT`"]);
    // Who is killed is gone a moment later.
    wait_until(TIMEOUT, "it is gone", || !is_running(mark.text()));
}

/// Whether any process has this word in its command line.
fn is_running(word: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("there is /proc").flatten();
    let words = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    words.into_iter().any(|words| String::from_utf8_lossy(&words).contains(word))
}

#[test]
fn a_server_that_dies_under_load_is_a_result() {
    let peer = format!("mortal=timeout 2 {} serve -l 127.0.0.1:0", binary());
    let long = Serve::command("compare -d 4s -w 0s --no-calls -c 2 --rounds 1 --designs reactor");
    let ended = run(with_peer(long, &peer));
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    assert!(text.contains("failed in 1 of 1 rounds: the server is gone: it ended with exit status 124"), "{text}");
}

#[test]
fn a_server_that_sends_back_something_else_is_told() {
    let peer = format!("liar={} serve -l 127.0.0.1:0 --service chargen", binary());
    let ended = run(with_peer(compare("-c 2 --rounds 1 --designs reactor"), &peer));
    assert_eq!(ended.code, Some(1), "{}", ended.out.join("\n"));
    assert!(ended.log_text().contains("liar: it sent back other bytes than it was sent"), "{}", ended.log_text());
}

#[test]
fn when_interrupted_it_prints_what_is_there_and_leaves_nobody_behind() {
    let (starts, mark) = (ScratchPath::with_text("txt", ""), ScratchPath::new("ready"));
    let peer = format!(
        "counted=echo >> {}; exec {} serve -l 127.0.0.1:0 --ready-file {}",
        starts.text(),
        binary(),
        mark.text()
    );
    let running = with_peer(compare("-c 2 --rounds 1000 --designs reactor"), &peer).spawn();
    // It is started once to see whether it starts; with the third time it was measured once.
    let started = || fs::read_to_string(starts.text()).expect("it is there").lines().count();
    wait_until(4 * TIMEOUT, "the first round is over", || started() >= 3);
    running.signal("INT");
    let ended = running.wait(TIMEOUT);
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    assert!(text.contains("counted") && text.contains("No conclusion is drawn"), "{text}");
    assert!(ended.log_text().contains("interrupted: this is what was measured until then"), "{}", ended.log_text());
    wait_until(Duration::from_secs(5), "its children are gone", || !is_running(mark.text()));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_started() {
    let refused = |serve: Serve, code: i32, part: &str| {
        let ended = run(serve);
        assert_eq!(ended.code, Some(code), "{}", ended.log_text());
        assert!(ended.log_text().contains(part), "no `{part}` in: {}", ended.log_text());
    };
    refused(compare("-c many"), 2, "not a count");
    refused(compare("--peer nameless"), 2, "not a name and a command");
    refused(compare("--designs reactor,reactor"), 2, "two servers called `reactor`");
    refused(compare("--designs best"), 2, "best");
    refused(compare("-c 100").descriptors(120), 1, "need 164 descriptors");
    refused(compare("--json /no/such/directory/file"), 1, "cannot write /no/such/directory/file");
}
