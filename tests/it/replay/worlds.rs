//! Random runs in simulated worlds with all faults. The replay of each is equal, turn by turn.

use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;

use readyloop::datagram::DatagramLimits;
use readyloop::net::{ControlEvent, DatagramOptions, Net};
use readyloop::recording::{Recording, RecordingOptions, Replay};
use readyloop::service::{Chargen, Chat, Discard, Echo};
use readyloop::sim::{Behavior, Faults, Rng, World};
use readyloop::{
    Address, Context, Dial, EndpointId, Limits, Lines, Listen, Orders, PeerInfo, Raw, Sender, Server, ServerLimits,
    Service,
};

use super::Memory;
use crate::support::shared_machine;

/// The number of random runs.
const SEEDS: u64 = 1000;

/// The most turns of a run.
const TURNS_MAX: usize = 300;

/// Answers each line with the number of messages so far, and connects to another server for some of them.
#[derive(Default)]
struct Counting {
    messages: u64,
    opened: u64,
}

impl Service for Counting {
    type Codec = Lines;
    type Peer = ();
    type Message = u64;

    fn on_open(&mut self, _peer: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.opened += 1;
        cx.start_timer(cx.now() + Duration::from_millis(self.opened));
    }

    fn on_timer(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        cx.send(b"timer");
    }

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        let answer = format!("{} after {} messages", frame.len(), self.messages);
        cx.send(answer.as_bytes());
    }

    fn on_message(&mut self, message: u64, orders: &mut Orders<'_, Self>) {
        self.messages += message;
        if message.is_multiple_of(2) {
            orders.connect(SocketAddr::from(([10, 9, 9, 9], 9)), ());
        }
    }

    fn encode_message(message: &u64) -> Option<Vec<u8>> {
        Some(message.to_le_bytes().to_vec())
    }

    fn decode_message(content: &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(content.try_into().ok()?))
    }
}

/// Sends itself a message for each frame, and connects to another server for each message.
struct Reminding(Sender<()>);

impl Service for Reminding {
    type Codec = Raw;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: &[u8], _cx: &mut Context<'_, Self>) {
        // A full inbox is possible.
        let _ = self.0.send(());
    }

    fn on_message(&mut self, _message: (), orders: &mut Orders<'_, Self>) {
        orders.connect(SocketAddr::from(([10, 9, 9, 9], 8)), ());
    }
}

fn address(port: u16) -> Address {
    Address::Tcp(format!("127.0.0.1:{port}"))
}

/// The same server over any network.
fn server<N: Net + 'static>(net: N, seed: u64) -> (Server<N>, EndpointId<Counting>) {
    let mut rng = Rng::new(!seed);
    let limits = ServerLimits {
        connections_max: if rng.chance(0.3) { rng.up_to(8) } else { 10_000 },
        queue_total_max: if rng.chance(0.3) { 8192 << rng.below(8) } else { 1 << 30 },
        ..ServerLimits::default()
    };
    let mut server = Server::new(net, limits);
    if rng.chance(0.3) {
        server.measure();
    }
    let idle_timeout = Duration::from_millis(1 << rng.below(20));
    let listen = |port| Listen { limits: Limits { idle_timeout, ..Limits::default() }, ..Listen::from(address(port)) };
    server.listen(listen(1), Lines::new(), Echo::with_prefix("> ")).expect("an endpoint");
    server.listen(listen(2), Raw, Chargen::new()).expect("an endpoint");
    server.listen(listen(3), Lines::new(), Chat::new()).expect("an endpoint");
    let counting = server.listen(listen(4), Lines::new(), Counting::default()).expect("an endpoint");
    server.listen_with(listen(6), Raw, Reminding).expect("an endpoint");
    server.dial(Dial::default(), Raw, Discard::new()).expect("an endpoint");
    let udp = Address::Udp("127.0.0.1:5".to_owned());
    server
        .listen_datagrams(&udp, &DatagramOptions::default(), DatagramLimits::default(), Echo::<Raw>::new())
        .expect("an endpoint");
    (server, counting)
}

fn connect_some(world: &World, rng: &mut Rng) {
    for _ in 0..rng.below(4) {
        let port = rng.pick(&[1, 2, 3, 4, 6]);
        let source = SocketAddr::from(([10, 0, 0, rng.below(8) as u8], 1024 + rng.below(60_000) as u16));
        let len = rng.below(3000);
        let peer = world.connect_as(&address(port), source, Behavior::drawn_from(rng, len as u64));
        let bytes: Vec<u8> = (0..len).map(|_| rng.pick(b"ab\n")).collect();
        peer.send(&bytes);
    }
    if rng.chance(0.3) {
        let from = SocketAddr::from(([10, 0, 0, 1], 2000 + rng.below(9) as u16));
        world.send_datagram(from, &Address::Udp("127.0.0.1:5".to_owned()), b"datagram");
    }
}

/// Records one run. Returns its bytes and what the server reports at the end.
fn record(seed: u64, options: &RecordingOptions) -> (Vec<u8>, (u64, u64, String)) {
    let mut rng = Rng::new(seed);
    let faults = Faults::drawn_from(rng.bits());
    let world = World::new(rng.bits()).with_free_clock().with_faults(faults).with_kernel_buffer(4096 << rng.below(5));
    let memory = Memory::default();
    let net = Recording::to_writer(world.net(), memory.clone(), options).expect("a recording");
    let (mut server, counting) = server(net, seed);
    let (sender, handle): (Sender<u64>, _) = (counting.sender(), server.handle());
    for turn in 0..rng.up_to(TURNS_MAX) {
        if turn == 0 || rng.chance(0.2) {
            connect_some(&world, &mut rng);
        }
        if rng.chance(0.1) {
            // A full inbox is possible.
            let _ = sender.send(rng.bits() % 100);
        }
        if rng.chance(0.005) {
            handle.drain();
        }
        if rng.chance(0.005) {
            world.notify(ControlEvent::ShutDown);
        }
        server.turn(None).expect("a simulated poll does not fail");
        if server.is_done() {
            break;
        }
    }
    let report = (server.net().turns(), server.net().trace_hash(), format!("{:?}", server.totals()));
    drop(server);
    (memory.bytes(), report)
}

/// Replays all turns, and returns what the server reports at the end.
fn replay(recording: Vec<u8>, seed: u64, turns: u64) -> (u64, u64, String) {
    let net = Replay::from_reader(Cursor::new(recording)).expect("a recording");
    let (mut server, _) = server(net, seed);
    while server.net().turns() < turns {
        server.turn(None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let report = (server.net().turns(), server.net().trace_hash(), format!("{:?}", server.totals()));
    assert_eq!(server.net().failure(), None, "seed {seed}");
    report
}

#[test]
fn the_replay_of_every_random_run_is_equal() {
    let _machine = shared_machine();
    let (mut turns, mut connections) = (0, 0);
    for seed in 0..SEEDS {
        let (recording, report) = record(seed, &RecordingOptions::default());
        assert_eq!(replay(recording, seed, report.0), report, "seed {seed}");
        turns += report.0;
        connections += report.2.contains("opened: 0,") as u64;
    }
    assert!(turns > SEEDS * 50, "{turns} turns");
    assert!(connections < SEEDS / 2, "{connections} runs without a connection");
}
