//! Clients that send and never read: the server pauses reading them, bounds their memory, and closes them.

use std::io::Read as _;
use std::time::{Duration, Instant};

use crate::support::{Behavior, Crowd, KIB, MIB, Serve, Server, StreamEnd, TIMEOUT, retry_if_interrupted};

const SLOW: usize = 1000;
const QUEUE_HIGH: usize = 64 * KIB;
/// The maximum of bytes that one call reads.
const READ: usize = 256 * KIB;

/// A server with small socket buffers, so that its queues fill.
#[track_caller]
fn serve(flags: &str) -> Server {
    Serve::new().with("--recv-buffer 16KiB --send-buffer 16KiB").with(flags).start()
}

#[test]
fn a_thousand_slow_readers_pause_reading_and_are_closed() {
    let server = serve("--queue-high 64KiB --queue-low 16KiB --write-timeout 2s");
    let mut crowd = Crowd::new();
    let pingers = crowd.join(server.address(), 100, Behavior::Repeats { len: 64 });
    crowd.run_for(Duration::from_millis(100));
    let (base, descriptors) = (server.process.memory_bytes(), server.process.descriptors());

    let slow = crowd.join_with_buffers(16 * KIB, server.address(), SLOW, Behavior::NeverReads);
    let sent = |crowd: &Crowd| crowd.members[slow.clone()].iter().map(|member| member.sent).sum::<u64>();
    let mut before = u64::MAX;
    let started = Instant::now();
    while sent(&crowd) != before {
        assert!(started.elapsed() < TIMEOUT, "the server does not pause reading");
        before = sent(&crowd);
        crowd.run_for(Duration::from_millis(200));
    }
    let used = server.process.memory_bytes().saturating_sub(base);
    let allowed = 4 * MIB + SLOW * (QUEUE_HIGH + READ);
    assert!(used <= allowed, "{used} bytes for {SLOW} slow readers, more than {allowed}");

    assert!(crowd.run_until_closed(TIMEOUT, slow), "the write timeout has not closed them");
    server.descriptors_return_to(descriptors);
    let left = server.process.memory_bytes().saturating_sub(base);
    assert!(left <= base / 3 + 8 * MIB, "{left} bytes are still in use after they are closed");

    let received = crowd.bytes_received();
    crowd.run_for(Duration::from_millis(100));
    assert!(crowd.members[pingers].iter().all(|member| member.is_open()));
    assert!(crowd.bytes_received() > received, "the pinging clients get no more replies");
    drop(crowd);
    assert_eq!(server.drain().summary().closed("write-timeout"), SLOW as u64);
}

#[test]
fn the_total_of_all_queues_is_bounded() {
    let server = serve("--queue-high 256KiB --queue-total-max 8MiB --write-timeout 1s");
    let mut crowd = Crowd::new();
    let pinger = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(pinger.clone(), 64, TIMEOUT);
    let base = server.process.memory_bytes();
    let slow = crowd.join_with_buffers(16 * KIB, server.address(), 200, Behavior::NeverReads);
    crowd.run_for(Duration::from_millis(500));
    let used = server.process.memory_bytes().saturating_sub(base);
    assert!(used <= 4 * MIB + 8 * MIB, "{used} bytes, although all queues together may use 8 MiB");
    crowd.echo(pinger.clone(), 64, TIMEOUT);
    assert!(crowd.run_until_closed(TIMEOUT, slow));
    crowd.echo(pinger, 64, TIMEOUT);
    drop(crowd);
    server.drain();
}

#[test]
fn a_reader_slower_than_the_rate_is_closed() {
    // The output never ends, and no client reads it byte by byte at this rate.
    let server = serve("--service chargen --write-timeout 1s --min-rate 1GiB");
    let mut stream = server.connect();
    let (started, mut received) = (Instant::now(), 0_usize);
    let error = loop {
        match retry_if_interrupted(|| stream.read(&mut [0])) {
            Ok(1) => received += 1,
            Ok(_) => panic!("the server has sent its end after {received} bytes"),
            Err(error) => break error,
        }
        assert!(started.elapsed() < TIMEOUT, "each byte has begun the timeout again");
    };
    assert_eq!(StreamEnd::of(&error), StreamEnd::Reset);
    assert!(started.elapsed() >= Duration::from_secs(1), "closed after {:?}", started.elapsed());
    assert!(received > 64 * KIB, "it was read: {received} bytes");
    assert_eq!(server.drain().summary().closed("too-slow"), 1);
}
