//! Fast streams next to clients that ping now and then: neither takes the share of the other.
//!
//! Each bound is a ratio to a measurement of the same client alone, immediately before.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Attempt, Behavior, Crowd, MIB, Serve, Server, TIMEOUT, exclusive_machine, p99, repeat_attempts};

const STREAMS: usize = 8;
const IN_FLIGHT: u64 = MIB as u64;
const PINGERS: usize = 200;
/// Each client pings once in this time. In each millisecond another group of clients pings.
const PING_INTERVAL_MS: usize = 20;
const SPAN: Duration = Duration::from_millis(1500);
/// A bound for any busy machine. Without budgets the round trips are about ten times longer.
const PING_MAX: Duration = Duration::from_millis(100);

/// The bytes echoed to the streams in one span.
fn stream(crowd: &mut Crowd) -> u64 {
    let before = crowd.bytes_received();
    crowd.run_for(SPAN);
    crowd.bytes_received() - before
}

/// The 99th percentile of the round trips in one span.
fn ping(crowd: &mut Crowd) -> Duration {
    crowd.round_trips.clear();
    let started = Instant::now();
    let group = PINGERS / PING_INTERVAL_MS;
    for millisecond in 0.. {
        let now = started.elapsed();
        if now >= SPAN {
            break;
        }
        let first = millisecond % PING_INTERVAL_MS * group;
        for pinger in first..first + group {
            if crowd.members[pinger].is_answered() {
                crowd.ask(pinger..pinger + 1, 64);
            }
        }
        let next = Duration::from_millis(millisecond as u64 + 1);
        crowd.run_for(next.saturating_sub(now).max(Duration::from_micros(1)));
    }
    crowd.wait_for_echoes(0..PINGERS, TIMEOUT);
    p99(&mut crowd.round_trips).expect("there were pings")
}

fn join(address: SocketAddr, count: usize, behavior: Behavior) -> Crowd {
    let mut crowd = Crowd::new();
    crowd.join(address, count, behavior);
    crowd
}

/// Measures pings and streams, first each alone and then together.
fn measure(server: &Server, pingers: &mut Crowd) -> Attempt {
    let ping_alone = ping(pingers);
    let mut streams = join(server.address(), STREAMS, Behavior::Streams { in_flight: IN_FLIGHT });
    let bytes_alone = stream(&mut streams);
    let waited_before = server.process.waited_for_cpu();
    // The streams have their own thread, so that they cannot delay the pings within this process.
    let (bytes, ping) = thread::scope(|scope| {
        let bytes = scope.spawn(|| stream(&mut streams));
        let ping = ping(pingers);
        (bytes.join().expect("every byte is right"), ping)
    });
    let server_waited = server.process.waited_for_cpu() - waited_before;
    println!("alone: {ping_alone:?}, {bytes_alone} bytes; together: {ping:?}, {bytes} bytes; {server_waited:?} waited");
    Attempt {
        is_good: ping <= Duration::from_millis(5).max(3 * ping_alone) && bytes * 10 >= bytes_alone * 8,
        is_disturbed: server_waited > SPAN / 20,
        is_bounded: ping < PING_MAX,
    }
}

#[test]
fn streams_and_pings_share_the_loop_fairly() {
    let _machine = exclusive_machine();
    let server = Serve::new().start();
    let mut pingers = join(server.address(), PINGERS, Behavior::OnRequest);
    repeat_attempts("fairness of streams and pings", || measure(&server, &mut pingers));
}

#[test]
fn equal_streams_get_equal_shares() {
    let _machine = exclusive_machine();
    let server = Serve::new().start();
    let mut crowd = join(server.address(), STREAMS, Behavior::Streams { in_flight: IN_FLIGHT });
    stream(&mut crowd);
    let shares = crowd.members.iter().map(|member| member.received);
    let (least, most) = (shares.clone().min().unwrap_or(0), shares.max().unwrap_or(0));
    assert!(least * 2 >= most, "one stream got {least} bytes, another {most}");
    drop(crowd);
    server.drain();
}
