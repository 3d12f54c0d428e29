//! A successor takes over the listening sockets: a second loop, in the same simulated world.

use std::time::Duration;

use crate::admission::ServerLimits;
use crate::codec::Raw;
use crate::event_loop::EventLoop;
use crate::net::Address;
use crate::service::Echo;
use crate::sim::{SimNet, SimPeer, World};

fn serving(world: &World) -> EventLoop<SimNet> {
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    event_loop.listen("127.0.0.1:7", Raw, Echo::new()).unwrap();
    event_loop
}

fn connected(world: &World) -> SimPeer {
    let peer = world.connect(&"127.0.0.1:7".parse::<Address>().unwrap());
    peer.send(b"hello");
    peer
}

/// Hands over after `turns` turns, while connections arrive in every turn. All of them must be echoed.
fn check_hand_over(seed: u64, turns: usize) {
    let world = World::new(seed);
    let mut peers = Vec::new();
    let mut old = serving(&world);
    let step = |event_loop: &mut EventLoop<SimNet>, peers: &mut Vec<SimPeer>| {
        peers.push(connected(&world));
        let now = event_loop.now();
        event_loop.turn(Some(now)).unwrap();
    };
    for _ in 0..turns {
        step(&mut old, &mut peers);
    }
    old.hand_over();
    for _ in 0..3 {
        step(&mut old, &mut peers);
    }
    // The connections of the predecessor leave by themselves, or in its drain.
    world.advance(Duration::from_secs(30), || old.turn(None)).unwrap();
    assert!(old.is_done(), "seed {seed}, {turns} turns");
    drop(old);
    let mut new = serving(&world);
    step(&mut new, &mut peers);
    world.settle(|| new.turn(None)).unwrap();
    for (number, peer) in peers.iter().enumerate() {
        assert_eq!(peer.received(), b"hello", "seed {seed}, {turns} turns, connection {number}");
    }
}

#[test]
fn connections_that_wait_at_a_hand_over_are_served_by_the_successor() {
    for seed in 0..50 {
        for turns in 0..6 {
            check_hand_over(seed, turns);
        }
    }
}

#[test]
fn an_address_that_was_not_handed_over_is_in_use() {
    let world = World::new(1);
    let _old = serving(&world);
    let mut new = EventLoop::new(world.net(), ServerLimits::default());
    assert!(new.listen("127.0.0.1:7", Raw, Echo::new()).is_err());
}
