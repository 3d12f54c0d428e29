//! The socket options: what was asked for is what the kernel was told and what each accepted
//! connection has.

use std::fs;
use std::net::SocketAddr;

use crate::support::{Ended, Process, Serve, Server, TIMEOUT, echoes, exclusive_machine, wait_until};

/// Starts a server with these flags and ends it; its log names the options the kernel has.
#[track_caller]
fn log_of(flags: &str) -> Ended {
    let server = Serve::new().with("-v").with(flags).start();
    echoes(&mut server.connect(), b"hello");
    server.drain()
}

#[track_caller]
fn check(flags: &str, option: &str) {
    let ended = log_of(flags);
    let said = ended.log.iter().any(|line| line.contains("socket options") && line.contains(option));
    assert!(said, "no `{option}` with `{flags}` in\n{}", ended.log_text());
}

#[test]
fn small_replies_leave_at_once_unless_told_otherwise() {
    check("", "nodelay Some(true)");
    check("--no-nodelay", "nodelay Some(false)");
}

#[test]
fn buffers_are_set_as_asked() {
    // The kernel doubles what it is asked for, for its own bookkeeping (socket(7)).
    check("--recv-buffer 20KiB", "receive buffer Some(40960)");
    check("--send-buffer 30KiB", "send buffer Some(61440)");
}

#[test]
fn keepalive_is_set_as_asked() {
    check("", "keepalive Some(false)");
    check("--keepalive 61s,11s,7", "keepalive Some(true) after Some(61s) every Some(11s) times Some(7)");
}

/// The timer of the server's end of a connection, from /proc/net/tcp: its kind and when it is due.
fn timer_of(process: Process, server: SocketAddr, peer: SocketAddr) -> Option<(u8, u64)> {
    let text = fs::read_to_string(format!("/proc/{}/net/tcp", process.pid)).expect("the kernel lists TCP sockets");
    // A port of ours may be in use towards another server too: both ends make a connection.
    let ends = [server, peer].map(|end| format!("0100007F:{:04X}", end.port()));
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = fields.into_iter().find(|fields| fields.get(1..3).is_some_and(|pair| pair == ends))?;
    let (kind, due) = line[5].split_once(':')?;
    Some((kind.parse().ok()?, u64::from_str_radix(due, 16).ok()?))
}

#[test]
fn accepted_connections_are_probed_without_a_call_for_each() {
    /// The kernel's own number for a keepalive timer (proc_net_tcp).
    const KEEPALIVE: u8 = 2;
    /// Hundredths of a second, on every architecture.
    const TICKS: u64 = 100;
    // The kernel's table is long while others hold thousands of connections, and slow to read.
    let _quiet = exclusive_machine();
    let server = Serve::new().with("--keepalive 1000s,10s,6").start();
    let mut stream = server.connect();
    echoes(&mut stream, b"hello");
    let (peer, here) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let mut timer = None;
    wait_until(TIMEOUT, "the reply is acknowledged", || {
        timer = timer_of(server.process, here, peer);
        timer.is_some_and(|(kind, _)| kind == KEEPALIVE)
    });
    let (_, due) = timer.unwrap();
    assert!((900 * TICKS..=1000 * TICKS).contains(&due), "the first probe is due in {due} ticks");
    drop(stream);
    server.drain();
}

#[test]
fn a_port_is_shared_only_by_those_who_all_want_to() {
    let first = Serve::new().with("--reuse-port").start();
    let address = first.address().to_string();
    let second = Serve::bare().listen(&address).with("--reuse-port").start();
    let third = Serve::bare().listen(&address).run();
    assert_eq!(third.code, Some(1), "{}", third.log_text());
    drop_all(first, second);
}

fn drop_all(first: Server, second: Server) {
    first.drain();
    second.drain();
}

/// The ports that a process has sockets at, as the kernel's tables name them.
fn ports_of(process: Process) -> Vec<u16> {
    let entries = fs::read_dir(format!("/proc/{}/fd", process.pid)).expect("it runs").flatten();
    let links = entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()));
    let inodes: Vec<String> =
        links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"].map(|table| {
        // A machine without IPv6 has half of them.
        fs::read_to_string(format!("/proc/{}/net/{table}", process.pid)).unwrap_or_default()
    });
    let mut ports = Vec::new();
    for line in tables.iter().flat_map(|table| table.lines().skip(1)) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if inodes.iter().any(|inode| words.get(9) == Some(&inode.as_str())) {
            let port = words[1].rsplit(':').next().expect("an address has a port");
            ports.push(u16::from_str_radix(port, 16).expect("the kernel writes it so"));
        }
    }
    ports.sort_unstable();
    ports
}

#[test]
fn it_listens_where_it_was_told_and_nowhere_else() {
    let server = Serve::new().listen("127.0.0.1:0").listen("udp://127.0.0.1:0").start();
    let told = server.addresses.iter().map(|address| address.rsplit(':').next().and_then(|port| port.parse().ok()));
    let mut told: Vec<u16> = told.map(|port| port.expect("each has a port")).collect();
    told.sort_unstable();
    assert_eq!(ports_of(server.process), told);
    server.drain();
}
