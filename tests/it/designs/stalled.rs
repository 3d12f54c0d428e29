//! Which peers a stalled peer delays: all others in the iterative design, none in the other designs,
//! and in a pool those for which no thread is free.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{CONCURRENT, drain_and_reconcile, receives_nothing, serve};
use crate::support::{Behavior, Crowd, KIB, MIB, StreamEnd, TIMEOUT, connect, echoes, exchange, read_exactly};

#[test]
fn one_stalled_peer_blocks_the_iterative_design() {
    let server = serve("--design iterative", "");
    let mut stalled = server.connect();
    echoes(&mut stalled, b"in the middle of something");
    let mut others: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for other in &mut others {
        other.write_all(b"next?").unwrap();
    }
    // Long for a reply, and short for every deadline.
    assert!(others.iter_mut().all(|other| receives_nothing(other, Duration::from_millis(400))));
    drop(stalled);
    for mut other in others {
        assert_eq!(read_exactly(&mut other, 5), b"next?");
    }
    assert_eq!(drain_and_reconcile("iterative", server).connections, 6);
}

#[test]
fn one_stalled_peer_does_not_delay_others_in_concurrent_designs() {
    for design in CONCURRENT {
        let server = serve(design, "--recv-buffer 16KiB --send-buffer 16KiB");
        let mut silent = server.connect();
        echoes(&mut silent, b"in the middle of something");
        let mut crowd = Crowd::new();
        // One peer that sends nothing, and one that does not read its replies.
        crowd.join_with_buffers(4 * KIB, server.address(), 1, Behavior::NeverReads);
        crowd.run_for(Duration::from_millis(100));
        let others = crowd.join(server.address(), 40, Behavior::OnRequest);
        for _ in 0..3 {
            crowd.echo(others.clone(), 100, TIMEOUT);
        }
        crowd.leave(0..others.end);
        drop(silent);
        drain_and_reconcile(design, server);
    }
}

#[test]
fn more_peers_than_a_pool_has_threads_wait_and_none_fails() {
    let server = serve("--design pool --workers 3", "");
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 20, Behavior::OnRequest);
    crowd.ask(all.clone(), 100);
    for served in (3..=18).step_by(3) {
        let done = crowd.run_until(TIMEOUT, |members| members[..served].iter().all(|member| member.is_answered()));
        assert!(done, "{} of {served} are served", crowd.answered(all.clone()));
        crowd.settle(Duration::from_millis(100));
        assert_eq!(crowd.answered(all.clone()), served, "each thread serves one peer");
        assert!(crowd.members.iter().all(|member| member.ending.is_none()), "a waiting connection stays open");
        crowd.leave(served - 3..served);
    }
    let done = crowd.run_until(TIMEOUT, |members| members.iter().all(|member| member.is_answered()));
    assert!(done, "{} are served", crowd.answered(all));
    drop(crowd);
    let summary = drain_and_reconcile("pool", server);
    assert_eq!((summary.connections, summary.refused, summary.bytes_out), (20, 0, 2000));
}

#[test]
fn deadlines_of_stalled_peers_free_the_thread_of_the_iterative_design_and_those_of_a_pool() {
    for design in ["--design iterative", "--design pool --workers 3"] {
        let server = serve(design, "--idle-timeout 300ms");
        let mut crowd = Crowd::new();
        let all = crowd.join(server.address(), 12, Behavior::OnRequest);
        // No peer closes by itself.
        crowd.echo(all.clone(), 100, TIMEOUT);
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open())), "{design}");
        assert_eq!(crowd.ended(all, StreamEnd::Clean), 12, "{design}");
        assert_eq!(drain_and_reconcile(design, server).closed("idle-timeout"), 12, "{design}");
    }
}

#[test]
fn peers_beyond_the_queue_of_a_pool_wait_in_the_backlog() {
    const PEERS: usize = 1500;
    let server = serve("--design pool --workers 2", "");
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), PEERS, Behavior::OnRequest);
    crowd.ask(all.clone(), 10);
    assert!(crowd.run_until(TIMEOUT, |members| members[..2].iter().all(|member| member.is_answered())));
    crowd.settle(Duration::from_millis(100));
    assert_eq!((crowd.answered(all.clone()), crowd.open()), (2, PEERS));
    let descriptors = server.process.descriptors();
    assert!(descriptors < PEERS, "{descriptors} descriptors: all connections were accepted");
    // They are served and leave one after another.
    let mut next = 0;
    let deadline = Instant::now() + 3 * TIMEOUT;
    while next < PEERS {
        assert!(Instant::now() < deadline, "{next} of {PEERS} were served");
        crowd.turn(TIMEOUT);
        while next < PEERS && crowd.members[next].is_answered() {
            crowd.leave(next..next + 1);
            next += 1;
        }
    }
    assert_eq!(drain_and_reconcile("pool", server).bytes_out, 10 * PEERS as u64);
}

#[test]
fn a_new_peer_is_served_while_all_threads_but_one_are_busy() {
    let server = serve("--design pool --workers 5", "");
    let mut crowd = Crowd::new();
    crowd.join(server.address(), 4, Behavior::Streams { in_flight: MIB as u64 });
    crowd.run_for(Duration::from_millis(200));
    for _ in 0..10 {
        let mut peer = connect(server.address());
        let echoed = std::thread::scope(|scope| {
            let talk = scope.spawn(|| exchange(&mut peer, b"between two streams", 5));
            while !talk.is_finished() {
                crowd.turn(Duration::from_millis(5));
            }
            talk.join().unwrap().0
        });
        assert_eq!(echoed, b"between two streams");
    }
    drop(crowd);
    assert_eq!(drain_and_reconcile("pool", server).connections, 14);
}
