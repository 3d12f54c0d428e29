//! The stages of a shutdown.

use super::*;

/// Peers for several slices of a turn.
const PEERS: usize = 3_000;

/// A loop with this many idle peers.
fn with_peers(world: &World, count: usize) -> (SimLoop, Recorder, Address, Vec<SimPeer>) {
    let (mut event_loop, recorder, [at]) = listen_at(world, [7]);
    let peers: Vec<SimPeer> = (0..count).map(|_| world.connect(&at)).collect();
    settle(world, &mut event_loop);
    assert_eq!(event_loop.totals().open, count as u64);
    recorder.take();
    (event_loop, recorder, at, peers)
}

/// Runs the loop to its end. Returns how many peers ended in the turn with the most of them.
#[track_caller]
fn run_to_end(world: &World, event_loop: &mut SimLoop) -> u64 {
    let (mut most, mut before) = (0, event_loop.totals().open);
    for _ in 0..1_000 {
        if event_loop.is_done() {
            return most;
        }
        event_loop.turn(None).unwrap();
        assert_reconciled(event_loop);
        let open = event_loop.totals().open;
        most = most.max(before - open);
        before = open;
    }
    panic!("the loop does not end in {:?}", world.now());
}

#[test]
fn a_lame_duck_accepts_no_more_and_ends_when_its_peers_have_left() {
    let world = World::new(1);
    let (mut event_loop, recorder, at, peers) = with_peers(&world, 2);
    event_loop.handle().lame_duck(60 * SECOND);
    settle(&world, &mut event_loop);
    let late = world.connect(&at);
    settle(&world, &mut event_loop);
    assert!(late.is_refused());

    peers[0].send(b"still served\n");
    advance(&world, 30 * SECOND, &mut event_loop);
    assert_eq!(peers[0].received(), b"still served\n");
    assert!(!event_loop.is_done());
    peers.iter().for_each(SimPeer::finish);
    settle(&world, &mut event_loop);
    assert!(event_loop.is_done());
    assert_eq!(recorder.take(), ["line still served", "close probed", "close finished"]);
}

#[test]
fn a_shutdown_accepts_until_its_delay_is_over_and_then_waits_for_its_peers() {
    let world = World::new(1);
    let (shutdown_delay, lame_duck_timeout) = (10 * SECOND, 60 * SECOND);
    let limits = ServerLimits { shutdown_delay, lame_duck_timeout, ..ServerLimits::default() };
    let (mut event_loop, recorder, [at]) = listen_with(&world, limits, [7]);
    event_loop.handle().shut_down();
    settle(&world, &mut event_loop);
    advance(&world, 9 * SECOND, &mut event_loop);
    assert!(!event_loop.is_done(), "no peer is open, but a client may still be sent here");
    let last = world.connect(&at);
    last.send(b"hello\n");
    settle(&world, &mut event_loop);
    assert_eq!(last.received(), b"hello\n");

    advance(&world, SECOND, &mut event_loop);
    let late = world.connect(&at);
    advance(&world, 59 * SECOND, &mut event_loop);
    assert!(late.is_refused() && !event_loop.is_done() && !last.is_ended());
    advance(&world, SECOND, &mut event_loop);
    assert!(event_loop.is_done() && last.is_ended());
    assert_eq!(recorder.take(), ["open 10.0.0.1:1024", "line hello", "drain", "close drained"]);
}

#[test]
fn a_second_request_to_shut_down_ends_the_delay() {
    let world = World::new(1);
    let limits = ServerLimits { shutdown_delay: 10 * SECOND, lame_duck_timeout: SECOND, ..ServerLimits::default() };
    let (mut event_loop, recorder, [at]) = listen_with(&world, limits, [7]);
    let peer = world.connect(&at);
    event_loop.shut_down();
    settle(&world, &mut event_loop);
    assert_eq!(recorder.take(), ["open 10.0.0.1:1024"]);
    event_loop.shut_down();
    settle(&world, &mut event_loop);
    assert!(event_loop.is_done() && peer.is_ended());
}

#[test]
fn a_lame_duck_serves_the_connections_that_were_in_the_backlog() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let waiting = world.connect(&at);
    waiting.send(b"hello\n");
    event_loop.lame_duck(60 * SECOND);
    settle(&world, &mut event_loop);
    assert_eq!(waiting.received(), b"hello\n");
    assert_eq!(recorder.take(), ["open 10.0.0.1:1024", "line hello"]);
}

#[test]
fn a_lame_duck_drains_the_peers_that_stay() {
    let world = World::new(1);
    let (mut event_loop, recorder, _, peers) = with_peers(&world, 2);
    event_loop.lame_duck(60 * SECOND);
    advance(&world, 60 * SECOND - Duration::from_nanos(1), &mut event_loop);
    assert_eq!(recorder.take(), [""; 0]);
    advance(&world, Duration::from_nanos(1), &mut event_loop);
    assert_eq!(recorder.take(), ["drain", "close drained", "close drained"]);
    assert!(event_loop.is_done() && peers.iter().all(SimPeer::is_ended));
}

#[test]
fn a_drain_finishes_a_bounded_number_of_peers_in_a_turn() {
    let world = World::new(1);
    let (mut event_loop, recorder, _, peers) = with_peers(&world, PEERS);
    event_loop.drain();
    assert_eq!(recorder.take(), ["drain"], "the service learns of a drain once, before any peer ends");
    let most = run_to_end(&world, &mut event_loop);
    assert!((1..=1_024).contains(&most), "{most} peers in one turn");
    assert_eq!(event_loop.totals().closed(CloseReason::Drained), PEERS as u64);
    assert_eq!(recorder.take(), vec!["close drained"; PEERS]);
    assert!(peers.iter().all(SimPeer::is_ended));
}

