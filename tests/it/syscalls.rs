//! System calls of the server, counted by strace: two for a message, one registration for a connection.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{
    Behavior, Crowd, KIB, ScratchPath, Serve, Server, TIMEOUT, echoes, exchange, print_note, wait_until,
};

/// `-D` makes strace a grandchild of the shell, so that the server keeps its process number.
const STRACE: &str = "strace -D -f -q -e signal=none -o";

/// Whether strace works here. If not, prints a note that system calls are not counted.
fn can_trace() -> bool {
    let file = ScratchPath::new("strace");
    let tried =
        Command::new("sh").arg("-c").arg(format!("{STRACE} {} true", file.text())).stderr(Stdio::null()).status();
    let can = tried.is_ok_and(|status| status.success()) && fs::read_to_string(file.text()).is_ok();
    if !can {
        print_note("system calls were NOT counted: strace is missing or may not trace (apt-get install strace)");
    }
    can
}

/// Runs a server under strace. Returns its trace, one line for each call, or `None` if strace does not work.
fn trace(flags: &str, client: impl FnOnce(&Server)) -> Option<Vec<String>> {
    if !can_trace() {
        return None;
    }
    let file = ScratchPath::new("strace");
    let server = Serve::new().under(&format!("{STRACE} {}", file.text())).with(flags).start();
    client(&server);
    server.drain();
    Some(complete_trace(&file))
}

/// Waits until strace has written its last line.
fn complete_trace(file: &ScratchPath) -> Vec<String> {
    let text = || fs::read_to_string(file.text()).unwrap_or_default();
    wait_until(TIMEOUT, "the trace is complete", || text().contains("+++ exited with"));
    text().lines().map(str::to_owned).collect()
}

/// The name of the call in a line, which follows the process number. A call that was interrupted in the
/// trace by another thread has a second line, `<... NAME resumed>`.
fn call(line: &str) -> &str {
    let name = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    let name = name.strip_prefix("<... ").unwrap_or(name);
    name.split(['(', ' ']).next().unwrap_or(name)
}

fn thread_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn count(lines: &[String], names: &[&str]) -> usize {
    lines.iter().filter(|line| names.contains(&call(line))).count()
}

const READS: [&str; 4] = ["read", "recvfrom", "readv", "recvmsg"];
const WRITES: [&str; 4] = ["write", "sendto", "writev", "sendmsg"];
const POLLS: [&str; 3] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];

/// The lines from the first that contains `from` to the last that contains `to`.
fn between<'a>(lines: &'a [String], from: &str, to: &str) -> &'a [String] {
    let first = lines.iter().position(|line| line.contains(from)).expect("the first message is in the trace");
    let last = lines.iter().rposition(|line| line.contains(to)).expect("the last message is in the trace");
    &lines[first..=last]
}

/// The messages of [`echo_messages`] between the first and the last.
const MESSAGES: usize = 1000;

/// Echoes messages, one after another, on one connection.
fn echo_messages(server: &Server) {
    let mut stream = server.connect();
    echoes(&mut stream, b"<first>");
    (0..MESSAGES).for_each(|_| echoes(&mut stream, b"message"));
    echoes(&mut stream, b"<last>");
}

#[test]
fn a_message_costs_one_read_one_write_and_at_most_one_poll() {
    let Some(lines) = trace("", echo_messages) else { return };
    let middle = between(&lines, "<first>", "<last>");
    // Includes the first and the last message.
    let expected = MESSAGES + 2;
    assert_eq!(count(middle, &READS), expected);
    assert_eq!(count(middle, &WRITES), expected);
    assert!(count(middle, &POLLS) <= expected + 1);
    let all = count(middle, &READS) + count(middle, &WRITES) + count(middle, &POLLS);
    assert_eq!(middle.len(), all, "other calls: {:?}", others(middle));
    let each = (count(middle, &READS) + count(middle, &WRITES)) / expected;
    println!("{each} system calls per echoed message, and {} polls for {expected} messages", count(middle, &POLLS));
    // Although the idle deadline is armed, a poll has no timeout, which would cost a kernel timer.
    let timed = middle.iter().filter(|line| POLLS.contains(&call(line)) && !line.contains(", -1) = ")).count();
    assert_eq!(timed, 0, "polls with a timeout");
}

/// The names of the calls that are not reads, writes or polls.
fn others(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| call(line)).filter(|name| ![&READS[..], &WRITES, &POLLS].concat().contains(name)).collect()
}

