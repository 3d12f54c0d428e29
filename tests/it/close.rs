//! The server closes first, while the client still sends: all bytes that it wrote arrive.
//!
//! A plain `close()` would fail these tests: with unread input it resets the connection, and a reset
//! destroys bytes in flight (`kernel::closing::closing_with_unread_input_destroys_the_tail`).

use std::io::Write as _;
use std::time::Duration;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, MIB, Serve, StreamEnd, TIMEOUT, connect_with_buffers, echoes, read_to_the_end,
    retry_if_interrupted, same_bytes,
};

/// Enough replies to exceed the small buffers of the client, but not the high watermark.
const LINES: usize = 90;

fn some_lines() -> Vec<u8> {
    (0..LINES).flat_map(|number| format!("{number:0>999}\n").into_bytes()).collect()
}

/// Checks that all replies arrive, then a clean end, although the client has not half-closed.
#[track_caller]
fn check(rest: &[u8], reason: &str) {
    let server = Serve::new().with("--framing lines --frame-len-max 1KiB").start();
    let base = server.process.descriptors();
    let mut stream = connect_with_buffers(server.address(), 4 * KIB);
    stream.write_all(&some_lines()).expect("the server reads");
    stream.write_all(rest).expect("the server reads to the end");
    let (replies, ending) = read_to_the_end(&mut stream);
    same_bytes(&replies, &some_lines());
    assert_eq!(ending, StreamEnd::Clean);
    drop(stream);
    server.descriptors_return_to(base);
    let summary = server.drain().summary();
    assert_eq!(summary.bytes_out, replies.len() as u64);
    assert_eq!(summary.closed(reason), 1);
}

#[test]
fn a_line_that_is_too_long_loses_no_earlier_reply() {
    check(&vec![b'x'; 512 * KIB], "frame-too-long");
}

#[test]
fn lines_after_exit_lose_no_earlier_reply() {
    check(&[b"exit\n".to_vec(), vec![b'y'; 512 * KIB]].concat(), "finished");
}

#[test]
fn an_idle_client_gets_a_clean_end_and_can_still_send() {
    let server = Serve::new().with("--idle-timeout 500ms").start();
    let mut stream = server.connect();
    echoes(&mut stream, b"hello");
    let (rest, ending) = read_to_the_end(&mut stream);
    assert_eq!((rest.len(), ending), (0, StreamEnd::Clean));
    // If the first write caused a reset, a later one would fail.
    for _ in 0..20 {
        stream.write_all(&[b'z'; KIB]).unwrap();
    }
    stream.finish();
    assert!(stream.take_error().unwrap().is_none());
    assert_eq!(server.drain().summary().closed("idle-timeout"), 1);
}

#[test]
fn a_client_that_never_closes_is_closed_at_the_linger_timeout() {
    let server = Serve::new().with("--idle-timeout 100ms --linger-timeout 200ms").start();
    let base = server.process.descriptors();
    let mut stream = server.connect();
    assert_eq!(read_to_the_end(&mut stream).1, StreamEnd::Clean);
    // The client stays open, and the server closes its socket.
    server.descriptors_return_to(base);
    assert_eq!(server.drain().summary().closed("idle-timeout"), 1);
}

#[test]
fn a_client_that_sends_without_end_is_reset() {
    let server = Serve::new().with("--framing lines --frame-len-max 1KiB").start();
    let base = server.process.descriptors();
    let mut stream = server.connect();
    let mut sent = 0;
    // More than `linger_bytes_max` and the buffers of both sockets.
    while sent < 64 * MIB {
        match retry_if_interrupted(|| stream.write(&[b'x'; 64 * KIB])) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(StreamEnd::of(&error), StreamEnd::Reset);
                break;
            }
        }
    }
    assert!(sent < 64 * MIB, "the server reads without end");
    server.descriptors_return_to(base);
    assert_eq!(server.drain().summary().closed("frame-too-long"), 1);
}

#[test]
fn only_idle_connections_are_closed_at_the_idle_timeout() {
    let server = Serve::new().with("--idle-timeout 500ms").start();
    let mut crowd = Crowd::new();
    let idle = crowd.join(server.address(), 200, Behavior::OnRequest);
    let busy = crowd.join(server.address(), 50, Behavior::Repeats { len: 10 });
    assert!(crowd.run_until_closed(TIMEOUT, idle.clone()));
    crowd.run_for(Duration::from_millis(700));
    assert_eq!(crowd.ended(idle, StreamEnd::Clean), 200);
    assert!(crowd.members[busy].iter().all(|member| member.is_open() && member.received > 10));
    drop(crowd);
    assert_eq!(server.drain().summary().closed("idle-timeout"), 200);
}

#[test]
fn a_suspended_server_does_not_close_peers_with_unread_input() {
    suspended_for(Duration::from_secs(2));
}

/// Suspends the server for longer than the idle timeout, while clients send.
#[track_caller]
pub(crate) fn suspended_for(span: Duration) {
    const ACTIVE: usize = 3000;
    let server = Serve::new().with("--idle-timeout 1500ms --frame-timeout 1500ms").start();
    let mut crowd = Crowd::new();
    // About three times as many as one poll reports.
    let active = crowd.join(server.address(), ACTIVE, Behavior::OnRequest);
    let silent = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.echo(0..silent.end, 100, TIMEOUT);
    server.process.stop();
    crowd.ask(active.clone(), 100);
    crowd.run_for(span);
    server.process.resume();
    assert!(crowd.run_until_closed(TIMEOUT, silent));
    assert_eq!(crowd.answered(active), ACTIVE, "a peer with unread bytes is not idle");
    drop(crowd);
    assert!(server.drain().summary().closed("idle-timeout") >= 100);
}

#[test]
fn busy_and_idle_connections_are_finished_at_the_end_of_their_lifetime() {
    let server = Serve::new().with("--max-lifetime 1s").start();
    let mut crowd = Crowd::new();
    let idle = crowd.join(server.address(), 100, Behavior::OnRequest);
    let busy = crowd.join(server.address(), 50, Behavior::Repeats { len: 10 });
    assert!(crowd.run_until_closed(TIMEOUT, 0..busy.end));
    assert_eq!(crowd.ended(idle.start..busy.end, StreamEnd::Clean), 150);
    drop(crowd);
    assert_eq!(server.drain().summary().closed("max-lifetime"), 150);
}
