//! `serve --faults`: the real server with injected faults.

use std::io::{Read as _, Write as _};

use crate::support::{Ended, KIB, ScratchPath, Serve, StreamEnd, TIMEOUT, echoes, exchange, same_bytes};

/// Kinds that cost only time, each often.
const DELAYS: &str = "short-read=0.5,short-write=0.5,would-block=0.3,interrupted=0.3,spurious=0.3,duplicate=0.3,\
                      delay=0.1,delay-ms=2,seed=7";

/// The line of the log with the counts of faults.
fn injected(ended: &Ended) -> String {
    let line = ended.log.iter().find_map(|line| line.split_once("injected faults: "));
    line.expect("the counts are logged").1.to_owned()
}

#[test]
fn a_benchmark_finds_no_wrong_byte_behind_faults_that_cost_only_time() {
    let server = Serve::new().with("--faults").arg(DELAYS).start();
    let run = Serve::command("bench -c 20 -d 500ms -w 0s -s 1KiB").arg(&server.address().to_string()).run();
    assert_eq!(run.code, Some(0), "{}", run.log_text());
    let ended = server.drain();
    assert!(ended.log_text().contains(&format!("injecting faults: --faults {DELAYS}")), "{}", ended.log_text());
    let counts = injected(&ended);
    for kind in ["short-read", "short-write", "would-block", "interrupted", "spurious", "duplicate", "delay"] {
        assert!(counts.contains(&format!("{kind} ")), "no {kind} in {counts}");
    }
}

#[test]
fn tls_is_exact_behind_faults_that_cost_only_time() {
    let folder = ScratchPath::directory("tls-faults");
    assert_eq!(Serve::command("cert --dir").arg(folder.text()).run().code, Some(0));
    let file = |name: &str| format!("{}/{name}", folder.text());
    let server = Serve::bare().listen("tls://127.0.0.1:0").with("--faults").arg(DELAYS);
    let server = server.arg("--cert").arg(&file("cert.pem")).arg("--key").arg(&file("cert-key.pem")).start();
    let address = server.addresses[0].replace("127.0.0.1", "localhost");
    let run = Serve::command("bench -c 5 -d 500ms -w 0s -s 1KiB --ca").arg(&file("ca.pem")).arg(&address).run();
    assert_eq!(run.code, Some(0), "{}", run.log_text());
    assert!(injected(&server.drain()).contains("short-read "));
}

#[test]
fn a_reset_is_seen_by_the_client_and_ends_only_its_connection() {
    let server = Serve::new().with("--faults reset=1,seed=7").start();
    for _ in 0..3 {
        let mut peer = server.connect();
        // The reset comes before the request or after it.
        let reply = peer.write_all(b"hello").and_then(|()| peer.read(&mut [0; 8]));
        assert!(reply.is_err(), "{reply:?}");
    }
    assert_eq!(injected(&server.drain()), "reset 3");
}

#[test]
fn a_peer_waits_until_the_outage_of_descriptors_is_over() {
    let server = Serve::new().with("--faults emfile=0.5,seed=3").start();
    let sent = vec![7; 10 * KIB];
    let (reply, ending) = exchange(&mut server.connect(), &sent, KIB);
    same_bytes(&reply, &sent);
    assert_eq!(ending, StreamEnd::Clean);
    server.drain();
}

#[test]
fn the_same_bytes_meet_the_same_faults_however_they_are_timed() {
    let counts = [false, true, false, true, false, true].map(|is_late| {
        let server = Serve::new().with("-v --faults short-read=1,seed=7").start();
        let mut peer = server.connect();
        if is_late {
            server.logs("opened");
        }
        echoes(&mut peer, &[7; 40]);
        drop(peer);
        injected(&server.drain())
    });
    assert_eq!(counts, ["short-read 5"; 6]);
}

#[test]
fn wrong_faults_are_refused_before_the_server_starts() {
    let check = |words: &str, message: &str, hint: &str| {
        let ended = Serve::command("serve").with(words).run_within(TIMEOUT);
        assert_eq!(ended.code, Some(2), "{words}");
        assert!(ended.log_text().contains(message) && ended.log_text().contains(hint), "{}", ended.log_text());
    };
    check("--faults shortread=0.3", "`shortread` is not a kind of fault", "hint: type short-read=0.1");
    check("--faults reset=2", "must be a number from 0 to 1", "hint: type kinds with probabilities");
    check("--faults reset=0.1 --design threads", "--faults needs --design reactor", "hint: remove --design");
}
