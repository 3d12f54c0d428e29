//! We end our direction first and still serve input, as a client does.

use super::*;

#[test]
fn after_a_half_close_input_is_served_and_nothing_is_sent() {
    let mut peer = TestPeer::new(Lines::new());
    peer.callback(|reply| {
        reply.send(&[b"last words"]);
        reply.half_close();
        reply.send(&[b"not sent"]);
    });
    assert!(!peer.connection.wants_finish(), "queued output is sent first");
    assert_eq!(peer.take_all(), b"last words\n");
    assert!(peer.connection.wants_finish());
    peer.connection.handle_finished(Instant::ORIGIN);

    peer.feed(b"one\ntw");
    assert_eq!(peer.frames, [b"one"]);
    assert_eq!(peer.connection.output_len(), 0, "replies are dropped");
    let frame_at = Instant::ORIGIN + peer.limits.frame_timeout;
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), frame_at, "the peer does not linger yet");
    peer.feed(b"o\n");
    peer.end();
    assert_eq!(peer.frames, [b"one", b"two"]);
    assert_eq!(peer.connection.closed(), Some(CloseReason::Finished));
    peer.release();
}

#[test]
fn an_end_after_a_half_close_has_the_right_reason() {
    for (input, reason) in [(&b""[..], CloseReason::Finished), (b"half a li", CloseReason::PartialFrame)] {
        let mut peer = TestPeer::new(Lines::new());
        peer.callback(|reply| reply.half_close());
        peer.connection.handle_finished(Instant::ORIGIN);
        if !input.is_empty() {
            peer.feed(input);
        }
        peer.end();
        assert_eq!(peer.connection.closed(), Some(reason));
        peer.release();
    }
}

#[test]
fn a_half_closed_peer_closes_despite_a_deferred_reply() {
    let mut peer = TestPeer::new(Lines::new());
    peer.callback(|reply| {
        reply.send(&[b"bye"]);
        reply.defer_reply();
        reply.half_close();
    });
    peer.end();
    assert_eq!(peer.connection.closed(), None, "queued output is sent first");
    peer.take_all();
    peer.connection.handle_finished(Instant::ORIGIN);
    assert_eq!(peer.connection.closed(), Some(CloseReason::Finished), "the deferred reply cannot be sent");
    peer.release();
}

#[test]
fn an_idle_peer_lingers_from_its_idle_deadline_on() {
    let mut peer = TestPeer::new(Lines::new());
    peer.callback(|reply| reply.half_close());
    peer.connection.handle_finished(Instant::ORIGIN);
    let (idle_timeout, linger_timeout) = (peer.limits.idle_timeout, peer.limits.linger_timeout);
    let idle_at = Instant::ORIGIN + idle_timeout;
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), idle_at);
    assert_eq!(peer.deadline_at(idle_at), None);
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), idle_at + linger_timeout);
    assert_eq!(peer.deadline_at(idle_at + linger_timeout), Some(CloseReason::IdleTimeout));
    peer.release();
}
