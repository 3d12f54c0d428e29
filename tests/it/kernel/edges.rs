//! Edges: what is told once is not told again, and what one edge may hold.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;

use super::{Told, Watched, pair};

#[test]
fn data_left_unread_is_not_told_again() {
    let (accepted, mut other) = pair();
    let mut watched = Watched::new(accepted);
    other.write_all(b"unread").unwrap();
    assert!(watched.next().is_some_and(|told| told.readable));
    assert_eq!(watched.next(), None);
    assert_eq!(watched.stream.read(&mut [0; 3]).unwrap(), 3);
    assert_eq!(watched.next(), None, "nor after a part of it was read");
}

#[test]
fn new_data_is_told_even_if_the_old_was_not_read() {
    let (accepted, mut other) = pair();
    let mut watched = Watched::new(accepted);
    for _ in 0..3 {
        other.write_all(b"more").unwrap();
        assert!(watched.next().is_some_and(|told| told.readable));
    }
}

#[test]
fn data_that_comes_after_a_short_read_is_told() {
    let (accepted, mut other) = pair();
    let mut watched = Watched::new(accepted);
    other.write_all(b"first").unwrap();
    assert!(watched.next().is_some());
    // Shorter than the buffer: it is dry, though `WouldBlock` was never seen.
    assert_eq!(watched.stream.read(&mut [0; 100]).unwrap(), 5);
    other.write_all(b"second").unwrap();
    assert!(watched.next().is_some_and(|told| told.readable));
}

#[test]
fn data_and_the_end_can_be_one_edge() {
    let (accepted, mut other) = pair();
    let mut watched = Watched::new(accepted);
    other.write_all(b"last words").unwrap();
    other.shutdown(Shutdown::Write).unwrap();
    let both = Told { readable: true, writable: true, read_closed: true };
    assert_eq!(watched.next(), Some(both));
    assert_eq!(watched.stream.read(&mut [0; 100]).unwrap(), 10);
    assert_eq!(watched.next(), None, "a short read was not the end of it, and nobody says so");
    assert_eq!(watched.stream.read(&mut [0; 100]).unwrap(), 0);
}

#[test]
fn a_readable_edge_says_writable_as_well() {
    let (accepted, mut other) = pair();
    let mut watched = Watched::new(accepted);
    other.write_all(b"hello").unwrap();
    assert_eq!(watched.next(), Some(Told { readable: true, writable: true, read_closed: false }));
}

#[test]
fn room_to_write_is_told_only_after_a_write_has_found_none() {
    let (accepted, mut other) = pair();
    let mut watched = Watched::new(accepted);
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
    assert!(watched.next().is_some_and(|told| told.writable));
    assert_eq!(watched.next(), None, "and only once");
}

#[test]
fn the_end_of_input_ends_only_the_input() {
    let (accepted, mut other) = pair();
    let mut watched = Watched::new(accepted);
    other.shutdown(Shutdown::Write).unwrap();
    assert!(watched.next().is_some_and(|told| told.read_closed));
    assert_eq!(watched.stream.read(&mut [0; 10]).unwrap(), 0);
    watched.stream.write_all(b"still heard").unwrap();
    let mut heard = [0; 11];
    other.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still heard");
}

#[test]
fn the_end_can_be_read_again_and_again() {
    let (accepted, other) = pair();
    let mut watched = Watched::new(accepted);
    drop(other);
    assert!(watched.next().is_some());
    for _ in 0..3 {
        assert_eq!(watched.stream.read(&mut [0; 10]).unwrap(), 0);
    }
}
