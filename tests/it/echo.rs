//! Echoes of every length, split and kind of address are complete.
//!
//! Each connection ends by a half-close of the client. Other endings have tests of their own.

use crate::support::{
    Duplex, KIB, MIB, Pattern, ScratchPath, Serve, StreamEnd, connect, connect_unix, connect_with_buffers, exchange,
    has_ipv6, same_bytes,
};

/// Sends `len` bytes in pieces and checks that they are echoed.
#[track_caller]
fn check(stream: &mut impl Duplex, len: usize, piece: usize) {
    let bytes = Pattern::of(len).take(len);
    let (echoed, ending) = exchange(stream, &bytes, piece);
    same_bytes(&echoed, &bytes);
    assert_eq!(ending, StreamEnd::Clean);
}

#[test]
fn an_echo_of_any_length_is_complete() {
    let server = Serve::new().start();
    let base = server.process.descriptors();
    let lens = [0, 1, 2, 63, 4 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, 10 * MIB, 16 * MIB + 1, 64 * MIB];
    for len in lens {
        check(&mut server.connect(), len, 256 * KIB);
    }
    server.descriptors_return_to(base);
    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.closed("finished")), (12, 11));
    assert_eq!(summary.closed("probed"), 1, "the connection without a byte");
    let all = lens.iter().sum::<usize>() as u64;
    assert_eq!((summary.bytes_in, summary.bytes_out), (all, all));
}

#[test]
fn an_echo_through_small_socket_buffers_is_complete() {
    // Smaller buffers hold no full loopback segment, and the kernel itself then stalls for seconds.
    let server = Serve::new().with("--recv-buffer 4KiB --send-buffer 4KiB").start();
    check(&mut connect_with_buffers(server.address(), 4 * KIB), 4 * MIB, 10_000);
    server.drain();
}

#[test]
fn an_echo_with_the_lowest_watermarks_or_in_single_bytes_is_complete() {
    for (flags, len, piece) in [("--queue-high 1 --queue-low 0", 16 * MIB, 256 * KIB), ("", 20_000, 1)] {
        let server = Serve::new().with(flags).start();
        check(&mut server.connect(), len, piece);
        server.drain();
    }
}

#[test]
fn several_listeners_of_every_kind_share_one_server() {
    let path = ScratchPath::new("sock");
    let unix = format!("unix:{}", path.text());
    let mut serve = Serve::new().listen("127.0.0.1:0").listen("127.0.0.2:0").listen(&unix);
    if has_ipv6() {
        serve = serve.listen("[::1]:0");
    }
    let server = serve.start();
    assert_eq!(server.addresses[3], unix);
    for len in [1, 64 * KIB + 1, 16 * MIB] {
        for address in server.addresses.iter().filter_map(|address| address.strip_prefix("tcp://")) {
            check(&mut connect(address.parse().unwrap()), len, 64 * KIB);
        }
        check(&mut connect_unix(path.text()), len, 256 * KIB);
    }
    let connections = 3 * server.addresses.len() as u64;
    assert_eq!(server.drain().summary().closed("finished"), connections);
}
