//! Very many connections in one process: all are served, and while they are idle they cost next
//! to no memory and no CPU at all.

use std::io::Write as _;
use std::time::Duration;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, MIB, Serve, TIMEOUT, connect_with_buffers, descriptor_limit, exclusive_machine,
    print_note,
};

const CROWD: usize = 19_000;
const DESCRIPTORS: usize = 20_000;

/// What a server may use whatever its peers do, beside the pages it has touched at its start.
const MEMORY_BASE: usize = 4 * MIB;
/// An idle peer is its slot and its timer.
const MEMORY_PER_PEER: usize = 128;

/// As many clients as this process may have descriptors for, up to the full crowd.
fn crowd_size() -> usize {
    let possible = descriptor_limit().saturating_sub(DESCRIPTORS - CROWD);
    if possible < CROWD {
        print_note(&format!(
            "only {possible} connections instead of {CROWD}: raise the hard limit with `ulimit -n {DESCRIPTORS}`"
        ));
    }
    possible.min(CROWD)
}

#[test]
fn nineteen_thousand_are_served_and_each_costs_128_bytes() {
    let _machine = exclusive_machine();
    let count = crowd_size();
    let server = Serve::new().descriptors(DESCRIPTORS.min(descriptor_limit())).start();
    let mut crowd = Crowd::new();
    let first = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(first, 1000, TIMEOUT);
    let (memory, descriptors) = (server.process.memory_bytes(), server.process.descriptors() - 1);

    let all = 0..crowd.join(server.address(), count - 1, Behavior::OnRequest).end;
    crowd.echo(all.clone(), 1000, TIMEOUT);
    assert_eq!(server.process.descriptors(), descriptors + count);
    let used = server.process.memory_bytes().saturating_sub(memory);
    let allowed = MEMORY_BASE + MEMORY_PER_PEER * count;
    assert!(used <= allowed, "{count} peers use {used} bytes, more than {allowed}");

    crowd.echo(all, 1000, TIMEOUT);
    assert_eq!(crowd.open(), count, "none refused, none lost");
    assert_eq!(server.process.threads(), 1);
    drop(crowd);
    server.descriptors_return_to(descriptors);
    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (count as u64, 0));
    assert_eq!(summary.closed("finished"), count as u64);
}

#[test]
fn nineteen_thousand_idle_peers_with_every_deadline_armed_wake_nobody() {
    idle_peers_wake_nobody(Duration::from_secs(5));
}

#[track_caller]
pub(crate) fn idle_peers_wake_nobody(span: Duration) {
    let _machine = exclusive_machine();
    let count = crowd_size();
    // Every deadline is armed, and the shortest is still beyond the end of the test.
    let server = Serve::new().with("--write-timeout 5m").descriptors(DESCRIPTORS.min(descriptor_limit())).start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), count - 2, Behavior::OnRequest);
    crowd.echo(all.clone(), 100, TIMEOUT);
    // One whose window is full, and one whose window is full and who has ended: both have a write deadline.
    let bytes = vec![0; 100 * KIB];
    let mut full = connect_with_buffers(server.address(), 4 * KIB);
    full.write_all(&bytes).expect("the server reads");
    let mut ended = connect_with_buffers(server.address(), 4 * KIB);
    ended.write_all(&bytes).expect("the server reads");
    ended.finish();
    // Acknowledgements and window updates come a little later.
    while crowd.turn(Duration::from_millis(500)) {}

    let (switches, cpu) = (server.process.switches(), server.process.cpu());
    crowd.run_for(span);
    assert_eq!(server.process.switches() - switches, 0, "somebody woke the server");
    assert_eq!(server.process.cpu() - cpu, Duration::ZERO, "an idle server used CPU");
    println!("0 wake-ups and 0 s of CPU time in {span:?} with {count} idle connections");

    crowd.echo(all, 100, TIMEOUT);
    drop((crowd, full, ended));
    server.drain();
}
