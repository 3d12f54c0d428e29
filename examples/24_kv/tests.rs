//! The service in simulated networks.

use std::time::Duration;

use readyloop::offload::Offload;
use readyloop::sim::{Faults, SimNet, SimPeer, World};
use readyloop::{Address, EndpointId, EventLoop, Limits, Listen, ServerLimits};

use super::resp::Resp;
use super::service::Kv;
use super::store::load;

const MINUTE: Duration = Duration::from_secs(60);

/// The number of worlds with faults.
const SEEDS: u64 = 50;

struct Test {
    world: World,
    address: Address,
    event_loop: EventLoop<SimNet>,
    id: EndpointId<Kv>,
}

impl Test {
    fn new(world: World, snapshot: Vec<Vec<Vec<u8>>>) -> Self {
        let address: Address = "10.0.0.99:7007".parse().unwrap();
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        let limits = Limits { idle_timeout: Duration::MAX, ..Limits::default() };
        let listen = Listen { limits, ..Listen::from(address.clone()) };
        let service = |sender| Kv::new(sender, Offload::inline(), snapshot);
        let id = event_loop.listen_with(listen, Resp, service).unwrap();
        Self { world, address, event_loop, id }
    }

    fn connect(&self) -> SimPeer {
        self.world.connect(&self.address)
    }

    fn advance(&mut self, span: Duration) {
        self.world.advance(span, || self.event_loop.turn(None)).unwrap();
    }

    /// What the peer receives within a minute after it has sent `request`.
    fn exchange(&mut self, peer: &SimPeer, request: &str) -> String {
        peer.send(request.as_bytes());
        self.advance(MINUTE);
        String::from_utf8(peer.received()).unwrap()
    }

    #[track_caller]
    fn check(&mut self, peer: &SimPeer, request: &str, expected: &str) {
        assert_eq!(self.exchange(peer, request), expected, "{request}");
    }
}

fn with_delays(test: impl Fn(Test)) {
    test(Test::new(World::new(0), Vec::new()));
    for seed in 0..SEEDS {
        let world = World::new(seed).with_faults(Faults::delays_drawn_from(seed));
        test(Test::new(world, Vec::new()));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    with_delays(|mut test| {
        let peer = test.connect();
        let requests = "SET a 1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nDIGEST a 1000\r\nDEL a b\r\nGET a\r\nNOTHING\r\n";
        let replies = "+OK\r\n$1\r\n1\r\n$16\r\naa3558805903d04d\r\n:1\r\n$-1\r\n-ERR unknown";
        let received = test.exchange(&peer, requests);
        assert!(received.starts_with(replies), "{received}");
    });
}

#[test]
fn a_key_expires_at_its_time() {
    with_delays(|mut test| {
        let peer = test.connect();
        test.check(&peer, "SET a 1\r\nEXPIRE a 600\r\nSET b 2 EX 90\r\nTTL nothing\r\n", "+OK\r\n:1\r\n+OK\r\n:-2\r\n");
        test.check(&peer, "GET a\r\nGET b\r\n", "$1\r\n1\r\n$1\r\n2\r\n");
        test.check(&peer, "GET a\r\nGET b\r\n", "$1\r\n1\r\n$-1\r\n");
        // A new value does not expire.
        test.check(&peer, "SET a 3\r\nTTL a\r\n", "+OK\r\n:-1\r\n");
        test.advance(10 * MINUTE);
        test.check(&peer, "GET a\r\n", "$1\r\n3\r\n");
    });
}

#[test]
fn a_message_reaches_the_subscribers_of_its_topic() {
    with_delays(|mut test| {
        let (ann, bob, publisher) = (test.connect(), test.connect(), test.connect());
        test.check(&ann, "SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
        test.check(&bob, "SUBSCRIBE other\r\n", "*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:1\r\n");
        test.check(&publisher, "PUBLISH news hello\r\n", ":1\r\n");
        test.check(&ann, "", "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
        test.check(&bob, "", "");
        ann.finish();
        test.advance(MINUTE);
        test.check(&publisher, "PUBLISH news hello\r\n", ":0\r\n");
    });
}

#[test]
fn a_slow_subscriber_misses_messages_and_gets_later_ones() {
    let mut test = Test::new(World::new(0).with_kernel_buffer(4096), Vec::new());
    let (slow, publisher) = (test.connect(), test.connect());
    test.exchange(&slow, "SUBSCRIBE news\r\n");
    slow.stop_reading();
    let message = "x".repeat(10_000);
    let request = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$10000\r\n{message}\r\n");
    let mut replies = String::new();
    for _ in 0..20 {
        publisher.send(request.as_bytes());
        test.world.settle(|| test.event_loop.turn(None)).unwrap();
        replies += &String::from_utf8(publisher.received()).unwrap();
    }
    assert_eq!(replies, format!("{}{}", ":1\r\n".repeat(7), ":0\r\n".repeat(13)));
    slow.resume_reading();
    test.world.settle(|| test.event_loop.turn(None)).unwrap();
    test.check(&publisher, "PUBLISH news again\r\n", ":1\r\n");
    assert!(String::from_utf8(slow.received()).unwrap().ends_with("again\r\n"));
}

#[test]
fn a_snapshot_restores_values_and_their_lifetimes() {
    let folder = std::env::temp_dir().join(format!("readyloop-kv-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("snapshot");
    assert!(load(&path).unwrap().is_empty(), "there is no file yet");

    let mut test = Test::new(World::new(0), Vec::new());
    let peer = test.connect();
    test.exchange(&peer, "SET a 1\r\nSET b 2 EX 90\r\n");
    test.event_loop.drain();
    test.advance(MINUTE / 4);
    assert!(test.event_loop.is_done());
    let now = test.event_loop.now();
    test.event_loop.into_service(test.id).store.save(&path, now).unwrap();

    let mut test = Test::new(World::new(0), load(&path).unwrap());
    let peer = test.connect();
    peer.send(b"GET a\r\nGET b\r\n");
    test.advance(Duration::from_secs(1));
    assert_eq!(String::from_utf8(peer.received()).unwrap(), "$1\r\n1\r\n$1\r\n2\r\n");
    test.advance(MINUTE);
    test.check(&peer, "GET a\r\nGET b\r\n", "$1\r\n1\r\n$-1\r\n");
    std::fs::remove_dir_all(folder).unwrap();
}
