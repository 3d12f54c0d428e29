//! The peer ends its direction, and the service is told: once, when all before it was served.

use super::*;

#[test]
fn an_end_is_told_once_before_the_peer_is_finished() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"one\n");
    peer.with(|connection, resources| connection.handle_end(resources));
    peer.take_all();
    assert!(!peer.connection.wants_finish(), "the service may have something to say");
    peer.tell_end(|reply| reply.send(&[b"so long"]));
    assert_eq!(peer.take_all(), b"so long\n");
    assert!(peer.connection.wants_finish());
    assert!(!peer.connection.poll_end());
    peer.connection.handle_finished(Instant::ORIGIN);
    assert_eq!((peer.ends, peer.connection.closed()), (1, Some(CloseReason::Finished)));
    peer.release();
}

#[test]
fn an_end_behind_held_frames_is_told_behind_them() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"0123456789abcdef\nsecond\n");
    peer.end();
    assert_eq!((peer.frames.len(), peer.ends), (1, 0));
    peer.take_all();
    peer.serve_held();
    assert_eq!((peer.frames.len(), peer.ends), (2, 1));
    peer.take_all();
    assert!(peer.connection.wants_finish());
}

#[test]
fn an_end_is_not_told_to_a_service_that_has_paused_the_peer() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.pause()));
    peer.end();
    assert_eq!(peer.ends, 0);
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    peer.serve_held();
    assert_eq!(peer.ends, 1);
    assert!(peer.connection.wants_finish());
}

#[test]
fn a_promise_or_a_pause_made_at_the_end_keeps_the_peer() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| connection.handle_end(resources));
    peer.tell_end(|reply| {
        reply.defer_reply();
        reply.pause();
    });
    assert!(!peer.connection.wants_finish());
    peer.with(|connection, resources| {
        connection.handle_order(b"answer\n", resources);
        connection.handle_deferred_reply(resources);
    });
    assert_eq!(peer.take_all(), b"answer\n");
    assert!(!peer.connection.wants_finish(), "still paused");
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    peer.serve_held();
    assert!(peer.connection.wants_finish());
    assert_eq!(peer.ends, 1);
}

#[test]
fn an_end_is_told_though_an_earlier_promise_is_open() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.defer_reply()));
    peer.end();
    assert_eq!((peer.ends, peer.connection.wants_finish()), (1, false));
    peer.with(|connection, resources| connection.handle_deferred_reply(resources));
    assert!(peer.connection.wants_finish());
}

#[test]
fn an_end_after_a_half_close_is_told() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| connection.handle_callback(resources, |reply| reply.half_close()));
    peer.connection.handle_finished(Instant::ORIGIN);
    peer.end();
    assert_eq!((peer.ends, peer.connection.closed()), (1, Some(CloseReason::Finished)));
}

#[test]
fn no_end_is_told_inside_a_frame_nor_of_a_stream_cut_off_nor_when_we_have_finished() {
    let mut partial = TestPeer::new(Lines::new());
    partial.feed(b"whole\npart");
    partial.end();

    let mut truncated = TestPeer::new(Lines::new());
    truncated.with(|connection, resources| connection.handle_truncated(resources));
    truncated.tell_end(|_| {});

    let mut finished = TestPeer::new(Lines::new());
    finished.with(|connection, resources| connection.handle_callback(resources, |reply| reply.finish()));
    finished.end();

    let mut reset = TestPeer::new(Lines::new());
    reset.connection.handle_error(CloseReason::Reset);
    reset.tell_end(|_| {});
    assert_eq!([partial.ends, truncated.ends, finished.ends, reset.ends], [0; 4]);
}

#[test]
fn a_service_that_fails_at_the_end_loses_the_peer() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| connection.handle_end(resources));
    peer.tell_end(|_| panic!("of the service"));
    assert_eq!(peer.connection.closed(), Some(CloseReason::Panicked));
    peer.release();
}
