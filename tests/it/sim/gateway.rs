//! A proxy with TLS on either side, on both, or on none: one service on one endpoint.

use std::collections::VecDeque;

use readyloop::net::tls::{MaybeTls, TlsClient, TlsClientOptions, TlsLayer, TlsServer, TlsServerOptions, Trust};
use readyloop::net::{Address, Destination, Layer, Stream};
use readyloop::service::{PROXY_QUEUE, Proxy, Role};
use readyloop::sim::{Behavior, PeerEnding, SimNet, SimPeer, World};
use readyloop::{CloseReason, Limits, Listen, Raw, Server, ServerLimits};

use super::tls::{Wire, ready};
use crate::support::certs::Authority;

/// More turns than any handshake needs.
const STEPS_MAX: usize = 50;

/// One end of a connection through the gateway, with the bytes to send and the received bytes.
struct End {
    stream: MaybeTls<Wire>,
    to_send: Vec<u8>,
    received: Vec<u8>,
}

impl End {
    fn new(peer: SimPeer, layer: &TlsLayer, role: Role, to_send: &[u8]) -> Self {
        let stream = layer.wrap(Wire { peer, input: VecDeque::new() }, role).expect("a TLS session");
        Self { stream, to_send: to_send.to_vec(), received: Vec::new() }
    }

    /// Writes and reads as far as possible.
    fn act(&mut self) {
        let sent = ready(self.stream.write(&self.to_send)).expect("the connection is open").unwrap_or(0);
        self.to_send.drain(..sent);
        ready(self.stream.flush()).expect("the connection is open");
        let mut buf = [0; 1000];
        while let Some(count @ 1..) = ready(self.stream.read(&mut buf)).expect("the connection is open") {
            self.received.extend_from_slice(&buf[..count]);
        }
    }
}

/// Runs one exchange through a gateway with TLS on these sides.
#[track_caller]
fn check(accepts_tls: bool, connects_tls: bool) {
    let authority = Authority::new();
    let server = || {
        let (cert, key) = authority.issue("server.test");
        TlsServer::new(TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() }).expect("a certificate")
    };
    let client = || {
        let trust = Trust::Authorities(authority.pem());
        let client = TlsClient::new(&TlsClientOptions { trust, ..TlsClientOptions::default() }).expect("an authority");
        client.to("server.test").expect("a name")
    };
    let world = World::new(1);
    let upstream_at: std::net::SocketAddr = ([192, 0, 2, 1], 443).into();
    world.accept_connects_at(&upstream_at.into(), Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let mut gateway: Server<SimNet> = Server::new(world.net(), ServerLimits::default());
    let scheme = if accepts_tls { "tls" } else { "tcp" };
    let address: Address = format!("{scheme}://127.0.0.1:7000").parse().expect("an address");
    let listen = Listen {
        limits: Limits { queue: PROXY_QUEUE, ..Limits::default() },
        tls: accepts_tls.then(server),
        connect_tls: connects_tls.then(client),
        ..Listen::from(address.clone())
    };
    gateway.listen(listen, Raw, Proxy::<Raw>::to(Destination::Tcp(upstream_at))).expect("a port");

    let peer = world.connect(&address);
    let near = TlsLayer { accept: None, connect: accepts_tls.then(client) };
    let mut near = End::new(peer.clone(), &near, Role::Connected, b"request");
    let far_layer = TlsLayer { accept: connects_tls.then(server), connect: None };
    let mut far: Option<End> = None;
    for _ in 0..STEPS_MAX {
        near.act();
        world.settle(|| gateway.turn(None)).expect("a simulated poll does not fail");
        let upstream = world.last_peer().filter(|upstream| upstream.number() != peer.number());
        if let (None, Some(upstream)) = (&far, upstream) {
            far = Some(End::new(upstream, &far_layer, Role::Accepted, b"reply"));
        }
        far.iter_mut().for_each(End::act);
    }
    let mut far = far.expect("the gateway has connected");
    assert_eq!((&near.received[..], &far.received[..]), (&b"reply"[..], &b"request"[..]));

    near.stream.shutdown_write().expect("the connection is open");
    world.settle(|| gateway.turn(None)).expect("a simulated poll does not fail");
    far.stream.shutdown_write().expect("the connection is open");
    for _ in 0..STEPS_MAX {
        world.settle(|| gateway.turn(None)).expect("a simulated poll does not fail");
    }
    let totals = gateway.totals();
    assert_eq!((totals.closed(CloseReason::Finished), totals.open), (2, 0), "{totals}");
    assert!(totals.reconciles(), "{totals:?}");
}

#[test]
fn plain_in_and_tls_out() {
    check(false, true);
}

#[test]
fn tls_in_and_plain_out() {
    check(true, false);
}

#[test]
fn tls_in_and_tls_out() {
    check(true, true);
}

#[test]
fn plain_in_and_plain_out() {
    check(false, false);
}
