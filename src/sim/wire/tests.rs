//! The rules of a wire, each in one test.

use super::Side::{Peer, Server};
use super::*;

fn write(wire: &mut Wire, side: Side, bytes: &[u8]) -> SysResult {
    wire.write(side, &[IoSlice::new(bytes)], usize::MAX)
}

fn read(wire: &mut Wire, side: Side) -> SysResult<Vec<u8>> {
    let mut buf = [0; 64];
    wire.read(side, &mut buf).map(|len| buf[..len].to_vec())
}

#[test]
fn bytes_arrive_in_order_and_then_the_end() {
    let mut wire = Wire::new(8);
    assert_eq!(read(&mut wire, Server), Err(EAGAIN));
    assert_eq!(wire.write(Peer, &[IoSlice::new(b"ab"), IoSlice::new(b"cd")], usize::MAX), Ok(4));
    wire.finish(Peer).unwrap();
    assert_eq!(read(&mut wire, Server), Ok(b"abcd".to_vec()));
    assert_eq!(read(&mut wire, Server), Ok(vec![]));
    assert_eq!(write(&mut wire, Server, b"still"), Ok(5), "only one direction has ended");
    assert_eq!(write(&mut wire, Peer, b"more"), Err(EPIPE));
}

#[test]
fn free_space_raises_an_edge_only_after_a_short_write() {
    let mut wire = Wire::new(6);
    assert_eq!(write(&mut wire, Server, b"123"), Ok(3));
    assert_eq!(read(&mut wire, Peer), Ok(b"123".to_vec()));
    assert!(!wire.take_edge(Server), "no write was cut short");

    assert_eq!(write(&mut wire, Server, b"1234567"), Ok(6));
    assert_eq!(write(&mut wire, Server, b"7"), Err(EAGAIN));
    assert_eq!(wire.read(Peer, &mut [0; 1]), Ok(1));
    assert!(!wire.take_edge(Server), "less than a third is free");
    assert_eq!(wire.read(Peer, &mut [0; 1]), Ok(1));
    assert!(wire.take_edge(Server));
}

#[test]
fn a_close_with_unread_input_destroys_unread_output() {
    let mut wire = Wire::new(8);
    write(&mut wire, Server, b"reply").unwrap();
    write(&mut wire, Peer, b"more").unwrap();
    wire.close(Server);
    assert_eq!(read(&mut wire, Peer), Err(ECONNRESET));
    assert_eq!(read(&mut wire, Peer), Ok(vec![]), "an error is returned once");
    assert_eq!(write(&mut wire, Peer, b"x"), Err(EPIPE));
}

#[test]
fn a_close_without_unread_input_ends_after_the_last_byte() {
    let mut wire = Wire::new(8);
    write(&mut wire, Server, b"reply").unwrap();
    wire.close(Server);
    assert_eq!(read(&mut wire, Peer), Ok(b"reply".to_vec()));
    assert_eq!(read(&mut wire, Peer), Ok(vec![]));
}

#[test]
fn a_write_after_the_close_of_the_other_end_is_answered_with_a_reset() {
    let mut wire = Wire::new(8);
    write(&mut wire, Server, b"reply").unwrap();
    wire.close(Server);
    assert_eq!(write(&mut wire, Peer, b"late"), Ok(4));
    assert_eq!(read(&mut wire, Peer), Err(EPIPE), "the unread bytes are gone, and the FIN came before the reset");
}

#[test]
fn bytes_that_arrived_before_a_reset_can_be_read() {
    let mut wire = Wire::new(8);
    write(&mut wire, Peer, b"abcd").unwrap();
    wire.reset(Peer, 2);
    assert!(wire.take_edge(Server));
    assert_eq!(wire.readiness(Server), EndReadiness { readable: true, writable: true, read_closed: true });
    assert_eq!(read(&mut wire, Server), Ok(b"ab".to_vec()));
    assert_eq!(read(&mut wire, Server), Err(ECONNRESET));
    assert_eq!(read(&mut wire, Server), Ok(vec![]));
    assert_eq!(wire.finish(Server), Err(ENOTCONN));
}
