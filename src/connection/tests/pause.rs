//! The service wants nothing of a peer for a while.

use super::*;

#[test]
fn a_pause_holds_frames_back_and_stops_the_reading_until_it_is_taken_back() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| {
        let input_range = connection.handle_input(b"one\ntwo\nthr", resources, |frame, reply| {
            assert_eq!(frame, b"one");
            reply.pause();
            ControlFlow::Continue(())
        });
        assert_eq!(input_range, NO_INPUT_RANGE);
        connection.settle(resources);
    });
    assert!(!bench.connection.wants_read());
    assert!(!bench.with(|connection, resources| connection.wants_held(resources)));

    bench.now = Instant::ORIGIN + SECOND;
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    assert!(bench.with(|connection, resources| connection.wants_held(resources)));
    bench.serve_held();
    assert_eq!(bench.frames, [b"two"]);
    assert!(bench.connection.wants_read());
    bench.feed(b"ee\n");
    assert_eq!(bench.frames, [&b"two"[..], b"three"]);
}

#[test]
fn who_is_resumed_is_read_though_its_queue_is_not_empty() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"0123456789\n");
    let low = bench.limits.queue.low();
    assert!(bench.connection.output_len() > low);
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.pause()));
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    assert!(bench.with(|connection, resources| connection.wants_held(resources)));
    bench.serve_held();
    assert!(bench.connection.wants_read(), "it was the service that stopped it, not the queue");
}

#[test]
fn a_pause_between_frames_stops_the_reading_and_no_frame_is_late_by_it() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"beg");
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.pause()));
    assert!(!bench.connection.wants_read());
    assert!(!bench.with(|connection, resources| connection.wants_held(resources)), "nothing is held back");
    let idle_at = Instant::ORIGIN + bench.limits.idle_timeout;
    assert_eq!(bench.connection.poll_deadline(&bench.limits), idle_at);

    bench.now = Instant::ORIGIN + 100 * SECOND;
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    bench.serve_held();
    assert!(bench.connection.wants_read());
    let frame_at = bench.now + bench.limits.frame_timeout;
    assert_eq!(bench.connection.poll_deadline(&bench.limits), frame_at, "a new start for the frame");
    bench.feed(b"un\n");
    assert_eq!(bench.frames, [b"begun"]);
}
