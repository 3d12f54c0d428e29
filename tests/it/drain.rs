//! Draining: input sent before SIGTERM is answered, every connection ends cleanly, and the server
//! exits within the drain timeout. A second signal stops it at once.

use std::time::{Duration, Instant};

use crate::support::{Behavior, Crowd, Ended, KIB, MIB, Serve, Server, StreamEnd, TIMEOUT, wait_until};

const MID_STREAM: usize = 1000;
const IN_BACKLOG: usize = 200;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A server with small socket buffers, so that output for a slow reader is queued in the server.
fn serve_with_small_buffers(flags: &str) -> Server {
    Serve::new().with("--recv-buffer 16KiB --send-buffer 16KiB").with(flags).start()
}

/// Checks that every connection ended cleanly and received all bytes that the server counts as written.
#[track_caller]
pub(crate) fn check_clean_ends(server: Server, crowd: &mut Crowd) -> Ended {
    let gone = crowd.run_until(DRAIN_TIMEOUT, |members| members.iter().all(|member| !member.is_open()));
    assert!(gone, "{} are still connected", crowd.open());
    assert_eq!(crowd.ended(0..crowd.members.len(), StreamEnd::Clean), crowd.members.len());
    let ended = server.wait(TIMEOUT);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let summary = ended.summary();
    assert_eq!(summary.bytes_out, crowd.bytes_received(), "bytes written and bytes received differ");
    assert_eq!(summary.connections, crowd.members.len() as u64);
    assert_eq!(summary.closed_in_all(), summary.connections);
    ended.check_log_rate();
    ended
}

/// Drains with a thousand request-reply clients, a few streams, and two hundred connections in the backlog.
#[track_caller]
pub(crate) fn check_once(round: u64) {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    crowd.join(server.address(), MID_STREAM, Behavior::Repeats { len: 64 + round % 1000 });
    crowd.join(server.address(), 8, Behavior::Streams { in_flight: MIB as u64 });
    // Each round stops at another moment.
    crowd.run_for(Duration::from_millis(50) + Duration::from_micros(round * 977 % 10_000));
    // While the process is stopped, the kernel receives everything below before the signal.
    server.process.stop();
    let waiting = crowd.join(server.address(), IN_BACKLOG, Behavior::OnRequest);
    crowd.ask(waiting.clone(), 100);
    crowd.settle(Duration::from_millis(20));
    // Requests short enough for the receive buffer.
    let sent: Vec<u64> = crowd.members[..MID_STREAM].iter().map(|member| member.sent).collect();
    server.signal("TERM");
    server.process.resume();

    let started = Instant::now();
    let ended = check_clean_ends(server, &mut crowd);
    let took = started.elapsed();
    assert!(took < DRAIN_TIMEOUT / 2, "it took {took:?}:\n{}", ended.log_text());
    assert_eq!(crowd.answered(waiting), IN_BACKLOG, "the backlog is served");
    let mut loops = crowd.members.iter().zip(sent);
    assert!(loops.all(|(member, sent)| member.received >= sent), "input sent before the signal is answered");
}

#[test]
fn sigterm_loses_no_data_in_streams_or_the_backlog() {
    (0..3).for_each(check_once);
}

#[test]
fn sigint_drains_too() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 10, Behavior::OnRequest);
    crowd.echo(all, 10, TIMEOUT);
    server.signal("INT");
    let ended = check_clean_ends(server, &mut crowd);
    assert_eq!(ended.summary().closed("drained"), 10);
}

#[test]
fn input_unread_at_the_signal_is_answered() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.echo(all.clone(), 1, TIMEOUT);
    server.process.stop();
    crowd.ask(all.clone(), 40 * KIB as u64);
    assert_eq!(crowd.bytes_sent(), 100 * (40 * KIB as u64 + 1), "all bytes are sent");
    server.signal("TERM");
    server.process.resume();
    check_clean_ends(server, &mut crowd);
    assert_eq!(crowd.answered(all), 100);
}

#[test]
fn a_draining_server_refuses_connections() {
    let server = serve_with_small_buffers("");
    let address = server.address();
    let mut crowd = Crowd::new();
    // This client never reads, so the drain does not finish.
    crowd.join_with_buffers(4 * KIB, address, 1, Behavior::NeverReads);
    crowd.run_for(Duration::from_millis(300));
    server.signal("TERM");
    server.logs("draining");
    wait_until(TIMEOUT, "connecting is refused", || std::net::TcpStream::connect(address).is_err());
    server.signal("TERM");
    let ended = server.wait(Duration::from_secs(1));
    assert_eq!(ended.summary().closed_in_all(), ended.summary().connections);
}

#[test]
fn slow_readers_are_closed_at_the_drain_timeout() {
    let server = serve_with_small_buffers("--drain-timeout 500ms");
    let mut crowd = Crowd::new();
    crowd.join_with_buffers(4 * KIB, server.address(), 20, Behavior::NeverReads);
    let done = crowd.join(server.address(), 20, Behavior::OnRequest);
    crowd.echo(done.clone(), 100, TIMEOUT);
    crowd.run_for(Duration::from_millis(300));
    server.signal("TERM");
    assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open())));
    assert_eq!(crowd.ended(done, StreamEnd::Clean), 20);
    let ended = server.wait(TIMEOUT);
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.summary().closed("stopped"), 20, "{}", ended.log_text());
}

#[test]
fn an_idle_server_exits_at_once() {
    let server = Serve::new().start();
    server.signal("TERM");
    let ended = server.wait(Duration::from_secs(1));
    assert_eq!((ended.code, ended.summary().connections), (Some(0), 0));
}
