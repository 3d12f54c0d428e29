//! Tests of the server: from other threads over the reactor, and its services in the simulated world.

mod codecs;
mod connecting;
mod exhaustive;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::*;
use crate::admission::Listen;
use crate::codec::{Lines, Raw};
use crate::connection::{CloseReason, Limits};
use crate::net::{Reactor, SendError};
use crate::service::{Chat, Context, Echo, Orders, PeerInfo, ReplyToken};
use crate::sim::{SimNet, SimPeer, World};
use crate::slab::Key;

/// Answers `slow` later, panics on `boom`, and sends messages on to all peers.
#[derive(Default)]
struct TestService {
    deferred: Vec<ReplyToken>,
    closed: Vec<CloseReason>,
}

impl Service for TestService {
    type Codec = Lines;
    type Peer = ();
    type Message = String;

    fn on_open(&mut self, _peer: &mut (), info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        cx.send_parts(&[b"hello ", info.to_string().split(':').next().unwrap().as_bytes()]);
    }

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        match line {
            b"boom" => panic!("on request"),
            b"slow" => self.deferred.push(cx.defer_reply()),
            _ => cx.send(line),
        }
    }

    fn on_close(&mut self, _peer: (), _key: Key, reason: CloseReason, _orders: &mut Orders<'_, Self>) {
        self.closed.push(reason);
    }

    fn on_message(&mut self, message: String, orders: &mut Orders<'_, Self>) {
        for token in self.deferred.drain(..) {
            orders.answer(token, &[b"at last"]).unwrap();
        }
        orders.send_to_others(&[message.as_bytes()]).unwrap();
    }
}

/// Counts the lines of a peer and sends their number at its end. Panics if there are none.
struct Counter;

impl Service for Counter {
    type Codec = Lines;
    type Peer = usize;
    type Message = ();

    fn on_frame(&mut self, count: &mut usize, _line: &[u8], _cx: &mut Context<'_, Self>) {
        *count += 1;
    }

    fn on_end(&mut self, count: &mut usize, cx: &mut Context<'_, Self>) {
        assert!(*count > 0, "nothing to count");
        cx.send(format!("{count} lines").as_bytes());
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A server in `world` with one endpoint, and the address of it.
fn serve<S: Service + 'static>(world: &World, codec: S::Codec, service: S) -> (EventLoop<SimNet>, Address) {
    let mut server = EventLoop::new(world.net(), ServerLimits::default());
    let at = address("127.0.0.1:7000");
    server.listen(at.clone(), codec, service).unwrap();
    (server, at)
}

fn port_of(address: &Address) -> u16 {
    address.to_string().rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn other_threads_send_messages_and_drain_the_server() {
    let mut server = EventLoop::new(Reactor::new().unwrap(), ServerLimits::default());
    let endpoint = server.listen(address("127.0.0.1:0"), Lines::new(), TestService::default()).unwrap();
    let (port, sender, handle) = (port_of(server.local_address(&endpoint)), endpoint.sender(), server.handle());

    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut greeting = [0; 16];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"hello 127.0.0.1\n");
        sender.send("news".to_owned()).unwrap();
        let mut news = [0; 5];
        stream.read_exact(&mut news).unwrap();
        assert_eq!(&news, b"news\n");
        handle.drain();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
        sender
    });
    let totals = server.run().unwrap();
    let sender = client.join().unwrap();
    assert_eq!(totals.closed(CloseReason::Drained), 1);
    assert!(totals.reconciles());
    drop(server);
    assert_eq!(sender.send(String::new()), Err(SendError::Gone(String::new())));
}

