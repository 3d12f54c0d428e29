//! A proxy in the simulated world: two peers coupled by a service, with faults on both sides.
//!
//! The first two bytes of a client are its number. The upstream peer answers each byte with its
//! complement. So both directions are checked byte by byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use readyloop::connection::{KIB, READ_LEN_MAX};
use readyloop::net::Destination;
use readyloop::service::Proxy;
use readyloop::sim::{Behavior, Faults, Peer, PeerEnding, Rng, SimNet, World, WorldProgress, pattern};
use readyloop::{Address, CloseReason, Limits, Listen, Raw, Server, ServerLimits};

use crate::support::share;

/// The number of random worlds.
const SEEDS: u64 = 1500;
/// The turns of one run with faults.
const STEPS: usize = 400;
/// The most turns without faults until the world is idle.
const CALM_TURNS_MAX: usize = 40_000;
/// The most connections of one run.
const COUPLES_MAX: usize = 8;
/// The most output that the proxy may queue for one peer.
///
/// It is what the other peer may send before its reading pauses, one more read, and the low watermark.
const QUEUED_MAX: usize = 64 * KIB + READ_LEN_MAX + Proxy::QUEUE.low();

fn front() -> Address {
    "127.0.0.1:7000".parse().expect("an address")
}

fn upstream() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7001))
}

fn proxy(world: &World, limits: ServerLimits) -> Server<SimNet> {
    let mut server = Server::new(world.net(), limits);
    let listen = Listen { limits: Limits { queue: Proxy::QUEUE, ..Limits::default() }, ..Listen::from(front()) };
    server.listen(listen, Raw, Proxy::to(Destination::Tcp(upstream()))).expect("the address is free");
    server
}

fn complement(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// A client, and the upstream peer that the proxy coupled with it.
struct Couple {
    near: Peer,
    sent: Vec<u8>,
    received_len: usize,
    far: Option<Peer>,
    far_received_len: usize,
}

/// All connections of a run.
struct Couples {
    world: World,
    couples: Vec<Couple>,
    /// The upstream peers that have not received a client number yet, with the bytes they received.
    uncoupled: Vec<(Peer, Vec<u8>)>,
    seen: usize,
}

impl Couples {
    fn new(world: &World) -> Self {
        Self { world: world.clone(), couples: Vec::new(), uncoupled: Vec::new(), seen: 0 }
    }

    /// Connects a client that sends `len` bytes, which begin with its number.
    fn connect(&mut self, len: usize, behavior: Behavior) -> Peer {
        let number = self.couples.len() as u16;
        let mut sent = number.to_be_bytes().to_vec();
        sent.extend(pattern(u64::from(number), 0, len.saturating_sub(sent.len())));
        sent.truncate(len);
        let source = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 1024 + number));
        let near = self.world.connect_as(&front(), source, behavior);
        near.send(&sent);
        self.couples.push(Couple { near: near.clone(), sent, received_len: 0, far: None, far_received_len: 0 });
        near
    }

    /// Checks all received bytes and lets the upstream peers answer.
    fn exchange(&mut self) {
        let nears: Vec<usize> = self.couples.iter().map(|couple| couple.near.number()).collect();
        let count = self.world.peers().count();
        let new = self.world.peers().skip(self.seen).filter(|peer| !nears.contains(&peer.number()));
        self.uncoupled.extend(new.map(|peer| (peer, Vec::new())));
        self.seen = count;
        for (peer, received) in &mut self.uncoupled {
            received.extend(peer.received());
            if let [high, low, ..] = received[..] {
                let couple = &mut self.couples[usize::from(u16::from_be_bytes([high, low]))];
                assert!(couple.far.is_none(), "two upstream peers have the same client");
                couple.far = Some(peer.clone());
                couple.answer(received);
            }
        }
        self.uncoupled.retain(|(_, received)| received.len() < 2);
        self.uncoupled.iter().for_each(|(peer, _)| finish_after_answers(peer));
        self.couples.iter_mut().for_each(Couple::exchange);
    }
}

