//! Tests of the loop over a network that injects faults.

use std::net::SocketAddr;

use super::*;
use crate::codec::Raw;
use crate::datagram::DatagramLimits;
use crate::faulty::{FaultKind, FaultPlan, Faulty, InjectedFaults};
use crate::net::DatagramOptions;
use crate::service::Echo;
use crate::sim::{Rng, pattern};

const MINUTE: Duration = Duration::from_secs(60);

fn address() -> Address {
    "10.0.0.99:7007".parse().unwrap()
}

/// An echo server over a network with these faults.
fn echo_server(world: &World, plan: &str) -> EventLoop<Faulty<SimNet>> {
    let net = Faulty::new(world.net(), plan.parse().unwrap());
    let mut server = EventLoop::new(net, ServerLimits::default());
    server.listen(address(), Raw, Echo::new()).unwrap();
    server
}

/// Runs the server for a minute of the simulated clock, in at most `turns_max` turns.
#[track_caller]
fn run(world: &World, server: &mut EventLoop<Faulty<SimNet>>, turns_max: usize) {
    let mut turns = 0;
    world
        .advance(MINUTE, || {
            turns += 1;
            assert!(turns <= turns_max, "more than {turns_max} turns: the loop spins");
            server.turn(None)
        })
        .unwrap();
}

/// Connects a peer that sends `len` bytes and ends its direction.
fn sender(world: &World, number: u64, len: usize) -> (SimPeer, Vec<u8>) {
    let bytes = pattern(number, 0, len);
    let peer = world.connect(&address());
    peer.send(&bytes);
    peer.finish();
    (peer, bytes)
}

/// Runs a conversation of one peer, and returns the peer and the injected faults.
fn converse(plan: &str, len: usize) -> (SimPeer, Vec<u8>, InjectedFaults) {
    let world = World::new(1);
    let mut server = echo_server(&world, plan);
    let (peer, bytes) = sender(&world, 1, len);
    run(&world, &mut server, 100_000);
    assert!(server.totals().reconciles());
    (peer, bytes, server.net().injected())
}

#[test]
fn the_echo_is_exact_under_all_faults_that_cost_only_time() {
    const KINDS: [&str; 7] =
        ["short-read", "short-write", "would-block", "interrupted", "spurious", "duplicate", "delay"];
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let probabilities = KINDS.map(|kind| format!("{kind}={},", rng.pick(&[0.0, 0.01, 0.3, 0.9, 1.0])));
        let plan = format!("{}emfile={},seed={seed}", probabilities.concat(), rng.pick(&[0.0, 0.2]));
        let world = World::new(seed);
        let mut server = echo_server(&world, &plan);
        let peers: Vec<_> = (0..5).map(|number| sender(&world, number, rng.up_to(5_000))).collect();
        run(&world, &mut server, 100_000);
        for (peer, bytes) in peers {
            assert!(peer.received() == bytes && peer.is_ended() && !peer.is_broken(), "{plan}");
        }
        assert!(server.totals().reconciles());
    }
}

#[test]
fn every_fault_that_costs_only_time_is_harmless_and_does_not_spin_at_probability_1() {
    for kind in ["short-read", "short-write", "would-block", "interrupted", "spurious", "duplicate", "delay"] {
        let (peer, bytes, injected) = converse(&format!("{kind}=1,seed=1"), 1000);
        assert!(peer.received() == bytes && peer.is_ended(), "{kind}");
        assert!(injected.to_string().starts_with(&format!("{kind} ")), "{kind}: {injected}");
    }
}

#[test]
fn an_idle_peer_causes_no_turn_under_any_fault() {
    let world = World::new(1);
    let all: String =
        ["short-read", "would-block", "spurious", "duplicate", "delay"].map(|kind| format!("{kind}=1,")).concat();
    let mut server = echo_server(&world, &format!("{all}seed=1"));
    let peer = world.connect(&address());
    peer.send(b"hello");
    run(&world, &mut server, 1000);
    assert_eq!(peer.received(), b"hello");
    run(&world, &mut server, 1);
}