#[test]
fn in_blocking_designs_a_message_costs_one_read_and_one_write() {
    for design in ["--design threads", "--design pool", "--design iterative"] {
        let Some(mut lines) = trace(design, echo_messages) else { return };
        // Other threads of a pool may still be starting.
        let thread = lines.iter().rfind(|line| line.contains("<last>")).map(|line| thread_of(line).to_owned());
        lines.retain(|line| thread.as_deref() == Some(thread_of(line)));
        // A call that another thread interrupted in the trace has two lines.
        lines.retain(|line| !line.ends_with("<unfinished ...>"));
        let middle = between(&lines, "<first>", "<last>");
        let expected = MESSAGES + 2;
        assert_eq!(count(middle, &WRITES), expected, "{design}");
        // A read fails with EAGAIN if the next message comes only after the timeout of the socket.
        let timeouts = middle.iter().filter(|line| line.contains("EAGAIN")).count();
        assert_eq!(count(middle, &READS), expected + timeouts, "{design}");
        assert!(timeouts <= MESSAGES / 100, "{design}: {timeouts} timeouts");
        let all = count(middle, &READS) + count(middle, &WRITES);
        assert_eq!(middle.len(), all, "{design}: other calls: {:?}", others(middle));
    }
}

#[test]
fn simultaneous_messages_share_polls() {
    const PEERS: usize = 50;
    const ROUNDS: usize = 20;
    let lines = trace("", |server| {
        let mut crowd = Crowd::new();
        let all = crowd.join(server.address(), PEERS, Behavior::OnRequest);
        crowd.echo(all.clone(), 16, TIMEOUT);
        let mut marker = server.connect();
        echoes(&mut marker, b"<first>");
        for _ in 0..ROUNDS {
            crowd.echo(all.clone(), 16, TIMEOUT);
        }
        echoes(&mut marker, b"<last>");
    });
    let Some(lines) = lines else { return };
    let middle = between(&lines, "<first>", "<last>");
    assert_eq!(count(middle, &READS), PEERS * ROUNDS + 2);
    assert_eq!(count(middle, &WRITES), PEERS * ROUNDS + 2);
    // The number of ready peers at each poll varies, but is far above one on average.
    assert!(count(middle, &POLLS) <= PEERS * ROUNDS / 3, "{} polls", count(middle, &POLLS));
}

#[test]
fn a_connection_is_registered_only_once() {
    const PEERS: usize = 100;
    let lines = trace("--recv-buffer 16KiB --send-buffer 16KiB", |server| {
        let mut crowd = Crowd::new();
        // Windows fill and empty, and reading pauses and resumes. Other event loops re-register then.
        let all = crowd.join(server.address(), PEERS, Behavior::Repeats { len: 100 * KIB as u64 });
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| member.received > 300 * KIB as u64)));
        crowd.leave(all);
    });
    let Some(lines) = lines else { return };
    let first = lines.iter().position(|line| call(line).starts_with("accept")).expect("a connection was accepted");
    let registered = count(&lines[first..], &["epoll_ctl"]);
    assert_eq!(registered, PEERS, "registrations for {PEERS} connections");
}

#[test]
fn opening_and_closing_a_connection_costs_few_calls() {
    const PEERS: usize = 200;
    let lines = trace("", |server| {
        for _ in 0..PEERS {
            let mut stream = server.connect();
            stream.write_all(b"<hello>").unwrap();
            assert_eq!(exchange(&mut stream, b"", 1).0, b"<hello>");
        }
    });
    let Some(mut lines) = lines else { return };
    // Checked by the standard library before it closes a descriptor, in debug builds only.
    lines.retain(|line| !line.contains("F_GETFD"));
    let first = lines.iter().position(|line| call(line).starts_with("accept")).expect("a connection was accepted");
    let each = |names: &[&str]| count(&lines[first..], names);
    // Accepted sockets inherit the options of the listener, so they need no calls.
    assert_eq!(each(&["setsockopt", "getsockopt", "fcntl", "ioctl"]), 0);
    assert_eq!(each(&["shutdown"]), 0, "a close ends our direction too");
    assert!(each(&["accept4", "accept"]) <= 2 * PEERS + 2);
}

/// The trace of `bench` with this number of requests on one connection.
fn calls_of_bench(server: &Server, requests: usize) -> Vec<String> {
    let file = ScratchPath::new("strace");
    let words = format!("bench {} -c 1 -n {requests}", server.address());
    let ended = Serve::command(&words).under(&format!("{STRACE} {}", file.text())).run();
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    complete_trace(&file)
}

#[test]
fn a_request_of_bench_costs_one_write_one_read_and_one_poll() {
    const MORE: usize = 2000;
    if !can_trace() {
        return;
    }
    let server = Serve::new().start();
    let (few, many) = (calls_of_bench(&server, 100), calls_of_bench(&server, 100 + MORE));
    server.drain();
    let more = |names: &[&str]| count(&many, names).abs_diff(count(&few, names));
    // Calls at start and exit vary slightly with the state of the system.
    assert!(more(&READS).abs_diff(MORE) <= 20, "{} reads for {MORE} requests", more(&READS));
    assert!(more(&WRITES).abs_diff(MORE) <= 2, "{} writes for {MORE} requests", more(&WRITES));
    assert!(more(&POLLS) <= MORE + 20, "{} polls for {MORE} requests", more(&POLLS));
    let others = |lines: &[String]| others(lines).len();
    let (many, few) = (others(&many), others(&few));
    assert!(many.abs_diff(few) <= 50, "{many} other calls, {few} for fewer requests");
}
