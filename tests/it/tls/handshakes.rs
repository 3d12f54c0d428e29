//! Handshakes that go wrong, drag on, or come by the thousand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use readyloop::net::tls::{Pem, TlsClientOptions, TlsError, Trust};

use crate::support::certs::{Authority, Valid};
use crate::support::tls::{CertFiles, Hand, Secure, VERSIONS, greeting_of, write};
use crate::support::{Role, TIMEOUT, connect, exclusive_machine, wait_until};

/// What a client is told that connects with these options.
#[track_caller]
fn refusal(secure: &Secure, options: &TlsClientOptions) -> TlsError {
    let error = match Hand::open(connect(secure.address()), options) {
        Err(error) => error,
        // In TLS 1.3 a client hears only after its handshake what the server thinks of it.
        Ok(mut hand) => hand.receive().expect_err("the server takes it"),
    };
    TlsError::of(&error).unwrap_or_else(|| panic!("{error}")).clone()
}

#[test]
fn a_client_that_finds_a_fault_says_so_and_the_server_logs_it() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let stranger = TlsClientOptions {
            trust: Trust::Authorities(Authority::new().pem()),
            version: Some(version),
            ..TlsClientOptions::default()
        };
        assert_eq!(refusal(&secure, &stranger), TlsError::UnknownSigner);
        secure.server.logs("the peer refuses our certificate");
        assert_eq!(secure.server.drain().summary().closed("bad-tls"), 1);
    }
}

#[test]
fn a_certificate_that_has_expired_or_is_for_another_is_refused_by_the_client() {
    for (name, valid, expected) in [
        ("localhost", Valid::NoMore, TlsError::Expired),
        ("elsewhere.test", Valid::Now, TlsError::WrongName("localhost".to_owned())),
    ] {
        let authority = Authority::new();
        let files = CertFiles::of(&authority);
        let (cert, key) = authority.issue_for(name, valid);
        write(&files.path("cert.pem"), &cert, 0o644);
        write(&files.path("key.pem"), &key, 0o600);
        let secure = Secure { server: files.serve().start(), authority, files };
        assert_eq!(refusal(&secure, &secure.options(None)), expected);
        secure.server.drain();
    }
}

#[test]
fn only_clients_with_a_certificate_come_in_where_one_is_asked_for() {
    for version in VERSIONS {
        let authority = Authority::new();
        let files = CertFiles::of(&authority);
        let server = files.serve().arg("--client-ca").arg(&files.text("ca.pem")).start();
        let secure = Secure { server, authority, files };
        let options = |identity: Option<(Pem, Pem)>| TlsClientOptions { identity, ..secure.options(Some(version)) };
        assert!(matches!(refusal(&secure, &options(None)), TlsError::Refused(_)));
        let forged = Authority::new().issue("ann");
        assert!(matches!(refusal(&secure, &options(Some(forged))), TlsError::Refused(_)));

        let known = options(Some(secure.authority.issue("ann")));
        let mut hand = Hand::open(connect(secure.address()), &known).expect("it is let in");
        hand.send(b"it is me");
        hand.expect(b"it is me");
        hand.finish();
        hand.expect_end();
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
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it is open");
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).expect("a clean end");
        assert_eq!(answer.first(), Some(&21), "an alert");
    }
    let lines = secure.server.log.all().iter().filter(|line| line.contains("does not speak TLS")).count();
    assert!((1..=2 + started.elapsed().as_secs() as usize).contains(&lines), "{lines} lines");
    assert_eq!(secure.server.drain().summary().closed("bad-tls"), 200);
}

#[test]
fn who_connects_and_leaves_is_counted_and_no_cause_for_a_line() {
    let secure = Secure::start("");
    for _ in 0..100 {
        drop(connect(secure.address()));
    }
    secure.hand(VERSIONS[0]).finish();
    let ended = secure.server.drain();
    assert_eq!(ended.summary().closed("truncated"), 100);
    assert!(!ended.log_text().contains("no TLS with"), "{}", ended.log_text());
}

