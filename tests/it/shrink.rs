//! A burst that fills thousands of queues: once it is over its memory is back, and on the way
//! nobody else waits for long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{Crowd, Ending, Habit, KIB, MIB, PATIENCE, Serve, Server, alone, echoes, until};

/// Pings from a thread of its own while `work` goes on: the most that the server computed while one
/// ping waited, which is the rest of the turn in which it came, and the turn that served it.
fn longest_two_turns_during(server: &Server, work: impl FnOnce()) -> Duration {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let pinger = scope.spawn(|| {
            let (mut stream, mut longest) = (server.connect(), Duration::ZERO);
            while !is_over.load(Ordering::Relaxed) {
                // Time on a CPU: what other programs take of it is no turn of ours.
                let before = server.process.cpu();
                echoes(&mut stream, b"ping");
                longest = longest.max(server.process.cpu() - before);
                thread::yield_now();
            }
            longest
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        pinger.join().expect("every byte was right")
    })
}

/// `peers` that each send `len` bytes before they read any; while they read and all is given back,
/// no turn is longer than `turn_max`.
#[track_caller]
pub(crate) fn burst_and_rest(peers: usize, len: usize, turn_max: Duration) {
    let _machine = alone();
    let total = peers * len;
    let server = Serve::new()
        .with("--recv-buffer 64KiB --send-buffer 16KiB --queue-low 64KiB --write-timeout 10m")
        .with(&format!("--queue-high {len} --queue-total-max {}", 2 * total))
        .start();
    let mut crowd = Crowd::new();
    let all = crowd.join_with_buffers(16 * KIB, server.address(), peers, Habit::SendsFirst);
    crowd.echo(all.clone(), 100, PATIENCE);
    let base = server.process.memory_bytes();

    crowd.ask(all.clone(), len as u64);
    let sent = crowd.runs_until(6 * PATIENCE, |members| members.iter().all(|member| member.sent == len as u64 + 100));
    assert!(sent, "the burst is not taken");
    // What the kernel still held for the server is in its queues as well.
    until(PATIENCE, "the burst is taken", || server.process.is_asleep());
    let peak = server.process.memory_bytes();
    assert!(peak > total / 3, "{peak} bytes are no burst of {total}");

    let mut left = 0;
    let two_turns = longest_two_turns_during(&server, || {
        let answered = crowd.runs_until(6 * PATIENCE, |members| members.iter().all(|member| member.is_answered()));
        assert!(answered, "{} of {peers} have their bytes", crowd.answered(all.clone()));
        until(PATIENCE, "memory is back", || {
            left = server.process.memory_bytes();
            left <= base * 13 / 10 + 8 * MIB
        });
    });
    println!(
        "{peers} peers, {len} bytes each: base {base}, peak {peak}, in the end {left}; {two_turns:?} for two turns"
    );
    assert!(two_turns <= 2 * turn_max, "two turns took {two_turns:?}");

    crowd.echo(all.clone(), 100, PATIENCE);
    assert_eq!(crowd.ended(all, Ending::Reset), 0);
    drop(crowd);
    let summary = server.drain().summary();
    assert!(summary.reconciles_as_echo() && summary.closed("finished") == summary.connections, "{summary:?}");
}

#[test]
fn memory_goes_back_after_a_burst_and_nobody_waits_for_that() {
    burst_and_rest(500, 256 * KIB, Duration::from_millis(50));
}
