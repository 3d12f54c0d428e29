//! The log: bytes of a peer are escaped, each event is one line, and connections do not flood it.

use std::io::Write as _;
use std::net::Shutdown;

use readyloop::sim::Rng;

use crate::support::{Behavior, Crowd, Duplex as _, Ended, Serve, TIMEOUT, read_to_the_end};

/// Checks that every character of the log is a space or can be printed.
#[track_caller]
fn check_printable(ended: &Ended) {
    for line in &ended.log {
        assert!(line.chars().all(|char| char == ' ' || char.is_ascii_graphic()), "{}", line.escape_debug());
    }
}

#[test]
fn bytes_of_peers_are_escaped_in_the_log() {
    let server = Serve::new().with("-v -v --framing lines --frame-len-max 64").start();
    let escapes = b"\x1b[2J\x1b]0;owned\x07\n".as_slice();
    for bytes in [escapes, b"\r\nlistening on tcp://evil\r\n", &[0xFF; 500], &[0x1b; 500]] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        stream.finish();
        read_to_the_end(&mut stream);
    }
    check_printable(&server.drain());
}

#[test]
fn garbage_in_every_framing_leaves_a_printable_log() {
    const PEERS: usize = 200;
    for framing in ["raw", "lines", "lines:utf8", "length", "fixed:16"] {
        let server = Serve::new().with(&format!("--frame-len-max 1KiB --framing {framing}")).start();
        let mut rng = Rng::new(PEERS as u64);
        for _ in 0..PEERS {
            let mut stream = server.connect();
            let garbage: Vec<u8> = (0..rng.up_to(3000)).map(|_| rng.bits() as u8).collect();
            // Fails if the server has closed the connection.
            let _ = stream.write_all(&garbage);
            let _ = stream.shutdown(Shutdown::Write);
            read_to_the_end(&mut stream);
        }
        let ended = server.drain();
        check_printable(&ended);
        assert_eq!(ended.summary().closed_in_all(), PEERS as u64, "{framing}: {}", ended.log_text());
    }
}

#[test]
fn quiet_logs_nothing_and_prints_the_listening_line() {
    let server = Serve::new().with("-q").start();
    assert_eq!(server.addresses.len(), 1);
    let mut crowd = Crowd::new();
    let some = crowd.join(server.address(), 10, Behavior::OnRequest);
    crowd.echo(some, 10, TIMEOUT);
    drop(crowd);
    let ended = server.drain();
    assert_eq!(ended.log_text(), "");
    assert_eq!(ended.out.len(), 1);
}

#[test]
fn single_connections_are_not_logged_by_default() {
    let server = Serve::new().start();
    // The last log line of the start.
    server.logs("descriptor limit");
    let before = server.log.count();
    for _ in 0..200 {
        drop(server.connect());
    }
    let mut crowd = Crowd::new();
    let last = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(last, 10, TIMEOUT);
    assert_eq!(server.log.count(), before);
    drop(crowd);
    server.drain();
}
