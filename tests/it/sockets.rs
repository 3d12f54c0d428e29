//! Socket options: the listener and each accepted connection have the requested ones.

use std::fs;
use std::net::SocketAddr;

use crate::support::{Process, Serve, TIMEOUT, echoes, exclusive_machine, wait_until};

/// Runs a server with these flags. Its log names the socket options in force.
#[track_caller]
fn check(flags: &str, option: &str) {
    let server = Serve::new().with("-v").with(flags).start();
    echoes(&mut server.connect(), b"hello");
    let ended = server.drain();
    let is_logged = ended.log.iter().any(|line| line.contains("socket options") && line.contains(option));
    assert!(is_logged, "no `{option}` with `{flags}` in\n{}", ended.log_text());
}

#[test]
fn nodelay_keepalive_and_buffer_sizes_are_set() {
    check("", "nodelay true");
    check("--no-nodelay", "nodelay false");
    // The kernel doubles the requested size, for its own bookkeeping (socket(7)).
    check("--recv-buffer 20KiB", "receive buffer 40960 bytes");
    check("--send-buffer 30KiB", "send buffer 61440 bytes");
    check("", "keepalive false");
    check("--keepalive 61s,11s,7", "keepalive true after 61s every 11s, 7 probes");
}

/// The kind and the due time of the server's timer for a connection, from /proc/net/tcp.
fn timer_of(process: Process, server: SocketAddr, peer: SocketAddr) -> Option<(u8, u64)> {
    let text = fs::read_to_string(format!("/proc/{}/net/tcp", process.pid)).expect("the kernel lists TCP sockets");
    // Both ends identify a connection: the local port may be in use with another server too.
    let ends = [server, peer].map(|end| format!("0100007F:{:04X}", end.port()));
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = fields.into_iter().find(|fields| fields.get(1..3).is_some_and(|pair| pair == ends))?;
    let (kind, due) = line[5].split_once(':')?;
    Some((kind.parse().ok()?, u64::from_str_radix(due, 16).ok()?))
}

#[test]
fn accepted_connections_inherit_keepalive() {
    /// The number of a keepalive timer in /proc/net/tcp (proc_net_tcp).
    const KEEPALIVE: u8 = 2;
    /// Ticks per second, on every architecture.
    const TICKS: u64 = 100;
    // The table is long and slow to read while other tests hold thousands of connections.
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
fn a_port_is_shared_only_if_all_servers_allow_it() {
    let first = Serve::new().with("--reuse-port").start();
    let address = first.address().to_string();
    let second = Serve::bare().listen(&address).with("--reuse-port").start();
    let third = Serve::bare().listen(&address).run();
    assert_eq!(third.code, Some(1), "{}", third.log_text());
    first.drain();
    second.drain();
}

/// The local ports of the sockets of a process, from the tables of the kernel.
fn ports_of(process: Process) -> Vec<u16> {
    let entries = fs::read_dir(format!("/proc/{}/fd", process.pid)).expect("the process runs").flatten();
    let links = entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()));
    let inodes: Vec<String> =
        links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"].map(|table| {
        // Without IPv6, half of the tables are missing.
        fs::read_to_string(format!("/proc/{}/net/{table}", process.pid)).unwrap_or_default()
    });
    let mut ports = Vec::new();
    for line in tables.iter().flat_map(|table| table.lines().skip(1)) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if inodes.iter().any(|inode| fields.get(9) == Some(&inode.as_str())) {
            let port = fields[1].rsplit(':').next().expect("an address has a port");
            ports.push(u16::from_str_radix(port, 16).expect("the kernel writes a hexadecimal port"));
        }
    }
    ports.sort_unstable();
    ports
}

#[test]
fn the_server_has_no_ports_other_than_its_listeners() {
    let server = Serve::new().listen("127.0.0.1:0").listen("udp://127.0.0.1:0").start();
    let ports = server.addresses.iter().map(|address| address.rsplit(':').next().and_then(|port| port.parse().ok()));
    let mut ports: Vec<u16> = ports.map(|port| port.expect("each has a port")).collect();
    ports.sort_unstable();
    assert_eq!(ports_of(server.process), ports);
    server.drain();
}
