//! The proxy service between real sockets: forwarded bytes, half-closes and resets, and a bound on the
//! bytes that the slower side does not read.
//!
//! The proxy runs on a thread of this process. The upstream server is the test itself.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use readyloop::net::Destination;
use readyloop::service::{PROXY_QUEUE, Proxy};
use readyloop::{CloseReason, Limits, Raw, ServerLimits};
use socket2::SockRef;

use crate::support::{
    Duplex as _, InProcessServer, KIB, MIB, Pattern, StreamEnd, TIMEOUT, connect, exchange, read_exactly,
    read_to_the_end, retry_if_interrupted, same_bytes,
};

fn start_proxy(upstream: SocketAddr) -> InProcessServer {
    let limits = Limits { queue: PROXY_QUEUE, ..Limits::default() };
    InProcessServer::serve(Proxy::to(Destination::Tcp(upstream)), Raw, limits, ServerLimits::default())
}

/// The upstream server. The test gets each of its connections.
struct Upstream(TcpListener);

impl Upstream {
    /// Starts a proxy in front of a new upstream server.
    fn with_proxy() -> (Self, InProcessServer) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        SockRef::from(&listener).set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
        let proxy = start_proxy(listener.local_addr().expect("the listener is bound"));
        (Self(listener), proxy)
    }

    /// Connects through the proxy. Returns the client's and the upstream's end.
    fn pair(&self, proxy: &InProcessServer) -> (TcpStream, TcpStream) {
        let client = connect(proxy.address);
        let upstream = self.0.accept().expect("the proxy connects in time").0;
        upstream.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
        upstream.set_write_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
        (client, upstream)
    }
}

#[test]
fn every_byte_is_forwarded_in_both_directions() {
    let (upstream, proxy) = Upstream::with_proxy();
    for len in [1, 2, KIB, 64 * KIB, 300 * KIB, 16 * MIB] {
        let (mut client, server) = upstream.pair(&proxy);
        let echo = thread::spawn(move || {
            io::copy(&mut &server, &mut &server).expect("every byte is echoed");
        });
        let bytes = Pattern::of(len).take(len);
        let (echoed, ending) = exchange(&mut client, &bytes, MIB);
        same_bytes(&echoed, &bytes);
        assert_eq!(ending, StreamEnd::Clean, "{len} bytes");
        echo.join().expect("the thread does not panic");
    }
    assert_eq!(proxy.drain().closed(CloseReason::Finished), 12);
}

#[test]
fn a_half_close_is_forwarded_and_the_other_direction_stays_open() {
    let (upstream, proxy) = Upstream::with_proxy();
    for from_client in [true, false] {
        let (client, server) = upstream.pair(&proxy);
        let (mut one, mut other) = if from_client { (client, server) } else { (server, client) };
        one.write_all(b"first").and_then(|()| one.shutdown(Shutdown::Write)).expect("the connection is open");
        assert_eq!(read_to_the_end(&mut other), (b"first".to_vec(), StreamEnd::Clean));
        let bytes = Pattern::of(9).take(3 * MIB);
        let late = bytes.clone();
        let writer = thread::spawn(move || other.write_all(&late).expect("the other direction is open"));
        let (received, ending) = read_to_the_end(&mut one);
        writer.join().expect("the thread does not panic");
        same_bytes(&received, &bytes);
        assert_eq!(ending, StreamEnd::Clean);
    }
    proxy.drain();
}

#[test]
fn a_reset_of_either_side_is_forwarded() {
    let (upstream, proxy) = Upstream::with_proxy();
    for from_client in [true, false] {
        let (client, server) = upstream.pair(&proxy);
        let (mut one, mut other) = if from_client { (client, server) } else { (server, client) };
        one.write_all(b"incomplete").expect("the connection is open");
        assert_eq!(read_exactly(&mut other, 10), b"incomplete");
        one.reset();
        let error = other.read(&mut [0]).expect_err("a reset is not a clean end");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    proxy.drain();
}

#[test]
fn a_client_is_reset_if_the_upstream_refuses() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let proxy = start_proxy(closed);
    let error = connect(proxy.address).read(&mut [0]).expect_err("the upstream refuses");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(proxy.drain().connects_failed, 1);
}

#[test]
fn unread_bytes_are_bounded_and_none_are_lost() {
    const MORE_THAN_ALL_BUFFERS: usize = 256 * MIB;
    let (upstream, proxy) = Upstream::with_proxy();
    let (mut client, mut server) = upstream.pair(&proxy);
    client.set_write_timeout(Some(Duration::from_secs(1))).expect("the connection is open");
    let pattern = Pattern::of(3);
    let mut sent = 0;
    while sent < MORE_THAN_ALL_BUFFERS {
        match retry_if_interrupted(|| client.write(pattern.at(sent as u64, MIB as u64))) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    // The socket buffers of both sides take some MiB each, and the proxy less than one.
    assert!(sent < MORE_THAN_ALL_BUFFERS, "the proxy reads without bound");
    client.shutdown(Shutdown::Write).expect("the connection is open");
    let (received, ending) = read_to_the_end(&mut server);
    assert_eq!((received.len(), ending), (sent, StreamEnd::Clean));
    pattern.check(0, &received);
    drop((client, server));
    proxy.drain();
}
