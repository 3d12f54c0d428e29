//! The generator in the simulated world: no socket, no sleep, any server.

use super::*;
use crate::client::Backoff;
use crate::load::plan::{Bound, Pace, Verify};
use crate::load::record::{ErrorKind, Record};
use crate::net::Address;
use crate::sim::{Behavior, Faults, Peer, PeerEnding, SimNet, World};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A run, and the servers at the other end of its connections: they echo once a millisecond.
struct Scene {
    world: World,
    generator: Generator<SimNet>,
    peers: Vec<Peer>,
    /// When nobody echoes.
    stall: std::ops::Range<Duration>,
    /// What is kept back meanwhile.
    kept: Vec<Vec<u8>>,
    /// What is done to the bytes on their way back.
    meddle: fn(&mut Vec<u8>),
}

fn address() -> Address {
    "127.0.0.1:7".parse().unwrap()
}

fn plan() -> Plan {
    Plan { bound: Bound::Time(SECOND), timeout: SECOND, ..Plan::new(address()) }
}

impl Scene {
    fn new(world: World, plan: Plan) -> Self {
        let clock = world.clone();
        let to = Destination::Tcp("127.0.0.1:7".parse().unwrap());
        let cost = Cost::new(None).unwrap();
        let generator = Generator::over(world.net(), Box::new(move || clock.now()), Plain, to, plan, cost);
        let stall = Duration::MAX..Duration::MAX;
        Self { world, generator, peers: Vec::new(), stall, kept: Vec::new(), meddle: |_| {} }
    }

    /// A kind world in which all are answered.
    fn kind(plan: Plan) -> Self {
        let world = World::new(1);
        world.answer_at(&address(), Behavior { ending: PeerEnding::FollowsServer, ..Behavior::default() });
        Self::new(world, plan)
    }

    /// One millisecond; how the run ended, if it has.
    fn step(&mut self) -> Option<Ending> {
        let Self { world, generator, peers, kept, .. } = self;
        let mut ending = None;
        world
            .pass(MS, || {
                let begun = generator.begun;
                ending = generator.turn()?;
                if generator.begun > begun {
                    peers.extend(world.last_peer());
                    kept.push(Vec::new());
                }
                Ok::<_, io::Error>(())
            })
            .unwrap();
        let is_stalled = self.stall.contains(&self.world.now().since(Instant::ORIGIN));
        for (peer, kept) in self.peers.iter().zip(&mut self.kept) {
            kept.extend(peer.received());
            if !is_stalled {
                (self.meddle)(kept);
                peer.send(kept);
                kept.clear();
            }
        }
        ending
    }

    /// The run, to its end, which must come within that time.
    #[track_caller]
    fn run(mut self, within: Duration) -> Record {
        let steps = within.as_millis();
        let ended = (0..steps).find_map(|_| self.step());
        assert!(ended.is_some(), "not over within {within:?}: {:?}", self.generator.phase);
        self.generator.into_record("a run".to_owned(), 0)
    }
}

#[track_caller]
fn reconciles(record: &Record) {
    let requests = &record.requests;
    assert_eq!(requests.sent, requests.answered + requests.failed, "{requests:?}");
    assert_eq!(record.latency.count, requests.answered);
}

#[test]
fn a_number_of_requests_is_that_number() {
    let record = Scene::kind(Plan { connections: 7, bound: Bound::Requests(1000), ..plan() }).run(10 * SECOND);
    reconciles(&record);
    assert_eq!((record.requests.sent, record.requests.answered, record.ending), (1000, 1000, Ending::Done));
    assert_eq!((record.requests.sent_bytes, record.requests.received_bytes), (64_000, 64_000));
    assert_eq!((record.connections.opened, record.connections.open_max), (7, 7));
    assert!(record.errors.is_empty() && !record.has_failed());
}

#[test]
fn a_closed_loop_asks_when_it_was_answered() {
    let record = Scene::kind(Plan { connections: 4, pipeline: 3, warm_up: SECOND, ..plan() }).run(10 * SECOND);
    reconciles(&record);
    // An answer takes a millisecond, to the millisecond: 4 × 3 each.
    assert_eq!(record.requests.measured_ns, 1_000_000_000);
    assert!((11_000..=12_100).contains(&record.requests.answered), "{:?}", record.requests);
    assert!((record.requests.rate - record.requests.answered as f64).abs() < 50.0, "{:?}", record.requests);
    assert_eq!(record.series.iter().map(|interval| interval.span_ns).sum::<u64>(), 1_000_000_000);
    assert_eq!(record.series.len(), 10);
}

#[test]
fn a_fixed_rate_is_kept() {
    let plan = Plan { connections: 4, pace: Pace::Open(500.0), warm_up: SECOND, ..plan() };
    let record = Scene::kind(plan).run(10 * SECOND);
    reconciles(&record);
    assert_eq!((record.requests.sent, record.requests.unsent), (500, 0));
    assert!((495.0..505.0).contains(&record.requests.rate), "{}", record.requests.rate);
    let plan = Plan { pace: Pace::Open(500.0), bound: Bound::Requests(50), ..self::plan() };
    assert_eq!(Scene::kind(plan).run(10 * SECOND).requests.sent, 50);
}

