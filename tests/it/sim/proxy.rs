//! A proxy in the simulated world: two peers coupled by a service, whatever goes wrong with either.
//!
//! Who comes says who it is in its first two bytes; who answers sends back each byte turned over.
//! So both ends of a couple are checked byte by byte, and in both directions.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use readyloop::connection::{KIB, READ_LEN_MAX};
use readyloop::net::Destination;
use readyloop::service::Proxy;
use readyloop::sim::{Behavior, Ending, Faults, Peer, Progress, Rng, SimNet, World, pattern};
use readyloop::{Address, CloseReason, Limits, Listen, Raw, Server, ServerLimits};

use crate::support::shared_machine;

/// Runs of the hostile world.
const SEEDS: u64 = 1500;
/// Turns of one run while faults strike.
const STEPS: usize = 400;
/// Turns after which a world without faults must have come to rest.
const CALM_TURNS_MAX: usize = 40_000;
/// The most couples of one run.
const COUPLES_MAX: usize = 8;
/// What one peer of a proxy may have queued: what its other passes on before it is asked for room,
/// on top of that a read, and what was left when it last had room.
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
    server.listen(listen, Raw, Proxy::to(Destination::Tcp(upstream()))).expect("nobody else is bound there");
    server
}

fn turned_over(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// One who came, and who answers it once both are coupled.
struct Couple {
    near: Peer,
    sent: Vec<u8>,
    heard_len: usize,
    far: Option<Peer>,
    far_heard_len: usize,
}

/// All couples of a run.
struct Crowd {
    world: World,
    couples: Vec<Couple>,
    /// Those at the upstream who have not said yet whom they answer.
    strangers: Vec<(Peer, Vec<u8>)>,
    seen: usize,
}

impl Crowd {
    fn new(world: &World) -> Self {
        Self { world: world.clone(), couples: Vec::new(), strangers: Vec::new(), seen: 0 }
    }

    /// One more comes and sends that many bytes, the two of its name among them.
    fn come(&mut self, len: usize, behavior: Behavior) -> Peer {
        let name = self.couples.len() as u16;
        let mut sent = name.to_be_bytes().to_vec();
        sent.extend(pattern(u64::from(name), 0, len.saturating_sub(sent.len())));
        sent.truncate(len);
        let source = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 1024 + name));
        let near = self.world.connect_as(&front(), source, behavior);
        near.send(&sent);
        self.couples.push(Couple { near: near.clone(), sent, heard_len: 0, far: None, far_heard_len: 0 });
        near
    }

    /// Checks what everybody heard, and lets those who answer answer.
    fn listen(&mut self) {
        let nears: Vec<usize> = self.couples.iter().map(|couple| couple.near.number()).collect();
        let count = self.world.peers().count();
        let news = self.world.peers().skip(self.seen).filter(|peer| !nears.contains(&peer.number()));
        self.strangers.extend(news.map(|peer| (peer, Vec::new())));
        self.seen = count;
        for (peer, heard) in &mut self.strangers {
            heard.extend(peer.received());
            if let [high, low, ..] = heard[..] {
                let couple = &mut self.couples[usize::from(u16::from_be_bytes([high, low]))];
                assert!(couple.far.is_none(), "two answer the same peer");
                couple.far = Some(peer.clone());
                couple.far_hears(heard);
            }
        }
        self.strangers.retain(|(_, heard)| heard.len() < 2);
        self.strangers.iter().for_each(|(peer, _)| end_behind_its_answers(peer));
        self.couples.iter_mut().for_each(Couple::listen);
    }
}

impl Couple {
    fn far_hears(&mut self, news: &[u8]) {
        let until = self.far_heard_len + news.len();
        assert_eq!(self.sent.get(self.far_heard_len..until), Some(news), "the far end hears what was not said");
        self.far_heard_len = until;
        let far = self.far.as_ref().expect("it hears");
        far.send(&turned_over(news));
        end_behind_its_answers(far);
    }

