//! Clients that reset at any moment: each is counted, and nobody else notices.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;

use crate::support::{Behavior, Crowd, Duplex as _, MIB, Serve, StreamEnd, TIMEOUT, connect, read_to_the_end};

/// Connects and resets after so many of four steps.
pub(crate) fn reset_after(steps: usize, address: SocketAddr) {
    let mut stream = connect(address);
    // A linger time of zero makes the drop a reset.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the connection is open");
    if steps >= 1 {
        stream.write_all(&b"a line\n".repeat(400)).expect("the connection is open");
    }
    if steps >= 2 {
        stream.read_exact(&mut [0; 10]).expect("it comes back");
    }
    if steps >= 3 {
        stream.finish();
    }
}

#[test]
fn resets_at_every_phase_disturb_nobody_and_are_all_accounted_for() {
    resets_beside_pingers(4000, 50);
}

#[track_caller]
pub(crate) fn resets_beside_pingers(resets: usize, pingers: usize) {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let pingers = crowd.join(server.address(), pingers, Behavior::Repeats { len: 64 });
    crowd.run_for(Duration::from_millis(50));
    let base = server.process.descriptors();
    for round in 0..resets {
        reset_after(round % 4, server.address());
        crowd.turn(Duration::ZERO);
    }
    let received = crowd.bytes_received();
    crowd.run_for(Duration::from_millis(50));
    assert!(crowd.members[pingers.clone()].iter().all(|member| member.is_open()));
    assert!(crowd.bytes_received() > received);
    server.descriptors_return_to(base);
    drop(crowd);
    let ended = server.drain();
    let summary = ended.summary();
    assert_eq!(summary.connections, (resets + pingers.len()) as u64);
    assert_eq!(summary.closed_in_all(), summary.connections);
    // The last phase may be over before the reset: the server has ended as well.
    let counted = summary.closed("reset");
    assert!((resets as u64 * 3 / 4..=resets as u64).contains(&counted), "{counted} of {resets} are resets");
    assert!(summary.reconciles_as_echo(), "{summary:?}");
    ended.check_log_rate();
}

#[test]
fn whoever_resets_while_waiting_in_the_backlog_is_gone_and_no_more() {
    let server = Serve::new().start();
    let base = server.process.descriptors();
    server.process.stop();
    for _ in 0..100 {
        reset_after(0, server.address());
        reset_after(1, server.address());
    }
    server.process.resume();
    let mut crowd = Crowd::new();
    let after = crowd.join(server.address(), 10, Behavior::OnRequest);
    crowd.echo(after, 10, TIMEOUT);
    drop(crowd);
    server.descriptors_return_to(base);
    server.drain().check_log_rate();
}

#[test]
fn short_connections_of_every_ending_leave_no_memory_behind() {
    short_connections_of_every_ending(5000, 2);
}

/// `many` connections, and so many `times` as many again: neither memory nor descriptors grow.
#[track_caller]
pub(crate) fn short_connections_of_every_ending(many: usize, times: usize) {
    let server = Serve::new().with("--framing lines --frame-len-max 1KiB --linger-timeout 200ms").start();
    let base = server.process.descriptors();
    let all_endings = || {
        (0..many).for_each(|round| one_ending(round % 8, server.address()));
        server.descriptors_return_to(base);
        server.process.memory_bytes()
    };
    let once = all_endings();
    for _ in 1..times {
        let again = all_endings();
        assert!(again <= once + MIB, "{once} bytes after {many} connections, {again} after as many more");
    }
    let ended = server.drain();
    let summary = ended.summary();
    let each = (many * times / 8) as u64;
    let counted = |reason| summary.closed(reason);
    assert_eq!((counted("partial-frame"), counted("frame-too-long")), (each, each), "{summary:?}");
    assert!(counted("reset") >= 3 * each && counted("finished") >= 2 * each, "{summary:?}");
    assert_eq!(summary.closed_in_all(), (many * times) as u64);
    ended.check_log_rate();
}

/// Connects and ends: in four ways by a reset, and by either side's end.
#[track_caller]
fn one_ending(which: usize, address: SocketAddr) {
    if which < 4 {
        return reset_after(which, address);
    }
    let (line, answer): (&[u8], &[u8]) = match which {
        4 => (b"short\n", b"short\n"),
        5 => (b"exit\n", b""),
        6 => (b"whole\npartial", b"whole\n"),
        _ => (&[b'x'; 2048], b""),
    };
    let mut stream = connect(address);
    stream.write_all(line).expect("the connection is open");
    // Our end before theirs, but where it is for them to end.
    if which.is_multiple_of(2) {
        stream.finish();
    }
    let (said, ending) = read_to_the_end(&mut stream);
    assert_eq!((said.as_slice(), ending), (answer, StreamEnd::Clean), "ending {which}");
}
