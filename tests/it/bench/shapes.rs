//! Workloads with sizes, think times, lifetimes, ramps and answers of their own.

use super::*;
use crate::support::ScratchPath;

#[test]
fn shapes_work_over_every_transport() {
    let shape = "-c 5 -s 1B..20KiB --think exp:2ms --lifetime 5ms..30ms -d 300ms -w 0s";
    let scratch = ScratchPath::new("sock");
    let unix = format!("unix:{}", scratch.text());
    let server = Serve::new().listen(&unix).start();
    for address in [server.address().to_string(), unix] {
        let run = record(&format!("{address} {shape}"));
        let (opened, answered) = (count(&run, "/connections/opened"), count(&run, "/requests/answered"));
        assert!(opened > 20 && answered > 100, "{address}: {opened} connections, {answered} answers");
        assert!(count(&run, "/connections/open_max") <= 5);
        let config = &run["config"];
        assert_eq!((&config["think"], &config["lifetime"]), (&"exp:2ms".into(), &"5ms..30ms".into()));
        assert_eq!((count(config, "/message_bytes_min"), count(config, "/message_bytes")), (1, 20_480));
    }
    server.drain();
    let secure = Secure::start("");
    let ca = secure.files.text("ca.pem");
    let run = record(&format!("tls://localhost:{} --ca {ca} {shape}", secure.address().port()));
    assert!(count(&run, "/connections/opened") > 5 && count(&run, "/requests/answered") > 10);
    secure.server.drain();
    let server = Serve::bare().listen("udp://127.0.0.1:0").with("--udp-source-rate 1G --udp-total-rate 1G").start();
    let run = record(&format!("{} -s 8B..1KiB -n 500 -c 5", server.addresses[0]));
    assert!(count(&run, "/requests/answered") + count(&run, "/requests/lost") == 500);
    server.drain();
}

#[test]
fn the_connections_of_a_ramp_are_in_the_text_and_in_the_page() {
    let (server, address) = echo("");
    let page = ScratchPath::new("html");
    let run = record(&format!("{address} -c 4..20 --ramp 500ms -d 700ms -w 0s --threads 3"));
    let connections = |index: usize| count(&run, &format!("/series/{index}/connections"));
    assert!(connections(0) < 10 && connections(6) == 20, "{}", run["series"]);
    assert_eq!((count(&run, "/connections/opened"), count(&run, "/config/ramp/from")), (20, 4));
    let run = bench(&format!("{address} -c 20..4 --ramp 500ms -w 0s --html {}", page.text())).run();
    ends_with(&run, 0, &[]);
    assert!(run.out[0].contains("20 to 4 connections over 0.5 s"), "{}", run.out[0]);
    let at = run.out.iter().position(|line| line.contains("highest p99")).expect("there is a table");
    assert_eq!(run.out[at + 1..].iter().filter(|line| line.ends_with("          0")).count(), 5, "{:?}", run.out);
    let html = std::fs::read_to_string(page.text()).expect("the page was written");
    for part in ["On a ramp", "Requests per second on a ramp", "connections at the first error"] {
        assert!(html.contains(part), "no `{part}` in the page");
    }
    server.drain();
}

#[test]
fn a_server_of_http_can_be_measured() {
    let server = Serve::new().with("--admin 127.0.0.1:0").start();
    let request = ScratchPath::with_text("request", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let command = format!("{} -c 4 -n 200 --request {}", server.administration(), request.text());
    let run = record(&format!(r"{command} --expect until:\r\n\r\nok\n"));
    assert_eq!((count(&run, "/requests/answered"), count(&run, "/connections/opened")), (200, 4));
    assert_eq!(run["config"]["answer"], r"until:\r\n\r\nok\n");
    let ended = bench(&format!("{command} --expect length:1B")).run();
    ends_with(&ended, 1, &["mismatch 4", "more bytes than expected"]);
    server.drain();
}

#[test]
fn shapes_without_a_meaning_are_refused() {
    let empty = ScratchPath::with_text("request", "");
    let file = format!("--request {}", empty.text());
    for (flags, part) in [
        ("-c 1..5", "needs --ramp"),
        ("-c 5 --ramp 1s", "needs a range of connections"),
        ("-c 1..5 --ramp 2s -d 1s", "must end within the measured time"),
        ("-c 1..5 --ramp 2s --rate 5", "needs a closed loop"),
        ("-c 1..5 --ramp 2s --threads 2", "too few for 2 threads"),
        ("-s 5..1", "end below its start"),
        ("-s 1..64 --framing fixed:64", "frames of 64 bytes"),
        ("--think 5ms -p 2", "needs a pipeline of 1"),
        ("--think 5ms --rate 5", "needs a closed loop"),
        ("--think 5ms --churn", "cannot have a think time"),
        ("--lifetime 5 --churn", "cannot be used with"),
        ("--expect nothing", "not an answer"),
        ("--request /dev/zero", "longer than 16 MiB"),
        ("--request /nonexistent/request", "no such file"),
        ("--expect file:/nonexistent/answer", "no such file"),
        ("--request /etc/passwd --framing lines", "need raw framing"),
        ("--request /etc/passwd --udp", "UDP has none"),
        (&file, "the file is empty"),
    ] {
        let ended = bench(&format!("127.0.0.1:1 {flags}")).run();
        ends_with(&ended, 2, &["readyloop: error: ", part]);
    }
}
