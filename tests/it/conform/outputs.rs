//! The outputs of `conform`, its exit statuses, and the end of its processes.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use super::{checked, serve_command, verdicts};
use crate::support::{ScratchPath, Serve, TIMEOUT, wait_until};

/// The rows of the list, with their rules.
fn list() -> Vec<(String, String)> {
    let out = Serve::command("conform --list").run().out;
    let row = |line: &String| line.split_once("  ").map(|(row, rule)| (row.to_owned(), rule.trim().to_owned()));
    out.iter().filter_map(row).collect()
}

#[test]
fn all_forms_of_a_report_agree() {
    let server = Serve::new().start();
    let [json, html, junit] = ["json", "html", "xml"].map(ScratchPath::new);
    let mut command = Serve::command("conform --only echo,half-close,idle-cpu").arg(&server.address().to_string());
    for (flag, path) in [("--json", &json), ("--html", &html), ("--junit", &junit)] {
        command = command.arg(flag).arg(path.text());
    }
    let ended = checked(command);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let expected = [("PASS", "echo"), ("PASS", "half-close"), ("SKIP", "idle-cpu")];
    assert_eq!(verdicts(&ended), expected.map(|(verdict, row)| (verdict.to_owned(), row.to_owned())));

    let [json, html, junit] = [json, html, junit].map(|path| fs::read_to_string(path.text()).expect("it was written"));
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((json["schema"].as_str(), json["version"].as_u64()), (Some("readyloop.conformance"), Some(1)));
    assert_eq!([&json["passed"], &json["failed"], &json["skipped"]].map(Value::as_u64), [Some(2), Some(0), Some(1)]);
    assert_eq!(json["interrupted"], false);
    for result in json["rows"].as_array().expect("there are rows") {
        let text = |field: &str| result[field].as_str().expect("it is a text");
        assert!(result["duration_ms"].is_u64());
        assert!(ended.out.iter().any(|line| line.contains(text("row")) && line.contains(text("evidence"))));
        assert!(html.contains(text("evidence")) && html.contains(text("rule")), "{}", text("row"));
        assert!(junit.contains(text("evidence")) && junit.contains(&format!("name=\"{}\"", text("row"))));
    }
    assert!(junit.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>"), "{junit}");
    assert!(junit.contains("tests=\"3\" failures=\"0\" errors=\"0\" skipped=\"1\""), "{junit}");
    assert!(html.contains("prefers-color-scheme:dark") && !html.contains("src=") && !html.contains("http://"));
    server.drain();
}

#[test]
fn every_row_has_its_section_in_the_guide_and_every_section_its_row() {
    let path = format!("{}/src/guide/conformance.md", env!("CARGO_MANIFEST_DIR"));
    let chapter = fs::read_to_string(path).expect("the chapter exists");
    let sections: Vec<(&str, &str)> =
        chapter.split("\n## ").skip(1).map(|text| text.split_once('\n').expect("it has a heading")).collect();
    let headings: Vec<String> = sections.iter().map(|(heading, _)| heading.trim_matches('`').to_owned()).collect();
    let rows: Vec<String> = list().into_iter().map(|(row, _)| row).collect();
    assert_eq!(rows, headings);
    for (row, (_, text)) in rows.iter().zip(sections) {
        let count = text.lines().count();
        assert!((3..=15).contains(&count), "the section of {row} has {count} lines");
        let explained = Serve::command("conform --explain").arg(row).run();
        assert_eq!((explained.code, explained.out.join("\n")), (Some(0), text.trim().to_owned()));
    }
}

#[test]
fn markup_of_a_server_is_text_in_every_form() {
    let [html, junit] = ["html", "xml"].map(ScratchPath::new);
    // The server starts once. After that its last error line is markup.
    let started = ScratchPath::new("started");
    let fail = "printf '<b>\"&\\033[2J</b>\\n' >&2; exit 7;";
    let faulty = format!("test -e {0} && {{ {fail} }}; touch {0}; exec {1}", started.text(), serve_command());
    let run = Serve::command("conform --only echo --server").arg(&faulty);
    let ended = checked(run.arg("--html").arg(html.text()).arg("--junit").arg(junit.text()));
    assert_eq!(ended.code, Some(1), "{}", ended.log_text());
    for path in [&html, &junit] {
        let text = fs::read_to_string(path.text()).expect("it was written");
        assert!(text.contains("&lt;b&gt;&quot;&amp;\u{fffd}[2J&lt;/b&gt;") && !text.contains("<b>\""), "{text}");
    }
}

/// Runs a command that must fail, and checks its status and its log.
#[track_caller]
fn fails(command: Serve, code: i32, part: &str) {
    let ended = checked(command);
    assert_eq!(ended.code, Some(code), "{}", ended.log_text());
    assert!(ended.log_text().contains(part), "no `{part}` in {}", ended.log_text());
}

#[test]
fn the_exit_status_says_what_happened() {
    let conform = |words: &str| Serve::command(&format!("conform {words}"));
    fails(conform(""), 2, "type readyloop conform <ADDRESS>");
    fails(conform("127.0.0.1:1 --only half-clos"), 2, "`half-close`");
    fails(conform("127.0.0.1:1 --only echo --skip echo"), 2, "--skip removes all rows");
    fails(conform("unix:/tmp/echo.sock"), 2, "only TCP and UDP can be checked");
    fails(conform("tls://127.0.0.1:1"), 2, "only TCP and UDP can be checked");
    fails(conform("127.0.0.1:1 --timeout 11m"), 2, "must be at most 10m");
    fails(conform("127.0.0.1:1 --timeout never"), 2, "must be at most 10m");
    fails(conform("127.0.0.1:1 --connections 0"), 2, "must be 1 to 1000000");
    fails(conform("127.0.0.1:1 --json /"), 2, "it is a directory");
    fails(conform("--server").arg(" "), 2, "the command is empty");
    fails(conform("127.0.0.1:1"), 1, "127.0.0.1:1: cannot connect: connection refused");
    fails(conform("--server").arg("exit 7 # {port}"), 1, "the server does not start: it ended with exit status 7");
    let server = Serve::new().start();
    fails(conform("--only idle-cpu").arg(&server.address().to_string()), 1, "every row was skipped");
    server.drain();
}

#[test]
fn a_server_that_never_answers_fails_within_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let ended = checked(Serve::command("conform --timeout 1s --only echo,segments").arg(&address));
    assert_eq!(ended.code, Some(1));
    assert_eq!(verdicts(&ended).iter().filter(|(verdict, _)| verdict == "FAIL").count(), 2, "{:?}", ended.out);
    assert!(ended.out.join("\n").contains("sent 1 byte, received 0, and no more within 1s"), "{:?}", ended.out);
}

#[test]
fn too_few_descriptors_on_this_machine_skip_a_row() {
    let server = Serve::new().start();
    let command = Serve::command("conform --only many-connections,echo").descriptors(256);
    let ended = checked(command.arg(&server.address().to_string()));
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let out = ended.out.join("\n");
    assert!(out.contains("SKIP  many-connections") && out.contains("the limit of 256"), "{out}");
    server.drain();
}

#[test]
fn no_server_outlives_an_interrupted_run() {
    for signal in ["INT", "TERM", "KILL"] {
        let ready = ScratchPath::new("ready");
        let command = format!("{} --ready-file {}", serve_command(), ready.text());
        // This row takes two seconds.
        let running = Serve::command("conform --only slow-writer --server").arg(&command).spawn();
        let is_running = || fs::exists(ready.text()).unwrap_or(false);
        wait_until(TIMEOUT, "the server runs", is_running);
        running.signal(signal);
        let ended = running.wait(TIMEOUT);
        assert_eq!(ended.code, if signal == "KILL" { None } else { Some(1) }, "SIG{signal}: {}", ended.log_text());
        let marker = ready.text();
        wait_until(TIMEOUT, "no process is left", || !crate::compare::is_running(marker));
    }
}
