//! The service pauses a peer and resumes it.

use super::*;

#[test]
fn a_pause_holds_frames_and_stops_reading_until_the_service_resumes() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| {
        let input_range = connection.handle_input(b"one\ntwo\nthr", resources, |frame, reply| {
            assert_eq!(frame, b"one");
            reply.pause();
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!(input_range, NO_INPUT_RANGE);
        connection.apply_watermarks(resources);
    });
    assert!(!peer.connection.wants_read());
    assert!(!peer.with(|connection, resources| connection.wants_held(resources)));

    peer.now = Instant::ORIGIN + SECOND;
    peer.callback(|reply| reply.resume());
    assert!(peer.with(|connection, resources| connection.wants_held(resources)));
    peer.serve_held();
    assert_eq!(peer.frames, [b"two"]);
    assert!(peer.connection.wants_read());
    peer.feed(b"ee\n");
    assert_eq!(peer.frames, [&b"two"[..], b"three"]);
}

#[test]
fn a_resumed_peer_is_read_with_a_queue_above_the_low_watermark() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"0123456789\n");
    let low = peer.limits.queue.low();
    assert!(peer.connection.output_len() > low);
    peer.callback(|reply| reply.pause());
    peer.callback(|reply| reply.resume());
    assert!(peer.with(|connection, resources| connection.wants_held(resources)));
    peer.serve_held();
    assert!(peer.connection.wants_read(), "the service had paused it, not the queue");
}

#[test]
fn the_frame_deadline_counts_only_the_time_in_which_the_peer_is_read() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"beg");
    peer.now = Instant::ORIGIN + 10 * SECOND;
    peer.callback(|reply| reply.pause());
    assert!(!peer.connection.wants_read());
    assert!(!peer.with(|connection, resources| connection.wants_held(resources)), "no whole frame is held");
    let idle_at = Instant::ORIGIN + peer.limits.idle_timeout;
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), idle_at);

    peer.now = Instant::ORIGIN + 100 * SECOND;
    peer.callback(|reply| reply.resume());
    peer.serve_held();
    assert!(peer.connection.wants_read());
    let frame_at = peer.now + (peer.limits.frame_timeout - 10 * SECOND);
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), frame_at);
    peer.feed(b"un\n");
    assert_eq!(peer.frames, [b"begun"]);
}
