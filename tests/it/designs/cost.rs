//! The cost of one thread for each peer: wake-ups, memory mappings, and the behavior when the system
//! has no thread left.

use std::time::Duration;

use super::{drain_and_reconcile, serve};
use crate::support::{Behavior, Crowd, Serve, StreamEnd, TIMEOUT, exclusive_machine, print_note, wait_until};

/// The timeout of a blocking read (`SOCKET_TIMEOUT` in `src/net/blocking.rs`).
const SOCKET_TIMEOUT: Duration = Duration::from_millis(500);

#[test]
fn an_idle_thread_wakes_only_when_its_read_times_out() {
    const PEERS: u64 = 200;
    const TIMEOUTS: u32 = 4;
    let _machine = exclusive_machine();
    for design in ["--design threads", "--design pool --workers 300"] {
        let server = serve(design, "");
        let mut crowd = Crowd::new();
        let all = crowd.join(server.address(), PEERS as usize, Behavior::OnRequest);
        crowd.echo(all.clone(), 100, TIMEOUT);
        let switches = server.process.switches();
        crowd.run_for(TIMEOUTS * SOCKET_TIMEOUT);
        let switches = server.process.switches() - switches;
        // One for each timeout and one at the edge of the measured time. A thread that wakes may be
        // preempted once before it waits again.
        let switches_max = 2 * PEERS * u64::from(TIMEOUTS + 1);
        assert!(switches <= switches_max, "{design}: {switches} context switches, at most {switches_max} expected");
        crowd.echo(all, 100, TIMEOUT);
        drop(crowd);
        drain_and_reconcile(design, server);
    }
}

#[test]
fn a_thousand_peers_have_a_thousand_threads_and_all_threads_end() {
    let server = serve("--design threads", "");
    let base = (server.process.threads(), server.process.descriptors());
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 1000, Behavior::OnRequest);
    crowd.echo(all.clone(), 100, TIMEOUT);
    assert_eq!(server.process.threads(), base.0 + 1000);
    // Those that the server counts for each thread, and some of the heap. The standard library aborts a
    // process that has no mapping left for a new thread.
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.process.pid)).expect("the process runs");
    let mappings = maps.lines().count();
    assert!(mappings <= 1000 * 5 + 200, "{mappings} mappings with 1000 threads: `MAPPINGS_PER_THREAD` is too low");
    crowd.leave(all);
    wait_until(TIMEOUT, "the threads end", || server.process.threads() == base.0);
    server.descriptors_return_to(base.1);
    // The memory of ended threads is reused.
    let again = crowd.join(server.address(), 1000, Behavior::OnRequest);
    crowd.echo(again, 100, TIMEOUT);
    drop(crowd);
    assert_eq!(drain_and_reconcile("threads", server).closed("finished"), 2000);
}

#[test]
fn a_peer_without_a_thread_is_refused_and_counted_and_the_others_continue() {
    const TASKS: usize = 20;
    let Some(limited) = with_tasks(TASKS) else { return };
    let server = limited.with("--design threads").start();
    let free = TASKS - server.process.threads();
    let mut crowd = Crowd::new();
    let first = crowd.join(server.address(), free, Behavior::OnRequest);
    crowd.echo(first.clone(), 100, TIMEOUT);
    // One at a time: after a failure, accepting pauses.
    for _ in 0..3 {
        let more = crowd.join(server.address(), 1, Behavior::OnRequest);
        crowd.ask(more.clone(), 100);
        let is_closed = crowd.run_until(TIMEOUT, |members| !members[more.start].is_open());
        assert!(is_closed, "a connection without a thread is still open");
        assert_eq!(crowd.ended(more, StreamEnd::Reset), 1);
    }
    crowd.echo(first.clone(), 100, TIMEOUT);
    // After a thread has ended, another one can start.
    crowd.leave(0..1);
    wait_until(TIMEOUT, "a thread ends", || server.process.threads() < TASKS);
    let next = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(next, 100, TIMEOUT);
    drop(crowd);
    let ended = server.drain();
    let summary = ended.summary();
    assert_eq!((summary.connections, summary.refused), (free as u64 + 1, 3), "{}", ended.log_text());
    assert!(ended.log_text().contains("no thread for it"), "{}", ended.log_text());
}

/// A server that may have at most `count` tasks. `None`, with a printed note, where that limit cannot be set.
fn with_tasks(count: usize) -> Option<Serve> {
    /// A user without processes: root has no such limit, and another user may have tasks elsewhere.
    const UNUSED_UID: u32 = 54_321;
    let setpriv = format!("setpriv --reuid {UNUSED_UID} --regid {UNUSED_UID} --clear-groups");
    let version = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{setpriv} {} --version", env!("CARGO_BIN_EXE_readyloop")))
        .output();
    if !version.is_ok_and(|output| output.status.success()) {
        print_note("a refused thread was NOT tested: this needs root, setpriv, and a binary that every user can run");
        return None;
    }
    Some(Serve::new().under(&format!("prlimit --nproc={count} {setpriv}")))
}
