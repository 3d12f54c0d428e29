//! Planted faults: each is caught by the row that should catch it.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::faulty_server::FaultyServer;
use super::{checked, verdicts};
use crate::support::{Serve, is_own_process};

/// The variables of the faulty server.
const FAULT: &str = "READYLOOP_IT_FAULT";
const PORT: &str = "READYLOOP_IT_PORT";

/// How many commands run at once. Most of the time they wait.
const THREADS: usize = 6;

/// Each fault, and the row that must fail.
const FAULTS: [(&str, &str); 51] = [
    ("drops-the-last-byte", "echo"),
    ("cuts-long-messages", "echo"),
    ("strips-the-high-bit", "echo"),
    ("ends-at-a-zero-byte", "echo"),
    ("adds-carriage-returns", "echo"),
    ("waits-for-a-line-end", "one-byte-lockstep"),
    ("waits-for-more-bytes", "one-byte-lockstep"),
    ("repeats-a-chunk", "one-byte-writes"),
    ("swaps-chunks", "segments"),
    ("drops-the-rest-of-a-write", "slow-reader"),
    ("flips-a-late-bit", "large-transfer"),
    ("drips-long-answers", "large-transfer"),
    ("resets-at-the-end", "half-close"),
    ("never-ends-a-connection", "half-close"),
    ("says-goodbye", "half-close"),
    ("resets-soon-after-the-end", "late-reader"),
    ("drops-data-with-the-end", "data-with-end"),
    ("ends-on-a-failed-write", "close-unread"),
    ("ends-on-a-reset", "reset"),
    ("queues-without-bound", "slow-reader"),
    ("drops-slow-readers", "slow-reader"),
    ("stalls-behind-a-slow-reader", "stalled-readers"),
    ("closes-quiet-clients", "slow-writer"),
    ("ends-at-64-connections", "many-connections"),
    ("refuses-above-100-connections", "many-connections"),
    ("serves-one-connection-at-a-time", "many-connections"),
    ("mixes-connections", "no-mixing"),
    ("accepts-slowly", "backlog"),
    ("ends-after-500-connections", "churn"),
    ("serves-streams-first", "fairness"),
    ("spins-when-idle", "idle-cpu"),
    ("needs-2-mebibytes-for-a-connection", "connection-memory"),
    ("keeps-all-bytes", "memory-after-burst"),
    ("leaks-descriptors", "descriptors-freed"),
    ("ends-without-descriptors", "descriptor-limit"),
    ("spins-without-descriptors", "descriptor-limit"),
    ("stops-accepting-without-descriptors", "descriptor-limit"),
    ("ends-interrupted-reads", "stop-and-continue"),
    ("leaves-sigterm-alone", "drain-idle"),
    ("ignores-sigterm", "drain-idle"),
    ("reports-a-failure-after-sigterm", "drain-idle"),
    ("ends-at-once-on-sigterm", "drain-data"),
    ("does-not-reuse-its-port", "restart"),
    ("ignores-empty-datagrams", "udp-sizes"),
    ("cuts-datagrams", "udp-sizes"),
    ("answers-from-another-port", "udp-sizes"),
    ("merges-datagrams", "udp-boundaries"),
    ("answers-twice", "udp-boundaries"),
    ("answers-the-last-client", "udp-peers"),
    ("ends-on-an-icmp-error", "udp-errors"),
    ("answers-other-echo-servers", "udp-loop"),
];

#[test]
#[ignore = "the server that the other tests check"]
fn a_server_with_a_fault() {
    if is_own_process() {
        let [fault, port] = [FAULT, PORT].map(|name| std::env::var(name).expect("it is given"));
        FaultyServer::run(&fault, port.parse().expect("it is a port"));
    }
}

/// `conform` against the server with this fault.
fn conform(fault: &str) -> Serve {
    let binary = std::env::current_exe().expect("the test binary has a path");
    let variables = format!("{FAULT}={fault} {PORT}={{port}} READYLOOP_IT_OWN_PROCESS=1");
    let test = "--exact conform::faults::a_server_with_a_fault --include-ignored --nocapture --test-threads=1";
    let command = format!("{variables} exec {} {test}", binary.display());
    Serve::command("conform --udp --connections 150").arg("--server").arg(&command)
}

#[test]
fn a_right_server_of_another_kind_passes_every_row() {
    let ended = checked(conform("none"));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out.join("\n"), ended.log_text());
    assert!(verdicts(&ended).iter().all(|(verdict, _)| verdict == "PASS"), "{}", ended.out.join("\n"));
}

/// Returns why a fault was not caught.
fn missed((fault, row): (&str, &str)) -> Option<String> {
    let ended = conform(fault).with("--timeout 3s --only").arg(row).run_within(Duration::from_secs(60));
    let is_caught = ended.code == Some(1) && verdicts(&ended) == [("FAIL".to_owned(), row.to_owned())];
    (!is_caught).then(|| format!("{fault} by {row}: {}\n{}", ended.out.join("\n"), ended.log_text()))
}

#[test]
fn each_planted_fault_is_caught_by_its_row() {
    let faults = Mutex::new(FAULTS.iter().copied());
    let all_missed = Mutex::new(Vec::new());
    let next = || faults.lock().expect("no thread panics").next();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(fault) = next() {
                    let missed = missed(fault);
                    all_missed.lock().expect("no thread panics").extend(missed);
                }
            });
        }
    });
    let all_missed = all_missed.into_inner().expect("no thread panics");
    assert!(all_missed.is_empty(), "not caught:\n{}", all_missed.join("\n\n"));
}
