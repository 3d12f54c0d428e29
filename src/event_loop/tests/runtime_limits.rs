//! Limits that change while the loop runs.

use std::net::SocketAddr;

use super::*;
use crate::connection::Limits;
use crate::sim::Rng;
use crate::watermark::Watermarks;

/// Peers for several slices of a turn.
const PEERS: usize = 3_000;

fn with_idle_timeout(idle_timeout: Duration) -> Limits {
    Limits { idle_timeout, ..Limits::default() }
}

#[test]
fn a_lower_cap_closes_no_peer_and_a_higher_one_accepts_what_waits() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let open: Vec<SimPeer> = (0..3).map(|_| world.connect(&at)).collect();
    settle(&world, &mut event_loop);
    event_loop.change_limits(ServerLimits { connections_max: 1, ..ServerLimits::default() });
    let waiting = world.connect(&at);
    open[..2].iter().for_each(SimPeer::finish);
    open[2].send(b"still served\n");
    settle(&world, &mut event_loop);
    assert_eq!((open[2].received(), event_loop.totals().open), (b"still served\n".to_vec(), 1));
    assert!(!waiting.is_refused() && waiting.received().is_empty() && world.backlog_len() == 1, "it waits");

    recorder.take();
    event_loop.change_limits(ServerLimits { connections_max: 2, ..ServerLimits::default() });
    assert_eq!(event_loop.next_work(), Some(Instant::ORIGIN), "no event comes for the connection that waits");
    event_loop.turn(None).unwrap();
    assert_eq!((recorder.take().len(), event_loop.totals().open), (1, 2));
}

#[test]
fn a_cap_for_each_address_that_comes_later_counts_open_peers_once() {
    let world = World::new(1);
    let (mut event_loop, _, [at, other_at]) = listen_at(&world, [7, 8]);
    let connect = |at, host| world.connect_as(at, SocketAddr::from(([10, 0, 0, host], 1)), Behavior::default());
    let _open = [connect(&at, 1), connect(&other_at, 1), connect(&at, 2)];
    settle(&world, &mut event_loop);
    let capped = ServerLimits { connections_per_address_max: 2, ..ServerLimits::default() };
    event_loop.change_limits(capped.clone());
    event_loop.change_limits(capped);
    let (full, free) = (connect(&at, 1), connect(&at, 2));
    settle(&world, &mut event_loop);
    assert_eq!((full.is_broken(), free.is_broken(), event_loop.totals().refused_address), (true, false, 1));
    event_loop.change_limits(ServerLimits::default());
    let third = connect(&at, 1);
    settle(&world, &mut event_loop);
    assert_eq!((third.is_broken(), event_loop.totals().open), (false, 5));
}

#[test]
fn a_shorter_timeout_counts_for_open_peers_from_their_last_byte_on() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let peer = world.connect(&at);
    settle(&world, &mut event_loop);
    advance(&world, 5 * SECOND, &mut event_loop);
    event_loop.change_peer_limits(&with_idle_timeout(20 * SECOND));
    event_loop.turn(Some(event_loop.now())).unwrap();
    advance(&world, 15 * SECOND - Duration::from_nanos(1), &mut event_loop);
    assert!(!peer.is_ended());
    advance(&world, Duration::from_nanos(1), &mut event_loop);
    assert!(peer.is_ended() && !peer.is_broken());
    settle(&world, &mut event_loop);
    assert_eq!(recorder.take().last().unwrap(), "close idle-timeout");
    assert_eq!(event_loop.next_work(), None, "the loop sleeps");
}

#[test]
fn a_longer_timeout_counts_for_open_peers() {
    let world = World::new(1);
    let (mut event_loop, _, [at]) = listen_at(&world, [7]);
    let peer = world.connect(&at);
    settle(&world, &mut event_loop);
    event_loop.change_peer_limits(&with_idle_timeout(1_000 * SECOND));
    advance(&world, 999 * SECOND, &mut event_loop);
    assert!(!peer.is_ended());
    advance(&world, SECOND, &mut event_loop);
    assert!(peer.is_ended());
}

#[test]
fn a_timeout_that_has_passed_expires_for_a_bounded_number_of_peers_in_a_turn() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let peers: Vec<SimPeer> = (0..PEERS).map(|_| world.connect(&at)).collect();
    settle(&world, &mut event_loop);
    recorder.take();
    advance(&world, 100 * SECOND, &mut event_loop);
    event_loop.change_peer_limits(&with_idle_timeout(SECOND));
    let (mut most, mut before) = (0, PEERS as u64);
    while event_loop.totals().open > 0 {
        assert!(world.now().since(Instant::ORIGIN) < 102 * SECOND, "{before} are left");
        event_loop.turn(None).unwrap();
        assert_reconciled(&event_loop);
        let open = event_loop.totals().open;
        (most, before) = (most.max(before - open), open);
    }
    assert!((1..=1_280).contains(&most), "{most} peers in one turn");
    assert_eq!(recorder.take(), vec!["close idle-timeout"; PEERS]);
    assert!(peers.iter().all(|peer| peer.is_ended() && !peer.is_broken()));
}