    fn listen(&mut self) {
        if let Some(far) = &self.far {
            let news = far.received();
            self.far_hears(&news);
        }
        let news = self.near.received();
        let until = self.heard_len + news.len();
        assert!(until <= self.far_heard_len, "more came back than was there");
        assert_eq!(turned_over(&self.sent[self.heard_len..until]), news, "the near end hears what was not said");
        self.heard_len = until;
    }

    /// Whether neither end met a fault, nor leaves by itself before all is said.
    fn is_well(&self) -> bool {
        let ends = [Some(&self.near), self.far.as_ref()];
        let is_well = |peer: &Peer| !peer.is_harmed() && !peer.is_broken() && peer.behavior().is_patient();
        ends.into_iter().all(|end| end.is_some_and(is_well))
    }
}

/// Who answers ends when it has read the end, and never before its last answer.
fn end_behind_its_answers(far: &Peer) {
    if far.is_ended() && far.behavior().ending == Ending::Stays {
        far.finish();
    }
}

/// The habits of one who answers: it does not end by itself, unless it breaks off.
fn answering(behavior: Behavior) -> Behavior {
    let ending = match behavior.ending {
        Ending::FollowsServer | Ending::Finishes | Ending::Stays => Ending::Stays,
        ending @ (Ending::FinishesAt(_) | Ending::ResetsAt(_) | Ending::ClosesAt(_)) => ending,
    };
    Behavior { ending, ..behavior }
}

/// No queue of a proxy grows, and everything is accounted for.
#[track_caller]
fn check_books(server: &Server<SimNet>) {
    let (snapshot, totals) = (server.snapshot(), server.totals());
    assert!(totals.reconciles(), "{totals:?}");
    for peer in snapshot.endpoints.iter().flat_map(|room| &room.peers) {
        assert!(peer.output_len <= QUEUED_MAX, "a queue grows: {peer:?}");
        assert_eq!(peer.input_len, 0, "a proxy stores what it should pass on: {peer:?}");
    }
}

#[track_caller]
fn settle(world: &World, server: &mut Server<SimNet>, crowd: &mut Crowd) {
    let mut turn = || {
        server.turn()?;
        crowd.listen();
        check_books(server);
        std::io::Result::Ok(())
    };
    // Who is answered, or sees an end, after the last turn has more to do.
    let mut before = u64::MAX;
    while before != world.counters().progress {
        before = world.counters().progress;
        world.settle(&mut turn).expect("a poll never fails here");
    }
}

#[test]
fn every_byte_is_passed_on_both_ways_and_then_both_ends() {
    for len in [1, 2, 3, 1000, 64 * KIB, 3 * 1024 * KIB, 16 * 1024 * KIB] {
        let world = World::new(len as u64);
        world.answer_at(&upstream().into(), Behavior { ending: Ending::Finishes, ..Behavior::default() });
        let (mut server, mut crowd) = (proxy(&world, ServerLimits::default()), Crowd::new(&world));
        // Who has not said its name is answered by nobody: one byte only goes through.
        let near = crowd.come(len, Behavior { ending: Ending::Stays, ..Behavior::default() });
        settle(&world, &mut server, &mut crowd);
        let far = world.last_peer().expect("somebody answers");
        assert!(near.is_ended(), "the far end's end is passed on at once: it had nothing to say");
        assert_eq!(far.received_len(), len as u64);
        assert!(!far.is_ended() && server.totals().open == 2, "the other direction is open");
        near.finish();
        settle(&world, &mut server, &mut crowd);
        assert!(far.is_ended() && !far.is_broken());
        assert_eq!(server.totals().closed(CloseReason::Finished), 2);
    }
}

#[test]
fn after_the_end_of_one_direction_the_other_goes_on() {
    for len in [1, 64 * KIB, 3 * 1024 * KIB] {
        let world = World::new(len as u64);
        world.answer_at(&upstream().into(), answering(Behavior::default()));
        let (mut server, mut crowd) = (proxy(&world, ServerLimits::default()), Crowd::new(&world));
        let near = crowd.come(len.max(2), Behavior { ending: Ending::Finishes, ..Behavior::default() });
        settle(&world, &mut server, &mut crowd);
        assert!(near.is_ended() && !near.is_broken());
        assert_eq!(crowd.couples[0].heard_len, len.max(2));
        assert_eq!(server.totals().closed(CloseReason::Finished), 2);
    }
}