#[test]
fn a_broken_connection_ends_its_peer_with_a_reset() {
    for kind in ["reset", "broken-pipe", "timed-out"] {
        let (peer, _, injected) = converse(&format!("{kind}=1,seed=1"), 10);
        assert!(peer.is_broken() && peer.received().is_empty(), "{kind}");
        assert_eq!(injected.to_string(), format!("{kind} 1"));
    }
}

#[test]
fn some_errors_of_accept_cost_a_connection_and_the_others_only_time() {
    let outcomes: Vec<bool> = (0..50)
        .map(|seed| {
            let (peer, bytes, injected) = converse(&format!("accept-error=0.5,seed={seed}"), 10);
            assert!(peer.is_broken() || peer.received() == bytes);
            assert!(injected.of(FaultKind::AcceptError) > 0 || !peer.is_broken());
            peer.is_broken()
        })
        .collect();
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
}

#[test]
fn a_peer_that_cannot_be_registered_is_closed() {
    let (peer, _, injected) = converse("register-error=1,seed=1", 0);
    assert!(peer.is_ended() || peer.is_broken());
    assert_eq!(injected.of(FaultKind::RegisterError), 1);
}

#[test]
fn an_outage_of_descriptors_only_delays_a_peer() {
    let (peer, bytes, injected) = converse("emfile=0.5,seed=3", 10);
    assert_eq!(peer.received(), bytes);
    assert!(injected.of(FaultKind::Emfile) > 0);
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let run_once = |seed: u64| {
        let world = World::new(1);
        let plan = format!("short-read=0.5,short-write=0.5,would-block=0.3,reset=0.01,delay=0.5,seed={seed}");
        let mut server = echo_server(&world, &plan);
        for number in 0..5 {
            sender(&world, number, 3000);
        }
        run(&world, &mut server, 100_000);
        (world.trace_hash(), server.net().injected())
    };
    assert_eq!(run_once(7), run_once(7));
    assert_ne!(run_once(7), run_once(8));
}

#[test]
fn bytes_are_delivered_in_order_to_a_service_with_lines() {
    let world = World::new(1);
    let net = Faulty::new(world.net(), "short-read=1,would-block=0.5,seed=1".parse().unwrap());
    let mut server = EventLoop::new(net, ServerLimits::default());
    server.listen(address(), Lines::new(), Echo::new()).unwrap();
    let slow = Behavior { read_len_max: 3, ending: PeerEnding::Finishes, ..Behavior::default() };
    let peer = world.connect_as(&address(), "10.0.0.1:1024".parse().unwrap(), slow);
    let text: String = (0..200).map(|number| format!("line {number}\n")).collect();
    peer.send(text.as_bytes());
    run(&world, &mut server, 100_000);
    assert_eq!(String::from_utf8_lossy(&peer.received()), text);
}

#[test]
fn a_datagram_is_lost_late_or_answered_once() {
    let answers = |plan: &str| {
        let world = World::new(1);
        let net = Faulty::new(world.net(), plan.parse().unwrap());
        let mut server = EventLoop::new(net, ServerLimits::default());
        let at: Address = "udp://10.0.0.99:7".parse().unwrap();
        server.listen_datagrams(&at, &DatagramOptions::default(), DatagramLimits::default(), Echo::new()).unwrap();
        let from: SocketAddr = "10.0.0.1:1024".parse().unwrap();
        (0..100).for_each(|number| world.send_datagram(from, &at, &[number]));
        run(&world, &mut server, 10_000);
        let answers: Vec<u8> = world.take_datagrams().iter().map(|(_, _, bytes)| bytes[0]).collect();
        assert!(answers.is_sorted_by(|one, next| one < next), "{plan}: {answers:?}");
        answers.len()
    };
    assert_eq!(answers("would-block=1,interrupted=0.5,delay=0.5,spurious=1,seed=1"), 100);
    assert_eq!(answers("datagram-loss=1,seed=1"), 0);
    assert!((20..95).contains(&answers("datagram-loss=0.3,seed=1")));
}

#[test]
fn a_plan_without_probability_changes_nothing() {
    let plan: FaultPlan = "reset=0,seed=1".parse().unwrap();
    assert_eq!(plan.probability(FaultKind::Reset), 0.0);
    let (peer, bytes, injected) = converse("reset=0,seed=1", 1000);
    assert!(peer.received() == bytes && injected == InjectedFaults::default());
}