#[test]
fn a_stop_closes_a_bounded_number_of_peers_in_a_turn() {
    let world = World::new(1);
    let (mut event_loop, _, _, _peers) = with_peers(&world, PEERS);
    event_loop.stop();
    let most = run_to_end(&world, &mut event_loop);
    assert!((1..=1_024).contains(&most), "{most} peers in one turn");
    assert_eq!(event_loop.totals().closed(CloseReason::Stopped), PEERS as u64);
}

#[test]
fn a_drain_accepts_the_backlog_in_slices_and_answers_what_it_finds() {
    const WAITING: usize = 600;
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let waiting: Vec<SimPeer> = (0..WAITING).map(|_| world.connect(&at)).collect();
    waiting.iter().for_each(|peer| peer.send(b"hello\n"));
    world.run_peers();
    event_loop.drain();
    let mut opened = 0;
    while !event_loop.is_done() {
        event_loop.turn(None).unwrap();
        let accepted = event_loop.totals().peers.opened - opened;
        assert!(accepted <= 256, "{accepted} accepted in one turn");
        opened += accepted;
    }
    world.run_peers();
    assert!(waiting.iter().all(|peer| peer.received() == b"hello\n" && peer.is_ended()));
    assert_eq!(event_loop.totals().closed(CloseReason::Drained), WAITING as u64);
    assert_eq!(recorder.take().len(), 3 * WAITING + 1);
}

#[test]
fn a_request_during_a_drain_is_answered_or_not_passed_to_the_service() {
    let world = World::new(1);
    let (mut event_loop, recorder, _, peers) = with_peers(&world, 20);
    event_loop.drain();
    let mut sent = 0;
    while !event_loop.is_done() {
        for peer in &peers {
            // Some requests arrive before our end of the stream was sent, some after.
            peer.send(b"request\n");
            sent += 1;
        }
        event_loop.turn(None).unwrap();
    }
    world.run_peers();
    let answers: usize = peers.iter().map(|peer| peer.received().len() / b"request\n".len()).sum();
    let served = recorder.take().iter().filter(|event| *event == "line request").count();
    assert_eq!(answers, served, "a request that the service has seen is answered");
    assert!((20..sent).contains(&served), "{served} of {sent} served");
    assert!(peers.iter().all(|peer| peer.is_ended() && !peer.is_broken()));
}

#[test]
fn a_connection_that_is_established_during_a_drain_is_drained_as_well() {
    let world = World::new(1);
    let (to, address) = destination(80);
    world.accept_connects_at(&address, Behavior { ending: PeerEnding::FollowsServer, ..Behavior::default() });
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    let endpoint = event_loop.dial(Dial::default(), Lines::new(), Recorder::default()).unwrap();
    let recorder = event_loop.service(&endpoint).clone();
    event_loop.connect(&endpoint, to.clone(), None, "in time ".to_owned());
    event_loop.turn(None).unwrap();
    event_loop.drain();
    settle(&world, &mut event_loop);
    assert!(event_loop.is_done());
    assert_eq!(recorder.take(), ["drain", "open in time 192.0.2.1:80", "close drained"]);
}

#[test]
fn a_service_that_always_connects_again_does_not_keep_the_loop_running() {
    struct Stubborn;

    impl Service for Stubborn {
        type Codec = Lines;
        type Peer = ();
        type Message = ();

        fn on_frame(&mut self, (): &mut (), _: &[u8], _: &mut Context<'_, Self>) {}

        fn on_connect_failed(&mut self, failure: ConnectFailure<()>, orders: &mut Orders<'_, Self>) {
            orders.connect(failure.to, ());
        }
    }

    let world = World::new(1);
    let (to, address) = destination(81);
    world.ignore_connects_at(&address);
    for shut_down in [SimLoop::stop, SimLoop::drain] {
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        let endpoint = event_loop.dial(Dial::default(), Lines::new(), Stubborn).unwrap();
        event_loop.connect(&endpoint, to.clone(), None, ());
        settle(&world, &mut event_loop);
        shut_down(&mut event_loop);
        for _ in 0..30 {
            event_loop.turn(Some(Instant::ORIGIN)).unwrap();
            stall(&world, SECOND);
        }
        assert!(event_loop.is_done());
    }
}

#[test]
fn a_stop_fails_queued_connects() {
    let world = World::new(1);
    let (to, address) = destination(81);
    world.ignore_connects_at(&address);
    let limits = ServerLimits { connecting_max: 10, ..ServerLimits::default() };
    let mut event_loop = EventLoop::new(world.net(), limits);
    let endpoint = event_loop.dial(Dial::default(), Lines::new(), Recorder::default()).unwrap();
    let recorder = event_loop.service(&endpoint).clone();
    for _ in 0..PEERS {
        event_loop.connect(&endpoint, to.clone(), None, String::new());
    }
    settle(&world, &mut event_loop);
    assert_eq!(event_loop.connecting(&endpoint), 10);
    event_loop.stop();
    run_to_end(&world, &mut event_loop);
    assert_eq!(recorder.take(), vec!["failed 192.0.2.1:81"; PEERS]);
    assert_eq!(event_loop.totals().connects_failed, PEERS as u64);
}
