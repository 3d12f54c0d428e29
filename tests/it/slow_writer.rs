//! Clients that drip a byte at a time inside a frame: each frame has one deadline, which the bytes
//! between do not move.

use std::time::{Duration, Instant};

use crate::support::{Behavior, Crowd, Serve, TIMEOUT};

#[test]
fn a_frame_that_drips_is_ended_at_its_deadline() {
    let frame_timeout = Duration::from_secs(1);
    let server = Serve::new().with("--framing fixed:1000 --frame-timeout 1s").start();
    let mut crowd = Crowd::new();
    let slow = crowd.join(server.address(), 300, Behavior::OnRequest);
    let started = Instant::now();
    while crowd.open() == slow.len() {
        crowd.ask(slow.clone(), 1);
        crowd.run_for(Duration::from_millis(20));
        assert!(started.elapsed() < TIMEOUT, "the bytes between have moved the deadline");
    }
    assert!(started.elapsed() >= frame_timeout, "a deadline is never early");
    assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open())));

    let prompt = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(prompt, 1000, TIMEOUT);
    drop(crowd);
    assert_eq!(server.drain().summary().closed("frame-timeout"), 300);
}

#[test]
fn those_that_drip_keep_no_newcomer_waiting() {
    drips_beside_newcomers(2000);
}

#[track_caller]
pub(crate) fn drips_beside_newcomers(drips: usize) {
    let server = Serve::new().with("--framing fixed:1000").start();
    let mut crowd = Crowd::new();
    let newcomer_waits = |crowd: &mut Crowd| {
        let started = Instant::now();
        let newcomer = crowd.join(server.address(), 1, Behavior::OnRequest);
        crowd.echo(newcomer, 1000, TIMEOUT);
        started.elapsed()
    };
    let alone = (0..20).map(|_| newcomer_waits(&mut crowd)).max().expect("twenty");
    let slow = crowd.join(server.address(), drips, Behavior::OnRequest);
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        crowd.ask(slow.clone(), 1);
        slowest = slowest.max(newcomer_waits(&mut crowd));
    }
    // On a busy machine even a newcomer alone waits for its turn.
    let allowed = Duration::from_millis(100).max(3 * alone);
    assert!(slowest < allowed, "a newcomer waited {slowest:?}, alone {alone:?}");
    drop(crowd);
    assert_eq!(server.drain().summary().closed("partial-frame"), drips as u64);
}
