//! A proxy in the simulated world: two peers connected by a service, with faults on both sides.
//!
//! The first two bytes of a client are its number. The upstream peer answers each byte with its
//! complement. So both directions are checked byte by byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use readyloop::connection::{KIB, READ_LEN_MAX};
use readyloop::net::Destination;
use readyloop::service::{PROXY_QUEUE, Proxy};
use readyloop::sim::{Behavior, Faults, PeerEnding, Rng, SimNet, SimPeer, World, WorldProgress, pattern};
use readyloop::{Address, CloseReason, Limits, Listen, Raw, Server, ServerLimits};

use crate::support::shared_machine;

/// The number of random worlds.
const SEEDS: u64 = 1500;
/// The turns of one run with faults.
const STEPS: usize = 400;
/// The most turns of one run without faults.
const FAULTLESS_TURNS_MAX: usize = 40_000;
/// The most connections of one run.
const PAIRS_MAX: usize = 8;
/// The most output that the proxy may queue for one peer: the limit at which reading pauses, one more
/// read, and the low watermark.
const QUEUED_MAX: usize = 64 * KIB + READ_LEN_MAX + PROXY_QUEUE.low();

fn front() -> Address {
    "127.0.0.1:7000".parse().expect("an address")
}

fn upstream() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7001))
}

fn complement(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// A fast peer with this ending.
fn with_ending(ending: PeerEnding) -> Behavior {
    Behavior { ending, ..Behavior::default() }
}

/// A client and its upstream peer.
struct ProxiedPair {
    client: SimPeer,
    sent: Vec<u8>,
    received_len: usize,
    upstream: Option<SimPeer>,
    forwarded_len: usize,
}

/// A proxy in a world, and its connections.
struct ProxyTest {
    world: World,
    server: Server<SimNet>,
    pairs: Vec<ProxiedPair>,
    /// The upstream peers that have not received a client number yet, with the bytes they received.
    unpaired: Vec<(SimPeer, Vec<u8>)>,
    /// The number of peers that were inspected so far.
    peers_seen: usize,
}

impl ProxyTest {
    fn new(world: &World, limits: ServerLimits) -> Self {
        let mut server = Server::new(world.net(), limits);
        let listen = Listen { limits: Limits { queue: PROXY_QUEUE, ..Limits::default() }, ..Listen::from(front()) };
        server.listen(listen, Raw, Proxy::to(Destination::Tcp(upstream()))).expect("the address is free");
        Self { world: world.clone(), server, pairs: Vec::new(), unpaired: Vec::new(), peers_seen: 0 }
    }

    /// A proxy in a world with this seed, whose upstream peers have this behavior.
    fn with_upstream(seed: usize, behavior: Behavior) -> Self {
        let world = World::new(seed as u64);
        world.accept_connects_at(&upstream().into(), behavior);
        Self::new(&world, ServerLimits::default())
    }

    /// Connects a client that sends `len` bytes, which begin with its number.
    fn connect(&mut self, len: usize, behavior: Behavior) -> SimPeer {
        let number = self.pairs.len() as u16;
        let mut sent = number.to_be_bytes().to_vec();
        sent.extend(pattern(u64::from(number), 0, len.saturating_sub(sent.len())));
        sent.truncate(len);
        let source = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 1024 + number));
        let client = self.world.connect_as(&front(), source, behavior);
        client.send(&sent);
        let pair = ProxiedPair { client: client.clone(), sent, received_len: 0, upstream: None, forwarded_len: 0 };
        self.pairs.push(pair);
        client
    }

    /// Checks all received bytes and lets the upstream peers answer.
    fn exchange(&mut self) {
        let clients: Vec<usize> = self.pairs.iter().map(|pair| pair.client.number()).collect();
        let new = self.world.peers().skip(self.peers_seen).filter(|peer| !clients.contains(&peer.number()));
        self.unpaired.extend(new.map(|peer| (peer, Vec::new())));
        self.peers_seen = self.world.peers().count();
        for (peer, received) in &mut self.unpaired {
            received.extend(peer.received());
            if let [high, low, ..] = received[..] {
                let pair = &mut self.pairs[usize::from(u16::from_be_bytes([high, low]))];
                assert!(pair.upstream.is_none(), "two upstream peers have the same client");
                pair.upstream = Some(peer.clone());
                pair.answer(received);
            }
        }
        self.unpaired.retain(|(_, received)| received.len() < 2);
        self.unpaired.iter().for_each(|(peer, _)| finish_after_answers(peer));
        self.pairs.iter_mut().for_each(ProxiedPair::exchange);
    }

    /// Runs a turn and checks its results.
    #[track_caller]
    fn turn(&mut self) -> io::Result<()> {
        self.server.turn(None)?;
        self.exchange();
        self.check_queues();
        Ok(())
    }

    /// Runs turns until neither the server nor a peer has anything to do.
    #[track_caller]
    fn settle(&mut self) {
        let world = self.world.clone();
        // Answers sent after the last turn give the server more to do.
        let mut before = u64::MAX;
        while before != world.counters().progress {
            before = world.counters().progress;
            world.settle(|| self.turn()).expect("a simulated poll does not fail");
        }
    }

    /// Lets time pass without answers of upstream peers.
    fn pass(&mut self, span: Duration) {
        self.world.advance(span, || self.server.turn(None)).expect("a simulated poll does not fail");
    }

    /// Checks that the queues of the proxy are within their bounds, and that the totals reconcile.
    #[track_caller]
    fn check_queues(&self) {
        let (snapshot, totals) = (self.server.snapshot(), self.server.totals());
        assert!(totals.reconciles(), "{totals:?}");
        for peer in snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.peers) {
            assert!(peer.output_len <= QUEUED_MAX, "too much output is queued: {peer:?}");
            assert_eq!(peer.input_len, 0, "the proxy stores input: {peer:?}");
        }
    }

    /// Ends the faults, makes all peers fast, and runs until nothing is left to do.
    fn run_until_idle(&mut self) {
        self.world.disable_faults();
        for _ in 0..FAULTLESS_TURNS_MAX {
            for peer in self.world.peers() {
                let Behavior { ending, read_len_max, .. } = peer.behavior();
                let read_len_max = if read_len_max > 0 { usize::MAX } else { 0 };
                peer.change_behavior(Behavior { ending, read_len_max, ..Behavior::default() });
            }
            if self.server.is_done() || self.world.progress() == WorldProgress::Idle {
                return;
            }
            self.turn().expect("a simulated poll does not fail");
        }
        panic!("still not idle after {FAULTLESS_TURNS_MAX} turns without faults");
    }
}

