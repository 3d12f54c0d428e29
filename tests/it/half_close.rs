//! A client that ends its direction still gets everything it is owed, and then a clean end.

use std::io::Write as _;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, MIB, Pattern, Serve, StreamEnd, TIMEOUT, connect_with_buffers, exchange,
    read_to_the_end, same_bytes,
};

/// Sends `len` bytes, half-closes at once, reads.
#[track_caller]
fn check(len: usize) {
    let server = Serve::new().start();
    for _ in 0..3 {
        let bytes = Pattern::of(len).take(len);
        let (echoed, ending) = exchange(&mut server.connect(), &bytes, MIB);
        same_bytes(&echoed, &bytes);
        assert_eq!(ending, StreamEnd::Clean, "{len} bytes");
    }
    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.closed("finished")), (3, 3));
    assert_eq!((summary.bytes_in, summary.bytes_out), (3 * len as u64, 3 * len as u64));
}

#[test]
fn nothing_is_answered_by_a_clean_end() {
    check(0);
}

#[test]
fn one_byte_and_the_end_in_one_edge() {
    check(1);
}

#[test]
fn as_much_as_one_read_takes() {
    check(64 * KIB);
}

#[test]
fn more_than_the_kernel_holds() {
    check(10 * MIB);
}

#[test]
fn a_client_that_reads_only_after_its_end_gets_all() {
    let server = Serve::new().start();
    // Small enough that neither end needs the other to read before it is all on the way.
    let bytes = Pattern::of(1).take(100 * KIB);
    let mut stream = connect_with_buffers(server.address(), 8 * KIB);
    stream.write_all(&bytes).unwrap();
    stream.finish();
    let (echoed, ending) = read_to_the_end(&mut stream);
    same_bytes(&echoed, &bytes);
    assert_eq!(ending, StreamEnd::Clean);
    server.drain();
}

#[test]
fn a_half_closed_client_among_many_does_not_wait_for_them() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let busy = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.echo(busy.clone(), 100, TIMEOUT);
    let (echoed, ending) = exchange(&mut server.connect(), b"goodbye", 7);
    assert_eq!((echoed.as_slice(), ending), (b"goodbye".as_slice(), StreamEnd::Clean));
    crowd.echo(busy, 100, TIMEOUT);
    server.drain();
}
