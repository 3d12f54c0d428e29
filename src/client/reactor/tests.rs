//! The client in the simulated world, without sockets and real waiting.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::codec::Lines;
use crate::connection::{CloseReason, Limits};
use crate::connector::FULL_PAUSE;
use crate::net::Address;
use crate::service::ConnectFailure;
use crate::service::PeerInfo;
use crate::sim::{Behavior, Faults, PeerEnding, Rng, SimNet, World};

const SECOND: Duration = Duration::from_secs(1);

/// A service that records its callbacks and sends a greeting on open.
#[derive(Default)]
struct ClientRecorder {
    opened: Vec<(u32, String)>,
    replies: Vec<(u32, String)>,
    closed: Vec<(u32, CloseReason)>,
    failures: VecDeque<ConnectFailure<u32>>,
    half_closes: bool,
}

impl Service for ClientRecorder {
    type Codec = Lines;
    type Peer = u32;
    type Message = &'static str;

    fn on_open(&mut self, peer: &mut u32, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.opened.push((*peer, info.to_string()));
        cx.send(format!("hello from {peer}").as_bytes());
        if self.half_closes {
            cx.half_close();
        }
    }

    fn on_frame(&mut self, peer: &mut u32, frame: &[u8], _: &mut Context<'_, Self>) {
        self.replies.push((*peer, String::from_utf8_lossy(frame).into_owned()));
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<u32>, _: &mut crate::service::Orders<'_, Self>) {
        self.failures.push_back(failure);
    }

    fn on_close(&mut self, peer: u32, _: Key, reason: CloseReason, _: &mut crate::service::Orders<'_, Self>) {
        self.closed.push((peer, reason));
    }

    fn on_message(&mut self, message: &'static str, orders: &mut crate::service::Orders<'_, Self>) {
        let _ = orders.send_to_others(&[message.as_bytes()]);
    }
}

type SimClient = Client<SimNet, ClientRecorder>;

fn client(world: &World) -> SimClient {
    Client::new(world.net(), Dial::default(), Lines::new(), ClientRecorder::default(), ServerLimits::default())
}

fn at(port: u16) -> (Destination, Address) {
    let address = ([127, 0, 0, 1], port).into();
    (Destination::Tcp(address), address.into())
}

#[track_caller]
fn settle(world: &World, client: &mut SimClient) {
    world.settle(|| client.turn(None)).unwrap();
}

#[track_caller]
fn pass(world: &World, span: Duration, client: &mut SimClient) {
    world.advance(span, || client.turn(None)).unwrap();
}

#[test]
fn a_connection_opens_and_receives_replies() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior::default());
    let mut client = client(&world);
    client.connect(to, None, 5);
    settle(&world, &mut client);
    assert_eq!(client.service().opened, [(5, "127.0.0.1:7".to_owned())]);

    let peer = world.last_peer().unwrap();
    assert_eq!(peer.received(), b"hello from 5\n");
    peer.send(b"hello\nmy dear\n");
    peer.finish();
    settle(&world, &mut client);
    assert_eq!(client.service().replies, [(5, "hello".to_owned()), (5, "my dear".to_owned())]);
    assert_eq!(client.service().closed, [(5, CloseReason::Finished)]);
    assert!(client.is_idle());
}

#[test]
fn a_refused_connect_is_a_failure_without_callbacks() {
    let world = World::new(1);
    let mut client = client(&world);
    client.connect(at(7).0, None, 5);
    assert!(!client.is_idle());
    settle(&world, &mut client);
    let failure = client.service_mut().failures.pop_front().unwrap();
    assert_eq!((failure.peer, failure.error.kind()), (5, io::ErrorKind::ConnectionRefused));
    assert!(client.service().failures.is_empty());
    assert!(client.service().opened.is_empty() && client.service().closed.is_empty());
    assert!(client.is_idle());
}

#[test]
fn an_unanswered_connect_ends_at_the_connect_timeout() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.ignore_connects_at(&address);
    let mut client = client(&world);
    client.connect(to, None, 5);
    pass(&world, 5 * SECOND - Duration::from_nanos(1), &mut client);
    assert!(client.service().failures.is_empty());
    pass(&world, Duration::from_nanos(1), &mut client);
    assert_eq!(client.service_mut().failures.pop_front().unwrap().error.kind(), io::ErrorKind::TimedOut);
    assert!(client.is_idle());
}

