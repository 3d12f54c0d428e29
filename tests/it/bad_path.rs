//! A bad path between real client and real server: bytes come one by one, late, in fits; the path
//! ends or breaks off anywhere. Nothing that it carried is lost, and everything else is counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use readyloop::net::{Layer, Net, Plain};
use readyloop::sim::Rng;
use readyloop::{CloseReason, Reactor};

use crate::support::tls::{Secure, VERSIONS, target_of};
use crate::support::{Conversations, Fault, FaultProxy, KIB, PathReport, Role, Serve, Server, Summary, TIMEOUT};

/// Whose bytes are all to arrive, whose are cut short, and who is reset.
const WHOLE: usize = 120;
const CUT: usize = 40;
const RESET: usize = 40;
const BYTES: u64 = 20 * KIB as u64;

/// The environment variable that replays one seed.
const SEED: &str = "READYLOOP_BAD_PATH_SEED";

fn seed() -> u64 {
    std::env::var(SEED).map_or(20_261_121, |seed| seed.parse().expect("a number"))
}

fn whole(_: &mut Rng) -> Fault {
    Fault::Whole
}

/// Anywhere, at the very beginning and where all has gone as well.
fn cut(rng: &mut Rng) -> Fault {
    Fault::Cut { after: rng.below(BYTES as usize + 100) as u64 }
}

fn reset(rng: &mut Rng) -> Fault {
    Fault::Reset { after: rng.below(BYTES as usize) as u64, way: rng.below(2) }
}

/// What became of the conversations of one kind, and of what the path carried of them.
#[derive(Debug)]
struct Kind {
    endings: BTreeMap<String, usize>,
    received: Vec<u64>,
    passages: Vec<PathReport>,
}

/// Lets `count` conversations run over a path of one kind to their ends.
#[track_caller]
fn talk<W>(layer: W, to: SocketAddr, count: usize, draw: fn(&mut Rng) -> Fault) -> Kind
where
    W: Layer<<Reactor as Net>::Stream>,
{
    let proxy = FaultProxy::start(seed(), to, draw);
    let mut talks = Conversations::under(layer, proxy.address);
    talks.join(count, Role::Streams(BYTES));
    let over =
        talks.run_until(3 * TIMEOUT, |talks| talks.iter().all(|talk| talk.reason.is_some() || talk.failure.is_some()));
    assert!(over, "{:?}", talks.all().iter().find(|talk| talk.reason.is_none()));
    let (mut endings, mut received) = (BTreeMap::new(), Vec::new());
    for talk in talks.all() {
        let how = talk.reason.map_or("not begun", CloseReason::name);
        *endings.entry(how.to_owned()).or_default() += 1;
        received.push(talk.received);
    }
    received.sort_unstable();
    drop(talks);
    Kind { endings, received, passages: proxy.stop() }
}

/// All three kinds with one server, one after the other: what became of the second, and what the
/// server counted.
#[track_caller]
fn check<W>(layer: impl Fn() -> W, server: Server, address: SocketAddr) -> (Kind, Summary)
where
    W: Layer<<Reactor as Net>::Stream>,
{
    println!("replay with {SEED}={} cargo test --test it bad_path", seed());
    let base = server.process.descriptors();
    let whole = talk(layer(), address, WHOLE, whole);
    assert_eq!(whole.endings, BTreeMap::from([("finished".to_owned(), WHOLE)]));
    assert!(whole.received.iter().all(|received| *received == BYTES), "{whole:?}");
    assert!(whole.passages.iter().all(|passage| !passage.is_broken), "{whole:?}");
    let cut = talk(layer(), address, CUT, cut);
    // The server answers what came and ends as it should: no reset where none was injected.
    assert_eq!(cut.endings, BTreeMap::from([("finished".to_owned(), CUT)]), "{cut:?}");
    assert!(cut.passages.iter().all(|passage| !passage.is_broken), "{cut:?}");
    let reset = talk(layer(), address, RESET, reset);
    server.descriptors_return_to(base);

    let ended = server.drain();
    let summary = ended.summary();
    println!("cut {:?}, reset {:?}, server: {summary:?}", cut.endings, reset.endings);
    let all = (WHOLE + CUT + RESET) as u64;
    // Whoever was reset on the way may not have come so far as the server.
    assert!((all - RESET as u64..=all).contains(&summary.connections), "{}", ended.log_text());
    assert!(summary.reconciles_as_echo(), "{}", ended.log_text());
    ended.check_log_rate();
    (cut, summary)
}

#[test]
fn nothing_is_lost_over_a_bad_path() {
    let server = Serve::new().start();
    let address = server.address();
    let (mut cut, summary) = check(|| Plain, server, address);
    // To the byte what the path carried of each.
    let mut carried: Vec<u64> = cut.passages.drain(..).map(|passage| passage.passed[0]).collect();
    carried.sort_unstable();
    assert_eq!(cut.received, carried);
    assert_eq!(summary.closed("finished") + summary.closed("reset"), summary.connections);
}

#[test]
fn nothing_is_lost_over_a_bad_path_under_tls() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let (options, address) = (secure.options(Some(version)), secure.address());
        let (_, summary) = check(|| target_of(&options), secure.server, address);
        // Only whole records count, and an end before its time is never taken for a clean one.
        assert_eq!((summary.closed("truncated"), summary.closed("bad-tls")), (CUT as u64, 0));
        assert!(summary.closed("finished") <= (WHOLE + RESET) as u64);
    }
}
