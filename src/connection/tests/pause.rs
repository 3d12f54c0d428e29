//! The service wants nothing of a peer for a while.

use super::*;

#[test]
fn a_pause_holds_frames_back_and_stops_the_reading_until_it_is_taken_back() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| {
        let input_range = connection.handle_input(b"one\ntwo\nthr", resources, |frame, reply| {
            assert_eq!(frame, b"one");
            reply.pause();
            ControlFlow::Continue(())
        });
        assert_eq!(input_range, NO_INPUT_RANGE);
        connection.settle(resources);
    });
    assert!(!peer.connection.wants_read());
    assert!(!peer.with(|connection, resources| connection.wants_held(resources)));

    peer.now = Instant::ORIGIN + SECOND;
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    assert!(peer.with(|connection, resources| connection.wants_held(resources)));
    peer.serve_held();
    assert_eq!(peer.frames, [b"two"]);
    assert!(peer.connection.wants_read());
    peer.feed(b"ee\n");
    assert_eq!(peer.frames, [&b"two"[..], b"three"]);
}

#[test]
fn who_is_resumed_is_read_though_its_queue_is_not_empty() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"0123456789\n");
    let low = peer.limits.queue.low();
    assert!(peer.connection.output_len() > low);
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.pause()));
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    assert!(peer.with(|connection, resources| connection.wants_held(resources)));
    peer.serve_held();
    assert!(peer.connection.wants_read(), "it was the service that stopped it, not the queue");
}

#[test]
fn a_pause_between_frames_stops_the_reading_and_no_frame_is_late_by_it() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"beg");
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.pause()));
    assert!(!peer.connection.wants_read());
    assert!(!peer.with(|connection, resources| connection.wants_held(resources)), "nothing is held back");
    let idle_at = Instant::ORIGIN + peer.limits.idle_timeout;
    assert_eq!(peer.connection.poll_deadline(&peer.limits), idle_at);

    peer.now = Instant::ORIGIN + 100 * SECOND;
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    peer.serve_held();
    assert!(peer.connection.wants_read());
    let frame_at = peer.now + peer.limits.frame_timeout;
    assert_eq!(peer.connection.poll_deadline(&peer.limits), frame_at, "a new start for the frame");
    peer.feed(b"un\n");
    assert_eq!(peer.frames, [b"begun"]);
}
