//! The caps on connections, in total and per address: they are exact, connections above them are
//! refused or wait, and a slot that becomes free is used again.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use crate::support::{Behavior, Crowd, Serve, StreamEnd, Summary, TIMEOUT};

const ALLOWED: usize = 1000;
const CLIENTS: usize = 1500;
const ACCEPTED_WITHIN: Duration = Duration::from_secs(1);

/// Sends on all connections, and checks how many get a reply and how many are refused.
#[track_caller]
fn check_cap(crowd: &mut Crowd, range: Range<usize>, answered: usize, refused: usize) {
    crowd.ask(range.clone(), 10);
    crowd.run_until(TIMEOUT, |members| {
        let members = &members[range.clone()];
        members.iter().filter(|member| member.is_answered()).count() >= answered
            && members.iter().filter(|member| member.ending.is_some()).count() >= refused
    });
    // Further replies or refusals would follow at once.
    crowd.settle(Duration::from_millis(200));
    let ended = crowd.ended(range.clone(), StreamEnd::Reset) + crowd.ended(range.clone(), StreamEnd::Clean);
    assert_eq!((crowd.answered(range), ended), (answered, refused));
}

#[test]
fn connections_above_the_cap_are_refused_until_a_slot_is_free() {
    let server = Serve::new().with("--max-connections 1k --when-full refuse").start();
    let base = server.process.descriptors();
    let mut crowd = Crowd::new();
    let first = crowd.join(server.address(), CLIENTS, Behavior::OnRequest);
    check_cap(&mut crowd, first, ALLOWED, CLIENTS - ALLOWED);

    crowd.leave(0..100);
    server.descriptors_return_to(base + ALLOWED - 100);
    let later = crowd.join(server.address(), 100, Behavior::OnRequest);
    crowd.ask(later.clone(), 10);
    crowd.wait_for_echoes(later, ACCEPTED_WITHIN);
    drop(crowd);

    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (ALLOWED as u64 + 100, (CLIENTS - ALLOWED) as u64));
}

#[test]
fn connections_above_the_cap_wait_until_a_slot_is_free() {
    let server = Serve::new().with("--max-connections 1000 --when-full pause").start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), CLIENTS, Behavior::OnRequest);
    check_cap(&mut crowd, all, ALLOWED, 0);
    crowd.leave(0..100);
    crowd.wait_for_echoes(ALLOWED..ALLOWED + 100, ACCEPTED_WITHIN);
    // Read before the drain, which refuses the connections that still wait.
    server.signal("USR1");
    server.logs("; closed: ");
    assert_eq!(Summary::among(&server.log.all()).refused, 0);
}

#[test]
fn each_address_has_its_own_cap() {
    let server = Serve::new().with("--max-connections-per-ip 50").start();
    let mut crowd = Crowd::new();
    for last in 2..6 {
        let source = IpAddr::from([127, 0, 0, last]);
        let all = crowd.join_from(Some(source), None, server.address(), 60, Behavior::OnRequest);
        check_cap(&mut crowd, all, 50, 10);
    }
    drop(crowd);
    let summary = server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (200, 40));
}

#[test]
fn ten_thousand_refused_connections_do_not_affect_open_ones() {
    let server = Serve::new().with("--max-connections 100 --when-full refuse").start();
    let mut crowd = Crowd::new();
    let pingers = crowd.join(server.address(), 100, Behavior::Repeats { len: 64 });
    crowd.run_for(Duration::from_millis(100));
    let received = crowd.bytes_received();
    for _ in 0..20 {
        let more = crowd.join(server.address(), 500, Behavior::OnRequest);
        assert!(crowd.run_until_closed(TIMEOUT, more), "refused connections are still open");
    }
    assert!(crowd.members[pingers].iter().all(|member| member.is_open()));
    assert!(crowd.bytes_received() > received + 100 * 64);
    drop(crowd);
    let ended = server.drain();
    assert_eq!(ended.summary().refused, 10_000);
    ended.check_log_rate();
}
