//! Sessions over loopback with several addresses, and the schedule of datagrams.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use readyloop::Reactor;
use readyloop::client::SequenceCounters;

use super::*;
use crate::client::view::Style;

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
fn run(addresses: Vec<SocketAddr>, count: usize) -> (Ended, SequenceCounters) {
    let reactor = Reactor::new().unwrap();
    let view = View::pipe(Style::Bytes, &reactor.wake()).unwrap();
    let address = Address::Udp(addresses[0].to_string());
    let path = UdpPath::open(addresses, reactor).unwrap();
    let source = Box::new((0..count).map(|_| Input::Frame(Vec::new())).chain([Input::End]));
    let plan = Plan { source, pace: Pace::AsAnswered, is_numbered: false, timeout: Duration::from_secs(15) };
    let mut session = UdpSession::new(&address, path, plan, view);
    (session.run_to_end(), *session.sequence.counters())
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
    assert_eq!(end, Ok(()));
    assert_eq!(counters, SequenceCounters { sent: 5, answered: 5, ..SequenceCounters::default() });
}

#[test]
fn a_refusal_by_the_last_address_ends_the_session() {
    let (end, counters) = run(vec![closed(), closed()], 5);
    assert!(end.unwrap_err().message.contains("connection refused"));
    assert_eq!((counters.answered, counters.awaited), (0, 0));
}

#[test]
fn the_first_address_that_answers_is_kept() {
    let (end, counters) = run(vec![echo(3), closed()], 3);
    assert_eq!(end, Ok(()));
    assert_eq!(counters.answered, 3);
}
