//! The generator in the simulated world, without sockets and sleeps.

mod answers;
mod faults;
mod lengths;
mod lifetimes;
mod ramps;
mod think_times;

use super::*;
use crate::load::cost::Cost;
use crate::load::plan::{Pace, RunLength, Verify};
use crate::load::record::Record;
use crate::net::Address;
use crate::sim::{Behavior, PeerEnding, SimNet, SimPeer, World};

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
    /// Changes the bytes of an echo into those of an answer.
    alter: fn(&mut Vec<u8>),
    /// Answers that each peer has not sent yet.
    unsent: Vec<Vec<u8>>,
    /// The most bytes of answers that a peer sends per millisecond.
    answer_part_max: usize,
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
        let member = Member::alone();
        let generator =
            Generator::over(world.net(), Box::new(move || clock.now()), Dial::default(), to, plan.clone(), member);
        Self {
            plan,
            world,
            generator,
            peers: Vec::new(),
            stall: Duration::MAX..Duration::MAX,
            held: Vec::new(),
            begun_in_turn_max: 0,
            alter: |_| {},
            unsent: Vec::new(),
            answer_part_max: usize::MAX,
        }
    }

    /// A world without faults, in which every request is answered.
    fn healthy(plan: Plan) -> Self {
        let world = World::new(1);
        world.accept_connects_at(&address(), Behavior { ending: PeerEnding::FollowsServer, ..Behavior::default() });
        Self::new(world, plan)
    }

    /// Runs one millisecond. Returns how the run ended, if it has.
    fn step(&mut self) -> Option<RunEnd> {
        let Self { world, generator, peers, held, unsent, begun_in_turn_max, .. } = self;
        let mut ending = None;
        world
            .advance(MS, || {
                let connects_begun = generator.connects_begun;
                let in_flight = generator.workload().in_flight;
                ending = generator.turn()?;
                let begun = generator.workload().in_flight.saturating_sub(in_flight);
                *begun_in_turn_max = begun.max(*begun_in_turn_max);
                if generator.connects_begun > connects_begun {
                    peers.extend(world.peers().skip(peers.len()));
                    held.resize(peers.len(), Vec::new());
                    unsent.resize(peers.len(), Vec::new());
                }
                Ok::<_, io::Error>(())
            })
            .unwrap();
        let is_stalled = self.stall.contains(&self.world.now().since(Instant::ORIGIN));
        for ((peer, held), unsent) in self.peers.iter().zip(&mut self.held).zip(&mut self.unsent) {
            held.extend(peer.received());
            if !is_stalled {
                (self.alter)(held);
                unsent.append(held);
                let len = unsent.len().min(self.answer_part_max);
                peer.send(&unsent[..len]);
                unsent.drain(..len);
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