impl ProxiedPair {
    /// Checks what the upstream peer received, and answers it.
    fn answer(&mut self, received: &[u8]) {
        let end = self.forwarded_len + received.len();
        assert_eq!(self.sent.get(self.forwarded_len..end), Some(received), "upstream received wrong bytes");
        self.forwarded_len = end;
        let upstream_peer = self.upstream.as_ref().expect("an upstream peer");
        upstream_peer.send(&complement(received));
        finish_after_answers(upstream_peer);
    }

    fn exchange(&mut self) {
        if let Some(upstream_peer) = &self.upstream {
            let received = upstream_peer.received();
            self.answer(&received);
        }
        let received = self.client.received();
        let end = self.received_len + received.len();
        assert!(end <= self.forwarded_len, "more answers than requests");
        assert_eq!(complement(&self.sent[self.received_len..end]), received, "the client received wrong bytes");
        self.received_len = end;
    }

    /// Whether no fault hit either end, and both ends send and read everything.
    fn is_unharmed(&self) -> bool {
        let is_unharmed = |peer: &SimPeer| !peer.is_hit_by_fault() && !peer.is_broken();
        let mut ends = [Some(&self.client), self.upstream.as_ref()].into_iter();
        ends.all(|end| end.is_some_and(|peer| is_unharmed(peer) && peer.behavior().is_well_behaved()))
    }
}

/// Lets an upstream peer finish after it has read the end, so that its last answer comes first.
fn finish_after_answers(upstream_peer: &SimPeer) {
    if upstream_peer.is_ended() && upstream_peer.behavior().ending == PeerEnding::Stays {
        upstream_peer.finish();
    }
}

/// The behavior of an upstream peer, which ends by itself only if it ends early.
fn upstream_behavior(behavior: Behavior) -> Behavior {
    let ending = match behavior.ending {
        PeerEnding::FollowsServer | PeerEnding::Finishes | PeerEnding::Stays => PeerEnding::Stays,
        ending @ (PeerEnding::FinishesAt(_) | PeerEnding::ResetsAt(_) | PeerEnding::ClosesAt(_)) => ending,
    };
    Behavior { ending, ..behavior }
}

