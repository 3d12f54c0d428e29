//! The production server behind `tls://` in the simulated world: every delay that a kernel may
//! cause, under a handshake, a conversation and its end.
//!
//! A client here is the library's own, over its end of a simulated connection. What is asked: no
//! byte is lost or added, nobody who has work is left waiting, and nothing spins.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use readyloop::net::tls::{
    TlsClient, TlsClientOptions, TlsServer, TlsServerOptions, TlsStream, TlsTarget, TlsVersion, Trust,
};
use readyloop::net::{Address, Layer, Stream};
use readyloop::service::Echo;
use readyloop::sim::{Faults, Peer, Rng, SimNet, World, pattern};
use readyloop::{CloseReason, ControlEvent, Limits, Listen, Raw, Server, ServerLimits};

use crate::support::certs::Authority;
use crate::support::shared_machine;

use super::volume;

/// A client's end of a simulated connection.
struct Wire {
    peer: Peer,
    came: VecDeque<u8>,
}

impl Stream for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.came.extend(self.peer.received());
        let len = buf.len().min(self.came.len());
        for (place, byte) in buf.iter_mut().zip(self.came.drain(..len)) {
            *place = byte;
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

/// A client, and how far its conversation has come.
struct Client {
    peer: Peer,
    tls: TlsStream<Wire>,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    has_finished: bool,
    has_seen_end: bool,
}

impl Client {
    /// Does what can be done now, and ends when all is said: whether that was anything.
    fn act(&mut self, rng: &mut Rng) -> io::Result<bool> {
        let is_ending = self.sent == self.to_send.len() && !self.has_finished;
        if is_ending {
            self.has_finished = now(self.tls.shutdown_write())?.is_some();
        }
        Ok(self.say_and_hear(rng)? || (is_ending && self.has_finished))
    }

    fn say_and_hear(&mut self, rng: &mut Rng) -> io::Result<bool> {
        let before = (self.sent, self.received.len(), self.has_seen_end);
        if self.sent < self.to_send.len() {
            let chunk = 1 + rng.below(self.to_send.len() - self.sent);
            self.sent += now(self.tls.write(&self.to_send[self.sent..self.sent + chunk]))?.unwrap_or(0);
        }
        now(self.tls.flush())?;
        let mut buf = [0; 5_000];
        while !self.has_seen_end
            && let Some(count) = now(self.tls.read(&mut buf))?
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

/// `None` for what is to be tried again later.
fn now<R>(result: io::Result<R>) -> io::Result<Option<R>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

/// An echo over TLS in a world, and its clients.
struct Scene {
    world: World,
    server: Server<SimNet>,
    address: Address,
    tls: TlsTarget,
}

impl Scene {
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
        let wire = Wire { peer: peer.clone(), came: VecDeque::new() };
        let tls = self.tls.wrap(wire).expect("randomness");
        Client { peer, tls, to_send, sent: 0, received: Vec::new(), has_finished: false, has_seen_end: false }
    }

    /// Lets the server turn until it rests.
    fn settle(&mut self) {
        self.world.settle(|| self.server.turn()).expect("no poll fails");
    }

    /// Lets time pass.
    fn pass(&mut self, span: Duration) {
        self.world.pass(span, || self.server.turn()).expect("no poll fails");
    }

    #[track_caller]
    fn assert_closed(&self, reason: CloseReason, count: u64) {
        let totals = self.server.totals();
        assert_eq!(totals.closed(reason), count, "{totals}");
        assert!(totals.reconciles(), "{totals:?}");
    }
}

/// Some clients talk at once, and each hears all that it said; however the kernel delays.
fn check_conversations(seed: u64) {
    // Accepting may fail for seconds, and no deadline is to be met here.
    let never = Duration::MAX;
    let limits = Limits { handshake_timeout: never, idle_timeout: never, write_timeout: never, ..Limits::default() };
    let mut rng = Rng::new(!seed);
    // Small enough to be full in the middle of every flight, large enough not to be all the time.
    let world = World::new(seed).with_kernel_buffer(1 + rng.below(3_000));
    let world = world.with_faults(Faults::delays_drawn_from(seed));
    let mut scene = Scene::new(world, seed, limits, ServerLimits::default());
    let mut clients: Vec<Client> =
        (0..=rng.below(3)).map(|key| scene.client(pattern(key as u64, 0, rng.below(40_000)))).collect();
    let mut idle_seconds = 0;
    while !clients.iter().all(Client::is_done) {
        let mut has_moved = scene.turned();
        for client in &mut clients {
            has_moved |= client.act(&mut rng).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        idle_seconds = if has_moved { 0 } else { idle_seconds + 1 };
        // One spell in which nobody is accepted may follow another.
        assert!(idle_seconds < 100, "seed {seed}: nobody does anything any more");
        if !has_moved {
            scene.pass(Duration::from_secs(1));
        }
    }
    for client in &clients {
        assert_eq!(client.received, client.to_send, "seed {seed}");
    }
    scene.pass(Duration::from_secs(1));
    scene.assert_closed(CloseReason::Finished, clients.len() as u64);
}

#[test]
fn every_conversation_over_tls_ends_as_it_should_whatever_delays_it() {
    let _machine = shared_machine();
    for seed in 0..volume(400) {
        check_conversations(seed);
    }
}

#[test]
fn what_harms_a_connection_harms_nobody_else_and_every_peer_is_accounted_for() {
    let _machine = shared_machine();
    for seed in 0..volume(200) {
        let mut rng = Rng::new(!seed);
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let mut scene = Scene::new(world, seed, Limits::default(), ServerLimits::default());
        let mut clients: Vec<Client> = (0..8).map(|key| scene.client(pattern(key, 0, rng.below(10_000)))).collect();
        for _ in 0..200 {
            clients.retain_mut(|client| client.act(&mut rng).is_ok());
            scene.settle();
        }
        for client in &clients {
            assert!(client.to_send.starts_with(&client.received), "seed {seed}");
        }
        scene.world.disable_faults();
        scene.world.notify(ControlEvent::Stop);
        let totals = scene.server.run().expect("no poll fails");
        assert!(totals.reconciles(), "seed {seed}: {totals:?}");
    }
}

#[test]
fn a_handshake_has_until_its_deadline_however_it_drips() {
    let limits = Limits { handshake_timeout: Duration::from_secs(10), ..Limits::default() };
    let mut scene = Scene::new(World::new(1), 1, limits, ServerLimits::default());
    let dripping = scene.world.connect(&scene.address);
    let silent = scene.world.connect(&scene.address);
    // The beginning of a greeting of 500 bytes.
    dripping.send(&[22, 3, 1, 1, 244]);
    for _ in 0..9 {
        scene.pass(Duration::from_secs(1));
        dripping.send(&[1]);
    }
    scene.settle();
    assert_eq!((scene.server.totals().open, scene.server.totals().handshakes), (2, 2));
    scene.pass(Duration::from_secs(1));
    scene.assert_closed(CloseReason::HandshakeTimeout, 2);
    assert!(dripping.is_ended() && silent.is_ended());
    scene.pass(Duration::from_secs(3_600));
    scene.assert_closed(CloseReason::HandshakeTimeout, 2);
}

#[test]
fn with_too_many_handshakes_the_oldest_makes_way_and_who_means_well_gets_through() {
    let server_limits = ServerLimits { handshakes_max: 3, ..ServerLimits::default() };
    let mut scene = Scene::new(World::new(1), 1, Limits::default(), server_limits);
    let idlers: Vec<Peer> = (0..5).map(|_| scene.world.connect(&scene.address)).collect();
    scene.settle();
    scene.assert_closed(CloseReason::HandshakesFull, 2);
    assert_eq!(idlers.iter().filter(|idler| idler.is_ended()).count(), 2);

    let mut client = scene.client(b"hello".to_vec());
    let mut rng = Rng::new(1);
    while !client.is_done() {
        assert!(client.act(&mut rng).expect("it is served") | scene.turned());
    }
    assert_eq!(client.received, b"hello");
    scene.assert_closed(CloseReason::HandshakesFull, 3);
}

impl Scene {
    /// Settles: whether that did anything.
    fn turned(&mut self) -> bool {
        let before = self.world.counters().progress;
        self.settle();
        self.world.counters().progress > before
    }
}

#[test]
fn a_drain_waits_for_handshakes_and_then_no_longer() {
    let mut scene = Scene::new(World::new(1), 1, Limits::default(), ServerLimits::default());
    let mut client = scene.client(b"last order".to_vec());
    let mut rng = Rng::new(1);
    client.act(&mut rng).expect("it says hello");
    let silent = scene.world.connect(&scene.address);
    scene.settle();
    scene.world.notify(ControlEvent::Drain);
    scene.settle();
    assert!(!scene.server.is_done(), "two are still in their handshakes");
    while !client.has_seen_end {
        assert!(client.act(&mut rng).expect("it is served") | scene.turned());
    }
    assert!(!silent.is_ended());
    scene.pass(ServerLimits::default().drain_timeout / 2);
    assert!(silent.is_ended() && scene.server.is_done());
    scene.assert_closed(CloseReason::Drained, 2);
}

#[test]
fn who_says_that_it_ends_has_ended_though_its_connection_has_not() {
    let mut scene = Scene::new(World::new(1), 1, Limits::default(), ServerLimits::default());
    let mut client = scene.client(Vec::new());
    let mut rng = Rng::new(1);
    while client.say_and_hear(&mut rng).expect("it is served") | scene.turned() {}
    assert_eq!(scene.server.totals().handshakes, 0);

    // Both in one read.
    assert_eq!(client.tls.write(b"goodbye").expect("room"), 7);
    client.tls.send_close_notify().expect("room");
    while client.say_and_hear(&mut rng).expect("it is served") | scene.turned() {}
    assert_eq!((client.received.as_slice(), client.has_seen_end), (&b"goodbye"[..], true));
    scene.assert_closed(CloseReason::Finished, 1);
}

#[test]
fn plain_text_and_an_early_end_are_counted_for_what_they_are() {
    let mut scene = Scene::new(World::new(1), 1, Limits::default(), ServerLimits::default());
    let plain = scene.world.connect(&scene.address);
    plain.send(b"GET / HTTP/1.0\r\n\r\n");
    let scanner = scene.world.connect(&scene.address);
    scanner.finish();
    let mut cut_off = scene.client(b"half a wo".to_vec());
    let mut rng = Rng::new(1);
    while cut_off.received.len() < 9 {
        let has_moved = cut_off.say_and_hear(&mut rng).expect("it is served");
        assert!(has_moved | scene.turned());
    }
    cut_off.peer.finish();
    scene.settle();
    scene.assert_closed(CloseReason::BadTls, 1);
    assert_eq!(plain.received().len(), 7, "an alert");
    // The scanner left before it said anything.
    scene.assert_closed(CloseReason::Truncated, 2);
}
