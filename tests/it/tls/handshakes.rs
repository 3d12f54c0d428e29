//! Handshakes that fail, that are slow, or that come by the thousand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use readyloop::net::tls::{Pem, TlsClientOptions, TlsError, Trust};

use crate::support::certs::{Authority, Valid};
use crate::support::tls::{ManualClient, Secure, VERSIONS, client_hello, for_each_version, write};
use crate::support::{Attempt, Role, TIMEOUT, connect, exclusive_machine, repeat_attempts, wait_until};

/// The error of a client that connects with these options.
#[track_caller]
fn refusal(secure: &Secure, options: &TlsClientOptions) -> TlsError {
    let error = match ManualClient::open(connect(secure.address()), options) {
        Err(error) => error,
        // In TLS 1.3 the server's alert reaches the client after the client's handshake.
        Ok(mut client) => client.receive().expect_err("the server accepted the client"),
    };
    TlsError::of(&error).unwrap_or_else(|| panic!("{error}")).clone()
}

#[test]
fn a_client_that_refuses_the_certificate_is_logged_by_the_server() {
    for_each_version("", |secure, version| {
        let trust = Trust::Authorities(Authority::new().pem());
        let untrusting = TlsClientOptions { trust, ..secure.options(Some(version)) };
        assert_eq!(refusal(&secure, &untrusting), TlsError::UnknownSigner);
        secure.server.logs("the peer refuses our certificate");
        assert_eq!(secure.server.drain().summary().closed("bad-tls"), 1);
    });
}

#[test]
fn the_client_refuses_an_expired_certificate_and_one_for_another_name() {
    for (name, valid, expected) in [
        ("localhost", Valid::Expired, TlsError::Expired),
        ("elsewhere.test", Valid::Now, TlsError::WrongName("localhost".to_owned())),
    ] {
        let secure = Secure::start_with(|files, authority| {
            let (cert, key) = authority.issue_for(name, valid);
            write(&files.path("cert.pem"), &cert, 0o644);
            write(&files.path("key.pem"), &key, 0o600);
            files.serve()
        });
        assert_eq!(refusal(&secure, &secure.options(None)), expected);
        secure.server.drain();
    }
}

#[test]
fn only_clients_with_a_certificate_come_in_where_one_is_asked_for() {
    for version in VERSIONS {
        let secure = Secure::start_with_client_ca();
        let options = |identity: Option<(Pem, Pem)>| TlsClientOptions { identity, ..secure.options(Some(version)) };
        assert!(matches!(refusal(&secure, &options(None)), TlsError::Refused(_)));
        let untrusted = Authority::new().issue("ann");
        assert!(matches!(refusal(&secure, &options(Some(untrusted))), TlsError::Refused(_)));

        let trusted = options(Some(secure.authority.issue("ann")));
        let mut client = ManualClient::open(connect(secure.address()), &trusted).expect("the server accepts it");
        client.echoes(b"accepted");
        client.finish();
        client.expect_end();
        let summary = secure.server.drain().summary();
        assert_eq!((summary.closed("bad-tls"), summary.closed("finished"), summary.bytes_in), (2, 1, 8));
    }
}

#[test]
fn plain_text_is_answered_by_an_alert_and_logged_in_a_line_a_second() {
    let secure = Secure::start("");
    let started = Instant::now();
    for _ in 0..200 {
        let mut plain = connect(secure.address());
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("the connection is open");
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).expect("the end is clean");
        assert_eq!(answer.first(), Some(&21), "not an alert");
    }
    let lines = secure.server.log.all().iter().filter(|line| line.contains("does not speak TLS")).count();
    assert!((1..=2 + started.elapsed().as_secs() as usize).contains(&lines), "{lines} lines");
    assert_eq!(secure.server.drain().summary().closed("bad-tls"), 200);
}

#[test]
fn a_peer_that_leaves_before_its_handshake_is_counted_and_not_logged() {
    let secure = Secure::start("");
    for _ in 0..100 {
        drop(connect(secure.address()));
    }
    secure.client(VERSIONS[0]).finish();
    let ended = secure.server.drain();
    // 1 more has a whole handshake, and ends it.
    assert_eq!(ended.summary().closed("probed"), 101);
    assert!(!ended.log_text().contains("TLS handshake with"), "{}", ended.log_text());
}