#[test]
fn every_byte_is_forwarded_in_both_directions_and_then_both_ends() {
    for len in [1, 2, 3, 1000, 64 * KIB, 3 * 1024 * KIB, 16 * 1024 * KIB] {
        let mut test = ProxyTest::with_upstream(len, with_ending(PeerEnding::Finishes));
        // A client that sends only one byte gets no answer, because its number has two.
        let client = test.connect(len, with_ending(PeerEnding::Stays));
        test.settle();
        let upstream_peer = test.world.last_peer().expect("an upstream peer");
        assert!(client.is_ended(), "the FIN of the upstream peer is forwarded at once");
        assert_eq!(upstream_peer.received_len(), len as u64);
        assert!(!upstream_peer.is_ended() && test.server.totals().open == 2, "the other direction is open");
        client.finish();
        test.settle();
        assert!(upstream_peer.is_ended() && !upstream_peer.is_broken());
        assert_eq!(test.server.totals().closed(CloseReason::Finished), 2);
    }
}

#[test]
fn one_direction_ends_and_the_other_continues() {
    for len in [1, 64 * KIB, 3 * 1024 * KIB] {
        let mut test = ProxyTest::with_upstream(len, upstream_behavior(Behavior::default()));
        let client = test.connect(len.max(2), with_ending(PeerEnding::Finishes));
        test.settle();
        assert!(client.is_ended() && !client.is_broken());
        assert_eq!(test.pairs[0].received_len, len.max(2));
        assert_eq!(test.server.totals().closed(CloseReason::Finished), 2);
    }
}

#[test]
fn a_slow_reader_pauses_reading_from_the_other_peer_only() {
    const LEN: usize = 4 * 1024 * KIB;
    let mut test = ProxyTest::with_upstream(1, with_ending(PeerEnding::Stays));
    let client = test.connect(2, Behavior { read_len_max: 0, ending: PeerEnding::Stays, ..Behavior::default() });
    test.settle();
    let upstream_peer = test.world.last_peer().expect("an upstream peer");
    upstream_peer.send(&pattern(9, 0, LEN));
    test.pass(Duration::ZERO);
    test.check_queues();
    let sent = upstream_peer.sent_len() as usize;
    assert!(sent < QUEUED_MAX + READ_LEN_MAX + 4 * 64 * KIB, "{sent} bytes were read for a peer that reads none");

    client.send(&pattern(8, 0, LEN));
    test.pass(Duration::ZERO);
    assert_eq!(upstream_peer.received_len() as usize, 2 + LEN, "the other direction is not paused");
    client.resume_reading();
    test.pass(Duration::ZERO);
    assert_eq!(client.received_len() as usize, 2 + LEN);
}

#[test]
fn a_reset_is_forwarded_as_a_reset() {
    for is_client in [true, false] {
        let mut test = ProxyTest::with_upstream(1, with_ending(PeerEnding::Stays));
        let client = test.connect(100, with_ending(PeerEnding::Stays));
        test.settle();
        let upstream_peer = test.world.last_peer().expect("an upstream peer");
        let (one, other) = if is_client { (&client, &upstream_peer) } else { (&upstream_peer, &client) };
        one.reset();
        test.settle();
        assert!(other.is_broken() && !other.is_ended(), "a truncated stream looks complete");
        assert_eq!(test.server.totals().open, 0);
    }
}

#[test]
fn a_failed_connect_resets_the_client() {
    let world = World::new(1);
    let mut test = ProxyTest::new(&world, ServerLimits::default());
    let client = test.connect(100, Behavior::default());
    test.settle();
    assert!(client.is_broken() && !client.is_ended());

    world.ignore_connects_at(&upstream().into());
    let client = test.connect(100, Behavior::default());
    test.settle();
    assert!(client.is_connected());
    test.pass(Duration::from_secs(5));
    assert!(client.is_broken() && !client.is_ended());
    assert_eq!((test.server.totals().connects_failed, test.server.totals().open), (2, 0));
}

#[test]
fn a_client_that_leaves_before_the_connect_leaves_nothing_behind() {
    let world = World::new(1);
    world.accept_connects_at(&upstream().into(), Behavior { pause_max: Duration::from_secs(4), ..Behavior::default() });
    let limits = ServerLimits { drain_timeout: Duration::from_secs(60), ..ServerLimits::default() };
    let mut test = ProxyTest::new(&world, limits);
    let client = test.connect(100, Behavior::default());
    test.pass(Duration::ZERO);
    client.reset();
    test.pass(Duration::from_secs(60));
    assert_eq!(test.server.totals().open, 0);
    test.check_queues();
}

