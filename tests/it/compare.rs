//! `readyloop compare` as a process: order of the trials, report, and failing servers.

mod fairness;
mod processes;

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Ended, ScratchPath, Serve, TIMEOUT, wait_until};

/// Very short trials: these tests do not look at the measured performance. They are too short to show that the
/// machine is busy, so none is repeated.
const SHORT: &str = "compare -d 400ms -w 50ms --no-calls";

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_readyloop")
}

fn compare(arguments: &str) -> Serve {
    Serve::command(SHORT).with(arguments)
}

/// Adds a server in the form NAME=COMMAND.
fn with_peer(serve: Serve, peer: &str) -> Serve {
    serve.arg("--peer").arg(peer)
}

#[track_caller]
fn run(serve: Serve) -> Ended {
    serve.run_within(4 * TIMEOUT)
}

/// Runs a comparison, which must succeed, print all of `parts`, and print none of `absent`.
#[track_caller]
fn prints(serve: Serve, parts: &[&str], absent: &[&str]) {
    let ended = run(serve);
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    assert!(parts.iter().all(|part| text.contains(part)), "not all of {parts:?} in:\n{text}");
    assert!(!absent.iter().any(|part| text.contains(part)), "one of {absent:?} in:\n{text}");
}

/// Runs a command that must fail, and checks that its log has all `parts`.
#[track_caller]
fn fails(serve: Serve, code: i32, parts: &[&str]) -> Ended {
    let ended = run(serve);
    let log = ended.log_text();
    assert_eq!(ended.code, Some(code), "{}\n{log}", ended.out.join("\n"));
    for part in parts {
        assert!(log.contains(part), "no `{part}` in: {log}");
    }
    ended
}

/// Server, connections, round and rate of every trial of a comparison.
fn trials(json: &Value) -> Vec<(String, u64, u64, Option<f64>)> {
    let trials = json["trials"].as_array().expect("there are trials");
    let each = trials.iter().map(|trial| {
        let rate = trial["outcome"]["measured"]["rate_per_s"].as_f64();
        let connections = trial["load"]["connections"].as_u64().expect("a number");
        let server = trial["server"].as_str().expect("a name").to_owned();
        (server, connections, trial["round"].as_u64().expect("a number"), rate)
    });
    each.collect()
}

