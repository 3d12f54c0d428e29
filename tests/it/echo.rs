//! What is sent comes back: every size, every cut, every kind of address.
//!
//! How a conversation ends is tested elsewhere; here each ends by the client's half-close.

use std::os::unix::net::UnixStream;

use crate::support::{
    Duplex, KIB, MIB, Pattern, ScratchPath, Serve, StreamEnd, TIMEOUT, connect, connect_with_buffers, exchange,
    has_ipv6, same_bytes,
};

/// Sends `len` bytes in pieces and expects just them.
#[track_caller]
fn check(stream: &mut impl Duplex, len: usize, piece: usize) {
    let bytes = Pattern::of(len).take(len);
    let (echoed, ending) = exchange(stream, &bytes, piece);
    same_bytes(&echoed, &bytes);
    assert_eq!(ending, StreamEnd::Clean);
}

#[test]
fn bytes_come_back_whatever_their_number() {
    let server = Serve::new().start();
    let base = server.process.descriptors();
    for len in [1, 2, 63, 4 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, 16 * MIB + 1, 64 * MIB] {
        check(&mut server.connect(), len, 256 * KIB);
    }
    server.descriptors_return_to(base);
    let summary = server.drain().summary();
    assert_eq!(summary.closed("finished"), 10);
    assert_eq!(summary.bytes_in, summary.bytes_out);
}

#[test]
fn bytes_come_back_over_a_unix_socket() {
    let path = ScratchPath::new("sock");
    let server = Serve::bare().listen(&format!("unix:{}", path.text())).start();
    for len in [1, 64 * KIB + 1, 16 * MIB] {
        let mut stream = UnixStream::connect(path.text()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        check(&mut stream, len, 256 * KIB);
    }
    server.drain();
}

#[test]
fn bytes_come_back_over_ipv6() {
    if !has_ipv6() {
        return;
    }
    let server = Serve::bare().listen("[::1]:0").start();
    check(&mut server.connect(), MIB, 64 * KIB);
    server.drain();
}

#[test]
fn bytes_come_back_through_tiny_socket_buffers() {
    // Smaller ones hold no whole segment of the loopback device: the kernel itself then stalls for seconds.
    let server = Serve::new().with("--recv-buffer 4KiB --send-buffer 4KiB").start();
    check(&mut connect_with_buffers(server.address(), 4 * KIB), 4 * MIB, 10_000);
    server.drain();
}

#[test]
fn bytes_come_back_with_the_lowest_watermarks() {
    let server = Serve::new().with("--queue-high 1 --queue-low 0").start();
    check(&mut server.connect(), 16 * MIB, 256 * KIB);
    server.drain();
}

#[test]
fn bytes_written_one_by_one_come_back() {
    let server = Serve::new().start();
    check(&mut server.connect(), 20_000, 1);
    server.drain();
}

#[test]
fn several_listeners_share_one_server() {
    let path = ScratchPath::new("sock");
    let unix = format!("unix:{}", path.text());
    let server = Serve::new().listen("127.0.0.1:0").listen("127.0.0.2:0").listen(&unix).start();
    assert_eq!(server.addresses[3], unix);
    for address in server.addresses.iter().filter_map(|address| address.strip_prefix("tcp://")) {
        check(&mut connect(address.parse().unwrap()), 100 * KIB, 64 * KIB);
    }
    check(&mut UnixStream::connect(path.text()).unwrap(), 100 * KIB, 64 * KIB);
    assert_eq!(server.drain().summary().closed("finished"), 4);
}
