//! The generator in the simulated world, without sockets and sleeps.

use super::*;
use crate::client::Backoff;
use crate::load::cost::Cost;
use crate::load::plan::{Pace, RunLength, Verify};
use crate::load::record::{ErrorKind, Record};
use crate::net::Address;
use crate::sim::{Behavior, Faults, PeerEnding, SimNet, SimPeer, World};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A run, and the peers of its connections, which echo once per millisecond.
struct SimulatedRun {
    plan: Plan,
    world: World,
    generator: Generator<SimNet>,
    peers: Vec<SimPeer>,
    /// When no peer echoes.
    stall: std::ops::Range<Duration>,
    /// Received bytes that each peer has not echoed yet.
    held: Vec<Vec<u8>>,
    /// The most requests that came into flight in one turn.
    begun_in_turn_max: usize,
    /// Changes the bytes of an echo.
    alter: fn(&mut Vec<u8>),
}

fn address() -> Address {
    "127.0.0.1:7".parse().unwrap()
}

fn plan() -> Plan {
    Plan { run_length: RunLength::Time(SECOND), timeout: SECOND, ..Plan::new(address()) }
}

impl SimulatedRun {
    fn new(world: World, plan: Plan) -> Self {
        let clock = world.clone();
        let to = Destination::Tcp("127.0.0.1:7".parse().unwrap());
        let generator = Generator::over(
            world.net(),
            Box::new(move || clock.now()),
            Dial::default(),
            to,
            plan.clone(),
            Member::alone(),
        );
        let stall = Duration::MAX..Duration::MAX;
        Self { plan, world, generator, peers: Vec::new(), stall, held: Vec::new(), begun_in_turn_max: 0, alter: |_| {} }
    }

    /// A world without faults, in which every request is answered.
    fn healthy(plan: Plan) -> Self {
        let world = World::new(1);
        world.accept_connects_at(&address(), Behavior { ending: PeerEnding::FollowsServer, ..Behavior::default() });
        Self::new(world, plan)
    }

    /// Runs one millisecond. Returns how the run ended, if it has.
    fn step(&mut self) -> Option<RunEnd> {
        let Self { world, generator, peers, held, begun_in_turn_max, .. } = self;
        let mut ending = None;
        world
            .advance(MS, || {
                let connects_begun = generator.connects_begun;
                let in_flight = generator.workload().in_flight;
                ending = generator.turn()?;
                let begun = generator.workload().in_flight.saturating_sub(in_flight);
                *begun_in_turn_max = begun.max(*begun_in_turn_max);
                if generator.connects_begun > connects_begun {
                    peers.extend(world.last_peer());
                    held.push(Vec::new());
                }
                Ok::<_, io::Error>(())
            })
            .unwrap();
        let is_stalled = self.stall.contains(&self.world.now().since(Instant::ORIGIN));
        for (peer, held) in self.peers.iter().zip(&mut self.held) {
            held.extend(peer.received());
            if !is_stalled {
                (self.alter)(held);
                peer.send(held);
                held.clear();
            }
        }
        ending
    }

    /// Runs to the end, which must be reached within this time.
    #[track_caller]
    fn run(mut self, within: Duration) -> Record {
        let steps = within.as_millis();
        let ended = (0..steps).find_map(|_| self.step());
        assert!(ended.is_some(), "the run did not end within {within:?}: {:?}", self.generator.phase);
        self.generator.into_outcome().into_record(&self.plan, Cost::new(None).unwrap(), 0)
    }
}

/// Runs `plan` with a healthy server, for at most 10 seconds.
#[track_caller]
fn run_healthy(plan: Plan) -> Record {
    let record = SimulatedRun::healthy(plan).run(10 * SECOND);
    assert_reconciled(&record);
    record
}

#[track_caller]
fn assert_reconciled(record: &Record) {
    let requests = &record.requests;
    assert_eq!(requests.sent, requests.answered + requests.failed, "{requests:?}");
    assert_eq!(record.latency.count, requests.answered);
}

#[test]
fn the_configured_number_of_requests_is_sent() {
    let record = run_healthy(Plan { connections: 7, run_length: RunLength::Requests(1000), ..plan() });
    assert_eq!((record.requests.sent, record.requests.answered, record.ending), (1000, 1000, RunEnd::Done));
    assert_eq!((record.requests.sent_bytes, record.requests.received_bytes), (64_000, 64_000));
    assert_eq!((record.connections.opened, record.connections.open_max), (7, 7));
    assert!(record.errors.is_empty() && !record.has_failed());
}