/// One second in ten the server does nothing.
#[track_caller]
fn p99_with_a_stall(pace: Pace) -> Duration {
    let mut scene =
        Scene::kind(Plan { connections: 10, pace, bound: Bound::Time(10 * SECOND), timeout: 5 * SECOND, ..plan() });
    scene.stall = 4 * SECOND..5 * SECOND;
    let record = scene.run(30 * SECOND);
    reconciles(&record);
    assert_eq!(record.requests.failed, 0);
    Duration::from_nanos(record.latency.at(0.99).unwrap())
}

#[test]
fn a_stall_counts_for_everybody_who_would_have_met_it() {
    assert!(p99_with_a_stall(Pace::Open(1000.0)) >= 900 * MS);
    assert!(p99_with_a_stall(Pace::Closed) < 10 * MS);
}

#[test]
fn a_stall_at_the_end_is_not_left_out() {
    let mut scene = Scene::kind(Plan { connections: 10, pace: Pace::Open(1000.0), timeout: 2 * SECOND, ..plan() });
    scene.stall = 500 * MS..1500 * MS;
    let record = scene.run(30 * SECOND);
    assert_eq!((record.requests.sent, record.requests.answered), (1000, 1000));
    assert!(Duration::from_nanos(record.latency.at(0.6).unwrap()) > 450 * MS);
    // Those that waited for a free place have the wait in their latency and not in their service.
    assert!(record.service.unwrap().at(0.9) < record.latency.at(0.9));
}

#[test]
fn a_server_that_is_asked_too_much_is_no_stuck_one() {
    // It answers a thousand a second, of the ten thousand.
    let scene = Scene::kind(Plan { pace: Pace::Open(10_000.0), ..plan() });
    let record = scene.run(10 * SECOND);
    reconciles(&record);
    assert!((1_900..=2_100).contains(&record.requests.answered), "{:?}", record.requests);
    assert_eq!(record.requests.unsent, 10_000 - record.requests.answered);
    assert!(record.errors.is_empty() && record.requests.failed == 0, "what had left last was answered: {record:?}");
}

#[test]
fn answers_that_never_come_are_given_up() {
    let mut scene = Scene::kind(Plan { connections: 3, bound: Bound::Time(10 * SECOND), ..plan() });
    scene.stall = 500 * MS..Duration::MAX;
    let record = scene.run(4 * SECOND);
    reconciles(&record);
    assert_eq!((record.requests.failed, record.ending), (3, Ending::Abandoned));
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::TimedOut, 3));
    assert!(record.requests.measured_ns < 2_000_000_000, "it was over with the last connection");
}

#[test]
fn other_bytes_than_were_sent_are_a_mismatch() {
    let meddling: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1),
        |bytes| bytes.extend_from_within(..bytes.len().min(1)),
        |bytes| bytes.reverse(),
    ];
    for meddle in meddling {
        let mut scene = Scene::kind(Plan { connections: 2, ..plan() });
        scene.meddle = meddle;
        let record = scene.run(4 * SECOND);
        assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::Mismatch, 2), "{:?}", record.errors);
        assert_eq!(record.ending, Ending::Abandoned);
    }
    let mut scene = Scene::kind(Plan { verify: Verify::Length, ..plan() });
    scene.meddle = meddling[0];
    assert!(scene.run(4 * SECOND).errors.is_empty(), "who does not look sees nothing");
}

#[test]
fn frames_come_back_in_their_framing() {
    for framing in ["lines", "length", "length:u16le", "fixed:100"] {
        let framing = framing.parse().unwrap();
        let record = Scene::kind(Plan { framing, message_len: 100, pipeline: 4, ..plan() }).run(4 * SECOND);
        reconciles(&record);
        assert!(record.requests.answered > 1000 && record.errors.is_empty(), "{framing}: {:?}", record.errors);
    }
}

#[test]
fn messages_may_be_longer_than_any_read() {
    for framing in ["raw", "length"] {
        let plan = Plan { framing: framing.parse().unwrap(), message_len: 700_000, pipeline: 3, ..plan() };
        let record = Scene::kind(plan).run(4 * SECOND);
        reconciles(&record);
        assert!(record.requests.answered > 10 && record.errors.is_empty(), "{framing}: {:?}", record.errors);
    }
}

#[test]
fn each_request_may_have_a_connection_of_its_own() {
    let plan = Plan { life: Life::Churn, connections: 5, bound: Bound::Requests(200), ..plan() };
    let record = Scene::kind(plan).run(10 * SECOND);
    reconciles(&record);
    assert_eq!((record.requests.answered, record.connections.opened), (200, 200));
    assert!(record.connections.open_max <= 5 && record.errors.is_empty());
    assert_eq!(record.connections.latency.count, 200);
}

