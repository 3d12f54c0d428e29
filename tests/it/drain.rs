//! SIGTERM: what was sent before it is still answered, everybody sees a clean end, and the server
//! is gone well within its time. A second signal does not wait.

use std::time::{Duration, Instant};

use crate::support::{Behavior, Crowd, Ended, KIB, MIB, Serve, Server, StreamEnd, TIMEOUT, wait_until};

const MID_STREAM: usize = 1000;
const IN_BACKLOG: usize = 200;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A server whose kernel keeps little for those who do not read: the rest is the server's to keep.
fn serve_with_small_buffers(flags: &str) -> Server {
    Serve::new().with("--recv-buffer 16KiB --send-buffer 16KiB").with(flags).start()
}

/// Everybody is ended cleanly and has just the bytes that the server says it wrote.
#[track_caller]
fn all_end_cleanly(server: Server, crowd: &mut Crowd) -> Ended {
    let gone = crowd.run_until(DRAIN_TIMEOUT, |members| members.iter().all(|member| !member.is_open()));
    assert!(gone, "{} are still connected", crowd.open());
    assert_eq!(crowd.ended(0..crowd.members.len(), StreamEnd::Clean), crowd.members.len());
    let ended = server.wait(TIMEOUT);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let summary = ended.summary();
    assert_eq!(summary.bytes_out, crowd.bytes_received(), "written and received differ");
    assert_eq!(summary.connections, crowd.members.len() as u64);
    assert_eq!(summary.closed_in_all(), summary.connections);
    ended.check_log_rate();
    ended
}

/// A thousand in the middle of closed loops, a few streams, two hundred not yet accepted.
#[track_caller]
pub(crate) fn check_once(round: u64) {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    crowd.join(server.address(), MID_STREAM, Behavior::Repeats { len: 64 + round % 1000 });
    crowd.join(server.address(), 8, Behavior::Streams { in_flight: MIB as u64 });
    // At another moment of the loops each time.
    crowd.run_for(Duration::from_millis(50) + Duration::from_micros(round * 977 % 10_000));
    // While it stands still, everything below has surely happened before the signal.
    server.process.stop();
    let waiting = crowd.join(server.address(), IN_BACKLOG, Behavior::OnRequest);
    crowd.ask(waiting.clone(), 100);
    crowd.settle(Duration::from_millis(20));
    // Short enough to be in the server's hands as a whole.
    let sent: Vec<u64> = crowd.members[..MID_STREAM].iter().map(|member| member.sent).collect();
    server.signal("TERM");
    server.process.resume();

    let started = Instant::now();
    let ended = all_end_cleanly(server, &mut crowd);
    let took = started.elapsed();
    assert!(took < DRAIN_TIMEOUT / 2, "it took {took:?}:\n{}", ended.log_text());
    assert_eq!(crowd.answered(waiting), IN_BACKLOG, "the backlog was served");
    let mut loops = crowd.members.iter().zip(sent);
    assert!(loops.all(|(member, sent)| member.received >= sent), "what was sent before the stop was answered");
}

#[test]
fn sigterm_loses_nothing_mid_stream_nor_in_the_backlog() {
    (0..3).for_each(check_once);
}

#[test]
fn sigint_drains_as_well() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 10, Behavior::OnRequest);
    crowd.echo(all, 10, TIMEOUT);
    server.signal("INT");
    let ended = all_end_cleanly(server, &mut crowd);
    assert_eq!(ended.summary().closed("drained"), 10);
}

#[test]
fn what_was_sent_but_not_read_before_the_stop_is_answered() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.echo(all.clone(), 1, TIMEOUT);
    server.process.stop();
    crowd.ask(all.clone(), 40 * KIB as u64);
    assert_eq!(crowd.bytes_sent(), 100 * (40 * KIB as u64 + 1), "all of it is on the way");
    server.signal("TERM");
    server.process.resume();
    all_end_cleanly(server, &mut crowd);
    assert_eq!(crowd.answered(all), 100);
}

#[test]
fn nobody_new_comes_in_while_the_server_drains() {
    let server = serve_with_small_buffers("");
    let address = server.address();
    let mut crowd = Crowd::new();
    // Keeps the drain going: its replies have nowhere to go.
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
fn a_second_signal_ends_it_at_once() {
    let server = serve_with_small_buffers("--drain-timeout 1m");
    let mut crowd = Crowd::new();
    let slow = crowd.join_with_buffers(4 * KIB, server.address(), 50, Behavior::NeverReads);
    crowd.run_for(Duration::from_millis(300));
    server.signal("TERM");
    server.logs("draining");
    server.signal("INT");
    let ended = server.wait(Duration::from_secs(1));
    let summary = ended.summary();
    assert_eq!(summary.closed("stopped"), slow.len() as u64, "{}", ended.log_text());
    assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open())));
}

#[test]
fn those_who_take_too_long_are_cut_off_at_the_drain_timeout() {
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
fn an_idle_server_is_gone_at_once() {
    let server = Serve::new().start();
    server.signal("TERM");
    let ended = server.wait(Duration::from_secs(1));
    assert_eq!((ended.code, ended.summary().connections), (Some(0), 0));
}
