//! What a thread for each peer costs: nothing while that is idle, and what happens when the system
//! has none to give.

use std::time::Duration;

use super::{reconciles, serve};
use crate::support::{Behavior, Crowd, Serve, StreamEnd, TIMEOUT, exclusive_machine, print_note, wait_until};

#[test]
fn threads_whose_peers_are_idle_are_woken_by_nobody() {
    let _machine = exclusive_machine();
    for design in ["--design threads", "--design pool --workers 300"] {
        let server = serve(design, "");
        let mut crowd = Crowd::new();
        let all = crowd.join(server.address(), 200, Behavior::OnRequest);
        crowd.echo(all.clone(), 100, TIMEOUT);
        // The nap after the last message ends, and the watch begins.
        crowd.run_for(Duration::from_secs(1));
        let (switches, cpu) = (server.process.switches(), server.process.cpu());
        crowd.run_for(Duration::from_secs(2));
        assert_eq!(server.process.switches() - switches, 0, "{design}: somebody woke a thread");
        assert_eq!(server.process.cpu() - cpu, Duration::ZERO, "{design}: idle threads used CPU");
        crowd.echo(all, 100, TIMEOUT);
        drop(crowd);
        reconciles(design, server);
    }
}

#[test]
fn a_thousand_peers_have_a_thousand_threads_and_all_of_them_end() {
    let server = serve("--design threads", "");
    let base = (server.process.threads(), server.process.descriptors());
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 1000, Behavior::OnRequest);
    crowd.echo(all.clone(), 100, TIMEOUT);
    assert_eq!(server.process.threads(), base.0 + 1000);
    // What `threads` counts of each, and some that are the heap's. The standard library ends a
    // process that has none left when a thread starts.
    let mappings = mappings(server.process.pid);
    assert!(mappings <= 1000 * 5 + 200, "{mappings} mappings with 1000 threads: `MAPPINGS_PER_THREAD` is too low");
    crowd.leave(all);
    wait_until(TIMEOUT, "the threads end", || server.process.threads() == base.0);
    server.descriptors_return_to(base.1);
    // Their memory comes back to be used again: a second thousand needs no more.
    let again = crowd.join(server.address(), 1000, Behavior::OnRequest);
    crowd.echo(again, 100, TIMEOUT);
    drop(crowd);
    assert_eq!(reconciles("threads", server).closed("finished"), 2000);
}

/// How many mappings a process has.
fn mappings(pid: u32) -> usize {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs").lines().count()
}

#[test]
fn a_thread_that_the_system_refuses_is_counted_and_those_who_have_one_go_on() {
    const TASKS: usize = 20;
    let Some(limited) = with_tasks(TASKS) else { return };
    let server = limited.with("--design threads").start();
    let room = TASKS - server.process.threads();
    let mut crowd = Crowd::new();
    let first = crowd.join(server.address(), room, Behavior::OnRequest);
    crowd.echo(first.clone(), 100, TIMEOUT);
    // One at a time: after a failure, accepting rests.
    for _ in 0..3 {
        let more = crowd.join(server.address(), 1, Behavior::OnRequest);
        crowd.ask(more.clone(), 100);
        let gone = crowd.run_until(TIMEOUT, |members| !members[more.start].is_open());
        assert!(gone, "somebody without a thread was not told");
        assert_eq!(crowd.ended(more, StreamEnd::Reset), 1);
    }
    crowd.echo(first.clone(), 100, TIMEOUT);
    // A thread that ends makes room for one that begins.
    crowd.leave(0..1);
    wait_until(TIMEOUT, "a thread ends", || server.process.threads() < TASKS);
    let next = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(next, 100, TIMEOUT);
    drop(crowd);
    let ended = server.drain();
    let summary = ended.summary();
    assert_eq!((summary.connections, summary.refused), (room as u64 + 1, 3), "{}", ended.log_text());
    assert!(ended.log_text().contains("no thread for it"), "{}", ended.log_text());
}

/// A server that may have no more tasks than that; `None`, said loudly, where the system does not
/// hold anybody to it.
fn with_tasks(count: usize) -> Option<Serve> {
    /// A user whom nobody is: root is held to no limit, and any other user has tasks elsewhere.
    const NOBODY: u32 = 54_321;
    let setpriv = format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups");
    let tried = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{setpriv} {} --version", env!("CARGO_BIN_EXE_readyloop")))
        .output();
    if !tried.is_ok_and(|output| output.status.success()) {
        print_note("a refused thread was NOT tested: this needs root, setpriv, and a path that all may use");
        return None;
    }
    Some(Serve::new().under(&format!("prlimit --nproc={count} {setpriv}")))
}
