//! The PROXY protocol on the real server: plain and under TLS, from trusted and other sources, and the
//! health checks of proxies.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use readyloop::net::tls::TlsVersion;
use serde_json::Value;
use socket2::SockRef;

use crate::admin::Administered;
use crate::support::tls::{ManualClient, Secure};
use crate::support::{
    Behavior, Crowd, ScratchPath, Serve, Server, StreamEnd, TIMEOUT, connect, connect_unix, echoes, read_exactly,
    read_to_the_end, wait_until,
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 4242 80\r\n";
/// The same in version 2, with padding.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x07\x7f\0\0\x01\x10\x92\0\x50\x04\0\x01\0";
/// A health check of the proxy itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Sends the parts in separate segments.
fn send_parts(stream: &mut TcpStream, parts: &[&[u8]]) {
    stream.set_nodelay(true).expect("it is a TCP socket");
    for part in parts {
        stream.write_all(part).expect("the server reads");
    }
}

/// The only connection in the list.
#[track_caller]
fn only_connection(server: &Administered) -> Value {
    let list = server.json_of("/connections");
    let connections = list["connections"].as_array().expect("a list").clone();
    assert_eq!(connections.len(), 1, "{list}");
    connections[0].clone()
}

#[test]
fn limits_the_list_and_the_log_have_the_announced_address() {
    let server = Administered::start(Serve::new().with("-v --proxy-protocol --max-connections-per-ip 1"));
    for header in [V1, V2] {
        for cut in [1, 12, 15, 16, header.len() - 1, header.len()] {
            let mut stream = server.server.connect();
            send_parts(&mut stream, &[&header[..cut], &[&header[cut..], b"first "].concat()]);
            assert_eq!(read_exactly(&mut stream, 6), b"first ");
            let row = only_connection(&server);
            assert_eq!(row["address"], "192.0.2.7:4242");
            let proxy = stream.local_addr().expect("it is connected").to_string();
            assert_eq!(row["proxy"], proxy, "{row}");
            let mut second = server.server.connect();
            send_parts(&mut second, &[header]);
            assert_eq!(read_to_the_end(&mut second).1, StreamEnd::Reset, "the address has its one connection");
            drop(stream);
            wait_until(TIMEOUT, "the connection is closed", || server.json_of("/connections")["matched"] == 0);
        }
    }
    server.server.signal("TERM");
    let ended = server.server.wait(TIMEOUT);
    assert_eq!((ended.summary().closed("finished"), ended.summary().refused), (12, 12));
    assert!(ended.log_text().contains(" 192.0.2.7:4242: finished; "), "{}", ended.log_text());
}

#[test]
fn wrong_late_and_untrusted_connections_are_closed_counted_and_logged_once_a_second() {
    let server = Administered::start(Serve::new().with("--proxy-protocol --handshake-timeout 200ms"));
    for _ in 0..50 {
        let mut wrong = server.server.connect();
        // The server may have closed it already.
        let _ = wrong.write_all(b"GET / HTTP/1.0\r\n\r\n");
        assert_eq!(read_to_the_end(&mut wrong).1, StreamEnd::Reset);
    }
    let mut late = server.server.connect();
    send_parts(&mut late, &[&V1[..20]]);
    assert!(read_to_the_end(&mut late).0.is_empty());
    let metrics = server.get("/metrics");
    for expected in ["{close_reason=\"bad-proxy-header\"} 50\n", "{close_reason=\"handshake-timeout\"} 1\n"] {
        assert!(metrics.contains(expected), "{metrics}");
    }
    let ended = server.server.drain();
    assert!(ended.log_text().contains("does not begin with a PROXY header"), "{}", ended.log_text());

    let server = Serve::new().with("--proxy-protocol --proxy-from 192.0.2.0/24,2001:db8::1").start();
    // Not a blocking connect: the reset can arrive before it returns, and then it fails.
    let mut strangers = Crowd::new();
    let stranger = strangers.join(server.address(), 1, Behavior::OnRequest);
    strangers.ask(stranger.clone(), V1.len() as u64);
    assert!(strangers.run_until_closed(TIMEOUT, stranger.clone()), "the stranger is still connected");
    assert_eq!(strangers.ended(stranger, StreamEnd::Reset), 1);
    server.logs("it is not a trusted proxy");
    assert_eq!(server.drain().summary().closed("untrusted-proxy"), 1);
}

#[test]
fn the_header_comes_before_the_tls_handshake() {
    let secure = Secure::start("--proxy-protocol --admin 127.0.0.1:0");
    for (version, header) in [(TlsVersion::Tls12, V1), (TlsVersion::Tls13, V2)] {
        let mut socket = connect(secure.address());
        send_parts(&mut socket, &[header]);
        let mut client = ManualClient::open(socket, &secure.options(Some(version))).expect("the handshake succeeds");
        client.echoes(b"secret");
        client.finish();
        client.expect_end();
    }
    // Without the header, the ClientHello is a wrong one.
    let plain = ManualClient::open(connect(secure.address()), &secure.options(None));
    assert!(plain.is_err());
    let summary = secure.server.drain().summary();
    assert_eq!((summary.closed("finished"), summary.closed("bad-proxy-header")), (2, 1));
}

#[test]
fn a_unix_socket_is_trusted() {
    let path = ScratchPath::new("sock");
    let server = Serve::bare().listen(&format!("unix:{}", path.text())).with("--proxy-protocol").start();
    let mut stream = connect_unix(path.text());
    stream.write_all(V2).expect("the server reads");
    echoes(&mut stream, b"hello");
    drop(stream);
    assert_eq!(server.drain().summary().closed("finished"), 1);
}

/// Connects, sends this, and leaves with an end or a reset.
fn probe(server: &Server, header: &[u8], resets: bool) {
    let mut stream = server.connect();
    stream.write_all(header).expect("the server reads");
    if resets {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("it is a TCP socket");
    }
}

#[test]
fn connections_that_leave_without_a_byte_are_counted_as_probes() {
    for (flags, header) in [("", &b""[..]), ("--proxy-protocol", b""), ("--proxy-protocol", LOCAL)] {
        let server = Serve::new().with(flags).start();
        let base = server.process.descriptors();
        (0..10).for_each(|number| probe(&server, header, number % 2 == 0));
        if flags.is_empty() {
            let mut used = server.connect();
            echoes(&mut used, b"hello");
        }
        server.descriptors_return_to(base);
        let summary = server.drain().summary();
        // A reset can overtake the header, which then was never received.
        assert_eq!(summary.closed("probed") + summary.closed("bad-proxy-header"), 10, "{flags}: {summary:?}");
        assert_eq!(summary.closed("finished"), u64::from(flags.is_empty()));
        assert_eq!((summary.closed("reset"), summary.closed("bad-proxy-header")), (0, 0), "{flags}");
    }
}
