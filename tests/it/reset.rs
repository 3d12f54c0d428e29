//! Clients that reset at any moment: each is counted, and nobody else notices.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use socket2::SockRef;

use crate::support::{Crowd, Duplex as _, Ending, Habit, MIB, PATIENCE, Serve, connect, exchange};

/// Connects and resets after so many of four steps.
fn reset_after(steps: usize, address: std::net::SocketAddr) {
    let mut stream = connect(address);
    // A linger time of zero makes the drop a reset.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the connection is open");
    if steps >= 1 {
        stream.write_all(&[b'r'; 3000]).expect("the connection is open");
    }
    if steps >= 2 {
        stream.read_exact(&mut [0; 10]).expect("it comes back");
    }
    if steps >= 3 {
        stream.finish();
    }
}

#[test]
fn resets_at_every_phase_disturb_nobody_and_are_all_accounted_for() {
    const RESETS: usize = 4000;
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let pingers = crowd.join(server.address(), 50, Habit::Repeats { len: 64 });
    crowd.run_for(Duration::from_millis(50));
    let base = server.process.descriptors();
    for round in 0..RESETS {
        reset_after(round % 4, server.address());
        crowd.turn(Duration::ZERO);
    }
    let received = crowd.bytes_received();
    crowd.run_for(Duration::from_millis(50));
    assert!(crowd.members[pingers.clone()].iter().all(|member| member.is_open()));
    assert!(crowd.bytes_received() > received);
    server.descriptors_return_to(base);
    drop(crowd);
    let ended = server.drain();
    let summary = ended.summary();
    assert_eq!(summary.connections, (RESETS + pingers.len()) as u64);
    assert_eq!(summary.closed_in_all(), summary.connections);
    // The last phase may be over before the reset: the server has ended as well.
    let resets = summary.closed("reset");
    assert!((RESETS as u64 * 3 / 4..=RESETS as u64).contains(&resets), "{resets} of {RESETS} are resets");
}

#[test]
fn whoever_resets_while_waiting_in_the_backlog_is_gone_and_no_more() {
    let server = Serve::new().start();
    let base = server.process.descriptors();
    server.process.stop();
    for _ in 0..100 {
        reset_after(0, server.address());
        reset_after(1, server.address());
    }
    server.process.resume();
    let mut crowd = Crowd::new();
    let after = crowd.join(server.address(), 10, Habit::Answers);
    crowd.echo(after, 10, PATIENCE);
    drop(crowd);
    server.descriptors_return_to(base);
    server.drain().log_is_calm();
}

#[test]
fn short_connections_of_every_ending_leave_no_memory_behind() {
    const MANY: usize = 5000;
    let server = Serve::new().start();
    let all_endings = || {
        for round in 0..MANY {
            if round % 2 == 0 {
                reset_after(round / 2 % 4, server.address());
            } else {
                assert_eq!(exchange(&mut server.connect(), b"short", 5), (b"short".to_vec(), Ending::Clean));
            }
        }
        server.process.memory_bytes()
    };
    let (once, twice) = (all_endings(), all_endings());
    assert!(twice <= once + MIB, "{once} bytes after {MANY} connections, {twice} after as many more");
    server.drain();
}
