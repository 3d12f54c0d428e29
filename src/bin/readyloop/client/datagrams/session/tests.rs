//! Sessions over loopback with several addresses, and the schedule of datagrams.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::sync_channel;
use std::thread;

use readyloop::codec::{Framing, Raw};

use super::*;
use crate::client::input::Input;

/// An address without a server.
fn closed() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The address of an echo server that answers `count` datagrams.
fn echo(count: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..count {
            let mut buffer = [0; 64];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..len], from).unwrap();
        }
    });
    address
}

/// Sends empty datagrams to a name with these addresses. Empty replies print nothing.
fn run(addresses: Vec<SocketAddr>, count: usize) -> (UdpSessionEnd, SequenceCounters) {
    let mut reactor = Reactor::new().unwrap();
    let (feed, input) = sync_channel(count + 1);
    (0..count).for_each(|_| feed.send(Input::Frame(Vec::new())).unwrap());
    feed.send(Input::End).unwrap();
    let path = UdpPath::open(addresses, &mut reactor).unwrap();
    let (sequence, printer) = (Sequence::new(Duration::from_secs(15)), ReplyPrinter::in_pipe(Framing::Raw(Raw), false));
    let mut session = UdpSession::new((reactor, path), sequence, Source::Input(input), Pace::AsAnswered, printer);
    let end = session.run();
    (end, session.statistics().0)
}

#[track_caller]
fn check_next(planned: u64, interval: u64, now: u64, expected: u64) {
    let next = next_send_at(Instant::from_nanos(planned), Duration::from_nanos(interval), Instant::from_nanos(now));
    assert_eq!(next, Instant::from_nanos(expected));
}

#[test]
fn a_small_delay_keeps_the_schedule_and_a_long_one_shifts_it() {
    check_next(100, 10, 100, 110);
    check_next(100, 10, 103, 110);
    check_next(100, 10, 110, 120);
    check_next(0, 10, 1000, 1010);
    check_next(100, 0, 100, 100);
}

#[test]
fn a_refusal_switches_to_the_next_address_without_loss() {
    let (end, counters) = run(vec![closed(), closed(), echo(5)], 5);
    assert!(matches!(end, UdpSessionEnd::Done), "{end:?}");
    assert_eq!(counters, SequenceCounters { sent: 5, answered: 5, ..SequenceCounters::default() });
}

#[test]
fn a_refusal_by_the_last_address_ends_the_session() {
    let (end, counters) = run(vec![closed(), closed()], 5);
    assert!(matches!(end, UdpSessionEnd::Refused(_)), "{end:?}");
    assert_eq!((counters.answered, counters.awaited), (0, 0));
}

#[test]
fn the_first_address_that_answers_is_kept() {
    let (end, counters) = run(vec![echo(3), closed()], 3);
    assert!(matches!(end, UdpSessionEnd::Done), "{end:?}");
    assert_eq!(counters.answered, 3);
}
