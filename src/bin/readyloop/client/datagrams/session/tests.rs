//! Conversations over loopback under a name that stands for several addresses; and the pace.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::sync_channel;
use std::thread;

use readyloop::codec::{Framing, Raw};

use super::*;
use crate::client::input::Input;

/// An address where nobody listens.
fn closed() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The address of an echo that has so many datagrams to answer.
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

/// What becomes of empty datagrams, whose echoes can be shown anywhere, under a name for these addresses.
fn run(addresses: Vec<SocketAddr>, count: usize) -> (UdpSessionEnd, SequenceCounters) {
    let ((events, told), clock) = (sync_channel(8), Clock::start());
    let (give, input) = sync_channel(count + 1);
    (0..count).for_each(|_| give.send(Input::Frame(Vec::new())).unwrap());
    give.send(Input::End).unwrap();
    let path = UdpPath::open(addresses, events, clock).unwrap();
    let (sequence, printer) = (Sequence::new(Duration::from_secs(15)), ReplyPrinter::in_pipe(Framing::Raw(Raw), false));
    let mut session = UdpSession::new(path, sequence, Source::Input(input), Pace::AsAnswered, printer, clock);
    let ending = session.run(&told);
    (ending, *session.counters())
}

#[track_caller]
fn check_next(planned: u64, interval: u64, now: u64, expected: u64) {
    let next = next_send_at(Instant::from_nanos(planned), Duration::from_nanos(interval), Instant::from_nanos(now));
    assert_eq!(next, Instant::from_nanos(expected));
}

#[test]
fn who_is_late_keeps_to_the_plan_and_makes_up_for_nothing() {
    check_next(100, 10, 100, 110);
    check_next(100, 10, 103, 110);
    check_next(100, 10, 110, 120);
    check_next(0, 10, 1000, 1010);
    check_next(100, 0, 100, 100);
}

#[test]
fn a_refusal_leads_to_the_next_address_and_nothing_is_lost() {
    let (ending, counters) = run(vec![closed(), closed(), echo(5)], 5);
    assert!(matches!(ending, UdpSessionEnd::Done), "{ending:?}");
    assert_eq!(counters, SequenceCounters { sent: 5, answered: 5, ..SequenceCounters::default() });
}

#[test]
fn at_the_last_address_a_refusal_is_the_end() {
    let (ending, counters) = run(vec![closed(), closed()], 5);
    assert!(matches!(ending, UdpSessionEnd::Refused(_)), "{ending:?}");
    assert_eq!((counters.answered, counters.awaited), (0, 0));
}

#[test]
fn the_first_address_that_answers_is_the_one() {
    let (ending, counters) = run(vec![echo(3), closed()], 3);
    assert!(matches!(ending, UdpSessionEnd::Done), "{ending:?}");
    assert_eq!(counters.answered, 3);
}
