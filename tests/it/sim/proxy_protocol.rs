//! The PROXY protocol in the simulated world: random headers in random pieces, from trusted proxies and others.
//!
//! Each peer knows what its header says. The tests check the address that the service gets, the reason of each
//! close, and that no byte behind a header is lost.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use readyloop::net::Address;
use readyloop::sim::{Behavior, Faults, PeerEnding, Rng, SimNet, SimPeer, World, pattern};
use readyloop::{CloseReason, Context, EndpointId, Limits, Listen, PeerInfo, Raw, Server, ServerLimits, Service};

use crate::support::shared_machine;

use super::volume;

const TIMEOUT: Duration = Duration::from_secs(10);

/// An echo that counts the addresses of its peers.
#[derive(Default)]
struct Addresses(HashMap<String, u64>);

impl Service for Addresses {
    type Codec = Raw;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, (): &mut (), peer: &PeerInfo<'_>, _: &mut Context<'_, Self>) {
        *self.0.entry(peer.address().to_string()).or_default() += 1;
    }

    fn on_frame(&mut self, (): &mut (), bytes: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(bytes);
    }
}

struct Setup {
    world: World,
    server: Server<SimNet>,
    endpoint: EndpointId<Addresses>,
    address: Address,
}

impl Setup {
    /// A server that trusts 10.0.0.0/8.
    fn new(world: World, server_limits: ServerLimits) -> Self {
        let limits = Limits { handshake_timeout: TIMEOUT, ..Limits::default() };
        let mut server = Server::new(world.net(), server_limits);
        let address: Address = "127.0.0.1:7007".parse().expect("an address");
        let proxy = Some("10.0.0.0/8".parse().expect("a network"));
        let listen = Listen { limits, proxy, ..Listen::from(address.clone()) };
        let endpoint = server.listen(listen, Raw, Addresses::default()).expect("a port");
        Self { world, server, endpoint, address }
    }

    fn connect(&self, from: &str, behavior: Behavior) -> SimPeer {
        self.world.connect_as(&self.address, from.parse().expect("an address"), behavior)
    }

    fn advance(&mut self, span: Duration) {
        self.world.advance(span, || self.server.turn(None)).expect("a simulated poll does not fail");
    }

    #[track_caller]
    fn assert_closed(&self, expected: &[(CloseReason, u64)]) {
        let totals = self.server.totals();
        for reason in CloseReason::ALL {
            let count = expected.iter().find(|(it, _)| *it == reason).map_or(0, |(_, count)| *count);
            assert_eq!(totals.closed(reason), count, "{reason}: {totals}");
        }
        assert!(totals.reconciles(), "{totals:?}");
    }
}

/// A header, and the address that it announces; `None` if the address of the proxy counts.
fn draw_header(rng: &mut Rng) -> (Vec<u8>, Option<SocketAddr>) {
    let v4 = [192, 0, 2, rng.below(256) as u8];
    let port = 1 + rng.below(65_535) as u16;
    let address = SocketAddr::from((v4, port));
    let fields = vec![4; rng.below(40)];
    let padding = [&[4, 0, fields.len() as u8][..], &fields].concat();
    let v2 = |command: u8, family: u8, rest: &[u8]| {
        let len = (rest.len() as u16).to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &len, rest].concat()
    };
    let addresses = [&v4[..], &[127, 0, 0, 1], &port.to_be_bytes(), &[0, 80], &padding].concat();
    match rng.below(5) {
        0 => (format!("PROXY TCP4 {} 127.0.0.1 {port} 80\r\n", address.ip()).into_bytes(), Some(address)),
        1 => (b"PROXY UNKNOWN\r\n".to_vec(), None),
        2 => (v2(0x20, 0, &padding), None),
        _ => (v2(0x21, 0x11, &addresses), Some(address)),
    }
}

/// Checks valid headers in random pieces, with delay faults.
fn check_headers(seed: u64) {
    let mut rng = Rng::new(!seed);
    let world = World::new(seed).with_kernel_buffer(1 + rng.below(3_000)).with_faults(Faults::delays_drawn_from(seed));
    let mut setup = Setup::new(world, ServerLimits::default());
    let mut peers = Vec::new();
    let mut expected: HashMap<String, u64> = HashMap::new();
    for number in 0..1 + rng.below(6) {
        let write_len_max = 1 << rng.below(12);
        let behavior = Behavior { write_len_max, ending: PeerEnding::Finishes, ..Behavior::default() };
        let source = format!("10.0.0.{number}:4000");
        let peer = setup.connect(&source, behavior);
        let (header, original) = draw_header(&mut rng);
        let bytes = pattern(number as u64, 0, 1 + rng.below(5_000));
        peer.send(&[&header[..], &bytes].concat());
        *expected.entry(original.map_or(source, |address| address.to_string())).or_default() += 1;
        peers.push((peer, bytes, Vec::new()));
    }
    // Accepts may fail for seconds, and a header must come within the timeout from the accept on.
    for _ in 0..100 {
        setup.advance(Duration::from_secs(1));
        peers.iter_mut().for_each(|(peer, _, received)| received.extend(peer.received()));
        if peers.iter().all(|(peer, ..)| peer.is_ended()) {
            break;
        }
    }
    for (_, sent, received) in &peers {
        assert!(sent == received, "seed {seed}: {} of {} bytes", received.len(), sent.len());
    }
    assert_eq!(setup.server.service(&setup.endpoint).0, expected, "seed {seed}");
    setup.assert_closed(&[(CloseReason::Finished, peers.len() as u64)]);
}