impl Couple {
    /// Checks what the upstream peer received, and answers it.
    fn answer(&mut self, received: &[u8]) {
        let end = self.far_received_len + received.len();
        assert_eq!(self.sent.get(self.far_received_len..end), Some(received), "upstream received wrong bytes");
        self.far_received_len = end;
        let far = self.far.as_ref().expect("an upstream peer");
        far.send(&complement(received));
        finish_after_answers(far);
    }

    fn exchange(&mut self) {
        if let Some(far) = &self.far {
            let received = far.received();
            self.answer(&received);
        }
        let received = self.near.received();
        let end = self.received_len + received.len();
        assert!(end <= self.far_received_len, "more answers than requests");
        assert_eq!(complement(&self.sent[self.received_len..end]), received, "the client received wrong bytes");
        self.received_len = end;
    }

    /// Whether neither end was hit by a fault or ends before everything is sent.
    fn is_unharmed(&self) -> bool {
        let ends = [Some(&self.near), self.far.as_ref()];
        let is_unharmed =
            |peer: &Peer| !peer.is_hit_by_fault() && !peer.is_broken() && peer.behavior().is_well_behaved();
        ends.into_iter().all(|end| end.is_some_and(is_unharmed))
    }
}

/// Lets an upstream peer finish after it has read the end, so that its last answer comes first.
fn finish_after_answers(far: &Peer) {
    if far.is_ended() && far.behavior().ending == PeerEnding::Stays {
        far.finish();
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

/// Checks the bounds of the proxy's queues and the totals.
#[track_caller]
fn check_accounts(server: &Server<SimNet>) {
    let (snapshot, totals) = (server.snapshot(), server.totals());
    assert!(totals.reconciles(), "{totals:?}");
    for peer in snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.peers) {
        assert!(peer.output_len <= QUEUED_MAX, "too much output is queued: {peer:?}");
        assert_eq!(peer.input_len, 0, "the proxy stores input: {peer:?}");
    }
}

#[track_caller]
fn settle(world: &World, server: &mut Server<SimNet>, couples: &mut Couples) {
    let mut turn = || {
        server.turn()?;
        couples.exchange();
        check_accounts(server);
        std::io::Result::Ok(())
    };
    // Answers sent after the last turn give the server more to do.
    let mut before = u64::MAX;
    while before != world.counters().progress {
        before = world.counters().progress;
        world.settle(&mut turn).expect("a simulated poll does not fail");
    }
}

#[test]
fn every_byte_is_forwarded_in_both_directions_and_then_both_ends() {
    for len in [1, 2, 3, 1000, 64 * KIB, 3 * 1024 * KIB, 16 * 1024 * KIB] {
        let world = World::new(len as u64);
        world.answer_at(&upstream().into(), Behavior { ending: PeerEnding::Finishes, ..Behavior::default() });
        let (mut server, mut couples) = (proxy(&world, ServerLimits::default()), Couples::new(&world));
        // A client that sends only one byte gets no answer, because its number has two.
        let near = couples.connect(len, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
        settle(&world, &mut server, &mut couples);
        let far = world.last_peer().expect("an upstream peer");
        assert!(near.is_ended(), "the FIN of the upstream peer is forwarded at once");
        assert_eq!(far.received_len(), len as u64);
        assert!(!far.is_ended() && server.totals().open == 2, "the other direction is open");
        near.finish();
        settle(&world, &mut server, &mut couples);
        assert!(far.is_ended() && !far.is_broken());
        assert_eq!(server.totals().closed(CloseReason::Finished), 2);
    }
}

#[test]
fn one_direction_ends_and_the_other_continues() {
    for len in [1, 64 * KIB, 3 * 1024 * KIB] {
        let world = World::new(len as u64);
        world.answer_at(&upstream().into(), upstream_behavior(Behavior::default()));
        let (mut server, mut couples) = (proxy(&world, ServerLimits::default()), Couples::new(&world));
        let near = couples.connect(len.max(2), Behavior { ending: PeerEnding::Finishes, ..Behavior::default() });
        settle(&world, &mut server, &mut couples);
        assert!(near.is_ended() && !near.is_broken());
        assert_eq!(couples.couples[0].received_len, len.max(2));
        assert_eq!(server.totals().closed(CloseReason::Finished), 2);
    }
}

#[test]
fn a_slow_reader_pauses_reading_from_the_other_peer_only() {
    const LEN: usize = 4 * 1024 * KIB;
    let world = World::new(1);
    world.answer_at(&upstream().into(), Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let (mut server, mut couples) = (proxy(&world, ServerLimits::default()), Couples::new(&world));
    let near = couples.connect(2, Behavior { read_len_max: 0, ending: PeerEnding::Stays, ..Behavior::default() });
    settle(&world, &mut server, &mut couples);
    let far = world.last_peer().expect("an upstream peer");
    far.send(&pattern(9, 0, LEN));
    world.settle(|| server.turn()).expect("a simulated poll does not fail");
    check_accounts(&server);
    let sent = far.sent_len() as usize;
    assert!(sent < QUEUED_MAX + READ_LEN_MAX + 4 * 64 * KIB, "{sent} bytes were read for a peer that reads none");

    near.send(&pattern(8, 0, LEN));
    world.settle(|| server.turn()).expect("a simulated poll does not fail");
    assert_eq!(far.received_len() as usize, 2 + LEN, "the other direction is not paused");
    near.resume_reading();
    world.settle(|| server.turn()).expect("a simulated poll does not fail");
    assert_eq!(near.received_len() as usize, 2 + LEN);
}

#[test]
fn a_reset_is_forwarded_as_a_reset() {
    for is_near in [true, false] {
        let world = World::new(1);
        world.answer_at(&upstream().into(), Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
        let (mut server, mut couples) = (proxy(&world, ServerLimits::default()), Couples::new(&world));
        let near = couples.connect(100, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
        settle(&world, &mut server, &mut couples);
        let far = world.last_peer().expect("an upstream peer");
        let (one, other) = if is_near { (&near, &far) } else { (&far, &near) };
        one.reset();
        settle(&world, &mut server, &mut couples);
        assert!(other.is_broken() && !other.is_ended(), "a cut stream looks complete");
        assert_eq!(server.totals().open, 0);
    }
}

#[test]
fn a_failed_connect_resets_the_client() {
    let world = World::new(1);
    let (mut server, mut couples) = (proxy(&world, ServerLimits::default()), Couples::new(&world));
    let near = couples.connect(100, Behavior::default());
    settle(&world, &mut server, &mut couples);
    assert!(near.is_broken() && !near.is_ended());

    world.be_silent_at(&upstream().into());
    let near = couples.connect(100, Behavior::default());
    settle(&world, &mut server, &mut couples);
    assert!(near.is_connected());
    world.pass(Duration::from_secs(5), || server.turn()).expect("a simulated poll does not fail");
    assert!(near.is_broken() && !near.is_ended());
    assert_eq!((server.totals().connects_failed, server.totals().open), (2, 0));
}

#[test]
fn a_client_that_leaves_before_the_connect_leaves_nothing_behind() {
    let world = World::new(1);
    world.answer_at(&upstream().into(), Behavior { pause_max: Duration::from_secs(4), ..Behavior::default() });
    let limits = ServerLimits { drain_timeout: Duration::from_secs(60), ..ServerLimits::default() };
    let (mut server, mut couples) = (proxy(&world, limits), Couples::new(&world));
    let near = couples.connect(100, Behavior::default());
    world.settle(|| server.turn()).expect("a simulated poll does not fail");
    near.reset();
    world.pass(Duration::from_secs(60), || server.turn()).expect("a simulated poll does not fail");
    assert_eq!(server.totals().open, 0);
    check_accounts(&server);
}

#[test]
fn a_drain_forwards_bytes_that_were_sent_before() {
    let world = World::new(1);
    world.answer_at(&upstream().into(), upstream_behavior(Behavior::default()));
    let (mut server, mut couples) = (proxy(&world, ServerLimits::default()), Couples::new(&world));
    let near = couples.connect(1024 * KIB, Behavior { ending: PeerEnding::Finishes, ..Behavior::default() });
    world.settle(|| Ok::<_, ()>(())).expect("this turn does not fail");
    server.handle().drain();
    while !server.is_done() {
        server.turn().expect("a simulated poll does not fail");
        couples.exchange();
        check_accounts(&server);
    }
    couples.exchange();
    assert_eq!((couples.couples[0].received_len, near.is_broken()), (1024 * KIB, false));
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
    let mut world = world.with_kernel_buffer(4096 << rng.below(5));
    if rng.chance(0.1) {
        world = world.with_descriptors(rng.up_to(10));
    }
    let unlimited = ServerLimits::default();
    let limits = ServerLimits {
        connections_max: if rng.chance(0.2) { rng.up_to(8) } else { unlimited.connections_max },
        connecting_max: rng.up_to(4),
        ..unlimited
    };
    let (mut server, mut couples) = (proxy(&world, limits), Couples::new(&world));
    for step in 0..STEPS {
        if couples.couples.len() < COUPLES_MAX && (step == 0 || rng.chance(0.05)) {
            let halvings = rng.below(18);
            let len = 2 + rng.below((1 << 18) >> halvings);
            match rng.below(8) {
                0 => world.be_silent_at(&upstream().into()),
                1..4 => world.answer_at(&upstream().into(), upstream_behavior(Behavior::default())),
                _ => world.answer_at(&upstream().into(), upstream_behavior(Behavior::drawn_from(&mut rng, len as u64))),
            }
            let quick = Behavior { ending: PeerEnding::Finishes, ..Behavior::default() };
            couples.connect(len, if rng.chance(0.5) { quick } else { Behavior::drawn_from(&mut rng, len as u64) });
        }
        if rng.chance(0.1 / STEPS as f64) {
            server.handle().drain();
        }
        if rng.chance(0.1 / STEPS as f64) {
            server.handle().stop();
        }
        if server.is_done() {
            break;
        }
        server.turn().expect("a simulated poll does not fail");
        couples.exchange();
        check_accounts(&server);
    }
    run_until_idle(&world, &mut server, &mut couples);
    assert_eq!(server.totals().open, 0, "a connection is still open");
    let totals = server.totals();
    if !server.is_done() && totals.refused_full == 0 && totals.accept_errors == 0 {
        let outcomes = totals.peers.opened + totals.connects_failed;
        assert_eq!(outcomes, 2 * world.counters().accepted, "each accepted client has one upstream connect");
    }
    // An idle timeout or a drain ends a peer with a FIN too.
    let has_timeouts = [CloseReason::IdleTimeout, CloseReason::Drained].iter().any(|why| totals.closed(*why) > 0);
    for couple in &couples.couples {
        let is_far_broken = couple.far.as_ref().is_some_and(Peer::is_broken);
        if couple.near.is_broken() || is_far_broken {
            counts.broken += 1;
        }
        if couple.is_unharmed() && couple.near.is_ended() && !has_timeouts {
            assert_eq!(couple.received_len, couple.far_received_len, "the FIN came before the last answer");
            counts.complete += usize::from(couple.far_received_len == couple.sent.len());
        }
    }
    counts.connects_failed += totals.connects_failed;
}

/// Ends the faults, makes all peers fast, and runs until nothing is left to do.
fn run_until_idle(world: &World, server: &mut Server<SimNet>, couples: &mut Couples) {
    world.disable_faults();
    for _ in 0..CALM_TURNS_MAX {
        for peer in world.peers() {
            let Behavior { ending, read_len_max, .. } = peer.behavior();
            let read_len_max = if read_len_max > 0 { usize::MAX } else { 0 };
            peer.set_behavior(Behavior { ending, read_len_max, ..Behavior::default() });
        }
        if server.is_done() || world.progress() == WorldProgress::Idle {
            return;
        }
        server.turn().expect("a simulated poll does not fail");
        couples.exchange();
        check_accounts(server);
    }
    panic!("still not idle after {CALM_TURNS_MAX} turns without faults");
}

#[test]
fn random_worlds_forward_every_byte_and_close_every_connection() {
    let _machine = share();
    let mut counts = RunCounts::default();
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, &mut counts)));
        assert!(result.is_ok(), "seed {seed}");
    }
    println!("{counts:?}");
    let has_all_kinds = counts.complete > 500 && counts.broken > 500 && counts.connects_failed > 500;
    assert!(has_all_kinds, "some results are too rare: {counts:?}");
}
