//! Whom a stalled peer keeps waiting: everybody in one design, nobody in the others, and in a pool
//! whoever finds no thread free.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{SIDE_BY_SIDE, is_left_waiting, reconciles, serve};
use crate::support::{
    Behavior, Crowd, KIB, MIB, StreamEnd, TIMEOUT, connect, echoes, exchange, read_exactly, read_to_the_end,
};

#[test]
fn one_stalled_peer_freezes_the_iterative_design() {
    let server = serve("--design iterative", "");
    let mut stalled = server.connect();
    echoes(&mut stalled, b"in the middle of something");
    let mut others: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for other in &mut others {
        other.write_all(b"next?").unwrap();
    }
    assert!(others.iter_mut().all(is_left_waiting));
    drop(stalled);
    for mut other in others {
        assert_eq!(read_exactly(&mut other, 5), b"next?");
    }
    assert_eq!(reconciles("iterative", server).connections, 6);
}

#[test]
fn one_stalled_peer_freezes_nobody_elsewhere() {
    for design in SIDE_BY_SIDE {
        let server = serve(design, "--recv-buffer 16KiB --send-buffer 16KiB");
        let mut silent = server.connect();
        echoes(&mut silent, b"in the middle of something");
        let mut crowd = Crowd::new();
        // One that says nothing, and one that does not take what it is told.
        crowd.join_with_buffers(4 * KIB, server.address(), 1, Behavior::NeverReads);
        crowd.run_for(Duration::from_millis(100));
        let others = crowd.join(server.address(), 40, Behavior::OnRequest);
        for _ in 0..3 {
            crowd.echo(others.clone(), 100, TIMEOUT);
        }
        crowd.leave(0..others.end);
        drop(silent);
        reconciles(design, server);
    }
}

#[test]
fn a_deadline_of_the_stalled_peer_frees_the_iterative_design() {
    let server = serve("--design iterative", "--idle-timeout 500ms");
    let mut stalled = server.connect();
    echoes(&mut stalled, b"in the middle of something");
    let mut next = server.connect();
    // Nobody does anything from here on.
    echoes(&mut next, b"at last");
    assert_eq!(read_to_the_end(&mut stalled).1, StreamEnd::Clean);
    drop((stalled, next));
    assert_eq!(reconciles("iterative", server).closed("idle-timeout"), 1);
}

#[test]
fn more_peers_than_a_pool_has_threads_wait_and_none_of_them_fails() {
    let server = serve("--design pool --workers 3", "");
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 20, Behavior::OnRequest);
    crowd.ask(all.clone(), 100);
    for served in (3..=18).step_by(3) {
        let done = crowd.run_until(TIMEOUT, |members| members[..served].iter().all(|member| member.is_answered()));
        assert!(done, "{} of {served} are served", crowd.answered(all.clone()));
        while crowd.turn(Duration::from_millis(100)) {}
        assert_eq!(crowd.answered(all.clone()), served, "each thread serves one");
        assert!(crowd.members.iter().all(|member| member.ending.is_none()), "waiting is no failure");
        crowd.leave(served - 3..served);
    }
    let done = crowd.run_until(TIMEOUT, |members| members.iter().all(|member| member.is_answered()));
    assert!(done, "{} are served", crowd.answered(all));
    drop(crowd);
    let summary = reconciles("pool", server);
    assert_eq!((summary.connections, summary.refused, summary.bytes_out), (20, 0, 2000));
}

#[test]
fn deadlines_of_stalled_peers_free_the_threads_of_a_pool() {
    let server = serve("--design pool --workers 3", "--idle-timeout 300ms");
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 12, Behavior::OnRequest);
    // Nobody leaves by itself.
    crowd.echo(all.clone(), 100, TIMEOUT);
    assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open())));
    assert_eq!(crowd.ended(all, StreamEnd::Clean), 12);
    assert_eq!(reconciles("pool", server).closed("idle-timeout"), 12);
}

#[test]
fn more_than_may_wait_inside_a_pool_wait_in_the_backlog() {
    const COME: usize = 1500;
    let server = serve("--design pool --workers 2", "");
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), COME, Behavior::OnRequest);
    crowd.ask(all.clone(), 10);
    assert!(crowd.run_until(TIMEOUT, |members| members[..2].iter().all(|member| member.is_answered())));
    while crowd.turn(Duration::from_millis(100)) {}
    assert_eq!((crowd.answered(all.clone()), crowd.open()), (2, COME));
    let descriptors = server.process.descriptors();
    assert!(descriptors < COME, "{descriptors} descriptors: not all of them were accepted");
    // One after another they are served and leave.
    let mut next = 0;
    let deadline = Instant::now() + 3 * TIMEOUT;
    while next < COME {
        assert!(Instant::now() < deadline, "{next} of {COME} were served");
        crowd.turn(TIMEOUT);
        while next < COME && crowd.members[next].is_answered() {
            crowd.leave(next..next + 1);
            next += 1;
        }
    }
    assert_eq!(reconciles("pool", server).bytes_out, 10 * COME as u64);
}

#[test]
fn a_newcomer_is_served_while_others_hold_every_thread_busy_but_one() {
    let server = serve("--design pool --workers 5", "");
    let mut crowd = Crowd::new();
    crowd.join(server.address(), 4, Behavior::Streams { in_flight: MIB as u64 });
    crowd.run_for(Duration::from_millis(200));
    for _ in 0..10 {
        let mut newcomer = connect(server.address());
        let echoed = std::thread::scope(|scope| {
            let talk = scope.spawn(|| exchange(&mut newcomer, b"between two streams", 5));
            while !talk.is_finished() {
                crowd.turn(Duration::from_millis(5));
            }
            talk.join().unwrap().0
        });
        assert_eq!(echoed, b"between two streams");
    }
    drop(crowd);
    assert_eq!(reconciles("pool", server).connections, 14);
}
