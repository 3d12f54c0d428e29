//! At the descriptor limit: those who are in are served, those who are not wait, nothing spins,
//! and the waiting come in as soon as there is room.

use std::time::Duration;

use crate::support::{Behavior, Crowd, Serve, Server, TIMEOUT};

pub(crate) const LIMIT: usize = 64;
pub(crate) const CROWD: usize = 300;

/// Who waited comes in within this: the server's longest rest and a fifth of it.
pub(crate) const ACCEPTED_WITHIN: Duration = Duration::from_millis(1200);

/// Lets `room` of the crowd be served, and then watches the server being full for a while.
#[track_caller]
fn fills_and_stays_calm(server: &Server, crowd: &mut Crowd, room: usize, watched: Duration) {
    let all = crowd.join(server.address(), CROWD, Behavior::OnRequest);
    crowd.ask(all, 100);
    let served = 0..room;
    let filled = crowd.run_until(TIMEOUT, |members| members[served.clone()].iter().all(|member| member.is_answered()));
    assert!(filled, "{} of {room} are served", crowd.answered(served));

    let (cpu, lines) = (server.process.cpu(), server.log.count());
    crowd.run_for(watched);
    let spent = server.process.cpu() - cpu;
    assert!(spent <= watched / 20, "{spent:?} of CPU in {watched:?}");
    let said = server.log.count() - lines;
    assert!(said <= 1 + watched.as_secs() as usize, "{said} lines in {watched:?}");
    assert_eq!(crowd.answered(0..CROWD), room, "no more than there is room for");
    assert_eq!(crowd.open(), CROWD, "nobody was turned away");
    crowd.echo(served, 100, TIMEOUT);
}

/// `leaving` clients leave and as many of the waiting come in, without anybody connecting anew.
#[track_caller]
fn the_waiting_come_in(crowd: &mut Crowd, room: usize, leaving: usize) {
    crowd.leave(0..leaving);
    let next = room..room + leaving;
    let came =
        crowd.run_until(ACCEPTED_WITHIN, |members| members[next.clone()].iter().all(|member| member.is_answered()));
    assert!(came, "{} of {leaving} came in within {ACCEPTED_WITHIN:?}", crowd.answered(next));
}

#[test]
fn the_descriptor_limit_stops_nobody_who_is_in_and_the_waiting_come_in_later() {
    meets_the_limit(Duration::from_secs(4));
}

#[track_caller]
pub(crate) fn meets_the_limit(watched: Duration) {
    let server = Serve::new().start();
    // The server keeps its cap below the limit it finds at its start: it meets this one unprepared.
    server.process.limit_descriptors(LIMIT);
    let room = LIMIT - server.process.descriptors_below(LIMIT);
    let mut crowd = Crowd::new();
    fills_and_stays_calm(&server, &mut crowd, room, watched);
    the_waiting_come_in(&mut crowd, room, 32);
    drop(crowd);
    server.drain();
}

#[test]
fn the_waiting_come_in_when_descriptors_come_free_elsewhere() {
    let server = Serve::new().start();
    server.process.limit_descriptors(LIMIT);
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 2 * LIMIT, Behavior::OnRequest);
    crowd.ask(all.clone(), 100);
    server.logs("cannot accept");
    // Long enough for the rests to have grown to their longest.
    crowd.run_for(Duration::from_secs(2));
    assert!(crowd.answered(all.clone()) < LIMIT);

    // Nobody leaves: only a timer can tell that there is room again.
    server.process.limit_descriptors(4 * LIMIT);
    let came =
        crowd.run_until(ACCEPTED_WITHIN, |members| members[all.clone()].iter().all(|member| member.is_answered()));
    assert!(came, "{} of {} are served within {ACCEPTED_WITHIN:?}", crowd.answered(all.clone()), all.len());
    drop(crowd);
    server.drain();
}

#[test]
fn the_cap_that_follows_from_the_limit_is_kept_without_an_error() {
    let server = Serve::new().descriptors(LIMIT).start();
    let mut crowd = Crowd::new();
    // Not known from outside: what is left after the server's reserve.
    let all = crowd.join(server.address(), LIMIT, Behavior::OnRequest);
    crowd.ask(all.clone(), 1);
    while crowd.turn(Duration::from_millis(300)) {}
    let room = crowd.answered(all);
    assert!((LIMIT / 3..LIMIT).contains(&room), "{room} peers at a limit of {LIMIT} descriptors");
    drop(crowd);

    let mut crowd = Crowd::new();
    fills_and_stays_calm(&server, &mut crowd, room, Duration::from_secs(4));
    the_waiting_come_in(&mut crowd, room, 16);
    drop(crowd);
    let ended = server.drain();
    assert!(!ended.log_text().contains("cannot accept"), "{}", ended.log_text());
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let server = Serve::new().soft_descriptors(LIMIT).start();
    assert!(server.process.descriptor_limit() > LIMIT as u64);
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 2 * LIMIT, Behavior::OnRequest);
    crowd.echo(all, 10, TIMEOUT);
    drop(crowd);
    let ended = server.drain();
    let said = ended.log.iter().any(|line| line.contains("descriptor") && line.contains(&LIMIT.to_string()));
    assert!(said, "both limits are logged:\n{}", ended.log_text());
}
