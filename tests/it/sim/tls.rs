//! The production server behind `tls://` in the simulated world, with delay faults in handshakes, data and ends.
//!
//! The clients use the library's own TLS over simulated connections. The tests check that no byte is
//! lost or added, that no connection with work is forgotten, and that nothing spins.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use readyloop::net::tls::{
    TlsClient, TlsClientOptions, TlsServer, TlsServerOptions, TlsStream, TlsTarget, TlsVersion, Trust,
};
use readyloop::net::{Address, Stream};
use readyloop::service::Echo;
use readyloop::sim::{Faults, Rng, SimNet, SimPeer, World, pattern};
use readyloop::{CloseReason, ControlEvent, Limits, Listen, Raw, Server, ServerLimits};

use crate::support::certs::Authority;
use crate::support::shared_machine;

use super::volume;

/// A peer's end of a simulated connection.
pub(super) struct Wire {
    pub(super) peer: SimPeer,
    /// Bytes that were received and not read.
    pub(super) input: VecDeque<u8>,
}

impl Stream for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.input.extend(self.peer.received());
        let len = buf.len().min(self.input.len());
        for (slot, byte) in buf.iter_mut().zip(self.input.drain(..len)) {
            *slot = byte;
        }
        match len {
            0 if self.peer.is_ended() => Ok(0),
            0 if self.peer.is_broken() => Err(ErrorKind::ConnectionReset.into()),
            0 => Err(ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.peer.send(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().map(|slice| self.write(slice)).sum()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.peer.finish();
        Ok(())
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client and its progress.
struct Client {
    peer: SimPeer,
    tls: TlsStream<Wire>,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    has_finished: bool,
    has_seen_end: bool,
}

impl Client {
    /// Reads and writes as far as possible, and ends after the last byte. Returns whether it made progress.
    fn act(&mut self, rng: &mut Rng) -> io::Result<bool> {
        let is_ending = self.sent == self.to_send.len() && !self.has_finished;
        if is_ending {
            self.has_finished = ready(self.tls.shutdown_write())?.is_some();
        }
        Ok(self.read_and_write(rng)? || (is_ending && self.has_finished))
    }

    /// Reads and writes as far as possible. Returns whether it made progress.
    fn read_and_write(&mut self, rng: &mut Rng) -> io::Result<bool> {
        let before = (self.sent, self.received.len(), self.has_seen_end);
        if self.sent < self.to_send.len() {
            let chunk = 1 + rng.below(self.to_send.len() - self.sent);
            self.sent += ready(self.tls.write(&self.to_send[self.sent..self.sent + chunk]))?.unwrap_or(0);
        }
        ready(self.tls.flush())?;
        let mut buf = [0; 5_000];
        while !self.has_seen_end
            && let Some(count) = ready(self.tls.read(&mut buf))?
        {
            self.received.extend_from_slice(&buf[..count]);
            self.has_seen_end = count == 0;
        }
        Ok(before != (self.sent, self.received.len(), self.has_seen_end))
    }

    fn is_done(&self) -> bool {
        self.has_finished && self.has_seen_end
    }
}

/// Converts `WouldBlock` to `None`.
pub(super) fn ready<R>(result: io::Result<R>) -> io::Result<Option<R>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

/// A TLS echo server in a world.
struct TlsSetup {
    world: World,
    server: Server<SimNet>,
    address: Address,
    tls: TlsTarget,
}

impl TlsSetup {
    fn new(world: World, seed: u64, limits: Limits, server_limits: ServerLimits) -> Self {
        let mut rng = Rng::new(seed);
        let authority = Authority::new();
        let (cert, key) = authority.issue("server.test");
        let options = TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() };
        let mut server = Server::new(world.net(), server_limits);
        let address: Address = "tls://127.0.0.1:7443".parse().expect("an address");
        let tls = Some(TlsServer::new(options).expect("a certificate"));
        let listen = Listen { tls, limits, ..Listen::from(address.clone()) };
        server.listen(listen, Raw, Echo::new()).expect("a port");
        let version = Some(rng.pick(&[TlsVersion::Tls12, TlsVersion::Tls13]));
        let trust = Trust::Authorities(authority.pem());
        let tls = TlsClient::new(&TlsClientOptions { trust, version, ..TlsClientOptions::default() });
        Self { world, server, address, tls: tls.expect("an authority").to("server.test").expect("a name") }
    }

    fn client(&mut self, to_send: Vec<u8>) -> Client {
        let peer = self.world.connect(&self.address);
        let wire = Wire { peer: peer.clone(), input: VecDeque::new() };
        let tls = self.tls.wrap(wire).expect("a TLS session");
        Client { peer, tls, to_send, sent: 0, received: Vec::new(), has_finished: false, has_seen_end: false }
    }

    /// Runs turns until the server has nothing to do. Returns whether it made progress.
    fn settle(&mut self) -> bool {
        let before = self.world.counters().progress;
        self.world.settle(|| self.server.turn(None)).expect("a simulated poll does not fail");
        self.world.counters().progress > before
    }

    fn pass(&mut self, span: Duration) {
        self.world.advance(span, || self.server.turn(None)).expect("a simulated poll does not fail");
    }

    #[track_caller]
    fn assert_closed(&self, reason: CloseReason, count: u64) {
        let totals = self.server.totals();
        assert_eq!(totals.closed(reason), count, "{totals}");
        assert!(totals.reconciles(), "{totals:?}");
    }
}

/// Checks that several clients at once receive their whole echo, with delay faults.
fn check_echoes(seed: u64) {
    // Accepts may fail for seconds, and no deadline may expire here.
    let never = Duration::MAX;
    let limits = Limits { handshake_timeout: never, idle_timeout: never, write_timeout: never, ..Limits::default() };
    let mut rng = Rng::new(!seed);
    // The kernel buffers are small enough to fill within a handshake flight, but are not always full.
    let world = World::new(seed).with_kernel_buffer(1 + rng.below(3_000));
    let world = world.with_faults(Faults::delays_drawn_from(seed));
    let mut setup = TlsSetup::new(world, seed, limits, ServerLimits::default());
    let mut clients: Vec<Client> =
        (0..=rng.below(3)).map(|key| setup.client(pattern(key as u64, 0, rng.below(40_000)))).collect();
    let mut idle_seconds = 0;
    while !clients.iter().all(Client::is_done) {
        let mut has_moved = setup.settle();
        for client in &mut clients {
            has_moved |= client.act(&mut rng).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        idle_seconds = if has_moved { 0 } else { idle_seconds + 1 };
        // One accept outage may follow another.
        assert!(idle_seconds < 100, "seed {seed}: no progress");
        if !has_moved {
            setup.pass(Duration::from_secs(1));
        }
    }
    for client in &clients {
        assert_eq!(client.received, client.to_send, "seed {seed}");
    }
    setup.pass(Duration::from_secs(1));
    setup.assert_closed(CloseReason::Finished, clients.len() as u64);
}

#[test]
fn every_tls_echo_is_complete_with_delay_faults() {
    let _machine = shared_machine();
    for seed in 0..volume(400) {
        check_echoes(seed);
    }
}

#[test]
fn a_broken_tls_connection_affects_no_other_and_totals_reconcile() {
    let _machine = shared_machine();
    for seed in 0..volume(200) {
        let mut rng = Rng::new(!seed);
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let mut setup = TlsSetup::new(world, seed, Limits::default(), ServerLimits::default());
        let mut clients: Vec<Client> = (0..8).map(|key| setup.client(pattern(key, 0, rng.below(10_000)))).collect();
        for _ in 0..200 {
            clients.retain_mut(|client| client.act(&mut rng).is_ok());
            setup.settle();
        }
        for client in &clients {
            assert!(client.to_send.starts_with(&client.received), "seed {seed}");
        }
        setup.world.disable_faults();
        setup.world.notify(ControlEvent::Stop);
        let totals = setup.server.run().expect("a simulated poll does not fail");
        assert!(totals.reconciles(), "seed {seed}: {totals:?}");
    }
}

#[test]
fn a_slow_handshake_ends_at_its_deadline() {
    let limits = Limits { handshake_timeout: Duration::from_secs(10), ..Limits::default() };
    let mut setup = TlsSetup::new(World::new(1), 1, limits, ServerLimits::default());
    let slow = setup.world.connect(&setup.address);
    let silent = setup.world.connect(&setup.address);
    // The beginning of a ClientHello of 500 bytes.
    slow.send(&[22, 3, 1, 1, 244]);
    for _ in 0..9 {
        setup.pass(Duration::from_secs(1));
        slow.send(&[1]);
    }
    setup.settle();
    assert_eq!((setup.server.totals().open, setup.server.totals().handshakes), (2, 2));
    setup.pass(Duration::from_secs(1));
    setup.assert_closed(CloseReason::HandshakeTimeout, 2);
    assert!(slow.is_ended() && silent.is_ended());
    setup.pass(Duration::from_secs(3_600));
    setup.assert_closed(CloseReason::HandshakeTimeout, 2);
}

#[test]
fn the_oldest_handshake_is_closed_when_there_are_too_many() {
    let server_limits = ServerLimits { handshakes_max: 3, ..ServerLimits::default() };
    let mut setup = TlsSetup::new(World::new(1), 1, Limits::default(), server_limits);
    let silent_peers: Vec<SimPeer> = (0..5).map(|_| setup.world.connect(&setup.address)).collect();
    setup.settle();
    setup.assert_closed(CloseReason::HandshakesFull, 2);
    assert_eq!(silent_peers.iter().filter(|peer| peer.is_ended()).count(), 2);

    let mut client = setup.client(b"hello".to_vec());
    let mut rng = Rng::new(1);
    while !client.is_done() {
        assert!(client.act(&mut rng).expect("the connection is open") | setup.settle());
    }
    assert_eq!(client.received, b"hello");
    setup.assert_closed(CloseReason::HandshakesFull, 3);
}

#[test]
fn a_drain_waits_for_handshakes_until_half_of_its_timeout() {
    let mut setup = TlsSetup::new(World::new(1), 1, Limits::default(), ServerLimits::default());
    let mut client = setup.client(b"last order".to_vec());
    let mut rng = Rng::new(1);
    client.act(&mut rng).expect("the ClientHello is sent");
    let silent = setup.world.connect(&setup.address);
    setup.settle();
    setup.world.notify(ControlEvent::Drain);
    setup.settle();
    assert!(!setup.server.is_done(), "two handshakes are unfinished");
    while !client.has_seen_end {
        assert!(client.act(&mut rng).expect("the connection is open") | setup.settle());
    }
    assert!(!silent.is_ended());
    setup.pass(ServerLimits::default().drain_timeout / 2);
    assert!(silent.is_ended() && setup.server.is_done());
    setup.assert_closed(CloseReason::Drained, 2);
}

#[test]
fn close_notify_ends_the_input_without_a_fin() {
    let mut setup = TlsSetup::new(World::new(1), 1, Limits::default(), ServerLimits::default());
    let mut client = setup.client(Vec::new());
    let mut rng = Rng::new(1);
    while client.read_and_write(&mut rng).expect("the connection is open") | setup.settle() {}
    assert_eq!(setup.server.totals().handshakes, 0);

    // The server reads both at once.
    assert_eq!(client.tls.write(b"goodbye").expect("there is space"), 7);
    client.tls.send_close_notify().expect("there is space");
    while client.read_and_write(&mut rng).expect("the connection is open") | setup.settle() {}
    assert_eq!((client.received.as_slice(), client.has_seen_end), (&b"goodbye"[..], true));
    setup.assert_closed(CloseReason::Finished, 1);
}

#[test]
fn plain_text_and_truncation_are_counted_as_such() {
    let mut setup = TlsSetup::new(World::new(1), 1, Limits::default(), ServerLimits::default());
    let plain = setup.world.connect(&setup.address);
    plain.send(b"GET / HTTP/1.0\r\n\r\n");
    let scanner = setup.world.connect(&setup.address);
    scanner.finish();
    let mut cut_off = setup.client(b"half a wo".to_vec());
    let mut rng = Rng::new(1);
    while cut_off.received.len() < 9 {
        let has_moved = cut_off.read_and_write(&mut rng).expect("the connection is open");
        assert!(has_moved | setup.settle());
    }
    cut_off.peer.finish();
    setup.settle();
    setup.assert_closed(CloseReason::BadTls, 1);
    assert_eq!(plain.received().len(), 7, "an alert");
    setup.assert_closed(CloseReason::Truncated, 1);
    // The scanner ended before it sent a byte.
    setup.assert_closed(CloseReason::Probed, 1);
}
