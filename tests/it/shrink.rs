//! A burst that fills thousands of queues: once it is over its memory is back, and on the way
//! nobody else waits for long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Crowd, Ending, Habit, KIB, MIB, PATIENCE, Process, Serve, Server, alone, echoes, until};

/// What somebody who pings all the time saw.
#[derive(Debug)]
struct Pinged {
    longest: Duration,
    /// How long the server and we were ready to run and had no processor.
    waited: Duration,
}

/// Pings from a thread of its own while `work` goes on.
fn pinged_during(server: &Server, work: impl FnOnce()) -> Pinged {
    let is_over = AtomicBool::new(false);
    let waited = || server.process.waited_for_cpu() + Process { pid: std::process::id() }.waited_for_cpu();
    let before = waited();
    let longest = thread::scope(|scope| {
        let pinger = scope.spawn(|| {
            let (mut stream, mut longest) = (server.connect(), Duration::ZERO);
            while !is_over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                echoes(&mut stream, b"ping");
                longest = longest.max(asked.elapsed());
                thread::yield_now();
            }
            longest
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        pinger.join().expect("every byte was right")
    });
    Pinged { longest, waited: waited() - before }
}

/// `peers` that each send `len` bytes before they read any. Meanwhile nobody else waits for longer
/// than `longest`, the time aside in which other programs had the processors.
#[track_caller]
pub(crate) fn burst_and_rest(peers: usize, len: usize, longest: Duration) {
    let _machine = alone();
    let total = peers * len;
    let server = Serve::new()
        .with("--recv-buffer 16KiB --send-buffer 16KiB --queue-low 64KiB")
        .with(&format!("--queue-high {len} --queue-total-max {}", 2 * total))
        .start();
    let mut crowd = Crowd::new();
    let all = crowd.join_with_buffers(16 * KIB, server.address(), peers, Habit::SendsFirst);
    crowd.echo(all.clone(), 100, PATIENCE);
    let base = server.process.memory_bytes();

    crowd.ask(all.clone(), len as u64);
    let sent = crowd.runs_until(2 * PATIENCE, |members| members.iter().all(|member| member.sent == len as u64 + 100));
    assert!(sent, "the burst is not taken");
    let peak = server.process.memory_bytes();
    assert!(peak > total * 2 / 3, "{peak} bytes are no burst of {total}");

    let mut left = 0;
    let pinged = pinged_during(&server, || {
        let answered = crowd.runs_until(2 * PATIENCE, |members| members.iter().all(|member| member.is_answered()));
        assert!(answered, "{} of {peers} have their bytes", crowd.answered(all.clone()));
        until(PATIENCE, "memory is back", || {
            left = server.process.memory_bytes();
            left <= base * 13 / 10 + 8 * MIB
        });
    });
    println!("{peers} peers, {len} bytes each: base {base}, peak {peak}, in the end {left}; {pinged:?}");
    assert!(pinged.longest <= longest + pinged.waited, "{pinged:?}");

    crowd.echo(all.clone(), 100, PATIENCE);
    assert_eq!(crowd.ended(all, Ending::Reset), 0);
    drop(crowd);
    let summary = server.drain().summary();
    assert!(summary.reconciles_as_echo() && summary.closed("finished") == summary.connections, "{summary:?}");
}

#[test]
fn memory_goes_back_after_a_burst_and_nobody_waits_for_that() {
    burst_and_rest(500, 256 * KIB, Duration::from_millis(500));
}
