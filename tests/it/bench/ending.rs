//! When a run ends, and its report if it measured nothing.

use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// A run with the timeout `never` does not end by a timeout.
#[track_caller]
fn ends_with_the_last_answer(address: &str, flags: &str, requests: u64) {
    let run = record(&format!("{address} {flags} --timeout never"));
    assert_eq!((count(&run, "/requests/answered"), &run["ending"]), (requests, &Value::from("done")), "{flags}");
}

#[test]
fn a_run_ends_with_its_last_answer_whatever_the_timeout() {
    let (server, address) = echo("");
    for flags in ["--churn -c 1", "--churn -c 3", "--churn -r 100", "-r 100", "-c 3", "-c 2 -p 3"] {
        ends_with_the_last_answer(&address, &format!("{flags} -n 10"), 10);
    }
    // The second planned request would be due after 1,000 seconds.
    ends_with_the_last_answer(&address, "-n 1 -r 0.001", 1);
    ends_with_the_last_answer(&address, "-d 100ms -w 0s -r 0.001", 1);
    server.drain();
    let server = Serve::bare().listen("udp://127.0.0.1:0").start();
    for flags in ["-r 100 -n 10", "-n 10", "-n 10 -c 3 -p 2"] {
        ends_with_the_last_answer(&server.addresses[0], flags, 10);
    }
    ends_with_the_last_answer(&server.addresses[0], "-n 1 -r 0.001", 1);
    server.drain();
}

#[test]
fn the_measured_time_is_the_configured_one_at_any_rate() {
    let (server, address) = echo("");
    for rate in ["0.5", "3", "700"] {
        let run = record(&format!("{address} -d 500ms -w 100ms -r {rate}"));
        assert_eq!(count(&run, "/requests/measured_ns"), 500_000_000, "{rate}");
        let planned = (rate.parse::<f64>().unwrap() * 0.5).ceil() as u64;
        assert_eq!(count(&run, "/requests/sent") + count(&run, "/requests/unsent"), planned, "{rate}");
    }
    server.drain();
}

#[test]
fn a_server_that_stops_answering_does_not_keep_a_run_open() {
    // The read returns when the peer closes.
    let stuck = Stub::failing_after(0, |stream| _ = stream.read(&mut [0]));
    let ended = bench(&format!("{} -c 2 --timeout never -d 100ms -w 0s", stuck.address)).run();
    ends_with(&ended, 1, &["timed out 2", "no answer in time"]);
    ends_with(&ended, 1, &["hint: a server of lines needs --framing lines"]);
}

#[test]
fn an_interrupted_run_prints_its_results() {
    static ECHOED: AtomicU64 = AtomicU64::new(0);
    let stub = Stub::start(|bytes, _| _ = ECHOED.fetch_add(bytes.len() as u64, Ordering::Relaxed));
    let bench = started(&format!("{} -c 1 -d 10m -w 0s", stub.address));
    wait_until(TIMEOUT, "some requests are answered", || ECHOED.load(Ordering::Relaxed) > 640);
    bench.signal("INT");
    bench.prints("interrupted ");
    bench.prints("round trip");
    assert_eq!(bench.ends(), Some(0));
}

#[test]
fn a_run_that_measured_nothing_fails() {
    let (server, address) = echo("");
    let ended = bench(&format!("{address} -w 0s -d 1ns --fail-if p99>1ns")).run();
    ends_with(&ended, 1, &["readyloop: error: nothing was measured"]);
    server.drain();
    let (server, address) = echo("-v");
    let bench = started(&format!("{address} -c 1 -w 10m"));
    server.logs("opened");
    bench.signal("INT");
    bench.prints("interrupted before anything was measured");
    bench.errors.wait_for_the_end(TIMEOUT);
    let log = bench.errors.all().join("\n");
    assert!(log.contains("nothing was measured"), "{log}");
    assert_eq!(bench.ends(), Some(1));
    server.drain();
}

#[test]
fn a_measured_process_that_ends_is_reported() {
    static ECHOED: AtomicU64 = AtomicU64::new(0);
    let stub = Stub::start(|bytes, _| _ = ECHOED.fetch_add(bytes.len() as u64, Ordering::Relaxed));
    let other = Program::start("cat", &[]);
    let pid = other.running().pid;
    let bench = started(&format!("{} -c 1 -d 10m -w 0s --pid {pid}", stub.address));
    wait_until(TIMEOUT, "some requests are answered", || ECHOED.load(Ordering::Relaxed) > 640);
    other.signal("KILL");
    other.ends();
    bench.signal("INT");
    bench.errors.wait_for_the_end(TIMEOUT);
    let log = bench.errors.all().join("\n");
    assert!(log.contains(&format!("cannot measure process {pid}: it ended during the run")), "{log}");
    assert_eq!(bench.ends(), Some(1));
}
