//! What the server asks of the kernel, counted and not timed: two calls for a message, one
//! registration for a connection.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{
    Behavior, Crowd, KIB, ScratchPath, Serve, Server, TIMEOUT, echoes, exchange, print_note, wait_until,
};

/// As a grandchild of the shell, so that what it traces keeps the process number we know.
const STRACE: &str = "strace -D -f -q -e signal=none -o";

/// Whether strace can trace here; if not, says loudly what was not tested.
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

/// Runs a server under strace and returns the lines of its trace, one a call.
fn trace(flags: &str, talk: impl FnOnce(&Server)) -> Vec<String> {
    let file = ScratchPath::new("strace");
    let server = Serve::new().under(&format!("{STRACE} {}", file.text())).with(flags).start();
    talk(&server);
    server.drain();
    let text = || fs::read_to_string(file.text()).unwrap_or_default();
    wait_until(TIMEOUT, "the trace is complete", || text().contains("+++ exited with"));
    text().lines().map(str::to_owned).collect()
}

/// The name of the call, behind the process number; of one that another thread's interrupted in
/// the trace, where it goes on.
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

/// The calls from the first that mentions `from` to the last that mentions `to`.
fn between<'a>(lines: &'a [String], from: &str, to: &str) -> &'a [String] {
    let first = lines.iter().position(|line| line.contains(from)).expect("the first word is in the trace");
    let last = lines.iter().rposition(|line| line.contains(to)).expect("the last word is in the trace");
    &lines[first..=last]
}

#[test]
fn a_message_costs_one_read_one_write_and_its_share_of_a_poll() {
    const MESSAGES: usize = 1000;
    if !can_trace() {
        return;
    }
    let lines = trace("", |server| {
        let mut stream = server.connect();
        echoes(&mut stream, b"<first>");
        for _ in 0..MESSAGES {
            echoes(&mut stream, b"message");
        }
        echoes(&mut stream, b"<last>");
    });
    let middle = between(&lines, "<first>", "<last>");
    // The first word's own calls, and the last one's.
    let expected = MESSAGES + 2;
    assert_eq!(count(middle, &READS), expected);
    assert_eq!(count(middle, &WRITES), expected);
    assert!(count(middle, &POLLS) <= expected + 1);
    let all = count(middle, &READS) + count(middle, &WRITES) + count(middle, &POLLS);
    assert_eq!(middle.len(), all, "nothing else is called: {:?}", others(middle));
    let each = (count(middle, &READS) + count(middle, &WRITES)) / expected;
    println!("{each} system calls per echoed message, besides {} polls for {expected} messages", count(middle, &POLLS));
    // The idle deadline is armed all the while; the kernel is not asked to set a timer for each poll.
    let timed = middle.iter().filter(|line| POLLS.contains(&call(line)) && !line.contains(", -1) = ")).count();
    assert_eq!(timed, 0, "polls that have a timeout of their own");
}

/// The names of the calls that are none of the three.
fn others(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| call(line)).filter(|name| ![&READS[..], &WRITES, &POLLS].concat().contains(name)).collect()
}

#[test]
fn without_the_reactor_a_message_costs_one_read_and_one_write() {
    const MESSAGES: usize = 1000;
    if !can_trace() {
        return;
    }
    for design in ["--design threads", "--design pool", "--design iterative"] {
        let mut lines = trace(design, |server| {
            let mut stream = server.connect();
            echoes(&mut stream, b"<first>");
            for _ in 0..MESSAGES {
                echoes(&mut stream, b"message");
            }
            echoes(&mut stream, b"<last>");
        });
        // The peer's own thread: those of a pool may still be starting.
        let theirs = lines.iter().rfind(|line| line.contains("<last>")).map(|line| thread_of(line).to_owned());
        lines.retain(|line| theirs.as_deref() == Some(thread_of(line)));
        // A call that began before another thread's and ended after it stands there twice.
        lines.retain(|line| !line.ends_with("<unfinished ...>"));
        let middle = between(&lines, "<first>", "<last>");
        let expected = MESSAGES + 2;
        assert_eq!(count(middle, &WRITES), expected, "{design}");
        // On a busy machine a nap may end before the next message comes: then it is waited for.
        let naps = middle.iter().filter(|line| line.contains("EAGAIN")).count();
        assert_eq!(count(middle, &READS), expected + naps, "{design}");
        assert!(naps <= MESSAGES / 100, "{design}: {naps} naps were too short");
        let watches = count(middle, &["poll", "ppoll"]);
        assert!(watches <= naps, "{design}: {watches} polls for {naps} naps");
        let all = count(middle, &READS) + count(middle, &WRITES) + watches;
        assert_eq!(middle.len(), all, "{design}: nothing else is called: {:?}", others(middle));
    }
}