/// More peers than one poll reports events for.
const PEERS: u32 = 1500;

#[test]
fn after_a_stall_a_peer_with_a_pending_event_is_not_idle() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let mut client = client(&world);
    for peer in 0..PEERS {
        client.connect(to.clone(), None, peer);
    }
    settle(&world, &mut client);
    assert_eq!(client.open(), PEERS as usize);

    // The loop makes no turn for the whole idle timeout, while every peer sends.
    world.advance(Limits::default().idle_timeout, || Ok::<_, io::Error>(())).unwrap();
    world.peers().for_each(|peer| peer.send(b"still here\n"));
    client.turn(None).unwrap();
    assert!(client.service().replies.len() < PEERS as usize, "one poll reported all of them");
    settle(&world, &mut client);
    assert_eq!(client.service().replies.len(), PEERS as usize);
    assert_eq!((client.service().closed.len(), client.open()), (0, PEERS as usize));
}

#[test]
fn a_connect_may_take_almost_the_whole_timeout() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior { pause_max: 4 * SECOND, ..Behavior::default() });
    let mut client = client(&world);
    for peer in 0..20 {
        client.connect(to.clone(), None, peer);
    }
    pass(&world, Duration::ZERO, &mut client);
    assert!(client.connecting() > 0);
    pass(&world, 20 * SECOND, &mut client);
    assert_eq!((client.service().opened.len(), client.connecting(), client.open()), (20, 0, 20));
}

#[test]
fn the_connects_in_progress_and_per_turn_are_bounded() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior { pause_max: SECOND, ..Behavior::default() });
    let mut client = client(&world);
    for peer in 0..1000 {
        client.connect(to.clone(), None, peer);
    }
    let mut before = 0;
    world
        .advance(60 * SECOND, || {
            client.turn(None)?;
            assert!(client.connecting() <= 128);
            let started = client.connecting() + client.service().opened.len();
            assert!(started <= before + 32, "{started} after {before}");
            before = started;
            Ok::<_, io::Error>(())
        })
        .unwrap();
    assert_eq!(client.service().opened.len(), 1000);
}

#[test]
fn a_full_unix_backlog_is_retried_until_the_connect_timeout() {
    let world = World::new(1);
    let address = Address::Unix("/run/a.sock".into());
    let to = Destination::Unix("/run/a.sock".into());
    world.fill_backlog_at(&address);
    let mut client = client(&world);
    client.connect(to.clone(), None, 1);
    pass(&world, SECOND, &mut client);
    assert_eq!(client.connecting(), 0);
    world.accept_connects_at(&address, Behavior::default());
    pass(&world, FULL_PAUSE, &mut client);
    assert_eq!(client.service().opened, [(1, "unix peer".to_owned())]);

    world.fill_backlog_at(&address);
    client.connect(to, None, 2);
    pass(&world, 5 * SECOND - FULL_PAUSE, &mut client);
    assert!(client.service().failures.is_empty());
    pass(&world, FULL_PAUSE, &mut client);
    let failure = client.service_mut().failures.pop_front().unwrap();
    assert_eq!((failure.peer, failure.error.kind()), (2, io::ErrorKind::TimedOut));
}

#[test]
fn a_connect_without_free_descriptors_fails_with_emfile() {
    let world = World::new(1).with_descriptors(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior::default());
    let mut client = client(&world);
    client.connect(to.clone(), None, 1);
    client.connect(to, None, 2);
    settle(&world, &mut client);
    assert_eq!(client.open(), 1);
    assert_eq!(client.service_mut().failures.pop_front().unwrap().error.raw_os_error(), Some(libc::EMFILE));
}

#[test]
fn replies_arrive_after_a_half_close() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let mut client = client(&world);
    client.service_mut().half_closes = true;
    client.connect(to, None, 1);
    settle(&world, &mut client);
    let peer = world.last_peer().unwrap();
    assert!(peer.is_ended(), "the peer has read our end");
    assert_eq!(peer.received(), b"hello from 1\n");

    peer.send(b"a late reply\n");
    settle(&world, &mut client);
    assert_eq!(client.service().replies, [(1, "a late reply".to_owned())]);
    peer.finish();
    settle(&world, &mut client);
    assert_eq!(client.service().closed, [(1, CloseReason::Finished)]);
}