#[test]
fn any_header_in_any_pieces_gives_its_address_and_loses_no_byte_behind_it() {
    let _machine = shared_machine();
    (0..volume(400)).for_each(check_headers);
}

#[test]
fn a_burst_of_connections_closes_no_handshake_that_waits_for_the_loop() {
    let limits = ServerLimits { handshakes_max: 20, ..ServerLimits::default() };
    let mut setup = Setup::new(World::new(1), limits);
    let silent: Vec<SimPeer> = (0..20).map(|_| setup.connect("10.0.0.1:4000", Behavior::default())).collect();
    setup.advance(Duration::ZERO);
    for number in 0..1_000 {
        let peer = setup.connect(&format!("10.0.{}.{}:4000", number / 250, 2 + number % 250), Behavior::default());
        peer.send(b"PROXY UNKNOWN\r\n");
    }
    setup.advance(Duration::ZERO);
    assert_eq!(setup.server.totals().peers.opened, 1_020);
    // Each of these sent nothing, so they make room.
    assert_eq!(silent.iter().filter(|peer| peer.is_ended()).count(), 20);
    setup.assert_closed(&[(CloseReason::HandshakesFull, 20)]);
}

#[test]
fn with_all_faults_and_random_bytes_every_connection_is_counted_once() {
    let _machine = shared_machine();
    for seed in 0..volume(300) {
        let mut rng = Rng::new(!seed);
        let mut setup = Setup::new(World::new(seed).with_faults(Faults::drawn_from(seed)), ServerLimits::default());
        for number in 0..16 {
            let (mut bytes, _) = draw_header(&mut rng);
            if rng.chance(0.5) {
                let index = rng.below(bytes.len());
                bytes[index] ^= 1 << rng.below(8);
            }
            let network = rng.pick(&["10.0.0", "11.0.0"]);
            let peer = setup.connect(&format!("{network}.1:{}", 4000 + number), Behavior::drawn_from(&mut rng, 60));
            peer.send(&bytes);
        }
        (0..20).for_each(|_| setup.advance(Duration::from_secs(1)));
        setup.world.disable_faults();
        setup.advance(Duration::from_secs(3_600));
        let totals = setup.server.totals();
        assert_eq!((totals.open, totals.handshakes), (0, 0), "seed {seed}: {totals}");
        assert!(totals.reconciles(), "seed {seed}: {totals:?}");
    }
}

#[test]
fn wrong_late_untrusted_and_missing_headers_are_closed_and_counted_as_such() {
    let mut setup = Setup::new(World::new(1), ServerLimits::default());
    let slow = setup.connect("10.0.0.1:1", Behavior::default());
    slow.send(b"PROXY TCP4 1.1.1.1 ");
    let silent = setup.connect("10.0.0.2:1", Behavior::default());
    let plain = setup.connect("10.0.0.3:1", Behavior::default());
    plain.send(b"GET / HTTP/1.1\r\n\r\n");
    let cut_off = setup.connect("10.0.0.4:1", Behavior::default());
    cut_off.send(b"PROXY TCP4 1.1.1.1 ");
    cut_off.finish();
    let stranger = setup.connect("11.0.0.1:1", Behavior::default());
    stranger.send(b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n");
    for peer in [("10.0.0.5:1", PeerEnding::FinishesAt(0)), ("10.0.0.6:1", PeerEnding::ResetsAt(0))] {
        setup.connect(peer.0, Behavior { ending: peer.1, ..Behavior::default() });
    }
    // The proxy itself connects, announces that, and leaves.
    let check = setup.connect("10.0.0.7:1", Behavior { ending: PeerEnding::ResetsAt(16), ..Behavior::default() });
    check.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    setup.advance(TIMEOUT - Duration::from_millis(1));
    assert!(plain.is_broken() && cut_off.is_broken() | cut_off.is_ended() && stranger.is_broken());
    assert!(slow.is_connected() && silent.is_connected());
    setup.advance(Duration::from_millis(1));
    setup.assert_closed(&[
        (CloseReason::BadProxyHeader, 2),
        (CloseReason::UntrustedProxy, 1),
        (CloseReason::HandshakeTimeout, 2),
        (CloseReason::Probed, 3),
    ]);
    assert_eq!(setup.server.totals().open, 0);
}

#[test]
fn the_limit_per_address_counts_the_announced_address() {
    let limits = ServerLimits { connections_per_address_max: 2, ..ServerLimits::default() };
    let mut setup = Setup::new(World::new(1), limits);
    // Connections of a proxy that wait for their header count for no address.
    let waiting: Vec<SimPeer> =
        (100..110).map(|port| setup.connect(&format!("10.0.0.1:{port}"), Behavior::default())).collect();
    let mut connect = |client: &str, port: u16| {
        let peer = setup.connect(&format!("10.0.0.1:{port}"), Behavior::default());
        peer.send(format!("PROXY TCP4 {client} 10.0.0.1 {port} 80\r\nhello").as_bytes());
        setup.advance(Duration::from_millis(1));
        peer
    };
    let peers: Vec<SimPeer> =
        [("1.1.1.1", 1), ("1.1.1.1", 2), ("2.2.2.2", 3)].map(|(ip, port)| connect(ip, port)).into();
    assert!(peers.iter().all(|peer| peer.received() == b"hello"));
    assert!(connect("1.1.1.1", 4).is_broken());
    assert_eq!(connect("3.3.3.3", 5).received(), b"hello");
    let totals = setup.server.totals();
    assert_eq!((totals.open, totals.handshakes, totals.refused_address), (14, 10, 1));
    assert!(waiting.iter().all(SimPeer::is_connected));
}
