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

/// The reply that an outbound connection owes to its client.
type Owed = Option<ReplyToken>;

fn report(owed: Owed, result: &str, orders: &mut Orders<'_, ConnectService>) {
    orders.answer(owed.expect("a client ordered the connection"), &[result.as_bytes()]).unwrap();
}

impl Service for ConnectService {
    type Codec = Lines;
    type Peer = Owed;
    type Message = ();

    fn on_open(&mut self, owed: &mut Owed, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        if info.role() == Role::Connected {
            cx.send(b"hello");
            report(owed.take(), "connected", &mut cx.orders());
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<Owed>, orders: &mut Orders<'_, Self>) {
        let error = failure.error;
        let result = error.raw_os_error().map_or(format!("{}, {error}", error.kind()), |number| number.to_string());
        report(failure.peer, &result, orders);
    }

    fn on_frame(&mut self, _owed: &mut Owed, line: &[u8], cx: &mut Context<'_, Self>) {
        match line {
            b"hello" => cx.send(b"hello to you"),
            b"break" => {
                let client = self.first_client.expect("a connection was ordered");
                cx.orders().reset(client);
            }
            port => {
                self.first_client.get_or_insert(cx.key());
                let owed = Some(cx.defer_reply());
                cx.orders().connect(upstream(std::str::from_utf8(port).unwrap().parse().unwrap()).0, owed);
            }
        }
    }
}

fn upstream(port: u16) -> (Destination, Address) {
    let address = ([192, 0, 2, 1], port).into();
    (Destination::Tcp(address), address.into())
}

/// A server with a `ConnectService`, and a client for each line, which it has sent.
fn start<const N: usize>(world: &World, limits: ServerLimits, lines: [&[u8]; N]) -> (EventLoop<SimNet>, [SimPeer; N]) {
    let mut server = EventLoop::new(world.net(), limits);
    server.listen("127.0.0.1:7000", Lines::new(), ConnectService::default()).unwrap();
    let clients = lines.map(|line| {
        let client = world.connect(&address("127.0.0.1:7000"));
        client.send(line);
        client
    });
    (server, clients)
}

fn received(peer: &SimPeer) -> String {
    String::from_utf8(peer.received()).unwrap()
}

#[track_caller]
fn settle(world: &World, server: &mut EventLoop<SimNet>) {
    world.settle(|| server.turn(None)).unwrap();
    assert!(server.totals().reconciles(), "{:?}", server.totals());
}

#[test]
fn an_outbound_connection_is_a_peer_like_any_other() {
    let world = World::new(1);
    world.accept_connects_at(&upstream(80).1, Behavior::default());
    let (mut server, [client]) = start(&world, ServerLimits::default(), [b"80\n"]);
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
    let limits = ServerLimits { connections_max: 5, ..ServerLimits::default() };
    let (mut server, clients) = start(&world, limits.clone(), [b"82\n", b"81\n", b"80\n"]);
    settle(&world, &mut server);
    assert_eq!(received(&clients[0]), format!("{}\n", libc::ECONNREFUSED));
    assert_eq!(received(&clients[2]), "other error, the server is full\n");
    clients[2].send(b"80\n");
    settle(&world, &mut server);
    assert_eq!(received(&clients[2]), "connected\n");
    assert_eq!((server.totals().connecting, server.totals().open), (1, 5));
    world.advance(limits.connect_timeout, || server.turn(None)).unwrap();
    assert_eq!(received(&clients[1]), "timed out, no answer within the connect timeout\n");
    assert_eq!((server.totals().connects_failed, server.totals().open), (3, 4));
}

#[test]
fn running_out_of_descriptors_is_reported() {
    let world = World::new(1).with_descriptors(3);
    world.accept_connects_at(&upstream(80).1, Behavior::default());
    let (mut server, clients) = start(&world, ServerLimits::default(), [b"80\n", b"80\n"]);
    settle(&world, &mut server);
    let mut results = clients.map(|client| received(&client));
    results.sort_unstable();
    assert_eq!(results, [format!("{}\n", libc::EMFILE), "connected\n".to_owned()]);
}

#[test]
fn connects_in_progress_are_limited_and_queued_ones_time_out() {
    let world = World::new(1);
    world.ignore_connects_at(&upstream(81).1);
    let limits = ServerLimits { connecting_max: 2, ..ServerLimits::default() };
    let (mut server, clients) = start(&world, limits.clone(), [b"81\n"; 5]);
    settle(&world, &mut server);
    assert_eq!((server.totals().connecting, server.totals().open), (2, 7));
    assert!(clients.iter().all(|client| client.received().is_empty()));
    world.advance(limits.connect_timeout, || server.turn(None)).unwrap();
    for client in &clients {
        assert_eq!(received(client), "timed out, no answer within the connect timeout\n");
    }
    assert_eq!((server.totals().connecting, server.totals().open), (0, 5));
}

#[test]
fn a_drain_aborts_connects_at_half_of_its_timeout() {
    let world = World::new(1);
    world.accept_connects_at(&upstream(80).1, Behavior::default());
    world.ignore_connects_at(&upstream(81).1);
    let limits = ServerLimits { connect_timeout: Duration::from_secs(60), ..ServerLimits::default() };
    let half = limits.drain_timeout / 2;
    let (mut server, [client]) = start(&world, limits, [b"81\n"]);
    settle(&world, &mut server);
    let other = world.connect(&address("127.0.0.1:7000"));
    other.send(b"80\n");
    server.handle().drain();
    settle(&world, &mut server);
    assert_eq!(received(&other), "connected\n");
    assert!(!server.is_done());
    world.advance(half, || server.turn(None)).unwrap();
    assert_eq!(received(&client), "other error, the event loop is shutting down\n");
    assert!(server.is_done());
    assert!(server.totals().reconciles());
}

#[test]
fn a_stop_aborts_connects_in_progress() {
    let world = World::new(1);
    world.ignore_connects_at(&upstream(81).1);
    let limits = ServerLimits { connecting_max: 1, ..ServerLimits::default() };
    let (mut server, _clients) = start(&world, limits, [b"81\n"; 2]);
    settle(&world, &mut server);
    server.handle().stop();
    let totals = server.run().unwrap();
    assert!(totals.reconciles(), "{totals:?}");
    assert_eq!((totals.connects_failed, totals.connecting, totals.open), (2, 0, 0));
    assert_eq!(totals.closed(CloseReason::Stopped), 2);
}

#[test]
fn an_ordered_reset_is_sent_even_if_all_bytes_are_written() {
    let world = World::new(1);
    world.accept_connects_at(&upstream(80).1, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let (mut server, [client]) = start(&world, ServerLimits::default(), [b"80\n"]);
    settle(&world, &mut server);
    assert_eq!(received(&client), "connected\n");
    world.last_peer().unwrap().send(b"break\n");
    settle(&world, &mut server);
    assert!(client.is_broken() && !client.is_ended());
    assert_eq!((server.totals().peers.resets, server.totals().closed(CloseReason::Service)), (1, 1));
}
