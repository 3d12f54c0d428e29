//! Clients that send a frame byte by byte: each frame has one deadline, which further bytes do not extend.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::support::{Attempt, Behavior, Crowd, Serve, TIMEOUT, repeat_attempts};

#[test]
fn a_slow_frame_is_closed_at_its_deadline() {
    let frame_timeout = Duration::from_secs(1);
    let server = Serve::new().with("--framing fixed:1000 --frame-timeout 1s").start();
    let mut crowd = Crowd::new();
    let slow = crowd.join(server.address(), 300, Behavior::OnRequest);
    let started = Instant::now();
    while crowd.open() == slow.len() {
        crowd.ask(slow.clone(), 1);
        crowd.run_for(Duration::from_millis(20));
        assert!(started.elapsed() < TIMEOUT, "further bytes have extended the deadline");
    }
    assert!(started.elapsed() >= frame_timeout, "the deadline was early");
    assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open())));

    let prompt = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(prompt, 1000, TIMEOUT);
    drop(crowd);
    assert_eq!(server.drain().summary().closed("frame-timeout"), 300);
}

#[test]
fn slow_writers_do_not_delay_new_clients() {
    new_clients_beside_slow_writers(2000);
}

#[track_caller]
pub(crate) fn new_clients_beside_slow_writers(count: usize) {
    let server = Serve::new().with("--framing fixed:1000").start();
    let mut crowd = Crowd::new();
    // The longest time from connect to reply of 20 clients. Before each one, all slow writers send a byte.
    let slowest = |crowd: &mut Crowd, slow: Range<usize>| {
        let time_of_one = |_| {
            crowd.ask(slow.clone(), 1);
            let started = Instant::now();
            let client = crowd.join(server.address(), 1, Behavior::OnRequest);
            crowd.echo(client, 1000, TIMEOUT);
            started.elapsed()
        };
        (0..20).map(time_of_one).max().expect("the range is not empty")
    };
    let mut slow_writers = 0;
    repeat_attempts("new clients beside slow writers", || {
        let alone = slowest(&mut crowd, 0..0);
        let slow = crowd.join(server.address(), count, Behavior::OnRequest);
        slow_writers += slow.len();
        let waited_before = server.process.waited_for_cpu();
        let together = slowest(&mut crowd, slow.clone());
        let server_waited = server.process.waited_for_cpu() - waited_before;
        crowd.leave(slow);
        println!("slowest new client: alone {alone:?}, together {together:?}; the server waited {server_waited:?}");
        Attempt {
            is_good: together < Duration::from_millis(100).max(3 * alone),
            is_disturbed: server_waited > Duration::from_millis(50),
            is_bounded: together < Duration::from_secs(1),
        }
    });
    drop(crowd);
    let summary = server.drain().summary();
    // On a busy machine, the kernel may deliver the end of some peers only after the drain has begun.
    let ended = summary.closed("partial-frame") + summary.closed("drained");
    assert_eq!(ended, slow_writers as u64, "{summary:?}");
}
