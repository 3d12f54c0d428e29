//! UDP endpoints in the simulated world.

use super::*;
use crate::admission::ServerLimits;
use crate::event_loop::EventLoop;
use crate::net::{ControlEvent, DatagramOptions};
use crate::service::Echo;
use crate::sim::{Faults, SimNet, World};

const CLIENT: &str = "10.0.0.1:40000";

fn server(world: &World, addresses: &[&Address], service: impl DatagramService + Clone + 'static) -> EventLoop<SimNet> {
    let mut server = EventLoop::new(world.net(), ServerLimits::default());
    for address in addresses {
        let (options, limits) = (DatagramOptions::default(), DatagramLimits::default());
        server.listen_datagrams(address, &options, limits, service.clone()).unwrap();
    }
    server
}

fn udp(text: &str) -> Address {
    format!("udp://{text}").parse().unwrap()
}

#[test]
fn datagrams_of_every_length_are_sent_back_to_their_source() {
    let world = World::new(1);
    let address = udp("127.0.0.1:9000");
    let mut server = server(&world, &[&address], Echo::new());
    for datagram in [&b""[..], b"x", &[7; 1472], &[9; 65_507]] {
        world.send_datagram(CLIENT.parse().unwrap(), &address, datagram);
        world.settle(|| server.turn(None)).unwrap();
        let sent = world.take_datagrams();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].1, CLIENT.parse().unwrap());
        assert_eq!(sent[0].2, datagram);
    }
    assert!(server.totals().reconciles());
}

#[test]
fn a_rate_that_changes_counts_for_the_next_datagrams() {
    let world = World::new(1);
    let address = udp("127.0.0.1:9000");
    let mut server = server(&world, &[&address], Echo::new());
    let mut answers_to = |count, limits: &DatagramLimits| {
        server.change_datagram_limits(limits);
        (0..count).for_each(|_| world.send_datagram(CLIENT.parse().unwrap(), &address, b"x"));
        world.settle(|| server.turn(None)).unwrap();
        world.take_datagrams().len()
    };
    let slow = DatagramLimits { source_rate: 1, ..DatagramLimits::default() };
    assert_eq!(answers_to(10, &DatagramLimits::default()), 10);
    assert!(answers_to(10, &slow) <= 1);
    assert_eq!(answers_to(10, &DatagramLimits::default()), 10);
}

#[test]
fn a_socket_for_all_addresses_answers_from_the_address_that_was_asked() {
    // With faults, some answers wait until the socket is writable.
    for seed in 0..50 {
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let mut server = server(&world, &[&udp("0.0.0.0:9000"), &udp("[::]:9001")], Echo::new());
        for to in ["127.0.0.1:9000", "127.0.0.2:9000", "10.0.0.9:9000", "[::1]:9001", "[2001:db8::1]:9001"] {
            world.send_datagram(CLIENT.parse().unwrap(), &udp(to), to.as_bytes());
            server.turn(None).unwrap();
        }
        world.disable_faults();
        world.settle(|| server.turn(None)).unwrap();
        for (from, _, asked) in world.take_datagrams() {
            assert_eq!(from.to_string().as_bytes(), asked, "seed {seed}");
        }
        let DatagramCounters { answered, lost, .. } = server.totals().datagrams;
        assert_eq!(answered + lost, 5, "seed {seed}");
    }
}

#[test]
fn a_forged_datagram_starts_no_loop_between_two_servers() {
    let world = World::new(1);
    let address = udp("127.0.0.1:9000");
    let mut both = server(&world, &[&address, &udp("127.0.0.2:9001")], Echo::new());
    let mut other = server(&world, &[&udp("127.0.0.3:9000")], Echo::new());
    for from in ["127.0.0.2:9001", "127.0.0.1:9000", "127.0.0.3:9000", "10.0.0.1:7", "10.0.0.1:19", "10.0.0.1:53"] {
        world.send_datagram(from.parse().unwrap(), &address, b"hello");
    }
    for _ in 0..10 {
        world.settle(|| both.turn(None)).unwrap();
        world.settle(|| other.turn(None)).unwrap();
    }
    let totals = both.totals().datagrams;
    assert_eq!((totals.received, totals.answered), (6, 0));
    assert_eq!(totals.refused(DatagramRefusal::OwnPort), 3);
    assert_eq!(totals.refused(DatagramRefusal::ServicePort), 3);
    assert_eq!(other.totals().datagrams.received, 0);
    assert!(world.take_datagrams().is_empty());
}

#[test]
fn a_panic_or_a_long_answer_leaves_only_its_own_datagram_unanswered() {
    #[derive(Clone)]
    struct Faulty;
    impl DatagramService for Faulty {
        fn on_datagram<'a>(&mut self, datagram: &'a [u8], buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
            match datagram {
                b"panic" => panic!("on request"),
                b"long" => buffer.extend_from_slice(b"long answer"),
                _ => buffer.extend_from_slice(datagram),
            }
            Some(buffer)
        }
    }
    let world = World::new(1);
    let address = udp("127.0.0.1:9000");
    let mut server = server(&world, &[&address], Faulty);
    for datagram in [&b"before"[..], b"panic", b"long", b"after"] {
        world.send_datagram(CLIENT.parse().unwrap(), &address, datagram);
    }
    world.settle(|| server.turn(None)).unwrap();
    let totals = server.totals();
    let refused =
        [DatagramRefusal::Panicked, DatagramRefusal::TooLong].map(|refusal| totals.datagrams.refused(refusal));
    assert_eq!((refused, totals.datagrams.answered), ([1, 1], 2));
    assert!(totals.reconciles());
}

#[test]
fn a_drain_answers_datagrams_that_have_arrived() {
    let world = World::new(1);
    let address = udp("127.0.0.1:9000");
    let mut server = server(&world, &[&address], Echo::new());
    for _ in 0..200 {
        world.send_datagram(CLIENT.parse().unwrap(), &address, b"x");
    }
    world.notify(ControlEvent::Drain);
    world.settle(|| if server.is_done() { Ok(()) } else { server.turn(None) }).unwrap();
    assert!(server.is_done());
    assert_eq!(server.totals().datagrams.answered, 200);
}

#[test]
fn an_endpoint_survives_errors_and_full_sockets() {
    for seed in 0..200 {
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let address = udp("127.0.0.1:9000");
        let mut server = server(&world, &[&address], Echo::new());
        for number in 0..100_u8 {
            world.send_datagram(CLIENT.parse().unwrap(), &address, &[number]);
            server.turn(None).unwrap();
        }
        world.disable_faults();
        world.send_datagram(CLIENT.parse().unwrap(), &address, b"last");
        world.settle(|| server.turn(None)).unwrap();
        let totals = server.totals();
        let DatagramCounters { received, answered, lost, .. } = totals.datagrams;
        // An answer is lost when the kernel returns the error of an earlier one instead of sending it.
        assert_eq!((received, answered + lost), (101, 101), "seed {seed}");
        let answers = world.take_datagrams();
        assert_eq!(answers.len() as u64, answered, "seed {seed}");
        assert_eq!(answers.last().map(|(_, _, answer)| answer.as_slice()), Some(&b"last"[..]), "seed {seed}");
        assert!(totals.reconciles(), "seed {seed}");
    }
}
