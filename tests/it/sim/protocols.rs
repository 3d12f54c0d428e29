//! What real protocols need, in simulated worlds with delays: timers, late answers in order, a switch of the
//! protocol in mid-connection, and frames for many peers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use readyloop::codec::{Codec, Decoded, Envelope, FrameError, Length, LengthWidth, Lines, LinesState};
use readyloop::connection::KIB;
use readyloop::instant::Instant;
use readyloop::service::{Chat, ReplyToken, TimerKey};
use readyloop::sim::{Faults, Rng, SimNet, SimPeer, World};
use readyloop::{Address, CloseReason, Context, Key, Limits, Listen, Orders, PeerInfo, Server, ServerLimits, Service};

use super::volume;
use crate::support::shared_machine;

/// The number of random worlds of each test.
const SEEDS: u64 = 300;
const MILLISECOND: Duration = Duration::from_millis(1);
/// The time that all timers, pauses and answers of a run need.
const RUN: Duration = Duration::from_secs(120);

fn address() -> Address {
    "127.0.0.1:7000".parse().expect("an address")
}

fn world_with_delays(seed: u64) -> World {
    World::new(seed).with_faults(Faults::delays_drawn_from(seed))
}

fn serve<S: Service + 'static>(world: &World, codec: S::Codec, service: S) -> Server<SimNet> {
    let mut server = Server::new(world.net(), ServerLimits::default());
    server.listen(address(), codec, service).expect("the address is free");
    server
}

fn pass(world: &World, span: Duration, server: &mut Server<SimNet>) {
    world.advance(span, || server.turn(None)).expect("a simulated poll does not fail");
}

/// What a service with timers has recorded.
#[derive(Default)]
struct TimerRecord {
    fired: u64,
    cancelled: u64,
    violations: Vec<String>,
}

/// Sets, moves and cancels timers at random, for its peers and for itself, and checks each that fires.
struct Alarms {
    rng: Rng,
    of_peers: HashMap<Key, Instant>,
    own: BTreeMap<u64, (TimerKey, Instant)>,
    next: u64,
    record: Arc<Mutex<TimerRecord>>,
}

impl Alarms {
    fn draw(&mut self, now: Instant) -> Instant {
        now + MILLISECOND * self.rng.below(2000) as u32
    }

    fn check(&self, what: &str, due: Option<Instant>, now: Instant) {
        let mut record = self.record.lock().expect("no test has panicked with it");
        record.fired += 1;
        match due {
            None => record.violations.push(format!("{what} is not set")),
            Some(due) if now < due => record.violations.push(format!("{what} is early: {now:?} before {due:?}")),
            Some(_) => {}
        }
    }

    fn change_own(&mut self, orders: &mut Orders<'_, Self>) {
        let at = self.draw(orders.now());
        match (self.rng.below(4), self.own.first_entry()) {
            (0, Some(first)) => {
                let (_, (timer, _)) = first.remove_entry();
                assert!(orders.cancel_timer(timer).is_some(), "a pending message can be cancelled");
                assert!(!orders.move_timer(timer, at), "a cancelled message cannot be moved");
                self.record.lock().expect("no test has panicked with it").cancelled += 1;
            }
            (1, Some(mut first)) => {
                assert!(orders.move_timer(first.get().0, at), "a pending message can be moved");
                first.get_mut().1 = at;
            }
            _ => {
                self.own.insert(self.next, (orders.send_later(at, self.next), at));
                self.next += 1;
            }
        }
    }
}

impl Service for Alarms {
    type Codec = Lines;
    type Peer = ();
    type Message = u64;

    fn on_open(&mut self, _peer: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        let at = self.draw(cx.now());
        self.of_peers.insert(cx.key(), at);
        cx.start_timer(at);
    }

    fn on_frame(&mut self, _peer: &mut (), _line: &[u8], cx: &mut Context<'_, Self>) {
        self.change_own(&mut cx.orders());
        if self.rng.chance(0.3) {
            self.of_peers.remove(&cx.key());
            cx.stop_timer();
        } else {
            let at = self.draw(cx.now());
            self.of_peers.insert(cx.key(), at);
            cx.start_timer(at);
        }
    }

    fn on_timer(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        let due = self.of_peers.remove(&cx.key());
        self.check("the timer of a peer", due, cx.now());
        cx.send(b"tick");
    }

    fn on_message(&mut self, number: u64, orders: &mut Orders<'_, Self>) {
        let due = self.own.remove(&number).map(|(_, due)| due);
        self.check("a message", due, orders.now());
    }

    fn on_close(&mut self, _peer: (), key: Key, _reason: CloseReason, _orders: &mut Orders<'_, Self>) {
        self.of_peers.remove(&key);
    }
}