#[test]
fn who_reads_slowly_stops_the_reading_of_the_other_and_not_its_own() {
    const LEN: usize = 4 * 1024 * KIB;
    let world = World::new(1);
    world.answer_at(&upstream().into(), Behavior { ending: Ending::Stays, ..Behavior::default() });
    let (mut server, mut crowd) = (proxy(&world, ServerLimits::default()), Crowd::new(&world));
    let near = crowd.come(2, Behavior { read_len_max: 0, ending: Ending::Stays, ..Behavior::default() });
    settle(&world, &mut server, &mut crowd);
    let far = world.last_peer().expect("somebody answers");
    far.send(&pattern(9, 0, LEN));
    world.settle(|| server.turn()).expect("a poll never fails here");
    check_books(&server);
    let under_way = far.sent_len() as usize;
    assert!(under_way < QUEUED_MAX + READ_LEN_MAX + 4 * 64 * KIB, "{under_way} bytes were taken for nobody");

    near.send(&pattern(8, 0, LEN));
    world.settle(|| server.turn()).expect("a poll never fails here");
    assert_eq!(far.received_len() as usize, 2 + LEN, "the other way is free");
    near.resume_reading();
    world.settle(|| server.turn()).expect("a poll never fails here");
    assert_eq!(near.received_len() as usize, 2 + LEN);
}

#[test]
fn a_reset_of_either_is_passed_on_as_one() {
    for is_near in [true, false] {
        let world = World::new(1);
        world.answer_at(&upstream().into(), Behavior { ending: Ending::Stays, ..Behavior::default() });
        let (mut server, mut crowd) = (proxy(&world, ServerLimits::default()), Crowd::new(&world));
        let near = crowd.come(100, Behavior { ending: Ending::Stays, ..Behavior::default() });
        settle(&world, &mut server, &mut crowd);
        let far = world.last_peer().expect("somebody answers");
        let (one, other) = if is_near { (&near, &far) } else { (&far, &near) };
        one.reset();
        settle(&world, &mut server, &mut crowd);
        assert!(other.is_broken() && !other.is_ended(), "it takes half for the whole");
        assert_eq!(server.totals().open, 0);
    }
}

#[test]
fn who_is_answered_by_nobody_is_reset() {
    let world = World::new(1);
    let (mut server, mut crowd) = (proxy(&world, ServerLimits::default()), Crowd::new(&world));
    let near = crowd.come(100, Behavior::default());
    settle(&world, &mut server, &mut crowd);
    assert!(near.is_broken() && !near.is_ended());

    world.be_silent_at(&upstream().into());
    let near = crowd.come(100, Behavior::default());
    settle(&world, &mut server, &mut crowd);
    assert!(near.is_connected());
    world.pass(Duration::from_secs(5), || server.turn()).expect("a poll never fails here");
    assert!(near.is_broken() && !near.is_ended());
    assert_eq!((server.totals().connects_failed, server.totals().open), (2, 0));
}

#[test]
fn who_leaves_before_it_is_answered_leaves_nothing_behind() {
    let world = World::new(1);
    world.answer_at(&upstream().into(), Behavior { pause_max: Duration::from_secs(4), ..Behavior::default() });
    let limits = ServerLimits { drain_timeout: Duration::from_secs(60), ..ServerLimits::default() };
    let (mut server, mut crowd) = (proxy(&world, limits), Crowd::new(&world));
    let near = crowd.come(100, Behavior::default());
    world.settle(|| server.turn()).expect("a poll never fails here");
    near.reset();
    world.pass(Duration::from_secs(60), || server.turn()).expect("a poll never fails here");
    assert_eq!(server.totals().open, 0);
    check_books(&server);
}