#[test]
fn sending_fails_when_too_many_messages_wait() {
    let mut server = EventLoop::new(Reactor::new().unwrap(), ServerLimits::default());
    let endpoint = server.listen(address("127.0.0.1:0"), Lines::new(), TestService::default()).unwrap();
    let sender = endpoint.sender();
    let accepted = (0..2000).take_while(|_| sender.send(String::new()).is_ok()).count();
    assert_eq!(accepted, crate::net::MESSAGES_WAITING_MAX);
    server.turn(None).unwrap();
    assert_eq!(sender.send(String::new()), Ok(()));
}

#[test]
fn a_stop_from_another_thread_closes_peers_and_ends_the_server() {
    let mut server = EventLoop::new(Reactor::new().unwrap(), ServerLimits::default());
    let endpoint = server.listen(address("127.0.0.1:0"), Raw, Echo::new()).unwrap();
    let (port, handle) = (port_of(server.local_address(&endpoint)), server.handle());
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        handle.stop();
        stream
    });
    let totals = server.run().unwrap();
    drop(client.join().unwrap());
    assert_eq!(totals.closed(CloseReason::Stopped), 1);
}

#[test]
fn a_panic_closes_only_its_own_peer() {
    let world = World::new(1);
    let (mut server, at) = serve(&world, Lines::new(), TestService::default());
    let (victim, other) = (world.connect(&at), world.connect(&at));
    victim.send(b"boom\n");
    other.send(b"fine\n");
    world.settle(|| server.turn(None)).unwrap();
    assert!(other.received().ends_with(b"fine\n"));
    let totals = server.totals();
    assert_eq!((totals.peers.ledger.panics, totals.closed(CloseReason::Panicked), totals.open), (1, 1, 1));
}

#[test]
fn a_peer_that_ended_is_not_finished_before_its_deferred_reply() {
    let world = World::new(1);
    let mut server = EventLoop::new(world.net(), ServerLimits::default());
    let at = address("127.0.0.1:7000");
    let endpoint = server.listen(at.clone(), Lines::new(), TestService::default()).unwrap();
    let client = world.connect(&at);
    client.send(b"slow\n");
    client.finish();
    world.settle(|| server.turn(None)).unwrap();
    assert!(!client.is_ended());
    endpoint.sender().send("done".to_owned()).unwrap();
    world.settle(|| server.turn(None)).unwrap();
    assert!(client.is_ended());
    assert!(client.received().starts_with(b"hello 10.0.0.1\nat last\n"));
    assert_eq!(server.totals().closed(CloseReason::Finished), 1);
}

#[test]
fn a_service_may_still_send_when_a_peer_ends() {
    let world = World::new(1);
    let (mut server, at) = serve(&world, Lines::new(), Counter);
    let scripts: [&[u8]; 3] = [b"one\ntwo\n", b"", b"one\nhalf a l"];
    let peers = scripts.map(|script| {
        let peer = world.connect(&at);
        peer.send(script);
        peer
    });
    world.settle(|| server.turn(None)).unwrap();
    assert_eq!(peers[0].received(), b"", "the peer has not ended");
    peers.iter().for_each(SimPeer::finish);
    world.settle(|| server.turn(None)).unwrap();
    assert_eq!(peers[0].received(), b"2 lines\n");
    assert_eq!(peers[2].received(), b"", "its last line is not whole");
    let totals = server.totals();
    let closed =
        [CloseReason::Finished, CloseReason::Panicked, CloseReason::PartialFrame].map(|reason| totals.closed(reason));
    assert_eq!((closed, totals.peers.ledger.panics, totals.open), ([1; 3], 1, 0));
}

#[test]
fn endpoints_on_one_loop_keep_their_peers_apart() {
    let world = World::new(1);
    let mut server = EventLoop::new(world.net(), ServerLimits::default());
    let (chat_at, echo_at) = (address("127.0.0.1:7000"), address("127.0.0.1:7001"));
    server.listen(chat_at.clone(), Lines::new(), Chat::new()).unwrap();
    server.listen(echo_at.clone(), Raw, Echo::new()).unwrap();
    let (one, two, three) = (world.connect(&chat_at), world.connect(&chat_at), world.connect(&echo_at));
    world.settle(|| server.turn(None)).unwrap();
    one.send(b"hi\n");
    three.send(b"alone");
    world.settle(|| server.turn(None)).unwrap();
    assert_eq!(one.received(), b"");
    assert_eq!(two.received(), b"hi\n");
    assert_eq!(three.received(), b"alone");
    two.finish();
    world.settle(|| server.turn(None)).unwrap();
    assert_eq!(server.totals().open, 2);
}