#[test]
fn no_timer_is_early_or_lost_or_for_a_peer_that_is_gone() {
    let _machine = shared_machine();
    let (mut fired, mut cancelled) = (0, 0);
    for seed in 0..volume(SEEDS) {
        let (world, mut rng) = (world_with_delays(seed), Rng::new(seed));
        let record = Arc::new(Mutex::new(TimerRecord::default()));
        let service = Alarms {
            rng: rng.fork(),
            of_peers: HashMap::new(),
            own: BTreeMap::new(),
            next: 0,
            record: Arc::clone(&record),
        };
        let mut server = Server::new(world.net(), ServerLimits::default());
        let id = server.listen(address(), Lines::new(), service).expect("the address is free");
        let mut peers: Vec<SimPeer> = Vec::new();
        for _ in 0..rng.up_to(60) {
            match rng.below(4) {
                0 => peers.push(world.connect(&address())),
                1 if !peers.is_empty() => peers.swap_remove(rng.below(peers.len())).finish(),
                _ => peers.iter().for_each(|peer| peer.send(b"line\n")),
            }
            pass(&world, MILLISECOND * rng.below(500) as u32, &mut server);
        }
        pass(&world, RUN, &mut server);
        let alarms = server.service(&id);
        assert!(alarms.own.is_empty(), "seed {seed}: {} messages are lost", alarms.own.len());
        assert!(alarms.of_peers.is_empty(), "seed {seed}: timers of {:?} are lost", alarms.of_peers);
        let record = record.lock().expect("no test has panicked with it");
        assert!(record.violations.is_empty(), "seed {seed}: {:?}", record.violations);
        fired += record.fired;
        cancelled += record.cancelled;
    }
    assert!(fired > 1000 && cancelled > 100, "{fired} timers fired, {cancelled} were cancelled");
}

/// Answers each line after a random time. Any answer may be ready before earlier ones.
struct LateAnswers {
    rng: Rng,
}

impl Service for LateAnswers {
    type Codec = Lines;
    type Peer = ();
    type Message = (ReplyToken, Vec<u8>);

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        if self.rng.chance(0.3) {
            return cx.send(line);
        }
        let at = cx.now() + MILLISECOND * self.rng.below(50) as u32;
        let token = cx.defer_reply();
        cx.orders().send_later(at, (token, line.to_vec()));
    }

    fn on_message(&mut self, (token, line): (ReplyToken, Vec<u8>), orders: &mut Orders<'_, Self>) {
        orders.answer(token, &[&line]).expect("one line is within the bound");
    }
}

#[test]
fn late_answers_keep_the_order_of_pipelined_requests() {
    let _machine = shared_machine();
    for seed in 0..volume(SEEDS) {
        let (world, mut rng) = (world_with_delays(seed), Rng::new(seed));
        let mut server = serve(&world, Lines::new(), LateAnswers { rng: rng.fork() });
        let peers: Vec<(SimPeer, String)> = (0..rng.up_to(8))
            .map(|_| {
                let requests: String = (0..rng.up_to(40)).map(|number| format!("request {number}\n")).collect();
                let peer = world.connect(&address());
                peer.send(requests.as_bytes());
                peer.finish();
                (peer, requests)
            })
            .collect();
        pass(&world, RUN, &mut server);
        for (peer, requests) in &peers {
            assert_eq!(String::from_utf8_lossy(&peer.received()), *requests, "seed {seed}");
            assert!(peer.is_ended(), "seed {seed}: a peer that has ended is finished after its last answer");
        }
        assert!(server.totals().reconciles(), "seed {seed}: {:?}", server.totals());
    }
}

/// Lines, until the line `upgrade`; then frames that follow their length.
struct Upgrade;

const FRAMES: Length = Length { width: LengthWidth::U16, order: readyloop::codec::ByteOrder::Big };

/// The stage of one stream.
enum Stage {
    Lines(LinesState),
    Frames,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Lines(LinesState::default())
    }
}

impl Codec for Upgrade {
    type State = Stage;
    type Frame<'a> = &'a [u8];

    fn decode(&self, stage: &mut Stage, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        match stage {
            Stage::Lines(state) => Lines::new().decode(state, input, frame_len_max),
            Stage::Frames => FRAMES.decode(&mut (), input, frame_len_max),
        }
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    fn envelope(&self, stage: &Stage, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        match stage {
            Stage::Lines(state) => Lines::new().envelope(state, parts),
            Stage::Frames => FRAMES.envelope(&(), parts),
        }
    }

    fn expects_frame(&self, stage: &Stage) -> bool {
        matches!(stage, Stage::Lines(_))
    }
}

/// Sends every frame back, and switches after the line `upgrade`.
struct UpgradeService;

impl Service for UpgradeService {
    type Codec = Upgrade;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(frame);
        if frame == b"upgrade" && matches!(cx.codec_state(), Stage::Lines(_)) {
            *cx.codec_state() = Stage::Frames;
        }
    }
}

