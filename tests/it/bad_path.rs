//! A bad network between a real client and a real server: single bytes, delays, stalls, early ends and
//! resets. No byte that the network delivers is lost, and every connection is counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use readyloop::sim::Rng;
use readyloop::{CloseReason, Dial};

use crate::support::tls::{Secure, VERSIONS, target_of};
use crate::support::{Conversations, Fault, FaultProxy, KIB, PathReport, Role, Serve, Server, Summary, TIMEOUT};

/// The number of connections with each kind of fault.
const COMPLETE: usize = 120;
const TRUNCATED: usize = 40;
const RESET: usize = 40;
/// The bytes of each connection.
const BYTES: u64 = 20 * KIB as u64;

/// The environment variable that replays one seed.
const SEED: &str = "READYLOOP_BAD_PATH_SEED";

fn seed() -> u64 {
    std::env::var(SEED).map_or(20_261_121, |seed| seed.parse().expect("the seed is a number"))
}

/// The outcome of all connections with one kind of fault.
#[derive(Debug)]
struct Outcome {
    endings: BTreeMap<&'static str, usize>,
    /// The echoed bytes of each connection, sorted.
    received: Vec<u64>,
    reports: Vec<PathReport>,
}

/// Runs `count` connections through a fault proxy until all have closed.
#[track_caller]
fn run(dial: Dial, to: SocketAddr, count: usize, draw: fn(&mut Rng) -> Fault) -> Outcome {
    let proxy = FaultProxy::start(seed(), to, draw);
    let mut talks = Conversations::under(dial, proxy.address);
    talks.join(count, Role::Streams(BYTES));
    let over =
        talks.run_until(3 * TIMEOUT, |talks| talks.iter().all(|talk| talk.reason.is_some() || talk.failure.is_some()));
    assert!(over, "{:?}", talks.all().iter().find(|talk| talk.reason.is_none()));
    let (mut endings, mut received) = (BTreeMap::new(), Vec::new());
    for talk in talks.all() {
        *endings.entry(talk.reason.map_or("not connected", CloseReason::name)).or_default() += 1;
        received.push(talk.received);
    }
    received.sort_unstable();
    drop(talks);
    Outcome { endings, received, reports: proxy.stop() }
}

/// Runs all three kinds of faults against one server. Returns the outcome of the truncated connections
/// and the summary of the server.
#[track_caller]
fn check(dial: &Dial, server: Server, address: SocketAddr) -> (Outcome, Summary) {
    println!("replay with {SEED}={} cargo test --test it bad_path", seed());
    let base = server.process.descriptors();
    let complete = run(dial.clone(), address, COMPLETE, |_| Fault::None);
    assert_eq!(complete.endings, BTreeMap::from([("finished", COMPLETE)]));
    assert!(complete.received.iter().all(|received| *received == BYTES), "{complete:?}");
    assert!(complete.reports.iter().all(|report| !report.is_reset), "{complete:?}");
    // Truncates anywhere, including before the first byte and after the last.
    let truncate = |rng: &mut Rng| Fault::Truncate { after: rng.below(BYTES as usize + 100) as u64 };
    let truncated = run(dial.clone(), address, TRUNCATED, truncate);
    // The server echoes the bytes that arrived and then ends cleanly.
    assert_eq!(truncated.endings, BTreeMap::from([("finished", TRUNCATED)]), "{truncated:?}");
    assert!(truncated.reports.iter().all(|report| !report.is_reset), "{truncated:?}");
    let reset = |rng: &mut Rng| Fault::Reset { after: rng.below(BYTES as usize) as u64, from: rng.below(2) };
    let reset = run(dial.clone(), address, RESET, reset);
    server.descriptors_return_to(base);

    let ended = server.drain();
    let summary = ended.summary();
    println!("truncated {:?}, reset {:?}, server: {summary:?}", truncated.endings, reset.endings);
    let all = (COMPLETE + TRUNCATED + RESET) as u64;
    // A connection can be reset before the server accepts it.
    assert!((all - RESET as u64..=all).contains(&summary.connections), "{}", ended.log_text());
    assert!(summary.reconciles_as_echo(), "{}", ended.log_text());
    ended.check_log_rate();
    (truncated, summary)
}

#[test]
fn no_byte_is_lost_over_a_bad_path() {
    let server = Serve::new().start();
    let address = server.address();
    let (truncated, summary) = check(&Dial::default(), server, address);
    let mut forwarded: Vec<u64> = truncated.reports.iter().map(|report| report.forwarded[0]).collect();
    forwarded.sort_unstable();
    assert_eq!(truncated.received, forwarded, "the server echoes exactly the bytes that it received");
    let reasons = ["finished", "reset", "probed"];
    assert_eq!(reasons.map(|reason| summary.closed(reason)).iter().sum::<u64>(), summary.connections);
}

#[test]
fn no_byte_is_lost_over_a_bad_path_under_tls() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let (options, address) = (secure.options(Some(version)), secure.address());
        let (_, summary) = check(&Dial::from(target_of(&options)), secure.server, address);
        // An end without close_notify is never taken for a clean one.
        assert_eq!((summary.closed("truncated"), summary.closed("bad-tls")), (TRUNCATED as u64, 0));
        assert!(summary.closed("finished") <= (COMPLETE + RESET) as u64);
    }
}