/// The beginning of a greeting that is longer than anybody will drip it here.
fn greeting_begun(stream: &mut TcpStream) {
    stream.write_all(&[22, 3, 1, 1, 244]).expect("it is open");
}

#[test]
fn a_greeting_that_drips_is_ended_at_its_deadline() {
    let handshake_timeout = Duration::from_secs(1);
    let secure = Secure::start("--handshake-timeout 1s");
    let descriptors = secure.server.process.descriptors();
    let started = Instant::now();
    let mut slow: Vec<TcpStream> = (0..300).map(|_| connect(secure.address())).collect();
    slow.iter_mut().for_each(greeting_begun);
    let mut reader = slow[0].try_clone().expect("a descriptor is free");
    reader.set_read_timeout(Some(Duration::from_millis(20))).expect("not zero");
    // The first of them hears of its end.
    while reader.read(&mut [0; 100]).is_err() {
        assert!(started.elapsed() < TIMEOUT, "the bytes between have moved the deadline");
        for stream in &mut slow {
            // Some may be ended already.
            let _ = stream.write_all(&[1]);
        }
    }
    assert!(started.elapsed() >= handshake_timeout, "a deadline is never early");
    wait_until(TIMEOUT, "all are ended", || secure.server.process.descriptors() <= descriptors);
    let mut hand = secure.hand(VERSIONS[1]);
    hand.send(b"hello");
    hand.expect(b"hello");
    drop(hand);
    let summary = secure.server.drain().summary();
    assert_eq!(summary.closed("handshake-timeout"), 300);
}

#[test]
fn those_that_drip_a_greeting_keep_no_newcomer_waiting() {
    let _machine = exclusive_machine();
    let secure = Secure::start("--handshake-timeout 1m --max-handshakes 3000");
    // More than there may be at once: the first of them have to make way.
    let mut slow: Vec<TcpStream> = (0..5_000).map(|_| connect(secure.address())).collect();
    slow.iter_mut().for_each(greeting_begun);
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        for stream in &mut slow {
            let _ = stream.write_all(&[1]);
        }
        let started = Instant::now();
        let mut hand = secure.hand(VERSIONS[round % 2]);
        hand.send(b"hello");
        hand.expect(b"hello");
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_millis(100), "a newcomer waited {slowest:?}");
    drop(slow);
    let summary = secure.server.drain().summary();
    assert!(summary.closed("handshakes-full") >= 2_000, "{summary:?}");
}

#[test]
fn a_crowd_of_newcomers_keeps_those_that_are_there_waiting_only_for_a_moment() {
    let _machine = exclusive_machine();
    let secure = Secure::start("");
    let mut here = secure.talks(VERSIONS[1]);
    here.join(1, Role::Repeats(100));
    assert!(here.run_until(TIMEOUT, |talks| talks[0].received > 0));
    // All that two thousand handshakes take of the server is there at once.
    let greeting = greeting_of(&secure.options(None));
    secure.server.process.stop();
    let mut crowd: Vec<TcpStream> = (0..2_000).map(|_| connect(secure.address())).collect();
    for newcomer in &mut crowd {
        newcomer.write_all(&greeting).expect("the kernel takes it");
    }
    let started = Instant::now();
    secure.server.process.resume();
    let (mut slowest, mut rounds) = (Duration::ZERO, 0);
    crowd.iter().for_each(|newcomer| newcomer.set_nonblocking(true).expect("it is open"));
    while !crowd.is_empty() {
        let (asked, before) = (Instant::now(), here.all()[0].received);
        assert!(here.run_until(TIMEOUT, |talks| talks[0].received > before), "it is served no more");
        (slowest, rounds) = (slowest.max(asked.elapsed()), rounds + 1);
        crowd.retain(|newcomer| newcomer.peek(&mut [0]).is_err());
        assert!(started.elapsed() < TIMEOUT, "{} wait for an answer", crowd.len());
    }
    let all = started.elapsed();
    assert!(slowest < all / 12, "it waited {slowest:?} of {all:?}, {rounds} rounds");
}
