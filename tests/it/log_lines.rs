//! What the log holds: nothing a peer sent unless escaped, one line for one thing, never a flood.

use std::io::Write as _;
use std::net::Shutdown;

use readyloop::sim::Rng;

use crate::support::{Behavior, Crowd, Duplex as _, Serve, TIMEOUT, read_to_the_end};

#[test]
fn what_peers_send_never_reaches_a_terminal_raw() {
    let server = Serve::new().with("-v -v --framing lines --frame-len-max 64").start();
    for bytes in
        [b"\x1b[2J\x1b]0;owned\x07\n".as_slice(), b"\r\nlistening on tcp://evil\r\n", &[0xFF; 500], &[0x1b; 500]]
    {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        stream.finish();
        read_to_the_end(&mut stream);
    }
    let ended = server.drain();
    for line in &ended.log {
        assert!(line.chars().all(|char| char == ' ' || char.is_ascii_graphic()), "{}", line.escape_debug());
    }
}

#[test]
fn garbage_in_every_framing_leaves_a_calm_and_printable_log() {
    const PEERS: usize = 200;
    for framing in ["raw", "lines", "lines:utf8", "length", "fixed:16"] {
        let server = Serve::new().with(&format!("--frame-len-max 1KiB --framing {framing}")).start();
        let mut rng = Rng::new(PEERS as u64);
        for _ in 0..PEERS {
            let mut stream = server.connect();
            let garbage: Vec<u8> = (0..rng.up_to(3000)).map(|_| rng.bits() as u8).collect();
            // Whom the server has ended meanwhile it does not read any more.
            let _ = stream.write_all(&garbage);
            let _ = stream.shutdown(Shutdown::Write);
            read_to_the_end(&mut stream);
        }
        let ended = server.drain();
        assert!(ended.log.iter().all(|line| line.chars().all(|char| char == ' ' || char.is_ascii_graphic())));
        assert_eq!(ended.summary().closed_in_all(), PEERS as u64, "{framing}: {}", ended.log_text());
    }
}

#[test]
fn a_quiet_server_says_nothing_but_where_it_listens() {
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
fn connections_that_come_and_go_are_not_logged_one_by_one() {
    let server = Serve::new().start();
    // The last line of a start; from here on only what happens is logged.
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