#[test]
fn a_reset_within_a_reply_is_the_close_reason() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior { ending: PeerEnding::ResetsAt(3), ..Behavior::default() });
    let mut client = client(&world);
    client.connect(to, None, 1);
    settle(&world, &mut client);
    world.last_peer().unwrap().send(b"hello\n");
    settle(&world, &mut client);
    assert_eq!(client.service().closed, [(1, CloseReason::Reset)]);
    assert!(client.service().replies.is_empty());
}

#[test]
fn calls_messages_and_requests_reach_the_client_between_turns() {
    let world = World::new(1);
    let (to, address) = at(7);
    world.accept_connects_at(&address, Behavior::default());
    let mut client = client(&world);
    client.connect(to, None, 1);
    settle(&world, &mut client);
    let peer = world.last_peer().unwrap();
    peer.received();
    let key = client.event_loop.snapshot().endpoints[0].peers[0].key;

    let called = client.call(key, |_, peer, cx| cx.send(format!("call for {peer}").as_bytes()));
    assert_eq!(called, Some(()));
    client.sender().send("a message").unwrap();
    client.handle().drain();
    settle(&world, &mut client);
    assert_eq!(peer.received(), b"call for 1\na message\n");
    assert_eq!(client.poll_control_event(), Some(ControlEvent::Drain));

    client.stop();
    settle(&world, &mut client);
    assert_eq!(client.service().closed, [(1, CloseReason::Stopped)]);
    assert_eq!(client.call(key, |_, _, _| panic!("the peer is closed")), None);
}

#[test]
fn a_stopped_client_is_idle() {
    let world = World::new(1);
    let (open, silent) = (at(7), at(8));
    world.accept_connects_at(&open.1, Behavior::default());
    world.ignore_connects_at(&silent.1);
    let mut client = client(&world);
    for peer in 0..200 {
        client.connect(if peer < 3 { open.0.clone() } else { silent.0.clone() }, None, peer);
    }
    settle(&world, &mut client);
    assert_eq!((client.open(), client.connecting()), (3, 128));
    client.stop();
    settle(&world, &mut client);
    assert!(client.is_idle());
    assert_eq!((client.service().closed.len(), client.service().failures.len()), (3, 197));
}

/// Each connection either fails, or opens and closes, exactly once. Replies are prefixes of what was sent.
#[test]
fn under_random_faults_every_connection_has_exactly_one_outcome() {
    const CONNECTIONS: u32 = 12;
    let (mut failed, mut replied) = (0, 0);
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let world = World::new(seed).with_faults(Faults::drawn_from(seed)).with_free_clock();
        let (to, address) = at(7);
        let mut client = client(&world);
        for peer in 0..CONNECTIONS {
            if peer % 3 == 0 {
                world.accept_connects_at(&address, Behavior::drawn_from(&mut rng, 20));
            } else if peer % 7 == 0 {
                world.ignore_connects_at(&address);
            }
            client.connect(to.clone(), None, peer);
            for _ in 0..40 {
                client.turn(Some(Instant::ORIGIN)).unwrap();
                if let Some(peer) = world.last_peer() {
                    let greeting = peer.received();
                    peer.send(&greeting);
                }
            }
        }
        world.disable_faults();
        client.stop();
        client.turn(Some(Instant::ORIGIN)).unwrap();
        client.turn(Some(Instant::ORIGIN)).unwrap();

        let mut outcomes: Vec<u32> = client.service().failures.iter().map(|failure| failure.peer).collect();
        failed += outcomes.len();
        replied += client.service().replies.len();
        outcomes.extend(client.service().closed.iter().map(|(peer, _)| peer));
        outcomes.sort_unstable();
        let mut opened: Vec<u32> = client.service().opened.iter().map(|(peer, _)| *peer).collect();
        opened.sort_unstable();
        opened.dedup();
        assert_eq!(opened.len(), client.service().opened.len(), "seed {seed}: opened twice");
        assert_eq!(opened.len(), client.service().closed.len(), "seed {seed}");
        let mut each = outcomes.clone();
        each.dedup();
        assert_eq!(each, outcomes, "seed {seed}: two outcomes");
        for (peer, reply) in &client.service().replies {
            assert_eq!(*reply, format!("hello from {peer}"), "seed {seed}");
        }
        assert!(client.is_idle(), "seed {seed}");
        assert!(client.counters().ledger.reconciles(0, 0), "seed {seed}");
    }
    assert!(failed > 100 && replied > 300, "too few faults or replies: {failed} failed, {replied} replied");
}