#[test]
fn trials_alternate_and_all_output_forms_agree() {
    let [json_path, md, html, svg] = ["json", "md", "html", "svg"].map(ScratchPath::new);
    let mut command = compare("-c 2,4 --rounds 2 --designs reactor,threads");
    for (flag, path) in [("--json", &json_path), ("--md", &md), ("--html", &html), ("--svg", &svg)] {
        command = command.arg(flag).arg(path.text());
    }
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let [json, md, html, svg] =
        [&json_path, &md, &html, &svg].map(|path| fs::read_to_string(path.text()).expect("the file was written"));
    // `report` makes the same output from the JSON file.
    for (form, written) in [("--md", &md), ("--html", &html), ("--svg", &svg)] {
        let again = Serve::command("report").with(form).arg(json_path.text()).run();
        assert_eq!(again.out.join("\n"), written.trim_end(), "{form}");
    }
    let json: Value = serde_json::from_str(&json).expect("it is JSON");

    let trials = trials(&json);
    let order: Vec<_> = trials.iter().map(|(server, load, round, _)| (server.as_str(), *load, *round)).collect();
    let [a, b] = ["reactor", "threads"];
    // The first server alternates. A server is skipped after repeated failures.
    let mut expected = vec![(a, 2, 1), (b, 2, 1), (b, 4, 1), (a, 4, 1), (b, 2, 2), (a, 2, 2), (a, 4, 2), (b, 4, 2)];
    expected.retain(|trial| trial.2 == 1 || order.contains(trial));
    assert_eq!(order, expected);
    for (server, connections) in [(a, 2), (b, 2), (a, 4), (b, 4)] {
        let row = format!("| {connections} | {server} | ");
        let (_, row) = md.split_once(&row).unwrap_or_else(|| panic!("no {row} in\n{md}"));
        let cell = row.split(" | ").next().expect("a cell");
        assert!(html.contains(&format!("<td>{cell}</td>")), "{cell} is not on the page");
        assert!(ended.out.iter().any(|line| line.contains(cell)), "{cell} is not in the text");
        let of_it = trials.iter().filter(|trial| (trial.0.as_str(), trial.1) == (server, connections));
        let mut rates: Vec<f64> = of_it.filter_map(|trial| trial.3).collect();
        // On a busy machine there may be no answer in that time.
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
    let last = ended.out.last().expect("there is output");
    assert!(last.ends_with('.') && !last.starts_with(' '), "no sentence at the end:\n{}", ended.out.join("\n"));
    assert!(md.contains(last.as_str()), "{last}");
}

#[test]
fn one_round_gives_no_conclusion() {
    let one_round = compare("-c 2 --rounds 1 --designs reactor,threads");
    prints(one_round, &["No conclusion is drawn", ", one round"], &["times as many"]);
}

#[test]
fn connections_that_wait_for_a_pool_are_no_errors() {
    let pool = compare("-c 5 --rounds 1 --designs reactor,pool --workers 2");
    prints(pool, &["waiting: 3 of 5"], &["errors"]);
}

#[test]
fn connections_that_are_not_accepted_count_as_waiting() {
    // One connection is served and five are in the backlog, which is then full.
    let peer = format!("one={} serve -l 127.0.0.1:0 --design iterative --backlog 4", binary());
    let served = "one served 1 of 20 connections and left the others waiting";
    let many = with_peer(compare("-c 20 --rounds 2 --designs reactor"), &peer);
    prints(many, &["waiting: 19 of 20", served], &["failed"]);
}

#[test]
fn refused_connections_are_counted() {
    let peer = format!("small={} serve -l 127.0.0.1:0 --max-connections 3 --when-full refuse", binary());
    let served = "small served 3 of 5 connections and refused the others";
    let five = with_peer(compare("-c 5 --rounds 2 --designs reactor"), &peer);
    prints(five, &["refused: 2 of 5", served], &["errors"]);
}

#[test]
fn default_loads_are_skipped_if_there_are_too_few_descriptors() {
    let command = Serve::command("compare -d 200ms -w 0s --no-calls --rounds 1 --designs reactor").descriptors(150);
    let ended = run(command);
    let log = ended.log_text();
    assert_eq!(ended.code, Some(0), "{log}");
    for skipped in ["100 connections", "1,000 connections", "10,000 connections"] {
        assert!(log.contains(&format!("skipped {skipped}, because ")), "no {skipped} in: {log}");
    }
    assert!(log.contains("the limit is 150") && ended.out.join("\n").contains("  10           reactor"), "{log}");
}

#[test]
fn other_servers_print_their_address_or_use_the_given_port() {
    let json = ScratchPath::new("json");
    let printing = format!("printing={} serve -l 127.0.0.1:0", binary());
    let silent = format!("silent=exec {} serve -l 127.0.0.1:{{port}} >/dev/null", binary());
    let command = with_peer(with_peer(compare("-c 2 --rounds 1 --designs reactor"), &printing), &silent);
    let ended = run(command.arg("--json").arg(json.text()));
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let json =
        serde_json::from_str(&fs::read_to_string(json.text()).expect("the file was written")).expect("it is JSON");
    let measured: Vec<_> = trials(&json).into_iter().map(|trial| (trial.0, trial.3.is_some())).collect();
    assert_eq!(measured, ["reactor", "printing", "silent"].map(|name| (name.to_owned(), true)));
}

#[track_caller]
fn does_not_start(peer: &str, parts: &[&str]) {
    assert_eq!(fails(with_peer(compare("--designs reactor"), peer), 1, parts).out, [""; 0]);
}

#[test]
fn a_peer_that_does_not_start_is_an_error_before_any_trial() {
    does_not_start("dead=echo no luck >&2; exit 7", &["dead does not start", "exit status 7", "no luck", "hint: "]);
    does_not_start("dead=/no/such/program", &["dead does not start", "exit status 127", "/no/such/program"]);
    does_not_start("dead=true {port}", &["dead does not start", "exit status 0"]);
}

#[test]
fn a_peer_without_an_address_is_an_error_and_is_killed() {
    let mark = ScratchPath::with_text("mark", "");
    let peer = format!("mute=tail -f {}", mark.text());
    does_not_start(&peer, &["mute does not start", "did not print `listening on tcp://HOST:PORT`"]);
    // A killed process disappears shortly afterwards.
    wait_until(TIMEOUT, "it is gone", || !is_running(mark.text()));
}

/// Whether a process has this word in its command line.
pub(crate) fn is_running(word: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("there is /proc").flatten();
    let words = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    words.into_iter().any(|words| String::from_utf8_lossy(&words).contains(word))
}

#[test]
fn a_server_that_ends_under_load_is_a_result() {
    let peer = format!("mortal=timeout 2 {} serve -l 127.0.0.1:0", binary());
    let long = Serve::command("compare -d 4s -w 0s --no-calls -c 2 --rounds 1 --designs reactor");
    prints(with_peer(long, &peer), &["failed in 1 of 1 rounds: the server ended with exit status 124"], &[]);
}

#[test]
fn a_server_that_returns_other_bytes_is_an_error() {
    let peer = format!("chargen={} serve -l 127.0.0.1:0 --service chargen", binary());
    let command = with_peer(compare("-c 2 --rounds 1 --designs reactor"), &peer);
    fails(command, 1, &["chargen: it returned other bytes than it received"]);
}

#[test]
fn an_interrupt_prints_the_results_and_leaves_no_process() {
    let (starts, mark) = (ScratchPath::with_text("txt", ""), ScratchPath::new("ready"));
    let serve = format!("exec {} serve -l 127.0.0.1:0 --ready-file {}", binary(), mark.text());
    let peer = format!("counted=echo >> {}; {serve}", starts.text());
    let running = with_peer(compare("-c 2 --rounds 1000 --designs reactor"), &peer).spawn();
    // The first start is a check. At the third start, one trial is complete.
    let started = || fs::read_to_string(starts.text()).expect("the file exists").lines().count();
    wait_until(4 * TIMEOUT, "the first round is over", || started() >= 3);
    running.signal("INT");
    let ended = running.wait(TIMEOUT);
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    assert!(text.contains("counted") && text.contains("No conclusion is drawn"), "{text}");
    assert!(ended.log_text().contains("interrupted: these are the results so far"), "{}", ended.log_text());
    wait_until(Duration::from_secs(5), "the children have ended", || !is_running(mark.text()));
}

#[test]
fn every_output_is_written_although_one_fails() {
    let json = ScratchPath::new("json");
    let command = compare("-c 2 --rounds 1 --designs reactor --html /dev/full --json").arg(json.text());
    let ended = fails(command, 1, &["cannot write /dev/full"]);
    assert!(ended.out.join("\n").contains("Requests per second"), "the report is printed");
    assert!(fs::read_to_string(json.text()).is_ok_and(|text| text.starts_with("{\"schema\"")));
}

#[test]
fn the_workers_of_a_pool_are_in_its_command() {
    let json = ScratchPath::new("json");
    let command = compare("-c 2 --rounds 1 --designs pool,threads --workers 7 --json").arg(json.text());
    prints(command, &["pool", "threads"], &[]);
    let json: Value = serde_json::from_str(&fs::read_to_string(json.text()).expect("it was written")).expect("JSON");
    let commands = [0, 1].map(|place| json["servers"][place]["command"].as_str().expect("a command").to_owned());
    assert!(commands[0].ends_with("--design pool --workers 7") && commands[1].ends_with("--design threads"));
}

#[test]
fn framing_pipeline_and_rate_apply_to_every_trial() {
    let json = ScratchPath::new("json");
    let flags = "-c 2 --rounds 1 --designs reactor --framing fixed:16 -p 4 --rate 200 --json";
    prints(compare(flags).arg(json.text()), &["reactor"], &[]);
    let json: Value = serde_json::from_str(&fs::read_to_string(json.text()).expect("it was written")).expect("JSON");
    let config = &json["trials"][0]["outcome"]["measured"]["config"];
    assert_eq!((&config["framing"], &config["pipeline"]), (&"fixed:16".into(), &4.into()));
    assert_eq!((&config["rate"], &config["message_bytes"]), (&200.0.into(), &16.into()));
    assert_eq!(json["trials"][0]["load"]["message_bytes"], 16);
    assert!(json["servers"][0]["command"].as_str().is_some_and(|command| command.ends_with("--framing fixed:16")));
}

#[test]
fn a_comparison_in_which_every_trial_fails_is_a_failure() {
    let ended = fails(
        Serve::command("compare -d 1ns -w 0s --no-calls -c 1 --rounds 1 --designs reactor"),
        1,
        &["every trial failed, so nothing was measured"],
    );
    assert!(ended.out.join("\n").contains("failed in 1 of 1 rounds"), "the report has the reason");
}

#[test]
fn values_out_of_range_are_errors_before_any_start() {
    for time in ["-d never", "-d 600y", "-d 2h", "-w never", "-d 18446744073709551615s"] {
        fails(compare(time), 2, &["hint: "]);
    }
    for other in ["-s 1GiB", "--rounds 1000000000", "--rounds 0", "-c 18446744073709551616", "-s 0"] {
        fails(compare(other), 2, &["hint: "]);
    }
    fails(compare("-c 18446744073709551615"), 1, &["too few descriptors"]);
}

#[test]
fn invalid_arguments_are_errors_before_any_start() {
    for counts in ["many", "0", "+5", "0+5", "5+", "5+5+5"] {
        fails(compare("-c").arg(counts), 2, &["hint: "]);
    }
    for peer in ["nameless", "=./other", "other=", "other= "] {
        fails(with_peer(compare(""), peer), 2, &["not of the form NAME=COMMAND"]);
    }
    fails(compare("--designs reactor,reactor"), 2, &["two servers have the name `reactor`"]);
    fails(compare("--designs best"), 2, &["best"]);
    fails(compare("--framing length:u8 -s 300"), 2, &["cannot carry messages of 300 bytes"]);
    fails(compare("--threads 3 -c 2"), 2, &["each of 3 threads needs a connection"]);
    for flag in ["--server-cores", "--threads"] {
        fails(compare(&format!("-c 5000 {flag} 1000")), 2, &[&format!("{flag} 1000 is not possible: "), "hint: "]);
    }
    fails(compare("--tls --designs reactor,threads"), 2, &["the design `threads` has no TLS"]);
    fails(with_peer(compare(""), "other=./other {port} {cert}"), 2, &["{cert} or {key}, which need --tls"]);
    fails(compare("-p 18446744073709551615"), 2, &["too many requests in flight"]);
    fails(compare("-c 50+50").descriptors(120), 1, &["167 are needed", "at most 53 connections"]);
    fails(compare("--json /no/such/directory/file"), 2, &["cannot write --json /no/such/directory/file"]);
    fails(compare("--json /tmp/one --html /tmp/one"), 2, &["--html /tmp/one is the path of another output"]);
}