#[test]
fn a_drain_forwards_bytes_that_were_sent_before() {
    let mut test = ProxyTest::with_upstream(1, upstream_behavior(Behavior::default()));
    let client = test.connect(1024 * KIB, with_ending(PeerEnding::Finishes));
    test.server.handle().drain();
    while !test.server.is_done() {
        test.turn().expect("a simulated poll does not fail");
    }
    test.exchange();
    assert_eq!((test.pairs[0].received_len, client.is_broken()), (1024 * KIB, false));
}

/// Counts over all runs.
#[derive(Debug, Default)]
struct RunCounts {
    complete: usize,
    broken: usize,
    connects_failed: u64,
}

fn run(seed: u64, counts: &mut RunCounts) {
    let mut rng = Rng::new(seed);
    // Every other world has only faults that cost time.
    let draw = if seed.is_multiple_of(2) { Faults::drawn_from } else { Faults::delays_drawn_from };
    let world = World::new(rng.bits()).with_free_clock().with_faults(draw(rng.bits()));
    let world = world.with_kernel_buffer(4096 << rng.below(5));
    let world = if rng.chance(0.1) { world.with_descriptors(rng.up_to(10)) } else { world };
    let unlimited = ServerLimits::default();
    let limits = ServerLimits {
        connections_max: if rng.chance(0.2) { rng.up_to(8) } else { unlimited.connections_max },
        connecting_max: rng.up_to(4),
        ..unlimited
    };
    let mut test = ProxyTest::new(&world, limits);
    for step in 0..STEPS {
        if test.pairs.len() < PAIRS_MAX && (step == 0 || rng.chance(0.05)) {
            let halvings = rng.below(18);
            let len = 2 + rng.below((1 << 18) >> halvings);
            match rng.below(8) {
                0 => world.ignore_connects_at(&upstream().into()),
                1..4 => world.accept_connects_at(&upstream().into(), upstream_behavior(Behavior::default())),
                _ => world.accept_connects_at(
                    &upstream().into(),
                    upstream_behavior(Behavior::drawn_from(&mut rng, len as u64)),
                ),
            }
            let quick = with_ending(PeerEnding::Finishes);
            test.connect(len, if rng.chance(0.5) { quick } else { Behavior::drawn_from(&mut rng, len as u64) });
        }
        if rng.chance(0.1 / STEPS as f64) {
            test.server.handle().drain();
        }
        if rng.chance(0.1 / STEPS as f64) {
            test.server.handle().stop();
        }
        if test.server.is_done() {
            break;
        }
        test.turn().expect("a simulated poll does not fail");
    }
    test.run_until_idle();
    assert_eq!(test.server.totals().open, 0, "a connection is still open");
    let totals = test.server.totals();
    if !test.server.is_done() && totals.refused_full == 0 && totals.accept_errors == 0 {
        let outcomes = totals.peers.opened + totals.connects_failed;
        assert_eq!(outcomes, 2 * world.counters().accepted, "each accepted client has one upstream connect");
    }
    // An idle timeout or a drain ends a peer with a FIN too.
    let has_timeouts = [CloseReason::IdleTimeout, CloseReason::Drained].iter().any(|why| totals.closed(*why) > 0);
    for pair in &test.pairs {
        let is_broken = pair.client.is_broken() || pair.upstream.as_ref().is_some_and(SimPeer::is_broken);
        counts.broken += usize::from(is_broken);
        if pair.is_unharmed() && pair.client.is_ended() && !has_timeouts {
            assert_eq!(pair.received_len, pair.forwarded_len, "the FIN came before the last answer");
            counts.complete += usize::from(pair.forwarded_len == pair.sent.len());
        }
    }
    counts.connects_failed += totals.connects_failed;
}

#[test]
fn random_worlds_forward_every_byte_and_close_every_connection() {
    let _machine = shared_machine();
    let mut counts = RunCounts::default();
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, &mut counts)));
        assert!(result.is_ok(), "seed {seed}");
    }
    println!("{counts:?}");
    assert!(counts.complete > 500 && counts.broken > 500 && counts.connects_failed > 500, "too rare: {counts:?}");
}
