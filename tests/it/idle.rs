//! Thousands of connections: all are served, and idle ones use little memory and no CPU.

use std::io::Write as _;
use std::time::Duration;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, MIB, Serve, TIMEOUT, connect_with_buffers, descriptor_limit, exclusive_machine,
    print_note,
};

const CROWD: usize = 19_000;
const DESCRIPTORS: usize = 20_000;

/// The allowed memory that does not depend on the number of peers, without the memory after the start.
const MEMORY_BASE: usize = 4 * MIB;
/// The allowed memory of an idle peer: its slot and its timer.
const MEMORY_PER_PEER: usize = 128;

/// [`CROWD`], or fewer if this process may not have that many descriptors.
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
fn nineteen_thousand_connections_use_128_bytes_each() {
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
    assert_eq!(crowd.open(), count, "connections were refused or lost");
    assert_eq!(server.process.threads(), 1);
    drop(crowd);
    server.descriptors_return_to(descriptors);
    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (count as u64, 0));
    assert_eq!(summary.closed("finished"), count as u64);
}

#[test]
fn nineteen_thousand_idle_peers_cause_no_wake_ups() {
    idle_peers_cause_no_wake_ups(Duration::from_secs(5));
}

#[track_caller]
pub(crate) fn idle_peers_cause_no_wake_ups(span: Duration) {
    let _machine = exclusive_machine();
    let count = crowd_size();
    // Every deadline is armed, and the earliest is after the end of the test.
    let server = Serve::new().with("--write-timeout 5m").descriptors(DESCRIPTORS.min(descriptor_limit())).start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), count - 2, Behavior::OnRequest);
    crowd.echo(all.clone(), 100, TIMEOUT);
    // Two peers with a full window have a write deadline. One of them has half-closed.
    let mut full = [(); 2].map(|()| connect_with_buffers(server.address(), 4 * KIB));
    full.iter_mut().for_each(|stream| stream.write_all(&[0; 100 * KIB]).expect("the server reads"));
    full[1].finish();
    // Acknowledgements and window updates arrive a little later.
    crowd.settle(Duration::from_millis(500));

    let (switches, cpu) = (server.process.switches(), server.process.cpu());
    crowd.run_for(span);
    assert_eq!(server.process.switches() - switches, 0, "the idle server was woken");
    assert_eq!(server.process.cpu() - cpu, Duration::ZERO, "the idle server used CPU");
    println!("0 wake-ups and 0 s of CPU time in {span:?} with {count} idle connections");

    crowd.echo(all, 100, TIMEOUT);
    drop((crowd, full));
    server.drain();
}