/// Sends the header of a long ClientHello, so that single bytes can follow for the whole test.
fn start_slow_hello(stream: &mut TcpStream) {
    stream.write_all(&[22, 3, 1, 1, 244]).expect("the connection is open");
}

#[test]
fn a_greeting_that_drips_is_ended_at_its_deadline() {
    let handshake_timeout = Duration::from_secs(1);
    let secure = Secure::start("--handshake-timeout 1s");
    let descriptors = secure.server.process.descriptors();
    let started = Instant::now();
    let mut slow: Vec<TcpStream> = (0..300).map(|_| connect(secure.address())).collect();
    slow.iter_mut().for_each(start_slow_hello);
    let mut reader = slow[0].try_clone().expect("a descriptor is free");
    reader.set_read_timeout(Some(Duration::from_millis(20))).expect("the timeout is not zero");
    // Until the server closes the first connection.
    while reader.read(&mut [0; 100]).is_err() {
        assert!(started.elapsed() < TIMEOUT, "the single bytes have moved the deadline");
        for stream in &mut slow {
            // Some may be closed already.
            let _ = stream.write_all(&[1]);
        }
    }
    assert!(started.elapsed() >= handshake_timeout, "the deadline was early");
    wait_until(TIMEOUT, "all slow handshakes are closed", || secure.server.process.descriptors() <= descriptors);
    let mut client = secure.client(VERSIONS[1]);
    client.echoes(b"hello");
    drop(client);
    assert_eq!(secure.server.drain().summary().closed("handshake-timeout"), 300);
}

#[test]
fn slow_handshakes_do_not_delay_new_connections() {
    let _machine = exclusive_machine();
    let secure = Secure::start("--handshake-timeout 1m --max-handshakes 3000");
    // More than `--max-handshakes`: the oldest ones are closed.
    let mut slow: Vec<TcpStream> = (0..5_000).map(|_| connect(secure.address())).collect();
    slow.iter_mut().for_each(start_slow_hello);
    repeat_attempts("new connections beside slow handshakes", || {
        let mut slowest = Duration::ZERO;
        let waited_before = secure.server.process.waited_for_cpu();
        for round in 0..20 {
            for stream in &mut slow {
                let _ = stream.write_all(&[1]);
            }
            let started = Instant::now();
            let mut client = secure.client(VERSIONS[round % 2]);
            client.echoes(b"hello");
            slowest = slowest.max(started.elapsed());
        }
        let server_waited = secure.server.process.waited_for_cpu() - waited_before;
        println!("slowest new connection {slowest:?}; the server waited {server_waited:?}");
        Attempt {
            is_good: slowest < Duration::from_millis(100),
            is_disturbed: server_waited > Duration::from_millis(50),
            is_bounded: slowest < Duration::from_secs(1),
        }
    });
    drop(slow);
    let summary = secure.server.drain().summary();
    assert!(summary.closed("handshakes-full") >= 2_000, "{summary:?}");
}

#[test]
fn a_burst_of_handshakes_delays_open_connections_only_briefly() {
    let _machine = exclusive_machine();
    let secure = Secure::start("");
    let mut open = secure.talks(VERSIONS[1]);
    open.join(1, Role::Repeats(100));
    assert!(open.run_until(TIMEOUT, |talks| talks[0].received > 0));
    // The input of two thousand handshakes is available at once.
    let hello = client_hello(&secure.options(None));
    secure.server.process.stop();
    let mut burst: Vec<TcpStream> = (0..2_000).map(|_| connect(secure.address())).collect();
    for stream in &mut burst {
        stream.write_all(&hello).expect("the kernel buffers it");
    }
    let started = Instant::now();
    secure.server.process.resume();
    let (mut slowest, mut rounds) = (Duration::ZERO, 0);
    burst.iter().for_each(|stream| stream.set_nonblocking(true).expect("the connection is open"));
    while !burst.is_empty() {
        let (asked, before) = (Instant::now(), open.all()[0].received);
        assert!(open.run_until(TIMEOUT, |talks| talks[0].received > before), "the open connection is not served");
        (slowest, rounds) = (slowest.max(asked.elapsed()), rounds + 1);
        burst.retain(|stream| stream.peek(&mut [0]).is_err());
        assert!(started.elapsed() < TIMEOUT, "{} handshakes have no answer", burst.len());
    }
    let all = started.elapsed();
    assert!(slowest < all / 12, "a reply took {slowest:?} of {all:?}, in {rounds} rounds");
}