#[test]
fn connections_have_a_rate_of_their_own() {
    let plan = Plan { connections: 50, idle: 50, connect_rate: Some(1000.0), ..plan() };
    let record = Scene::kind(plan).run(10 * SECOND);
    assert_eq!(record.connections.opened, 100);
    let opening = Duration::from_nanos(record.connections.opening_ns);
    assert!((99 * MS..=101 * MS).contains(&opening), "{opening:?}");
}

#[test]
fn nobody_there_is_told_as_what_it_is() {
    let refused = Scene::new(World::new(1), Plan { connections: 3, ..plan() }).run(SECOND);
    assert_eq!((refused.errors[0].kind, refused.ending), (ErrorKind::Refused, Ending::Abandoned));
    assert_eq!(refused.connections.failed, 3);

    let world = World::new(1);
    world.be_silent_at(&address());
    let silent = Scene::new(world, plan()).run(2 * SECOND);
    assert_eq!((silent.errors[0].kind, silent.ending), (ErrorKind::ConnectTimedOut, Ending::Abandoned));

    let world = World::new(1).with_descriptors(2);
    world.answer_at(&address(), Behavior::default());
    let own = Scene::new(world, Plan { connections: 3, ..plan() }).run(4 * SECOND);
    assert_eq!((own.errors[0].kind, own.errors[0].count), (ErrorKind::NoDescriptors, 1));
    assert!(own.requests.answered > 500, "the others went on");
}

#[test]
fn behind_a_full_backlog_all_wait_together_and_not_one_lot_after_another() {
    let mut scene = Scene::kind(Plan { connections: 2_000, connect_rate: Some(1_000.0), ..plan() });
    while scene.generator.begun < 3 {
        assert_eq!(scene.step(), None);
    }
    scene.world.be_silent_at(&address());
    let record = scene.run(3 * SECOND);
    reconciles(&record);
    let came = record.connections.opened;
    assert!(record.requests.answered > 0 && came < 10, "{:?}", record.connections);
    assert_eq!(record.connections.failed, 2_000 - came);
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::ConnectTimedOut, 2_000 - came));
}

#[test]
fn a_server_that_ends_connections_is_told_by_how_it_does() {
    for (ending, kind) in [
        (PeerEnding::ResetsAt(640), ErrorKind::Reset),
        (PeerEnding::FinishesAt(640), ErrorKind::Ended),
        // Who has closed answers what still comes with a reset.
        (PeerEnding::ClosesAt(640), ErrorKind::Reset),
    ] {
        let world = World::new(1);
        world.answer_at(&address(), Behavior { ending, ..Behavior::default() });
        let record = Scene::new(world, plan()).run(4 * SECOND);
        reconciles(&record);
        assert_eq!((record.errors[0].kind, record.requests.answered), (kind, 10), "{ending:?}");
    }
}

#[test]
fn calls_to_a_server_that_has_gone_end() {
    let plan = Plan { life: Life::Churn, bound: Bound::Requests(u64::MAX), ..plan() };
    let record = Scene::new(World::new(1), plan).run(4 * SECOND);
    reconciles(&record);
    assert_eq!((record.requests.answered, record.ending), (0, Ending::Abandoned));
}

#[test]
fn what_was_measured_before_an_interruption_stands() {
    let mut scene = Scene::kind(Plan { connections: 3, bound: Bound::Time(60 * SECOND), ..plan() });
    for _ in 0..500 {
        assert_eq!(scene.step(), None);
    }
    let glance = scene.generator.glance();
    assert!(glance.answered > 1000 && glance.measured > 400 * MS && glance.open == 3, "{glance:?}");
    scene.generator.client.handle().stop();
    let record = scene.run(100 * MS);
    reconciles(&record);
    assert_eq!((record.ending, record.requests.failed), (Ending::Interrupted, 0));
    assert!(record.requests.measured_ns < 600_000_000 && record.errors.is_empty(), "{record:?}");
}

/// Whatever the world does, the run ends in its time, and every request has one outcome; no byte is
/// wrong, since the world changes none.
#[test]
fn in_any_world_a_run_ends_and_every_request_has_one_outcome() {
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..40 {
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let pause_max = Backoff::default().pause(0, seed) / 20;
        world.answer_at(&address(), Behavior { pause_max, ..Behavior::default() });
        let life = if seed % 3 == 0 { Life::Churn } else { Life::Kept };
        let pace = if seed % 2 == 0 { Pace::Closed } else { Pace::Open(300.0) };
        let record = Scene::new(world, Plan { connections: 6, life, pace, ..plan() }).run(20 * SECOND);
        reconciles(&record);
        let wrong = record.errors.iter().find(|error| error.kind == ErrorKind::Mismatch);
        assert_eq!(wrong, None, "seed {seed}");
        answered += record.requests.answered;
        failed += record.requests.failed;
    }
    assert!(answered > 1000 && failed > 20, "{answered} answered, {failed} failed");
}
