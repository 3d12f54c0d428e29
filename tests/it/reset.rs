//! Clients that reset at any moment are counted, and no other peer is affected.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Behavior, Crowd, Duplex as _, MIB, Serve, StreamEnd, TIMEOUT, connect, read_to_the_end};

/// Connects, and resets after 0 to 3 steps.
pub(crate) fn reset_after(steps: usize, address: SocketAddr) {
    let mut stream = connect(address);
    if steps >= 1 {
        stream.write_all(&b"a line\n".repeat(400)).expect("the connection is open");
    }
    if steps >= 2 {
        stream.read_exact(&mut [0; 10]).expect("the echo arrives");
    }
    if steps >= 3 {
        stream.finish();
    }
    stream.reset();
}

#[test]
fn resets_in_every_phase_are_counted_and_affect_no_other_peer() {
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
    let received: Vec<u64> = crowd.members.iter().map(|member| member.received).collect();
    let go_on = crowd.run_until(TIMEOUT, |members| {
        members.iter().zip(&received).all(|(member, before)| member.is_open() && member.received > *before)
    });
    assert!(go_on, "a pinging client gets no more replies");
    server.descriptors_return_to(base);
    drop(crowd);
    let ended = server.drain();
    let summary = ended.summary();
    assert_eq!(summary.connections, (resets + pingers.len()) as u64);
    assert_eq!(summary.closed_in_all(), summary.connections);
    // After the last step, the server may have finished before the reset.
    let counted = summary.closed("reset") + summary.closed("probed");
    assert!((resets as u64 * 3 / 4..=resets as u64).contains(&counted), "{counted} of {resets} are resets");
    assert!(summary.reconciles_as_echo(), "{summary:?}");
    ended.check_log_rate();
}

#[test]
fn resets_in_the_backlog_affect_no_other_peer() {
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
fn short_connections_with_every_ending_leak_no_memory() {
    short_connections_of_every_ending(5000, 2);
}

/// Makes `many` connections, `times` times: neither memory nor descriptors grow.
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
        assert!(again <= once + MIB, "{once} bytes after {many} connections, then {again} bytes");
    }
    let ended = server.drain();
    let summary = ended.summary();
    let each = (many * times / 8) as u64;
    assert_eq!((summary.closed("partial-frame"), summary.closed("frame-too-long")), (each, each), "{summary:?}");
    assert_eq!(summary.closed("probed"), each, "a reset before the first byte");
    assert!(summary.closed("reset") >= 2 * each && summary.closed("finished") >= 2 * each, "{summary:?}");
    assert_eq!(summary.closed_in_all(), (many * times) as u64);
    ended.check_log_rate();
}

/// Makes one connection. Endings 0 to 3 are resets, 4 to 7 are clean ends by the client or the server.
#[track_caller]
fn one_ending(ending: usize, address: SocketAddr) {
    if ending < 4 {
        return reset_after(ending, address);
    }
    let (request, reply): (&[u8], &[u8]) = match ending {
        4 => (b"short\n", b"short\n"),
        5 => (b"exit\n", b""),
        6 => (b"whole\npartial", b"whole\n"),
        _ => (&[b'x'; 2048], b""),
    };
    let mut stream = connect(address);
    stream.write_all(request).expect("the connection is open");
    // The odd endings are for the server to close first.
    if ending.is_multiple_of(2) {
        stream.finish();
    }
    let (received, end) = read_to_the_end(&mut stream);
    assert_eq!((received.as_slice(), end), (reply, StreamEnd::Clean), "ending {ending}");
}
