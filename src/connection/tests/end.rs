//! The peer ends its direction: `on_end` is reported once, after all frames.

use super::*;

#[test]
fn the_end_is_reported_once_before_the_peer_is_finished() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"one\n");
    peer.with(|connection, resources| connection.handle_end(resources));
    peer.take_all();
    assert!(!peer.connection.wants_finish(), "the service may still send");
    peer.report_end(|reply| reply.send(&[b"goodbye"]));
    assert_eq!(peer.take_all(), b"goodbye\n");
    assert!(peer.connection.wants_finish());
    assert!(!peer.connection.poll_end());
    peer.connection.handle_finished(Instant::ORIGIN);
    assert_eq!((peer.ends, peer.connection.closed()), (1, Some(CloseReason::Finished)));
    peer.release();
}

#[test]
fn the_end_is_reported_after_held_frames() {
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
fn the_end_is_not_reported_while_the_service_pauses_the_peer() {
    let mut peer = TestPeer::new(Lines::new());
    peer.callback(|reply| reply.pause());
    peer.end();
    assert_eq!(peer.ends, 0);
    peer.callback(|reply| reply.resume());
    peer.serve_held();
    assert_eq!(peer.ends, 1);
    assert!(peer.connection.wants_finish());
}

#[test]
fn a_deferred_reply_or_a_pause_in_on_end_keeps_the_peer_open() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| connection.handle_end(resources));
    peer.report_end(|reply| {
        reply.defer_reply();
        reply.pause();
    });
    assert!(!peer.connection.wants_finish());
    peer.with(|connection, resources| {
        connection.handle_order(b"answer", resources);
        connection.handle_answered(resources);
    });
    assert_eq!(peer.take_all(), b"answer\n");
    assert!(!peer.connection.wants_finish(), "still paused");
    peer.callback(|reply| reply.resume());
    peer.serve_held();
    assert!(peer.connection.wants_finish());
    assert_eq!(peer.ends, 1);
}

#[test]
fn the_end_is_reported_after_a_deferred_reply() {
    let mut peer = TestPeer::new(Lines::new());
    peer.callback(|reply| reply.defer_reply());
    peer.end();
    assert_eq!((peer.ends, peer.connection.wants_finish()), (0, false));
    peer.with(|connection, resources| connection.handle_answered(resources));
    peer.serve_held();
    assert_eq!(peer.ends, 1);
    assert!(peer.connection.wants_finish());
}

#[test]
fn the_end_is_reported_after_a_half_close() {
    let mut peer = TestPeer::new(Lines::new());
    peer.callback(|reply| reply.half_close());
    peer.connection.handle_finished(Instant::ORIGIN);
    peer.end();
    assert_eq!((peer.ends, peer.connection.closed()), (1, Some(CloseReason::Finished)));
}

/// What a peer and its service do before the peer leaves, and the reasons for its end and for its reset.
#[track_caller]
fn check_leaving(role: Role, act: impl Fn(&mut TestPeer<Lines>), ended: CloseReason, reset: CloseReason) {
    let new = || {
        let mut peer = TestPeer::new(Lines::new());
        peer.connection = Connection::new(role, Instant::ORIGIN);
        act(&mut peer);
        peer
    };
    let mut peer = new();
    peer.end();
    assert_eq!(peer.connection.halves().reason(), Some(ended), "after its end");
    let mut peer = new();
    peer.connection.handle_error(CloseReason::Reset);
    assert_eq!(peer.connection.closed(), Some(reset), "after its reset");
}

#[test]
fn a_peer_that_leaves_without_a_byte_in_either_direction_is_a_probe() {
    use CloseReason::{Finished, PartialFrame, Probed, Reset};
    check_leaving(Role::Accepted, |_| {}, Probed, Probed);
    check_leaving(Role::Connected, |_| {}, Finished, Reset);
    check_leaving(Role::Accepted, |peer| peer.feed(b"x"), PartialFrame, Reset);
    check_leaving(Role::Accepted, |peer| peer.feed(b"hello\n"), Finished, Reset);
    check_leaving(Role::Accepted, |peer| peer.callback(|reply| reply.send(&[b"welcome"])), Finished, Reset);
    check_leaving(Role::Accepted, |peer| peer.callback(|reply| reply.half_close()), Finished, Reset);
}

#[test]
fn no_end_is_reported_for_a_partial_frame_a_truncated_a_finished_or_a_reset_peer() {
    let mut partial = TestPeer::new(Lines::new());
    partial.feed(b"whole\npart");
    partial.end();

    let mut truncated = TestPeer::new(Lines::new());
    truncated.with(|connection, resources| connection.handle_truncated(resources));
    truncated.report_end(|_| {});

    let mut finished = TestPeer::new(Lines::new());
    finished.callback(|reply| reply.finish());
    finished.end();

    let mut reset = TestPeer::new(Lines::new());
    reset.connection.handle_error(CloseReason::Reset);
    reset.report_end(|_| {});
    assert_eq!([partial.ends, truncated.ends, finished.ends, reset.ends], [0; 4]);
}

#[test]
fn a_panic_in_on_end_closes_the_peer() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| connection.handle_end(resources));
    peer.report_end(|_| panic!("in the service"));
    assert_eq!(peer.connection.closed(), Some(CloseReason::Panicked));
    peer.release();
}