#[test]
fn many_at_once_share_their_polls() {
    const PEERS: usize = 50;
    const ROUNDS: usize = 20;
    if !can_trace() {
        return;
    }
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
    let middle = between(&lines, "<first>", "<last>");
    assert_eq!(count(middle, &READS), PEERS * ROUNDS + 2);
    assert_eq!(count(middle, &WRITES), PEERS * ROUNDS + 2);
    // How many are ready when it looks depends on the moment: far more than one on average.
    assert!(count(middle, &POLLS) <= PEERS * ROUNDS / 3, "{} polls", count(middle, &POLLS));
}

#[test]
fn a_connection_is_registered_once_and_never_again() {
    const PEERS: usize = 100;
    if !can_trace() {
        return;
    }
    let lines = trace("--recv-buffer 16KiB --send-buffer 16KiB", |server| {
        let mut crowd = Crowd::new();
        // Windows fill and empty, readers pause and resume: the times at which others re-register.
        let all = crowd.join(server.address(), PEERS, Behavior::Repeats { len: 100 * KIB as u64 });
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| member.received > 300 * KIB as u64)));
        crowd.leave(all);
    });
    let first = lines.iter().position(|line| call(line).starts_with("accept")).expect("somebody came");
    let registered = count(&lines[first..], &["epoll_ctl"]);
    assert_eq!(registered, PEERS, "registrations for {PEERS} connections");
}

#[test]
fn a_connection_is_set_up_and_taken_down_with_few_calls() {
    const PEERS: usize = 200;
    if !can_trace() {
        return;
    }
    let mut lines = trace("", |server| {
        for _ in 0..PEERS {
            let mut stream = server.connect();
            stream.write_all(b"<hello>").unwrap();
            assert_eq!(exchange(&mut stream, b"", 1).0, b"<hello>");
        }
    });
    // Checked by the standard library before it closes a descriptor, in debug builds only.
    lines.retain(|line| !line.contains("F_GETFD"));
    let first = lines.iter().position(|line| call(line).starts_with("accept")).expect("somebody came");
    let each = |names: &[&str]| count(&lines[first..], names);
    // What the options of the listener give need no call on the accepted.
    assert_eq!(each(&["setsockopt", "getsockopt", "fcntl", "ioctl"]), 0);
    assert_eq!(each(&["shutdown"]), 0, "a close ends our direction as well");
    assert!(each(&["accept4", "accept"]) <= 2 * PEERS + 2);
}

/// What `bench` asks of the kernel for that many requests over one connection.
fn calls_of_bench(server: &Server, requests: usize) -> Vec<String> {
    let file = ScratchPath::new("strace");
    let words = format!("bench {} -c 1 -n {requests}", server.address());
    let ended = Serve::command(&words).under(&format!("{STRACE} {}", file.text())).run();
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let text = || fs::read_to_string(file.text()).unwrap_or_default();
    wait_until(TIMEOUT, "the trace is complete", || text().contains("+++ exited with"));
    text().lines().map(str::to_owned).collect()
}

#[test]
fn a_request_of_the_generator_costs_one_write_one_read_and_a_poll() {
    const MORE: usize = 2000;
    if !can_trace() {
        return;
    }
    let server = Serve::new().start();
    let (few, many) = (calls_of_bench(&server, 100), calls_of_bench(&server, 100 + MORE));
    server.drain();
    let more = |names: &[&str]| count(&many, names).abs_diff(count(&few, names));
    // Beside those of beginning and ending, which may differ by what the system tells of itself.
    assert!(more(&READS).abs_diff(MORE) <= 20, "{} reads for {MORE} requests", more(&READS));
    assert!(more(&WRITES).abs_diff(MORE) <= 2, "{} writes for {MORE} requests", more(&WRITES));
    assert!(more(&POLLS) <= MORE + 20, "{} polls for {MORE} requests", more(&POLLS));
    let others = |lines: &[String]| others(lines).len();
    assert!(others(&many).abs_diff(others(&few)) <= 50, "{} other calls, before {}", others(&many), others(&few));
}
