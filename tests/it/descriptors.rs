//! At the descriptor limit: open connections are served, further ones wait, the server does not spin,
//! and waiting connections are accepted when descriptors become free.

use std::time::Duration;

use crate::support::{Behavior, Crowd, Serve, Server, TIMEOUT};

pub(crate) const LIMIT: usize = 64;
pub(crate) const CROWD: usize = 300;

/// A waiting connection is accepted within this time: the longest retry interval of one second, and a margin.
pub(crate) const ACCEPTED_WITHIN: Duration = Duration::from_millis(1500);

/// Fills the `free` descriptors, and then checks that the full server uses little CPU and logs little.
#[track_caller]
fn fill_and_watch(server: &Server, crowd: &mut Crowd, free: usize, watched: Duration) {
    let all = crowd.join(server.address(), CROWD, Behavior::OnRequest);
    crowd.ask(all, 100);
    let served = 0..free;
    crowd.wait_for_echoes(served.clone(), TIMEOUT);

    let (cpu, lines) = (server.process.cpu(), server.log.count());
    crowd.run_for(watched);
    let spent = server.process.cpu() - cpu;
    assert!(spent <= watched / 20, "{spent:?} of CPU in {watched:?}");
    let logged = server.log.count() - lines;
    assert!(logged <= 1 + watched.as_secs() as usize, "{logged} lines in {watched:?}");
    assert_eq!(crowd.answered(0..CROWD), free, "more than there are free descriptors");
    assert_eq!(crowd.open(), CROWD, "a waiting connection was closed");
    crowd.echo(served, 100, TIMEOUT);
}

#[test]
fn the_descriptor_limit_affects_only_waiting_connections() {
    meets_the_limit(Duration::from_secs(4));
}

#[track_caller]
pub(crate) fn meets_the_limit(watched: Duration) {
    let server = Serve::new().start();
    // The server derives its cap from the limit at its start, so this later limit is below the cap.
    server.process.limit_descriptors(LIMIT);
    let free = LIMIT - server.process.descriptors_below(LIMIT);
    let mut crowd = Crowd::new();
    fill_and_watch(&server, &mut crowd, free, watched);
    crowd.leave(0..32);
    crowd.wait_for_echoes(free..free + 32, ACCEPTED_WITHIN);
    drop(crowd);
    server.drain();
}

#[test]
fn waiting_connections_are_accepted_when_the_limit_is_raised() {
    let server = Serve::new().start();
    server.process.limit_descriptors(LIMIT);
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 2 * LIMIT, Behavior::OnRequest);
    crowd.ask(all.clone(), 100);
    server.logs("cannot accept");
    // Long enough for the retry interval to reach its maximum.
    crowd.run_for(Duration::from_secs(2));
    assert!(crowd.answered(all.clone()) < LIMIT);

    // No connection closes, so only a timer can notice the free descriptors.
    server.process.limit_descriptors(4 * LIMIT);
    crowd.wait_for_echoes(all, ACCEPTED_WITHIN);
    drop(crowd);
    server.drain();
}

#[test]
fn the_cap_derived_from_the_limit_prevents_accept_errors() {
    let server = Serve::new().descriptors(LIMIT).start();
    let mut crowd = Crowd::new();
    // The cap is the limit minus a reserve that the test does not know.
    let all = crowd.join(server.address(), LIMIT, Behavior::OnRequest);
    crowd.ask(all.clone(), 1);
    crowd.settle(Duration::from_millis(300));
    let cap = crowd.answered(all);
    assert!((LIMIT / 3..LIMIT).contains(&cap), "{cap} peers at a limit of {LIMIT} descriptors");
    drop(crowd);

    let mut crowd = Crowd::new();
    fill_and_watch(&server, &mut crowd, cap, Duration::from_secs(4));
    // As many waiting connections are accepted as leave, without a new connect.
    crowd.leave(0..16);
    crowd.wait_for_echoes(cap..cap + 16, ACCEPTED_WITHIN);
    drop(crowd);
    let ended = server.drain();
    assert!(!ended.log_text().contains("cannot accept"), "{}", ended.log_text());
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_limit() {
    let server = Serve::new().soft_descriptors(LIMIT).start();
    assert!(server.process.descriptor_limit() > LIMIT as u64);
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 2 * LIMIT, Behavior::OnRequest);
    crowd.echo(all, 10, TIMEOUT);
    drop(crowd);
    let ended = server.drain();
    let is_logged = ended.log.iter().any(|line| line.contains("descriptor") && line.contains(&LIMIT.to_string()));
    assert!(is_logged, "the old limit is not logged:\n{}", ended.log_text());
}
