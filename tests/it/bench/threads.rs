//! A generator with several threads.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[test]
fn threads_share_the_configured_requests() {
    let (server, address) = echo("");
    let run = record(&format!("{address} -n 12345 -c 7 --idle 4 --threads 3 -s 100B -p 2"));
    assert_eq!((count(&run, "/requests/answered"), count(&run, "/requests/sent")), (12_345, 12_345));
    assert_eq!((count(&run, "/latency_ns/count"), count(&run, "/connections/opened")), (12_345, 11));
    assert_eq!((&run["config"]["threads"], &run["config"]["connections"]), (&Value::from(3), &Value::from(7)));
    assert_eq!((&run["ending"], count(&run, "/requests/sent_bytes")), (&Value::from("done"), 1_234_500));
    let intervals = run["series"].as_array().expect("there are intervals");
    assert_eq!(intervals.iter().map(|interval| count(interval, "/answered")).sum::<u64>(), 12_345);
    let totals = server.drain();
    let summary = totals.log.iter().find(|line| line.contains("bytes in")).expect("there is a summary");
    assert!(summary.contains("11 connections") && summary.contains("1234500 bytes in"), "{summary}");
}

#[test]
fn threads_share_new_connections_and_single_requests() {
    let (server, address) = echo("");
    let run = record(&format!("{address} --churn -c 6 -n 1000 --threads 3 --source 127.0.0.2-127.0.0.5"));
    assert_eq!((count(&run, "/connections/opened"), count(&run, "/requests/answered")), (1_000, 1_000));
    // Two of the threads have no request.
    for flags in ["", "-r 100", "--churn"] {
        let run = record(&format!("{address} -n 1 -c 3 --threads 3 {flags}"));
        assert_eq!(count(&run, "/requests/answered"), 1, "{flags}");
    }
    server.drain();
}

#[test]
fn threads_keep_one_rate() {
    let (server, address) = echo("");
    let run = record(&format!("{address} -c 7 --threads 3 -r 701 -d 500ms -w 100ms"));
    assert_eq!(count(&run, "/requests/measured_ns"), 500_000_000);
    assert_eq!((count(&run, "/requests/sent"), count(&run, "/requests/unsent")), (351, 0));
    server.drain();
}

#[test]
fn the_costs_of_a_server_are_those_of_all_threads() {
    let (server, address) = echo("");
    let run = record(&format!("{address} -c 4 --threads 2 -d 600ms -w 0s --pid {}", server.process.pid));
    let (measured, generator, used) =
        (count(&run, "/requests/measured_ns"), count(&run, "/generator/cpu_ns"), count(&run, "/server/cpu_ns"));
    assert!(used > 0 && used <= measured + measured / 10, "one thread of a server cannot use more: {used}");
    let busy = run["generator"]["busy"].as_f64().expect("it is a number");
    let busiest = busy * measured as f64;
    assert!(generator as f64 > busiest, "{generator} of both threads, {busiest} of the busiest");
    assert_eq!(count(&run, "/server/cpu_per_request_ns"), used / count(&run, "/requests/answered"));
    server.drain();
}

#[test]
fn an_interrupt_ends_all_threads() {
    static ECHOED: AtomicU64 = AtomicU64::new(0);
    let stub = Stub::start(|bytes, _| _ = ECHOED.fetch_add(bytes.len() as u64, Ordering::Relaxed));
    let bench = started(&format!("{} -c 3 --threads 3 -d 10m -w 0s --json", stub.address));
    wait_until(TIMEOUT, "some requests are answered", || ECHOED.load(Ordering::Relaxed) > 640);
    bench.signal("INT");
    bench.prints("readyloop.run");
    let run: Value = serde_json::from_str(&bench.out.all().join("\n")).expect("it is JSON");
    assert_eq!(bench.ends(), Some(0));
    assert_eq!((&run["ending"], count(&run, "/connections/opened")), (&Value::from("interrupted"), 3));
}

#[test]
fn an_interrupt_ends_threads_that_open_connections() {
    let (server, address) = echo("-v");
    let bench = started(&format!("{address} -c 10 --threads 2 --connect-rate 1 -d 10m -w 0s"));
    server.logs("opened");
    bench.signal("INT");
    bench.prints("interrupted before anything was measured");
    assert_eq!(bench.ends(), Some(1));
    server.drain();
}

#[test]
fn a_thread_without_a_connection_leaves_the_run_to_the_others() {
    let (server, address) = echo("--max-connections 1 --when-full refuse");
    let ended = bench(&format!("{address} -c 2 --threads 2 -d 300ms -w 0s --json")).run();
    assert_eq!(ended.code, Some(1), "{}", ended.log_text());
    let run = data(&ended);
    assert_eq!((&run["ending"], count(&run, "/requests/measured_ns")), (&Value::from("done"), 300_000_000));
    assert!(count(&run, "/requests/answered") > 0, "{run}");
    server.drain();
    let ended = bench("127.0.0.1:1 -c 9 --threads 3 -d 10m").run();
    ends_with(&ended, 1, &["readyloop: error: cannot connect to tcp://127.0.0.1:1", "refused"]);
}

#[test]
fn threads_drive_tls_and_udp() {
    let secure = Secure::start("");
    let ca = secure.files.text("ca.pem");
    let address = format!("tls://localhost:{}", secure.address().port());
    assert_eq!(count(&record(&format!("{address} --ca {ca} -n 500 -c 5 --threads 2")), "/requests/answered"), 500);
    let ended = bench(&format!("{address} -n 10 -c 2 --threads 2")).run();
    ends_with(&ended, 1, &["hint: type --ca FILE with the authority that signed it"]);
    secure.server.drain();
    let server = Serve::bare().listen("udp://127.0.0.1:0").with("--udp-source-rate 1M --udp-total-rate 1M").start();
    for flags in ["-p 2", "-r 2000"] {
        let run = record(&format!("{} -n 500 -c 5 --threads 2 {flags}", server.addresses[0]));
        assert_eq!(count(&run, "/requests/answered") + count(&run, "/requests/lost"), 500, "{flags}");
    }
    server.drain();
}
