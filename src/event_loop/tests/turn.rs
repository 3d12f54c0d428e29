//! The order of the steps of a turn.

use super::*;

#[test]
fn the_steps_of_a_turn_follow_each_other() {
    let world = World::new(1);
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    let recorder = Recorder::default();
    let endpoint = event_loop.listen("127.0.0.1:7", Lines::new(), recorder.clone()).unwrap();
    let at: Address = "127.0.0.1:7".parse().unwrap();
    let (talks, leaves) = (world.connect(&at), world.connect(&at));
    talks.send(b"later\n");
    event_loop.lame_duck(2 * SECOND);
    settle(&world, &mut event_loop);
    recorder.take();

    // All of this is due in the same turn.
    stall(&world, 2 * SECOND);
    talks.send(b"hello\n");
    leaves.finish();
    endpoint.sender().send("news").unwrap();
    event_loop.turn(None).unwrap();
    let steps = recorder.take();
    assert_eq!(steps, ["message news", "line hello", "timer", "close probed", "drain"]);
}

#[test]
fn connections_are_accepted_before_marked_peers_are_served() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let old = world.connect(&at);
    settle(&world, &mut event_loop);
    recorder.take();
    old.send(b"old\n");
    let _new = world.connect(&at);
    event_loop.turn(None).unwrap();
    assert_eq!(recorder.take(), ["open 10.0.0.2:1024", "line old"]);
}

#[test]
fn events_are_recorded_for_all_endpoints_before_a_slot_of_any_is_used_again() {
    const ROUNDS: u64 = 20;
    let world = World::new(1);
    let (mut event_loop, recorder, [one, other]) = listen_at(&world, [7, 8]);
    let slots = |event_loop: &SimLoop, endpoint: usize| -> Vec<usize> {
        event_loop.snapshot().endpoints[endpoint].peers.iter().map(|peer| peer.key.slot()).collect()
    };
    let waits = world.connect(&other);
    let mut leaves = world.connect(&one);
    settle(&world, &mut event_loop);
    recorder.take();
    for _ in 0..ROUNDS {
        // In one batch: a peer of the first endpoint leaves, another one arrives there, and a peer of the
        // second endpoint sends.
        let before = slots(&event_loop, 0);
        leaves.send(b"bye\n");
        leaves.finish();
        leaves = world.connect(&one);
        waits.send(b"still here\n");
        event_loop.turn(None).unwrap();
        let events = recorder.take();
        assert!(events.contains(&"line still here".to_owned()), "{events:?}");
        assert_ne!(slots(&event_loop, 0), before, "the slot is used again in the turn in which it was freed");
        settle(&world, &mut event_loop);
        recorder.take();
    }
    let totals = event_loop.totals();
    assert_eq!((totals.peers.opened, totals.peers.stale_events), (ROUNDS + 2, 0));
}

#[test]
fn a_turn_ends_at_the_time_that_the_program_asks_for() {
    let world = World::new(1).with_free_clock();
    let (mut event_loop, _, _) = listen_at(&world, [7]);
    let until = world.now() + SECOND;
    while event_loop.now() < until {
        event_loop.turn(Some(until)).unwrap();
    }
    assert_eq!(event_loop.now(), until);
}
