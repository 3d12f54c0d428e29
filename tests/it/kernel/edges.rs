//! Edge-triggered events: when one comes, and which bits it has.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;

use super::{EdgeEvent, Watched};

#[test]
fn unread_data_causes_one_event_and_new_data_another() {
    let (mut watched, mut other) = Watched::pair();
    other.write_all(b"unread").unwrap();
    assert_eq!(watched.next(), Some(EdgeEvent { readable: true, writable: true, read_closed: false }));
    assert_eq!(watched.next(), None);
    assert_eq!(watched.stream.read(&mut [0; 3]).unwrap(), 3);
    assert_eq!(watched.next(), None, "also not after a part was read");
    for _ in 0..3 {
        other.write_all(b"more").unwrap();
        assert!(watched.next().is_some_and(|event| event.readable), "new data while old data is unread");
    }
}

#[test]
fn data_after_a_short_read_causes_an_event() {
    let (mut watched, mut other) = Watched::pair();
    other.write_all(b"first").unwrap();
    assert!(watched.next().is_some());
    // Shorter than the buffer, so no input is left, although no call returned `WouldBlock`.
    assert_eq!(watched.stream.read(&mut [0; 100]).unwrap(), 5);
    other.write_all(b"second").unwrap();
    assert!(watched.next().is_some_and(|event| event.readable));
}

#[test]
fn data_and_the_end_can_be_one_edge() {
    let (mut watched, mut other) = Watched::pair();
    other.write_all(b"last bytes").unwrap();
    other.shutdown(Shutdown::Write).unwrap();
    let both = EdgeEvent { readable: true, writable: true, read_closed: true };
    assert_eq!(watched.next(), Some(both));
    assert_eq!(watched.stream.read(&mut [0; 100]).unwrap(), 10);
    assert_eq!(watched.next(), None, "the end follows a short read without an event");
    assert_eq!(watched.stream.read(&mut [0; 100]).unwrap(), 0);
}

#[test]
fn a_writable_event_comes_only_after_a_write_would_block() {
    let (mut watched, mut other) = Watched::pair();
    let mut sent = 0;
    let blocked = loop {
        match watched.stream.write(&[0; 65_536]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
    assert_eq!(watched.next(), None);
    let mut scratch = vec![0; 65_536];
    while sent > 0 {
        sent -= other.read(&mut scratch).unwrap();
    }
    assert!(watched.next().is_some_and(|event| event.writable));
    assert_eq!(watched.next(), None, "it comes once");
}

#[test]
fn the_end_of_input_ends_only_the_input_and_can_be_read_repeatedly() {
    let (mut watched, mut other) = Watched::pair();
    other.shutdown(Shutdown::Write).unwrap();
    assert!(watched.next().is_some_and(|event| event.read_closed));
    for _ in 0..3 {
        assert_eq!(watched.stream.read(&mut [0; 10]).unwrap(), 0);
    }
    watched.stream.write_all(b"still open").unwrap();
    let mut received = [0; 10];
    other.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"still open");
}