#[test]
fn a_closed_loop_sends_after_each_answer() {
    let record = run_healthy(Plan { connections: 4, pipeline: 3, warm_up: SECOND, ..plan() });
    // Each answer takes one millisecond: 4 connections × 3 requests per millisecond.
    assert_eq!(record.requests.measured_ns, 1_000_000_000);
    assert!((11_000..=12_100).contains(&record.requests.answered), "{:?}", record.requests);
    assert!((record.rate_per_s - record.requests.answered as f64).abs() < 50.0, "{:?}", record.requests);
    assert_eq!(record.series.iter().map(|interval| interval.span_ns).sum::<u64>(), 1_000_000_000);
    assert_eq!(record.series.len(), 10);
}

#[test]
fn a_fixed_rate_is_reached() {
    let plan = Plan { connections: 4, pace: Pace::Open(500.0), warm_up: SECOND, ..plan() };
    let record = run_healthy(plan);
    assert_eq!((record.requests.sent, record.requests.unsent), (500, 0));
    assert!((495.0..505.0).contains(&record.rate_per_s), "{}", record.rate_per_s);
    let plan = Plan { pace: Pace::Open(500.0), run_length: RunLength::Requests(50), ..self::plan() };
    assert_eq!(run_healthy(plan).requests.sent, 50);
}

/// The 99th percentile with a server that stalls for one of ten seconds.
#[track_caller]
fn p99_with_a_stall(pace: Pace) -> Duration {
    let run_length = RunLength::Time(10 * SECOND);
    let mut simulated =
        SimulatedRun::healthy(Plan { connections: 10, pace, run_length, timeout: 5 * SECOND, ..plan() });
    simulated.stall = 4 * SECOND..5 * SECOND;
    let record = simulated.run(30 * SECOND);
    assert_reconciled(&record);
    assert_eq!(record.requests.failed, 0);
    Duration::from_nanos(record.latency.at(0.99).unwrap())
}

#[test]
fn a_stall_delays_every_planned_request() {
    assert!(p99_with_a_stall(Pace::Open(1000.0)) >= 900 * MS);
    assert!(p99_with_a_stall(Pace::Closed) < 10 * MS);
}

#[test]
fn a_stall_at_the_end_is_measured() {
    let mut simulated =
        SimulatedRun::healthy(Plan { connections: 10, pace: Pace::Open(1000.0), timeout: 2 * SECOND, ..plan() });
    simulated.stall = 500 * MS..1500 * MS;
    let record = simulated.run(30 * SECOND);
    assert_eq!((record.requests.sent, record.requests.answered), (1000, 1000));
    assert!(Duration::from_nanos(record.latency.at(0.6).unwrap()) > 450 * MS);
    // The wait for a place in the pipeline is part of the latency and not of the service time.
    assert!(record.service.unwrap().at(0.9) < record.latency.at(0.9));
}

#[test]
fn an_overloaded_server_is_not_a_stuck_one() {
    // It answers 1,000 of 10,000 requests per second.
    let simulated = SimulatedRun::healthy(Plan { pace: Pace::Open(10_000.0), ..plan() });
    let record = simulated.run(10 * SECOND);
    assert_reconciled(&record);
    assert!((1_900..=2_100).contains(&record.requests.answered), "{:?}", record.requests);
    assert_eq!(record.requests.unsent, 10_000 - record.requests.answered);
    assert!(
        record.errors.is_empty() && record.requests.failed == 0,
        "the last sent requests were answered: {record:?}"
    );
}

#[test]
fn missing_answers_time_out() {
    let mut simulated =
        SimulatedRun::healthy(Plan { connections: 3, run_length: RunLength::Time(10 * SECOND), ..plan() });
    simulated.stall = 500 * MS..Duration::MAX;
    let record = simulated.run(4 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.requests.failed, record.ending), (3, RunEnd::Abandoned));
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::TimedOut, 3));
    assert!(record.requests.measured_ns < 2_000_000_000, "the run ended with the last connection");
}

