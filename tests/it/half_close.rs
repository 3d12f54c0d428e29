//! A client that half-closes still gets all replies, and then a clean end.

use std::io::Write as _;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, Pattern, Serve, StreamEnd, TIMEOUT, connect_with_buffers, exchange,
    read_to_the_end, same_bytes,
};

#[test]
fn a_client_that_reads_only_after_its_half_close_gets_all_bytes() {
    let server = Serve::new().start();
    // Few enough that all bytes fit into the buffers before the client reads.
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
fn a_half_closed_client_does_not_wait_for_other_clients() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let busy = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.echo(busy.clone(), 100, TIMEOUT);
    let (echoed, ending) = exchange(&mut server.connect(), b"goodbye", 7);
    assert_eq!((echoed.as_slice(), ending), (b"goodbye".as_slice(), StreamEnd::Clean));
    crowd.echo(busy, 100, TIMEOUT);
    server.drain();
}
