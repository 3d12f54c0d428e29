//! Inquiries about the loop, its measurements, and endpoints for its administration.

use std::collections::BTreeSet;

use crate::admission::{ADMINISTRATION_MAX, EndpointPurpose, Listen};

use super::*;

/// Asks for the peers slice by slice, with one turn for each. Returns the keys of each slice.
fn slices(world: &World, event_loop: &mut SimLoop, mut between: impl FnMut(usize)) -> Vec<Vec<Key>> {
    let inspector = event_loop.inspector();
    let found = Arc::new(Mutex::new((Some(PeerCursor::default()), Vec::new())));
    for slice in 0.. {
        let from = found.lock().unwrap().0;
        let Some(from) = from else { break };
        let answer = Arc::clone(&found);
        inspector
            .inspect(move |view| {
                let mut keys = Vec::new();
                let next = view.peers(from, &mut |PeerView { peer, .. }| keys.push(peer.key));
                let mut answer = answer.lock().unwrap();
                answer.0 = next;
                answer.1.push(keys);
            })
            .unwrap();
        event_loop.turn(Some(world.now())).unwrap();
        between(slice);
    }
    let mut found = found.lock().unwrap();
    std::mem::take(&mut found.1)
}

#[test]
fn peers_are_listed_in_slices_and_each_that_stays_open_is_listed_once() {
    const PEERS: usize = 3_000;
    let world = World::new(1);
    let (mut event_loop, _, [one, two]) = listen_at(&world, [7, 8]);
    let peers: Vec<SimPeer> = (0..PEERS).map(|index| world.connect([&one, &two][index % 2])).collect();
    settle(&world, &mut event_loop);
    let before: BTreeSet<_> = event_loop.snapshot().endpoints.iter().enumerate().flat_map(keys).collect();
    assert_eq!(before.len(), PEERS);

    // A hundred peers leave while the list is read, and as many connect.
    let slices = slices(&world, &mut event_loop, |slice| {
        if slice == 1 {
            peers.iter().step_by(30).for_each(SimPeer::finish);
            (0..100).for_each(|_| drop(world.connect(&one)));
        }
    });
    assert!(slices.len() > PEERS / 128 && slices.iter().all(|slice| slice.len() <= 128), "{}", slices.len());
    let mut listed = slices.concat();
    let count = listed.len();
    listed.sort_unstable();
    assert!((PEERS - 100..=PEERS + 100).contains(&count), "{count}");
    settle(&world, &mut event_loop);
    let after: BTreeSet<_> = event_loop.snapshot().endpoints.iter().enumerate().flat_map(keys).collect();
    for (endpoint, key) in before.intersection(&after) {
        // Both endpoints have keys of the same numbers.
        let times = listed.iter().filter(|listed| *listed == key).count();
        assert!((1..=2).contains(&times), "{endpoint} {key} is listed {times} times");
    }
}

fn keys((endpoint, snapshot): (usize, &EndpointSnapshot)) -> Vec<(usize, Key)> {
    snapshot.peers.iter().map(|peer| (endpoint, peer.key)).collect()
}

#[test]
fn a_turn_carries_out_one_inquiry_and_a_panic_ends_only_the_inquiry() {
    let world = World::new(1);
    let (mut event_loop, _, [_at]) = listen_at(&world, [7]);
    let inspector = event_loop.inspector();
    let calls = Arc::new(Mutex::new(0));
    for index in 0..3 {
        let calls = Arc::clone(&calls);
        inspector
            .inspect(move |view| {
                *calls.lock().unwrap() += 1;
                assert!(index != 1 && view.stage() == Stage::Running, "an inquiry may panic");
            })
            .unwrap();
    }
    for expected in [1, 2] {
        event_loop.turn(Some(world.now())).unwrap();
        assert_eq!(calls.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).to_owned(), expected);
        assert_eq!(event_loop.next_work(), Some(Instant::ORIGIN), "more inquiries wait");
    }
    calls.clear_poison();
    event_loop.turn(Some(world.now())).unwrap();
    event_loop.turn(Some(world.now())).unwrap();
    assert_eq!((*calls.lock().unwrap(), event_loop.next_work()), (3, None));
}

#[test]
fn an_administration_endpoint_is_not_counted_and_goes_on_in_a_drain() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let listen = Listen { purpose: EndpointPurpose::Administration, ..Listen::try_from("127.0.0.1:9").unwrap() };
    let id = event_loop.listen(listen, Lines::new(), recorder.clone()).unwrap();
    let admin_at = event_loop.local_address(&id).clone();

    let peer = world.connect(&at);
    let admins: Vec<SimPeer> = (0..=ADMINISTRATION_MAX).map(|_| world.connect(&admin_at)).collect();
    settle(&world, &mut event_loop);
    assert_eq!((event_loop.open(&id), event_loop.totals().open), (ADMINISTRATION_MAX, 1));

    event_loop.drain();
    peer.send(b"busy");
    settle(&world, &mut event_loop);
    admins[0].send(b"still here?\n");
    settle(&world, &mut event_loop);
    assert_eq!(admins[0].received(), b"still here?\n");
    peer.finish();
    settle(&world, &mut event_loop);
    assert!(event_loop.is_done(), "administration peers do not keep the loop");
    let totals = event_loop.totals();
    assert_eq!((totals.peers.opened, totals.peers.ledger.frames), (1, 0));
    assert!(totals.reconciles());
}

#[test]
fn turns_are_measured_only_on_request() {
    let world = World::new(1);
    let (mut event_loop, _, [at]) = listen_at(&world, [7]);
    let peer = world.connect(&at);
    settle(&world, &mut event_loop);
    assert!(LoopView::measurements(&event_loop).is_none());
    event_loop.measure();
    let before = event_loop.totals().turns;
    for _ in 0..5 {
        peer.send(b"hello\n");
        settle(&world, &mut event_loop);
    }
    let turns = event_loop.totals().turns - before;
    let measurements = LoopView::measurements(&event_loop).unwrap();
    assert_eq!((measurements.turns.count(), measurements.queue_bytes.count()), (turns, turns));
    assert!((1..=turns).contains(&measurements.waits.count()), "{measurements:?}");
    let spent: Duration = TurnPhase::ALL.map(|phase| measurements.phase(phase)).iter().sum();
    assert!(spent <= event_loop.totals().duration);
}