#[test]
fn limits_of_one_endpoint_change_without_the_others() {
    let world = World::new(1);
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    let ids = ["127.0.0.1:7", "127.0.0.1:8"]
        .map(|address| event_loop.listen(address, Lines::new(), Recorder::default()).unwrap());
    let peers = [7, 8].map(|port| world.connect(&format!("127.0.0.1:{port}").parse().unwrap()));
    settle(&world, &mut event_loop);
    event_loop.change_peer_limits_of(&ids[1], &Limits { frame_len_max: 4, ..Limits::default() });
    peers.iter().for_each(|peer| peer.send(b"longer than four\n"));
    settle(&world, &mut event_loop);
    assert_eq!(peers.map(|peer| peer.received().len()), [17, 0]);
    assert_eq!(event_loop.totals().closed(CloseReason::FrameTooLong), 1);
}

#[test]
fn less_memory_for_queues_pauses_slow_readers_and_closes_none() {
    const LINES: usize = 200;
    let world = World::new(1).with_kernel_buffer(4096);
    let (mut event_loop, _, [at]) = listen_at(&world, [7]);
    let line = [[b'x'; 999].as_slice(), b"\n"].concat();
    let readers: Vec<SimPeer> = (0..20).map(|_| world.connect(&at)).collect();
    readers.iter().for_each(SimPeer::stop_reading);
    readers.iter().for_each(|peer| peer.send(&line.repeat(LINES)));
    settle(&world, &mut event_loop);
    let lent = event_loop.snapshot().lent_bytes;
    assert!(lent > 1 << 20, "{lent} bytes are lent");

    event_loop.change_limits(ServerLimits { queue_total_max: 256 << 10, ..ServerLimits::default() });
    let smaller = Limits { queue: Watermarks::new(1024, 4096), frame_len_max: 2_000, ..Limits::default() };
    event_loop.change_peer_limits(&smaller);
    let other = world.connect(&at);
    settle(&world, &mut event_loop);
    assert_eq!((event_loop.totals().open, world.backlog_len()), (20, 1), "memory is scarce");

    readers.iter().for_each(SimPeer::resume_reading);
    other.send(&line.repeat(LINES));
    settle(&world, &mut event_loop);
    for peer in readers.iter().chain([&other]) {
        assert!(peer.received() == line.repeat(LINES), "{} bytes", peer.received_len());
    }
    let snapshot = event_loop.snapshot();
    assert_eq!((snapshot.open, snapshot.lent_bytes, snapshot.lent_bytes_max), (21, 0, 256 << 10));
}

#[test]
fn a_new_drain_timeout_counts_for_the_next_drain() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let stays = Behavior { ending: PeerEnding::Stays, ..Behavior::default() };
    let _peer = world.connect_as(&at, SocketAddr::from(([10, 0, 0, 1], 1)), stays);
    settle(&world, &mut event_loop);
    let with = |drain_timeout| ServerLimits { drain_timeout, ..ServerLimits::default() };
    event_loop.change_limits(with(2 * SECOND));
    event_loop.drain();
    event_loop.change_limits(with(1_000 * SECOND));
    advance(&world, 2 * SECOND, &mut event_loop);
    assert!(event_loop.is_done(), "{:?}: {:?}", event_loop.stage(), recorder.take());
}

#[test]
fn limits_that_change_all_the_time_lose_no_byte() {
    for seed in 0..20 {
        let world = World::new(seed).with_kernel_buffer(2048);
        let (mut event_loop, _, [at]) = listen_at(&world, [7]);
        let mut rng = Rng::new(seed);
        let line = [[b'x'; 300].as_slice(), b"\n"].concat();
        let peers: Vec<SimPeer> = (0..30)
            .map(|number| {
                let lens = Behavior { write_len_max: 700, read_len_max: 500, ..Behavior::default() };
                let behavior = Behavior { pause_max: rng.span(SECOND / 100), ..lens };
                let peer = world.connect_as(&at, SocketAddr::from(([10, 0, 0, number], 1)), behavior);
                peer.send(&line.repeat(50));
                peer.finish();
                peer
            })
            .collect();
        for _ in 0..100 {
            event_loop.change_limits(ServerLimits {
                connections_max: rng.below(40),
                connections_per_address_max: if rng.chance(0.5) { usize::MAX } else { 1 },
                queue_total_max: 1 << (20 + rng.below(6)),
                ..ServerLimits::default()
            });
            let high = 1 + rng.below(100_000);
            let queue = Watermarks::new(rng.below(high), high);
            let idle_timeout = (100 + rng.below(500) as u32) * SECOND;
            event_loop.change_peer_limits(&Limits { queue, idle_timeout, ..Limits::default() });
            advance(&world, rng.span(SECOND / 50), &mut event_loop);
        }
        event_loop.change_limits(ServerLimits::default());
        advance(&world, 60 * SECOND, &mut event_loop);
        for (number, peer) in peers.iter().enumerate() {
            assert!(peer.received() == line.repeat(50), "seed {seed}, peer {number}: {}", peer.received_len());
        }
        assert_eq!(event_loop.totals().closed(CloseReason::Finished), 30, "seed {seed}");
    }
}
