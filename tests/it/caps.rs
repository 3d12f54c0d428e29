//! The caps on connections, in all and per address: exactly so many, the rest by policy, counted,
//! and a place that comes free is given again.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use crate::support::{Behavior, Crowd, Serve, StreamEnd, Summary, TIMEOUT};

const ALLOWED: usize = 1000;
const COME: usize = 1500;
const REUSED_WITHIN: Duration = Duration::from_secs(1);

/// Asks everybody for a word; whether in the end `answered` have an answer and `refused` were sent away.
#[track_caller]
fn settles(crowd: &mut Crowd, who: Range<usize>, answered: usize, refused: usize) {
    crowd.ask(who.clone(), 10);
    crowd.run_until(TIMEOUT, |members| {
        let members = &members[who.clone()];
        members.iter().filter(|member| member.is_answered()).count() >= answered
            && members.iter().filter(|member| member.ending.is_some()).count() >= refused
    });
    // Too many would come in at once or not at all.
    while crowd.turn(Duration::from_millis(200)) {}
    let sent_away = crowd.ended(who.clone(), StreamEnd::Reset) + crowd.ended(who.clone(), StreamEnd::Clean);
    assert_eq!((crowd.answered(who), sent_away), (answered, refused));
}

#[track_caller]
fn comes_in(crowd: &mut Crowd, who: Range<usize>) {
    let came = crowd.run_until(REUSED_WITHIN, |members| members[who.clone()].iter().all(|member| member.is_answered()));
    assert!(came, "{} of {} came in within {REUSED_WITHIN:?}", crowd.answered(who.clone()), who.len());
}

#[test]
fn those_beyond_the_cap_are_refused_and_a_free_place_is_given_again() {
    let server = Serve::new().with("--max-connections 1k --when-full refuse").start();
    let base = server.process.descriptors();
    let mut crowd = Crowd::new();
    let first = crowd.join(server.address(), COME, Behavior::OnRequest);
    settles(&mut crowd, first, ALLOWED, COME - ALLOWED);

    crowd.leave(0..100);
    server.descriptors_return_to(base + ALLOWED - 100);
    let later = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.ask(later.clone(), 10);
    comes_in(&mut crowd, later);
    drop(crowd);

    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (ALLOWED as u64 + 100, (COME - ALLOWED) as u64));
}

#[test]
fn those_beyond_the_cap_wait_and_a_free_place_is_given_to_them() {
    let server = Serve::new().with("--max-connections 1000 --when-full pause").start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), COME, Behavior::OnRequest);
    settles(&mut crowd, all, ALLOWED, 0);
    crowd.leave(0..100);
    comes_in(&mut crowd, ALLOWED..ALLOWED + 100);
    // Asked before the end: who still waits when a drain finds no room is refused.
    server.signal("USR1");
    server.logs("; closed: ");
    assert_eq!(Summary::among(&server.log.all()).refused, 0);
}

#[test]
fn one_address_has_so_many_and_another_its_own() {
    let server = Serve::new().with("--max-connections-per-ip 50").start();
    let mut crowd = Crowd::new();
    for last in 2..6 {
        let source = IpAddr::from([127, 0, 0, last]);
        let all = crowd.join_from(Some(source), None, server.address(), 60, Behavior::OnRequest);
        settles(&mut crowd, all, 50, 10);
    }
    drop(crowd);
    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (200, 40));
}

#[test]
fn ten_thousand_over_the_cap_at_once_disturb_nobody_who_is_in() {
    let server = Serve::new().with("--max-connections 100 --when-full refuse").start();
    let mut crowd = Crowd::new();
    let pingers = crowd.join(server.address(), 100, Behavior::Repeats { len: 64 });
    crowd.run_for(Duration::from_millis(100));
    let received = crowd.bytes_received();
    for _ in 0..20 {
        let more = crowd.join(server.address(), 500, Behavior::OnRequest);
        let gone = crowd.run_until(TIMEOUT, |members| members[more.clone()].iter().all(|member| !member.is_open()));
        assert!(gone, "some of the refused were not told");
    }
    assert!(crowd.members[pingers].iter().all(|member| member.is_open()));
    assert!(crowd.bytes_received() > received + 100 * 64);
    drop(crowd);
    let ended = server.drain();
    assert_eq!(ended.summary().refused, 10_000);
    ended.check_log_rate();
}