#[test]
fn a_switch_of_the_protocol_applies_to_the_next_byte_in_both_directions() {
    let _machine = shared_machine();
    for seed in 0..volume(SEEDS) {
        let (world, mut rng) = (world_with_delays(seed), Rng::new(seed));
        let mut server = serve(&world, Upgrade, UpgradeService);
        let mut wire: Vec<u8> = (0..rng.up_to(5)).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
        wire.extend(b"upgrade\n");
        for _ in 0..rng.up_to(5) {
            let len = rng.below(300);
            wire.extend((len as u16).to_be_bytes());
            // Line feeds in a frame are content.
            wire.extend(vec![b'\n'; len]);
        }
        let peer = world.connect(&address());
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(1 + rng.below(rest.len()));
            peer.send(piece);
            rest = later;
            pass(&world, MILLISECOND, &mut server);
        }
        peer.finish();
        pass(&world, RUN, &mut server);
        assert_eq!(peer.received(), wire, "seed {seed}");
        assert_eq!(server.totals().closed(CloseReason::Finished), 1, "seed {seed}: {}", server.totals());
    }
}

#[test]
fn a_silent_peer_cannot_stay_in_a_stage_that_expects_a_frame() {
    let world = World::new(1);
    let mut server = serve(&world, Upgrade, UpgradeService);
    let (silent, upgraded) = (world.connect(&address()), world.connect(&address()));
    upgraded.send(b"upgrade\n");
    pass(&world, Limits::default().frame_timeout + MILLISECOND, &mut server);
    assert!(silent.is_ended() && !upgraded.is_ended());
    assert_eq!(server.totals().closed(CloseReason::FrameTimeout), 1);
}

/// A chat with `count` peers and this much memory for queues.
fn chat(world: &World, count: usize, queue_total_max: usize) -> (Server<SimNet>, Vec<SimPeer>) {
    let mut server = Server::new(world.net(), ServerLimits { queue_total_max, ..ServerLimits::default() });
    let socket = readyloop::ListenOptions { backlog: count as u32, ..readyloop::ListenOptions::default() };
    let listen = Listen { socket, ..Listen::from(address()) };
    server.listen(listen, Lines::new(), Chat::new()).expect("the address is free");
    let peers = (0..count).map(|_| world.connect(&address())).collect();
    world.settle(|| server.turn(None)).expect("a simulated poll does not fail");
    (server, peers)
}

#[test]
fn a_line_for_2_000_fast_readers_needs_no_memory() {
    let _machine = shared_machine();
    let world = World::new(1);
    let (mut server, peers) = chat(&world, 2_000, 4096 * KIB);
    peers[0].send(b"hello\n");
    world.settle(|| server.turn(None)).expect("a simulated poll does not fail");
    let reached = peers[1..].iter().filter(|peer| peer.received() == b"hello\n").count();
    assert_eq!((reached, server.totals().open), (1_999, 2_000), "{}", server.totals());
}

/// Offers each line to all peers, in order of their keys.
#[derive(Default)]
struct News {
    subscribers: Vec<Key>,
}

impl Service for News {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _peer: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.subscribers.push(cx.key());
    }

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        let subscribers = self.subscribers.iter().copied();
        cx.orders().offer_to_each(subscribers, &[line]).expect("a few keys are within the bound");
    }
}

#[test]
fn an_offer_skips_a_slow_reader_and_closes_no_peer() {
    let world = World::new(1);
    let mut server = serve(&world, Lines::new(), News::default());
    let (publisher, fast, slow) = (world.connect(&address()), world.connect(&address()), world.connect(&address()));
    slow.stop_reading();
    world.settle(|| server.turn(None)).expect("a simulated poll does not fail");
    let line = format!("{}\n", "x".repeat(1023));
    for _ in 0..1000 {
        publisher.send(line.as_bytes());
        world.settle(|| server.turn(None)).expect("a simulated poll does not fail");
    }
    assert_eq!(fast.received().len(), 1000 * line.len());
    assert_eq!(server.totals().open, 3, "{}", server.totals());
    let queued = server.snapshot().endpoints[0].peers.iter().map(|peer| peer.output_len).max();
    assert!(queued.is_some_and(|queued| (1..=128 * KIB).contains(&queued)), "{queued:?} bytes are queued");
}

#[test]
fn an_order_for_all_peers_is_carried_out_in_slices() {
    let _machine = shared_machine();
    let world = World::new(1);
    let (mut server, peers) = chat(&world, 4_000, 512 * 1024 * KIB);
    let reached = || peers[1..].iter().filter(|peer| peer.received_len() > 0).count();
    peers[0].send(b"hello\n");
    let (mut turns, mut before) = (0, 0);
    while reached() < 3_999 {
        server.turn(None).expect("a simulated poll does not fail");
        let now = reached();
        assert!(now - before <= 1_280, "{} peers in one turn", now - before);
        before = now;
        turns += 1;
        assert!(turns < 100, "only {now} peers were reached");
    }
    assert!(turns >= 4, "all peers were reached in {turns} turns");
}
