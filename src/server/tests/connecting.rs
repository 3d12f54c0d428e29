//! Outbound connections in the simulated world: the result of each order is reported once.

use super::*;
use crate::destination::Destination;
use crate::service::{ConnectFailure, Role};
use crate::sim::{Behavior, PeerEnding};

/// Connects to the port in each line, and sends the result to the peer that sent the line.
#[derive(Default)]
struct ConnectService {
    /// The peer that ordered the first connection.
    first_client: Option<Key>,
}

/// The client that an outbound connection belongs to.
type Client = Option<Key>;

fn report(client: Client, result: &str, orders: &mut Orders<'_, ConnectService>) {
    orders.send_to(client.expect("a client ordered the connection"), &[result.as_bytes()]).unwrap();
}

impl Service for ConnectService {
    type Codec = Lines;
    type Peer = Client;
    type Message = ();

    fn on_open(&mut self, client: &mut Client, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        if info.role() == Role::Connected {
            cx.send(b"hello");
            report(*client, "connected", &mut cx.orders());
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<Client>, orders: &mut Orders<'_, Self>) {
        let error = failure.error;
        let result = error.raw_os_error().map_or(format!("{}, {error}", error.kind()), |number| number.to_string());
        report(failure.peer, &result, orders);
    }

    fn on_frame(&mut self, _client: &mut Client, line: &[u8], cx: &mut Context<'_, Self>) {
        match line {
            b"hello" => cx.send(b"hello to you"),
            b"break" => {
                let client = self.first_client.expect("a connection was ordered");
                cx.orders().reset(client);
            }
            port => {
                self.first_client.get_or_insert(cx.key());
                let client = Some(cx.key());
                cx.orders().connect(upstream(std::str::from_utf8(port).unwrap().parse().unwrap()).0, client);
            }
        }
    }
}

fn upstream(port: u16) -> (Destination, Address) {
    let address = ([192, 0, 2, 1], port).into();
    (Destination::Tcp(address), address.into())
}

/// A server with a `ConnectService`, and a client that has sent `lines`.
fn start(world: &World, limits: ServerLimits, lines: &[u8]) -> (Server<SimNet>, SimPeer) {
    let mut server = Server::new(world.net(), limits);
    let at = address("127.0.0.1:7000");
    server.listen(at.clone(), Lines::new(), ConnectService::default()).unwrap();
    let client = world.connect(&at);
    client.send(lines);
    (server, client)
}

fn received(peer: &SimPeer) -> String {
    String::from_utf8(peer.received()).unwrap()
}

#[track_caller]
fn settle(world: &World, server: &mut Server<SimNet>) {
    world.settle(|| server.turn()).unwrap();
    assert!(server.totals().reconciles(), "{:?}", server.totals());
}

#[test]
fn an_outbound_connection_is_a_peer_like_any_other() {
    let world = World::new(1);
    world.accept_connects_at(&upstream(80).1, Behavior::default());
    let (mut server, client) = start(&world, ServerLimits::default(), b"80\n");
    settle(&world, &mut server);
    assert_eq!(received(&client), "connected\n");
    let other = world.last_peer().unwrap();
    assert_eq!(other.received(), b"hello\n");
    other.send(b"hello\n");
    settle(&world, &mut server);
    assert_eq!(other.received(), b"hello to you\n");
    assert_eq!((server.totals().open, server.totals().peers.opened), (2, 2));

    other.finish();
    client.finish();
    settle(&world, &mut server);
    assert_eq!((server.totals().open, server.totals().closed(CloseReason::Finished)), (0, 2));
}

#[test]
fn each_kind_of_failure_is_reported() {
    let world = World::new(1);
    world.accept_connects_at(&upstream(80).1, Behavior::default());
    world.ignore_connects_at(&upstream(81).1);
    let limits = ServerLimits { connections_max: 3, ..ServerLimits::default() };
    let (mut server, client) = start(&world, limits.clone(), b"82\n81\n80\n");
    settle(&world, &mut server);
    let refused = libc::ECONNREFUSED;
    assert_eq!(received(&client), format!("other error, the server is full\n{refused}\n"));
    client.send(b"80\n");
    settle(&world, &mut server);
    assert_eq!(received(&client), "connected\n");
    assert_eq!((server.totals().connecting, server.totals().open), (1, 3));
    world.advance(limits.connect_timeout, || server.turn()).unwrap();
    assert_eq!(received(&client), "timed out, no answer within the connect timeout\n");
    assert_eq!((server.totals().connects_failed, server.totals().open), (3, 2));
}

#[test]
fn running_out_of_descriptors_is_reported() {
    let world = World::new(1).with_descriptors(2);
    world.accept_connects_at(&upstream(80).1, Behavior::default());
    let (mut server, client) = start(&world, ServerLimits::default(), b"80\n80\n");
    settle(&world, &mut server);
    assert_eq!(received(&client), format!("{}\nconnected\n", libc::EMFILE));
}

#[test]
fn connects_in_progress_are_limited_and_queued_ones_time_out() {
    let world = World::new(1);
    world.ignore_connects_at(&upstream(81).1);
    let limits = ServerLimits { connecting_max: 2, ..ServerLimits::default() };
    let (mut server, client) = start(&world, limits.clone(), b"81\n81\n81\n81\n81\n");
    settle(&world, &mut server);
    assert_eq!((server.totals().connecting, server.totals().open), (2, 3));
    assert_eq!(received(&client), "");
    world.advance(limits.connect_timeout, || server.turn()).unwrap();
    assert_eq!(received(&client), "timed out, no answer within the connect timeout\n".repeat(5));
    assert_eq!((server.totals().connecting, server.totals().open), (0, 1));
}

#[test]
fn a_drain_aborts_connects_at_half_of_its_timeout() {
    let world = World::new(1);
    world.accept_connects_at(&upstream(80).1, Behavior::default());
    world.ignore_connects_at(&upstream(81).1);
    let limits = ServerLimits { connect_timeout: Duration::from_secs(60), ..ServerLimits::default() };
    let half = limits.drain_timeout / 2;
    let (mut server, client) = start(&world, limits, b"81\n");
    settle(&world, &mut server);
    client.send(b"80\n");
    server.handle().drain();
    settle(&world, &mut server);
    assert_eq!(received(&client), "connected\n");
    assert!(!server.is_done());
    world.advance(half, || server.turn()).unwrap();
    assert_eq!(received(&client), "other error, the event loop is shutting down\n");
    assert!(server.is_done());
    assert!(server.totals().reconciles());
}

#[test]
fn a_stop_aborts_connects_in_progress() {
    let world = World::new(1);
    world.ignore_connects_at(&upstream(81).1);
    let limits = ServerLimits { connecting_max: 1, ..ServerLimits::default() };
    let (mut server, client) = start(&world, limits, b"81\n81\n");
    settle(&world, &mut server);
    server.handle().stop();
    let totals = server.run().unwrap();
    assert!(!client.is_connected() && totals.reconciles());
    assert_eq!((totals.connects_failed, totals.connecting, totals.open), (2, 0, 0));
}

#[test]
fn an_ordered_reset_is_sent_even_if_all_bytes_are_written() {
    let world = World::new(1);
    world.accept_connects_at(&upstream(80).1, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let (mut server, client) = start(&world, ServerLimits::default(), b"80\n");
    settle(&world, &mut server);
    assert_eq!(received(&client), "connected\n");
    world.last_peer().unwrap().send(b"break\n");
    settle(&world, &mut server);
    assert!(client.is_broken() && !client.is_ended());
    assert_eq!((server.totals().peers.resets, server.totals().closed(CloseReason::Service)), (1, 1));
}