#[test]
fn many_new_connections_are_accepted_over_several_turns() {
    const PEERS: u64 = 1000;
    let world = World::new(1);
    let (mut server, at) = serve(&world, Raw, Echo::new());
    let peers: Vec<_> = (0..PEERS).map(|_| world.connect(&at)).collect();
    let mut before = 0;
    while before < PEERS {
        server.turn(None).unwrap();
        let open = server.totals().open;
        assert!((1..=256).contains(&(open - before)), "{} in one turn", open - before);
        before = open;
    }
    drop(peers);
}

#[test]
fn a_peer_that_spent_its_budget_is_served_again_without_an_event() {
    const LEN: usize = 2 * 1024 * 1024;
    // All bytes arrive at once, so that only one event reports them.
    let world = World::new(1).with_kernel_buffer(2 * LEN);
    let (mut server, at) = serve(&world, Raw, Echo::new());
    let peer = world.connect(&at);
    world.settle(|| server.turn(None)).unwrap();
    peer.send(&vec![7; LEN]);
    world.settle(|| server.turn(None)).unwrap();
    assert_eq!(peer.received().len(), LEN);
}

#[test]
fn deadlines_do_not_expire_for_peers_that_wait_to_be_served() {
    let world = World::new(1);
    let mut server = EventLoop::new(world.net(), ServerLimits::default()).with_turn_bytes(1);
    let at = address("127.0.0.1:7000");
    let limits = Limits { idle_timeout: Duration::from_secs(1), ..Limits::default() };
    server.listen(Listen { limits, ..Listen::from(at.clone()) }, Raw, Echo::new()).unwrap();
    let peers = [0; 5].map(|_| world.connect(&at));
    world.settle(|| server.turn(None)).unwrap();
    peers.iter().for_each(|peer| peer.send(b"x"));
    for served in 1..=5 {
        server.turn(None).unwrap();
        assert_eq!(server.totals().peers.ledger.frames, served, "one peer in each turn");
        world.advance(Duration::from_secs(2), || Ok::<_, io::Error>(())).unwrap();
    }
    world.settle(|| server.turn(None)).unwrap();
    assert!(
        peers.iter().all(|peer| peer.received() == b"x" && peer.is_ended()),
        "served first, closed as idle afterwards"
    );
    peers.iter().for_each(SimPeer::finish);
    world.settle(|| server.turn(None)).unwrap();
    assert_eq!(server.totals().closed(CloseReason::IdleTimeout), 5);
}

/// Records frames and closes in order.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Service for Recorder {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], _cx: &mut Context<'_, Self>) {
        self.0.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
    }

    fn on_close(&mut self, _peer: (), _key: Key, reason: CloseReason, _orders: &mut Orders<'_, Self>) {
        self.0.lock().unwrap().push(reason.to_string());
    }
}

#[test]
fn closed_peers_are_reaped_after_all_peers_are_served() {
    let world = World::new(1);
    let recorder = Recorder::default();
    let (mut server, at) = serve(&world, Lines::new(), recorder.clone());
    let (leaves, stays) = (world.connect(&at), world.connect(&at));
    world.settle(|| server.turn(None)).unwrap();
    leaves.send(b"goodbye\n");
    leaves.finish();
    stays.send(b"hello\n");
    server.turn(None).unwrap();
    assert_eq!(*recorder.0.lock().unwrap(), ["goodbye", "hello", "finished"]);
}
