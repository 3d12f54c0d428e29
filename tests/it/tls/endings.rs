//! How connections over TLS end: with and without close_notify, by either side, and by SIGTERM.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use readyloop::CloseReason;
use readyloop::net::tls::{TlsClientOptions, TlsVersion, Trust};

use crate::support::tls::{Secure, VERSIONS, for_each_version, target_of};
use crate::support::{Conversation, Conversations, MIB, Role, TIMEOUT, connect, wait_until};

#[test]
fn close_notify_alone_ends_one_direction_and_the_other_is_still_served() {
    for_each_version("", |secure, version| {
        let mut client = secure.client(version);
        client.send(b"last bytes");
        client.send_close_notify();
        client.expect(b"last bytes");
        client.expect_end();
        drop(client);
        assert_eq!(secure.server.drain().summary().closed("finished"), 1);
    });
}

#[test]
fn an_end_without_close_notify_is_counted_as_truncated_and_still_answered() {
    for_each_version("", |secure, version| {
        let mut client = secure.client(version);
        client.send(b"cut off here");
        client.socket.shutdown(std::net::Shutdown::Write).expect("the connection is open");
        client.expect(b"cut off here");
        client.expect_end();
        let summary = secure.server.drain().summary();
        assert_eq!((summary.closed("truncated"), summary.closed("finished")), (1, 0));
    });
}

#[test]
fn what_comes_after_close_notify_is_never_served() {
    for_each_version("", |secure, version| {
        let mut client = secure.client(version);
        client.send(b"the last frame");
        client.send_close_notify();
        client.socket.write_all(b"inserted by an attacker").expect("the connection is open");
        client.expect(b"the last frame");
        // The server discards the rest, or resets the connection.
        match client.receive() {
            Ok(rest) => assert_eq!(rest, b""),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let summary = secure.server.drain().summary();
        assert_eq!((summary.bytes_in, summary.closed("finished")), (14, 1));
    });
}

#[test]
fn the_server_sends_close_notify_before_it_closes_an_idle_peer() {
    for_each_version("--idle-timeout 300ms", |secure, version| {
        let mut client = secure.client(version);
        client.echoes(b"hello");
        client.expect_end();
        client.finish();
        assert_eq!(secure.server.drain().summary().closed("idle-timeout"), 1);
    });
}

#[test]
fn sigterm_mid_stream_loses_nothing_and_ends_every_connection_cleanly() {
    VERSIONS.into_iter().for_each(|version| ends_all_cleanly(version, 200, 0));
}

/// Sends SIGTERM to a server with `mid_stream` connections in the middle of requests, 8 with long
/// requests, and `mid_stream / 5` in the backlog before their handshake.
#[track_caller]
pub(crate) fn ends_all_cleanly(version: TlsVersion, mid_stream: usize, round: u64) {
    let secure = Secure::start("");
    let mut talks = secure.talks(version);
    talks.join(mid_stream, Role::Repeats(64 + round % 1000));
    talks.join(8, Role::Repeats(MIB as u64));
    assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
    // At a different moment in each round.
    talks.run_for(Duration::from_micros(round * 977 % 10_000));
    // While the server is suspended, everything below happens before the signal.
    secure.server.process.stop();
    let waiting = talks.join(mid_stream / 5, Role::SendsOnce(100));
    talks.start_all();
    talks.run_for(Duration::from_millis(50));
    // Short enough to be complete in the server's buffers.
    let sent: Vec<u64> = talks.all()[..mid_stream].iter().map(|talk| talk.sent).collect();
    secure.server.signal("TERM");
    secure.server.process.resume();

    let is_over = |talk: &Conversation| talk.reason.is_some() || talk.failure.is_some();
    let all_over = talks.run_until(TIMEOUT, |talks| talks.iter().all(is_over));
    assert!(all_over, "{:?} is still connected", talks.all().iter().find(|talk| !is_over(talk)));
    let broken = talks.all().iter().find(|talk| talk.reason != Some(CloseReason::Finished));
    assert!(broken.is_none(), "{broken:?} has no clean end");
    assert!(talks.all()[waiting].iter().all(|talk| talk.is_open), "the backlog was not accepted");
    let mut loops = talks.all().iter().zip(sent);
    assert!(loops.all(|(talk, sent)| talk.received >= sent), "a request from before the stop has no reply");
    let ended = secure.server.wait(TIMEOUT);
    let summary = ended.summary();
    assert_eq!((ended.code, summary.bytes_out), (Some(0), talks.received()), "{}", ended.log_text());
    assert_eq!((summary.connections, summary.closed_in_all()), (talks.all().len() as u64, summary.connections));
    ended.check_log_rate();
}

/// Enough that the server has input left when it fails, and that the kernel of the client buffers it.
static REST: [u8; 64 * 1024] = [7; 64 * 1024];

#[test]
fn the_alert_for_a_failed_handshake_reaches_a_client_that_still_sends() {
    let secure = Secure::start("");
    for attempt in 0..100 {
        let mut plain = connect(secure.address());
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("the connection is open");
        plain.write_all(&REST).expect("the connection is open");
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).unwrap_or_else(|error| panic!("attempt {attempt}: {error}"));
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, 50], "the alert decode_error");
    }
    let summary = secure.server.drain().summary();
    assert_eq!((summary.closed("bad-tls"), summary.connections), (100, 100));
}

