//! A service that orders connections, in the simulated world: each order has one outcome.

use std::error::Error;
use std::io;

use super::*;
use crate::destination::Destination;
use crate::sim::{Behavior, Peer, PeerEnding, SimNet};

/// Connects for each line to the port in it; tells whoever asked what came of it.
#[derive(Default)]
struct Caller {
    asked: Vec<Key>,
}

impl Caller {
    fn tell(&mut self, ticket: u64, outcome: &str, orders: &mut Orders<'_>) {
        orders.answer(self.asked[ticket as usize], &[outcome.as_bytes()]).unwrap();
    }
}

impl Service for Caller {
    type Peer = ();
    type Message = ();

    fn on_connect(&mut self, _peer: &mut (), ticket: u64, cx: &mut Context<'_, '_>) {
        cx.send(b"hello");
        self.tell(ticket, "there", &mut cx.orders());
    }

    fn on_connect_failed(&mut self, ticket: u64, error: &(dyn Error + 'static), orders: &mut Orders<'_>) {
        let error = error.downcast_ref::<io::Error>().expect("it is one of the system");
        let outcome = error.raw_os_error().map_or(format!("{}, {error}", error.kind()), |number| number.to_string());
        self.tell(ticket, &outcome, orders);
    }

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, '_>) {
        match line {
            b"hello" => cx.send(b"hello to you"),
            b"break" => {
                let asked = self.asked[0];
                cx.orders().reset(asked);
            }
            port => {
                let ticket = self.asked.len() as u64;
                self.asked.push(cx.key());
                cx.defer_reply();
                cx.orders().connect(upstream(std::str::from_utf8(port).unwrap().parse().unwrap()).0, ticket);
            }
        }
    }
}

fn upstream(port: u16) -> (Destination, Address) {
    let address = ([192, 0, 2, 1], port).into();
    (Destination::Tcp(address), address.into())
}

/// A server with a caller, and whoever asks it.
fn asking(world: &World, limits: ServerLimits, lines: &[u8]) -> (Server<SimNet>, Peer) {
    let mut server = Server::new(world.net(), limits);
    let at = address("127.0.0.1:7000");
    server.listen(at.clone(), Lines::new(), Caller::default()).unwrap();
    let asking = world.connect(&at);
    asking.send(lines);
    (server, asking)
}

fn shown(peer: &Peer) -> String {
    String::from_utf8(peer.received()).unwrap()
}

#[track_caller]
fn settle(world: &World, server: &mut Server<SimNet>) {
    world.settle(|| server.turn()).unwrap();
    assert!(server.totals().reconciles(), "{:?}", server.totals());
}

#[test]
fn a_connection_that_was_ordered_is_a_peer_like_any_other() {
    let world = World::new(1);
    world.answer_at(&upstream(80).1, Behavior::default());
    let (mut server, asking) = asking(&world, ServerLimits::default(), b"80\n");
    settle(&world, &mut server);
    assert_eq!(shown(&asking), "there\n");
    let other = world.last_peer().unwrap();
    assert_eq!(other.received(), b"hello\n");
    other.send(b"hello\n");
    settle(&world, &mut server);
    assert_eq!(other.received(), b"hello to you\n");
    assert_eq!((server.totals().open, server.totals().peers.opened), (2, 2));

    other.finish();
    asking.finish();
    settle(&world, &mut server);
    assert_eq!((server.totals().open, server.totals().closed(CloseReason::Finished)), (0, 2));
}

#[test]
fn each_failure_is_told_for_what_it_is() {
    let world = World::new(1);
    world.answer_at(&upstream(80).1, Behavior::default());
    world.be_silent_at(&upstream(81).1);
    let limits = ServerLimits { connections_max: 3, ..ServerLimits::default() };
    let (mut server, asking) = asking(&world, limits.clone(), b"82\n81\n80\n");
    settle(&world, &mut server);
    let refused = libc::ECONNREFUSED;
    assert_eq!(shown(&asking), format!("other error, the server is full\n{refused}\n"));
    asking.send(b"80\n");
    settle(&world, &mut server);
    assert_eq!(shown(&asking), "there\n");
    assert_eq!((server.totals().connecting, server.totals().open), (1, 3));
    world.pass(limits.connect_timeout, || server.turn()).unwrap();
    assert_eq!(shown(&asking), "timed out, nothing came back in time\n");
    assert_eq!((server.totals().connects_failed, server.totals().open), (3, 2));
}

#[test]
fn without_descriptors_the_error_says_so() {
    let world = World::new(1).with_descriptors(2);
    world.answer_at(&upstream(80).1, Behavior::default());
    let (mut server, asking) = asking(&world, ServerLimits::default(), b"80\n80\n");
    settle(&world, &mut server);
    assert_eq!(shown(&asking), format!("{}\nthere\n", libc::EMFILE));
}

#[test]
fn no_more_are_under_way_than_allowed_and_who_waits_too_long_has_failed() {
    let world = World::new(1);
    world.be_silent_at(&upstream(81).1);
    let limits = ServerLimits { connecting_max: 2, ..ServerLimits::default() };
    let (mut server, asking) = asking(&world, limits.clone(), b"81\n81\n81\n81\n81\n");
    settle(&world, &mut server);
    assert_eq!((server.totals().connecting, server.totals().open), (2, 3));
    assert_eq!(shown(&asking), "");
    world.pass(limits.connect_timeout, || server.turn()).unwrap();
    assert_eq!(shown(&asking), "timed out, nothing came back in time\n".repeat(5));
    assert_eq!((server.totals().connecting, server.totals().open), (0, 1));
}

#[test]
fn a_drain_still_connects_and_at_half_of_its_time_no_more() {
    let world = World::new(1);
    world.answer_at(&upstream(80).1, Behavior::default());
    world.be_silent_at(&upstream(81).1);
    let limits = ServerLimits { connect_timeout: Duration::from_secs(60), ..ServerLimits::default() };
    let half = limits.drain_timeout / 2;
    let (mut server, asking) = asking(&world, limits, b"81\n");
    settle(&world, &mut server);
    asking.send(b"80\n");
    server.handle().drain();
    settle(&world, &mut server);
    assert_eq!(shown(&asking), "there\n");
    assert!(!server.is_done());
    world.pass(half, || server.turn()).unwrap();
    assert_eq!(shown(&asking), "other error, the loop ends\n");
    assert!(server.is_done());
    assert!(server.totals().reconciles());
}

#[test]
fn a_stop_gives_up_who_is_under_way() {
    let world = World::new(1);
    world.be_silent_at(&upstream(81).1);
    let limits = ServerLimits { connecting_max: 1, ..ServerLimits::default() };
    let (mut server, asking) = asking(&world, limits, b"81\n81\n");
    settle(&world, &mut server);
    server.handle().stop();
    let totals = server.run().unwrap();
    assert!(!asking.is_connected() && totals.reconciles());
    assert_eq!((totals.connects_failed, totals.connecting, totals.open), (2, 0, 0));
}

#[test]
fn an_ordered_reset_is_one_though_everything_is_written() {
    let world = World::new(1);
    world.answer_at(&upstream(80).1, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let (mut server, asking) = asking(&world, ServerLimits::default(), b"80\n");
    settle(&world, &mut server);
    assert_eq!(shown(&asking), "there\n");
    world.last_peer().unwrap().send(b"break\n");
    settle(&world, &mut server);
    assert!(asking.is_broken() && !asking.is_ended());
    assert_eq!((server.totals().peers.resets, server.totals().closed(CloseReason::Service)), (1, 1));
}