#[test]
fn changed_bytes_are_a_mismatch() {
    let alterations: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1),
        |bytes| bytes.extend_from_within(..bytes.len().min(1)),
        |bytes| bytes.reverse(),
    ];
    for alter in alterations {
        let mut simulated = SimulatedRun::healthy(Plan { connections: 2, ..plan() });
        simulated.alter = alter;
        let record = simulated.run(4 * SECOND);
        assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::Mismatch, 2), "{:?}", record.errors);
        assert_eq!(record.ending, RunEnd::Abandoned);
    }
    let mut simulated = SimulatedRun::healthy(Plan { verify: Verify::Length, ..plan() });
    simulated.alter = alterations[0];
    assert!(simulated.run(4 * SECOND).errors.is_empty(), "without verification there is no mismatch");
}

#[test]
fn requests_are_answered_with_every_framing() {
    for framing in ["lines", "length", "length:u16le", "fixed:100"] {
        let framing = framing.parse().unwrap();
        let record = run_healthy(Plan { framing, message_len: 100, pipeline: 4, ..plan() });
        assert!(record.requests.answered > 1000 && record.errors.is_empty(), "{framing}: {:?}", record.errors);
    }
}

#[test]
fn messages_may_be_longer_than_a_read() {
    for framing in ["raw", "length"] {
        let plan = Plan { framing: framing.parse().unwrap(), message_len: 700_000, pipeline: 3, ..plan() };
        let record = run_healthy(plan);
        assert!(record.requests.answered > 10 && record.errors.is_empty(), "{framing}: {:?}", record.errors);
    }
}

#[test]
fn a_closed_loop_starts_in_slices() {
    let mut simulated = SimulatedRun::healthy(Plan { connections: 1_000, ..plan() });
    while simulated.generator.workload().in_flight < 1_000 {
        assert_eq!(simulated.step(), None);
    }
    assert_eq!(simulated.begun_in_turn_max, SLICE);
    let record = simulated.run(3 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.requests.failed, record.connections.silent), (0, 0));
}

#[test]
fn long_messages_start_one_by_one() {
    let plan = Plan { connections: 20, message_len: SLICE_BYTES, run_length: RunLength::Requests(20), ..plan() };
    let mut simulated = SimulatedRun::healthy(plan);
    while simulated.generator.workload().in_flight < 20 {
        assert_eq!(simulated.step(), None);
    }
    assert_eq!(simulated.begun_in_turn_max, 1);
    assert_eq!(simulated.run(10 * SECOND).requests.answered, 20);
}

#[test]
fn a_backlog_of_the_warm_up_does_not_take_the_measured_time() {
    // One request per millisecond is answered, and ten are planned.
    let record = run_healthy(Plan { pace: Pace::Open(10_000.0), warm_up: SECOND, ..plan() });
    assert!(record.requests.answered > 1_800, "{:?}", record.requests);
    let churn = Plan { reuse: ConnectionReuse::PerRequest, pace: Pace::Open(10_000.0), warm_up: SECOND, ..plan() };
    let record = run_healthy(churn);
    assert!(record.requests.answered > 100, "{:?}", record.requests);
}

#[test]
fn each_request_may_use_a_new_connection() {
    let plan =
        Plan { reuse: ConnectionReuse::PerRequest, connections: 5, run_length: RunLength::Requests(200), ..plan() };
    let record = run_healthy(plan);
    assert_eq!((record.requests.answered, record.connections.opened), (200, 200));
    assert!(record.connections.open_max <= 5 && record.errors.is_empty());
    assert_eq!(record.connections.latency.count, 200);
}

#[test]
fn the_connect_rate_is_limited() {
    let plan = Plan { connections: 50, idle: 50, connect_rate: Some(1000.0), ..plan() };
    let record = run_healthy(plan);
    assert_eq!(record.connections.opened, 100);
    let opening = Duration::from_nanos(record.connections.opening_ns);
    assert!((99 * MS..=101 * MS).contains(&opening), "{opening:?}");
}

