//! A burst fills thousands of queues. No turn takes long, and the memory returns to the system.
//!
//! The server is part of this test, because only code inside its process can measure a turn.

use std::time::Duration;

use readyloop::service::Echo;
use readyloop::watermark::Watermarks;
use readyloop::{Address, ControlEvent, Limits, Listen, ListenOptions, Raw, Reactor, ServerLimits};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{
    Behavior, Crowd, KIB, MIB, Server, StreamEnd, TIMEOUT, descriptor_limit, exclusive_machine, is_own_process,
    own_process, wait_until,
};

const PEERS: &str = "READYLOOP_IT_PEERS";
const LEN: &str = "READYLOOP_IT_LEN";

/// The start of the line with the CPU time of the longest turn, in nanoseconds.
const LONGEST_TURN: &str = "longest turn: ";

#[test]
#[ignore = "the server that `burst_and_rest` talks to"]
fn a_server_that_times_its_turns() {
    if !is_own_process() {
        return;
    }
    let [peers, len] = [PEERS, LEN].map(|name| std::env::var(name).unwrap().parse::<usize>().unwrap());
    descriptor_limit();
    let mut reactor = Reactor::new().unwrap();
    reactor.watch_signal(libc::SIGTERM, ControlEvent::Drain).unwrap();
    let server_limits = ServerLimits { queue_total_max: 2 * peers * len, ..ServerLimits::default() };
    let mut server = readyloop::Server::new(reactor, server_limits);
    let socket = ListenOptions { recv_buffer: Some(64 * KIB), send_buffer: Some(16 * KIB), ..ListenOptions::default() };
    let limits =
        Limits { queue: Watermarks::new(64 * KIB, len), write_timeout: Duration::from_secs(600), ..Limits::default() };
    let address: Address = "127.0.0.1:0".parse().unwrap();
    let endpoint = server.listen(Listen { socket, limits, ..Listen::from(address) }, Raw, Echo::new()).unwrap();
    // Starts a new line, because the test runner has printed the name of the test.
    println!("\nlistening on {}", server.local_address(&endpoint));
    let mut longest = 0;
    while !server.is_done() {
        let before = thread_cpu_nanos();
        server.turn(None).unwrap();
        longest = longest.max(thread_cpu_nanos() - before);
    }
    println!("\n{LONGEST_TURN}{longest}");
    eprintln!("{}", server.totals());
}

/// The CPU time of this thread, which other programs do not affect.
fn thread_cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Connects `peers` clients that each send `len` bytes before they read any. No turn may use more than
/// `turn_max` of CPU time.
#[track_caller]
pub(crate) fn burst_and_rest(peers: usize, len: usize, turn_max: Duration) {
    let _machine = exclusive_machine();
    let total = peers * len;
    let mut command = own_process("shrink::a_server_that_times_its_turns", "");
    command.env(PEERS, peers.to_string()).env(LEN, len.to_string());
    let server = Server::in_own_process(command);
    let mut crowd = Crowd::new();
    let all = crowd.join_with_buffers(16 * KIB, server.address(), peers, Behavior::SendsFirst);
    crowd.echo(all.clone(), 100, TIMEOUT);
    let base = server.process.memory_bytes();

    crowd.ask(all.clone(), len as u64);
    let sent = crowd.run_until(6 * TIMEOUT, |members| members.iter().all(|member| member.sent == len as u64 + 100));
    assert!(sent, "the server does not read the burst");
    // When the server sleeps and its memory has grown, it has read the bytes in its socket buffers.
    let mut peak = 0;
    wait_until(TIMEOUT, "the server has read the burst", || {
        peak = server.process.memory_bytes();
        server.process.state() == 'S' && peak > total / 3
    });

    crowd.wait_for_echoes(all.clone(), 6 * TIMEOUT);
    let mut left = 0;
    wait_until(TIMEOUT, "the memory returns to the system", || {
        left = server.process.memory_bytes();
        left <= base * 13 / 10 + 8 * MIB
    });

    crowd.echo(all.clone(), 100, TIMEOUT);
    assert_eq!(crowd.ended(all, StreamEnd::Reset), 0);
    drop(crowd);
    let ended = server.drain();
    let summary = ended.summary();
    assert!(summary.reconciles_as_echo() && summary.closed("finished") == summary.connections, "{summary:?}");
    let printed = ended.out.iter().find_map(|line| line.strip_prefix(LONGEST_TURN));
    let longest = Duration::from_nanos(printed.and_then(|nanos| nanos.parse().ok()).expect("the server prints it"));
    println!("{peers} peers, {len} bytes each: base {base}, peak {peak}, afterwards {left}; longest turn {longest:?}");
    assert!(longest <= turn_max, "a turn used {longest:?} of CPU time");
}

#[test]
fn memory_returns_after_a_burst_and_no_turn_is_long() {
    burst_and_rest(500, 256 * KIB, Duration::from_millis(50));
}