#[test]
fn the_alert_for_a_bad_record_reaches_a_client_that_still_sends() {
    for_each_version("", |secure, version| {
        for attempt in 0..50 {
            let mut client = secure.client(version);
            client.echoes(b"hello");
            client.socket.write_all(&[23, 3, 3, 0, 40]).expect("the connection is open");
            client.socket.write_all(&REST).expect("the connection is open");
            let error = client.receive().expect_err("the record is bad");
            let expected = "the peer aborted TLS: bad record";
            assert_eq!(error.to_string(), expected, "attempt {attempt}");
        }
        assert_eq!(secure.server.drain().summary().closed("bad-tls"), 50);
    });
}

#[test]
fn the_alert_of_a_client_for_a_failed_handshake_reaches_a_server_that_still_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let server = thread::spawn(move || {
        for attempt in 0..100 {
            let (mut plain, _) = listener.accept().expect("a client connects");
            plain.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").expect("the connection is open");
            plain.write_all(&REST).expect("the connection is open");
            let mut received = Vec::new();
            plain.read_to_end(&mut received).unwrap_or_else(|error| panic!("attempt {attempt}: {error}"));
            assert!(received.ends_with(&[21, 3, 3, 0, 2, 2, 50]), "the alert decode_error: {received:?}");
        }
    });
    let options = TlsClientOptions { trust: Trust::AnyCertificate, ..TlsClientOptions::default() };
    let mut talks = Conversations::under(target_of(&options).into(), address);
    talks.join(100, Role::SendsOnce(1));
    assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.failure.is_some())));
    wait_until(TIMEOUT, "the server has read all alerts", || {
        talks.run_for(Duration::from_millis(10));
        server.is_finished()
    });
    server.join().expect("each alert arrives");
}

#[test]
fn a_client_that_stays_after_a_failed_handshake_is_closed_at_the_linger_timeout() {
    let secure = Secure::start("--linger-timeout 200ms");
    let before = secure.server.process.descriptors();
    let mut plain = connect(secure.address());
    plain.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("the connection is open");
    let mut alert = [0; 7];
    plain.read_exact(&mut alert).expect("an alert arrives");
    wait_until(TIMEOUT, "the server closes it", || secure.server.process.descriptors() <= before);
    assert_eq!(secure.server.drain().summary().closed("bad-tls"), 1);
}

#[test]
fn a_second_signal_does_not_wait_for_slow_readers() {
    for_each_version("--recv-buffer 16KiB --send-buffer 16KiB --drain-timeout 1m", |secure, version| {
        let mut slow: Vec<_> = (0..20).map(|_| secure.client(version)).collect();
        for client in &mut slow {
            client.send_until_full(Duration::from_millis(50));
        }
        secure.server.signal("TERM");
        secure.server.logs("draining");
        secure.server.signal("INT");
        let ended = secure.server.wait(Duration::from_secs(1));
        assert_eq!(ended.summary().closed("stopped"), slow.len() as u64, "{}", ended.log_text());
    });
}

#[test]
fn a_drain_does_not_wait_for_a_handshake_deadline() {
    let secure = Secure::start("--drain-timeout 1s");
    let mut silent = connect(secure.address());
    silent.set_read_timeout(Some(Duration::from_millis(100))).expect("the timeout is not zero");
    assert_eq!(silent.read(&mut [0]).expect_err("no byte arrives").kind(), ErrorKind::WouldBlock);
    secure.server.signal("TERM");
    let ended = secure.server.wait(TIMEOUT);
    assert_eq!((ended.code, ended.summary().closed("drained")), (Some(0), 1), "{}", ended.log_text());
    assert!(ended.took < Duration::from_millis(900), "it took {:?}", ended.took);
}