#[test]
fn each_cause_of_a_failed_connect_has_its_own_kind() {
    let refused = SimulatedRun::new(World::new(1), Plan { connections: 3, ..plan() }).run(SECOND);
    assert_eq!((refused.errors[0].kind, refused.ending), (ErrorKind::Refused, RunEnd::Abandoned));
    assert_eq!(refused.connections.failed, 3);

    let world = World::new(1);
    world.ignore_connects_at(&address());
    let silent = SimulatedRun::new(world, plan()).run(2 * SECOND);
    assert_eq!((silent.errors[0].kind, silent.ending), (ErrorKind::ConnectTimedOut, RunEnd::Abandoned));

    let world = World::new(1).with_descriptors(2);
    world.accept_connects_at(&address(), Behavior::default());
    let own = SimulatedRun::new(world, Plan { connections: 3, ..plan() }).run(4 * SECOND);
    assert_eq!((own.errors[0].kind, own.errors[0].count), (ErrorKind::NoDescriptors, 1));
    assert!(own.requests.answered > 500, "the other connections continued");
}

#[test]
fn connects_to_a_full_backlog_time_out_together() {
    let mut simulated = SimulatedRun::healthy(Plan { connections: 2_000, connect_rate: Some(1_000.0), ..plan() });
    while simulated.generator.connects_begun < 3 {
        assert_eq!(simulated.step(), None);
    }
    simulated.world.ignore_connects_at(&address());
    let record = simulated.run(3 * SECOND);
    assert_reconciled(&record);
    let opened = record.connections.opened;
    assert!(record.requests.answered > 0 && opened < 10, "{:?}", record.connections);
    assert_eq!(record.connections.failed, 2_000 - opened);
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::ConnectTimedOut, 2_000 - opened));
}

#[test]
fn each_way_to_close_a_connection_has_its_own_kind() {
    for (ending, kind) in [
        (PeerEnding::ResetsAt(640), ErrorKind::Reset),
        (PeerEnding::FinishesAt(640), ErrorKind::Ended),
        // A closed peer answers further bytes with a reset.
        (PeerEnding::ClosesAt(640), ErrorKind::Reset),
    ] {
        let world = World::new(1);
        world.accept_connects_at(&address(), Behavior { ending, ..Behavior::default() });
        let record = SimulatedRun::new(world, plan()).run(4 * SECOND);
        assert_reconciled(&record);
        assert_eq!((record.errors[0].kind, record.requests.answered), (kind, 10), "{ending:?}");
    }
}

#[test]
fn a_run_with_a_connection_per_request_ends_when_the_server_is_gone() {
    let plan = Plan { reuse: ConnectionReuse::PerRequest, run_length: RunLength::Requests(u64::MAX), ..plan() };
    let record = SimulatedRun::new(World::new(1), plan).run(4 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.requests.answered, record.ending), (0, RunEnd::Abandoned));
}

#[test]
fn measurements_before_an_interruption_are_valid() {
    let mut simulated =
        SimulatedRun::healthy(Plan { connections: 3, run_length: RunLength::Time(60 * SECOND), ..plan() });
    for _ in 0..500 {
        assert_eq!(simulated.step(), None);
    }
    let progress = simulated.generator.progress();
    assert!(progress.answered > 1000 && progress.measured > 400 * MS && progress.open == 3, "{progress:?}");
    simulated.generator.client.handle().stop();
    let record = simulated.run(100 * MS);
    assert_reconciled(&record);
    assert_eq!((record.ending, record.requests.failed), (RunEnd::Interrupted, 0));
    assert!(record.requests.measured_ns < 600_000_000 && record.errors.is_empty(), "{record:?}");
}

/// With random faults, the run ends in time and every request has exactly one outcome. There is no
/// mismatch, because the world changes no byte.
#[test]
fn random_faults_leave_each_request_with_one_outcome() {
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..40 {
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let pause_max = Backoff::default().pause(0, seed) / 20;
        world.accept_connects_at(&address(), Behavior { pause_max, ..Behavior::default() });
        let reuse = if seed % 3 == 0 { ConnectionReuse::PerRequest } else { ConnectionReuse::Persistent };
        let pace = if seed % 2 == 0 { Pace::Closed } else { Pace::Open(300.0) };
        let record = SimulatedRun::new(world, Plan { connections: 6, reuse, pace, ..plan() }).run(20 * SECOND);
        assert_reconciled(&record);
        let mismatch = record.errors.iter().find(|error| error.kind == ErrorKind::Mismatch);
        assert_eq!(mismatch, None, "seed {seed}");
        answered += record.requests.answered;
        failed += record.requests.failed;
    }
    assert!(answered > 1000 && failed > 20, "{answered} answered, {failed} failed");
}
