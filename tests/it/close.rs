//! The server ends first while the client still sends: what it wrote arrives all the same.
//!
//! A plain `close()` fails here: unread input makes it a reset, which destroys what has not
//! arrived yet (`kernel::closing_with_unread_input_destroys_the_tail`).

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, MIB, Serve, Server, StreamEnd, TIMEOUT, connect_with_buffers, echoes,
    read_to_the_end, same_bytes,
};

/// Replies that do not fit what a client with small buffers takes unread, and stay below the high
/// watermark.
const LINES: usize = 90;

fn some_lines() -> Vec<u8> {
    (0..LINES).flat_map(|number| format!("{number:0>999}\n").into_bytes()).collect()
}

/// A client that sends `LINES` lines and then `rest`, and reads nothing before.
#[track_caller]
fn send_unread(server: &Server, rest: &[u8]) -> TcpStream {
    let mut stream = connect_with_buffers(server.address(), 4 * KIB);
    stream.write_all(&some_lines()).expect("the server reads");
    stream.write_all(rest).expect("the server reads on to the end");
    stream
}

/// All replies arrive, then a clean end, though we have not ended our own direction.
#[track_caller]
fn check(rest: &[u8], reason: &str) {
    let server = Serve::new().with("--framing lines --frame-len-max 1KiB").start();
    let base = server.process.descriptors();
    let mut stream = send_unread(&server, rest);
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
fn a_line_too_long_costs_the_client_no_reply_it_had_earned() {
    check(&vec![b'x'; 512 * KIB], "frame-too-long");
}

#[test]
fn lines_after_exit_cost_the_client_no_reply_it_had_earned() {
    let mut rest = b"exit\n".to_vec();
    rest.extend_from_slice(&vec![b'y'; 512 * KIB]);
    check(&rest, "finished");
}

#[test]
fn an_idle_client_is_ended_cleanly_and_may_still_be_sending() {
    let server = Serve::new().with("--idle-timeout 200ms").start();
    let mut stream = server.connect();
    echoes(&mut stream, b"hello");
    let (rest, ending) = read_to_the_end(&mut stream);
    assert_eq!((rest.len(), ending), (0, StreamEnd::Clean));
    // A reset in answer to the first of these would break the second.
    for _ in 0..20 {
        stream.write_all(&[b'z'; KIB]).unwrap();
    }
    stream.finish();
    assert!(stream.take_error().unwrap().is_none());
    let summary = server.drain().summary();
    assert_eq!(summary.closed("idle-timeout"), 1);
}

#[test]
fn a_stop_costs_a_streaming_client_nothing_that_was_written() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let one = crowd.join(server.address(), 1, Behavior::Streams { in_flight: MIB as u64 });
    crowd.run_until(TIMEOUT, |members| members[0].received > 4 * MIB as u64);
    server.signal("TERM");
    assert!(crowd.run_until(TIMEOUT, |members| !members[0].is_open()));
    assert_eq!(crowd.ended(one, StreamEnd::Clean), 1);
    assert_eq!(server.wait(TIMEOUT).summary().bytes_out, crowd.bytes_received());
}

#[test]
fn a_client_that_never_ends_is_waited_for_only_so_long() {
    let server = Serve::new().with("--idle-timeout 100ms --linger-timeout 200ms").start();
    let base = server.process.descriptors();
    let mut stream = server.connect();
    assert_eq!(read_to_the_end(&mut stream).1, StreamEnd::Clean);
    // Ours stays open; theirs is given up.
    server.descriptors_return_to(base);
    assert_eq!(server.drain().summary().closed("idle-timeout"), 1);
}

#[test]
fn a_client_that_sends_on_without_end_is_cut_off() {
    let server = Serve::new().with("--framing lines --frame-len-max 1KiB").start();
    let base = server.process.descriptors();
    let mut stream = server.connect();
    let mut sent = 0;
    // Four times the bytes that are discarded, and what two kernels hold besides.
    while sent < 64 * MIB {
        match stream.write(&[b'x'; 64 * KIB]) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(StreamEnd::of(&error), StreamEnd::Reset);
                break;
            }
        }
    }
    assert!(sent < 64 * MIB, "nobody stopped us");
    server.descriptors_return_to(base);
    assert_eq!(server.drain().summary().closed("frame-too-long"), 1);
}

#[test]
fn everybody_idle_is_ended_and_nobody_else() {
    let server = Serve::new().with("--idle-timeout 500ms").start();
    let mut crowd = Crowd::new();
    let idle = crowd.join(server.address(), 200, Behavior::OnRequest);
    let busy = crowd.join(server.address(), 50, Behavior::Repeats { len: 10 });
    assert!(crowd.run_until(TIMEOUT, |members| members[idle.clone()].iter().all(|member| !member.is_open())));
    crowd.run_for(Duration::from_millis(700));
    assert_eq!(crowd.ended(idle, StreamEnd::Clean), 200);
    assert!(crowd.members[busy].iter().all(|member| member.is_open() && member.received > 10));
    drop(crowd);
    assert_eq!(server.drain().summary().closed("idle-timeout"), 200);
}

#[test]
fn a_server_that_was_stopped_for_long_ends_nobody_who_has_sent_something_meanwhile() {
    stopped_for(Duration::from_secs(1));
}

/// Twice as long as anybody may be idle, and more.
#[track_caller]
pub(crate) fn stopped_for(span: Duration) {
    const TALKERS: usize = 3000;
    let server = Serve::new().with("--idle-timeout 500ms --frame-timeout 500ms").start();
    let mut crowd = Crowd::new();
    // Three times as many as one poll tells of.
    let talkers = crowd.join(server.address(), TALKERS, Behavior::OnRequest);
    let silent = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.echo(0..silent.end, 100, TIMEOUT);
    server.process.stop();
    crowd.ask(talkers.clone(), 100);
    crowd.run_for(span);
    server.process.resume();
    assert!(crowd.run_until(TIMEOUT, |members| members[silent.clone()].iter().all(|member| !member.is_open())));
    assert_eq!(crowd.answered(talkers), TALKERS, "who had data waiting was not idle");
    drop(crowd);
    assert!(server.drain().summary().closed("idle-timeout") >= 100);
}