/// What a drain finds on its way still gets there, and comes back.
#[test]
fn a_drain_passes_on_what_was_sent_before() {
    let world = World::new(1);
    world.answer_at(&upstream().into(), answering(Behavior::default()));
    let (mut server, mut crowd) = (proxy(&world, ServerLimits::default()), Crowd::new(&world));
    let near = crowd.come(1024 * KIB, Behavior { ending: Ending::Finishes, ..Behavior::default() });
    world.settle(|| Ok::<_, ()>(())).expect("nothing turns");
    server.handle().drain();
    while !server.is_done() {
        server.turn().expect("a poll never fails here");
        crowd.listen();
        check_books(&server);
    }
    crowd.listen();
    assert_eq!((crowd.couples[0].heard_len, near.is_broken()), (1024 * KIB, false));
}

/// What a run of the hostile world came to.
#[derive(Debug, Default)]
struct Sum {
    whole: usize,
    harmed: usize,
    unreached: u64,
}

fn run(seed: u64, sum: &mut Sum) {
    let mut rng = Rng::new(seed);
    // Every other world costs only time.
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
    let (mut server, mut crowd) = (proxy(&world, limits), Crowd::new(&world));
    for step in 0..STEPS {
        if crowd.couples.len() < COUPLES_MAX && (step == 0 || rng.chance(0.05)) {
            let halvings = rng.below(18);
            let len = 2 + rng.below((1 << 18) >> halvings);
            match rng.below(8) {
                0 => world.be_silent_at(&upstream().into()),
                1..4 => world.answer_at(&upstream().into(), answering(Behavior::default())),
                _ => world.answer_at(&upstream().into(), answering(Behavior::drawn_from(&mut rng, len as u64))),
            }
            let quick = Behavior { ending: Ending::Finishes, ..Behavior::default() };
            crowd.come(len, if rng.chance(0.5) { quick } else { Behavior::drawn_from(&mut rng, len as u64) });
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
        server.turn().expect("a poll never fails here");
        crowd.listen();
        check_books(&server);
    }
    come_to_rest(&world, &mut server, &mut crowd);
    assert_eq!(server.totals().open, 0, "somebody is left");
    let totals = server.totals();
    // Who is shown out for being idle, or in a drain, is let go with a clean end all the same.
    if !server.is_done() && totals.refused_full == 0 && totals.accept_errors == 0 {
        let outcomes = totals.peers.opened + totals.connects_failed;
        assert_eq!(outcomes, 2 * world.counters().accepted, "each of those who came has one outcome of its order");
    }
    let was_shown_out = [CloseReason::IdleTimeout, CloseReason::Drained].iter().any(|why| totals.closed(*why) > 0);
    for couple in &crowd.couples {
        let far_end = couple.far.as_ref().map(Peer::is_broken);
        if couple.near.is_broken() || far_end == Some(true) {
            sum.harmed += 1;
        }
        if couple.is_well() && couple.near.is_ended() && !was_shown_out {
            assert_eq!(couple.heard_len, couple.far_heard_len, "an end came before the last answer");
            sum.whole += usize::from(couple.far_heard_len == couple.sent.len());
        }
    }
    sum.unreached += totals.connects_failed;
}

/// Faults end, everybody is quick and leaves; the server goes on until nothing is left to happen.
fn come_to_rest(world: &World, server: &mut Server<SimNet>, crowd: &mut Crowd) {
    world.disable_faults();
    for _ in 0..CALM_TURNS_MAX {
        for peer in world.peers() {
            let Behavior { ending, read_len_max, .. } = peer.behavior();
            let read_len_max = if read_len_max > 0 { usize::MAX } else { 0 };
            peer.change_habits(Behavior { ending, read_len_max, ..Behavior::default() });
        }
        if server.is_done() || world.rest() == Progress::Idle {
            return;
        }
        server.turn().expect("a poll never fails here");
        crowd.listen();
        check_books(server);
    }
    panic!("no rest after {CALM_TURNS_MAX} calm turns");
}

#[test]
fn in_any_world_what_is_heard_was_said_and_nobody_is_left() {
    let _machine = shared_machine();
    let mut sum = Sum::default();
    for seed in 0..SEEDS {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, &mut sum)));
        assert!(ran.is_ok(), "seed {seed}");
    }
    println!("{sum:?}");
    assert!(sum.whole > 500 && sum.harmed > 500 && sum.unreached > 500, "too kind, or too hostile a world: {sum:?}");
}
