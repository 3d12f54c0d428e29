//! Timeouts of frames, output and lingering.

use super::*;

#[test]
fn lingering_ends_after_a_number_of_bytes_or_a_timeout() {
    for by_time in [false, true] {
        let mut peer = TestPeer::new(Raw);
        peer.limits.linger_bytes_max = 10;
        assert_eq!(peer.deadline_at(Instant::ORIGIN + peer.limits.idle_timeout), None);
        assert!(peer.connection.wants_finish());
        peer.with(|connection, resources| connection.handle_finished(resources.now));
        if by_time {
            let linger_at = peer.now + peer.limits.linger_timeout;
            assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), linger_at);
            peer.deadline_at(linger_at);
        } else {
            peer.feed(b"01234567890");
        }
        assert_eq!(peer.connection.closed(), Some(CloseReason::IdleTimeout));
        assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), Instant::NEVER);
        peer.release();
    }
}

#[test]
fn a_peer_that_sends_without_reading_hits_the_write_timeout() {
    for reads_later in [false, true] {
        let mut peer = TestPeer::new(Raw);
        peer.limits.linger_bytes_max = 10;
        peer.feed(b"unread");
        peer.with(|connection, resources| connection.handle_drain_timeout(resources));
        peer.feed(b"01234567890");
        assert_eq!((peer.connection.wants_read(), peer.connection.closed()), (false, None));
        if reads_later {
            assert_eq!(peer.take_all(), b"unread");
            peer.with(|connection, resources| connection.handle_finished(resources.now));
            assert!(peer.connection.wants_read(), "waits for the peer's FIN");
            peer.feed(b"x");
            assert_eq!(peer.connection.closed(), Some(CloseReason::Drained));
        } else {
            let late = peer.now + peer.limits.write_timeout;
            assert_eq!(peer.deadline_at(late), Some(CloseReason::WriteTimeout));
        }
        assert_eq!(peer.connection.wants_reset(), !reads_later);
        peer.release();
    }
}

#[test]
fn the_frame_deadline_is_not_restarted_by_bytes() {
    let mut peer = TestPeer::new(Lines::new());
    peer.limits.frame_timeout = 3 * SECOND;
    for _ in 0..3 {
        peer.feed(b"x");
        assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), Instant::ORIGIN + 3 * SECOND);
        peer.now = peer.now + SECOND;
    }
    assert_eq!(peer.deadline_at(Instant::ORIGIN + 3 * SECOND), None);
    assert!(peer.connection.wants_finish());
    peer.release();
}

#[test]
fn the_write_deadline_is_restarted_by_progress_and_ends_in_a_reset() {
    let mut peer = TestPeer::new(Raw);
    peer.limits.write_timeout = 3 * SECOND;
    peer.feed(b"0123456789");
    peer.now = Instant::ORIGIN + 2 * SECOND;
    peer.take(1);
    assert_eq!(peer.deadline_at(Instant::ORIGIN + 3 * SECOND), None);
    assert_eq!(peer.deadline_at(Instant::ORIGIN + 5 * SECOND), Some(CloseReason::WriteTimeout));
    assert!(peer.connection.wants_reset());
    peer.release();
    assert_eq!(peer.ledger.bytes_unsent, 9);
}

#[test]
fn a_pause_that_begins_and_ends_at_once_does_not_move_the_frame_deadline() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"part");
    let frame_at = peer.connection.poll_deadline(&peer.codec, &peer.limits);
    peer.now = Instant::ORIGIN + SECOND;
    peer.callback(|reply| reply.send(&[b"0123456789abcdef"]));
    peer.with(|connection, resources| connection.apply_watermarks(resources));
    assert!(peer.connection.is_paused());
    peer.take(16);
    assert!(!peer.connection.is_paused());
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), frame_at);
}

#[test]
fn a_paused_peer_has_only_the_write_deadline() {
    let mut peer = TestPeer::new(Lines::new());
    peer.limits.frame_timeout = SECOND;
    peer.limits.idle_timeout = SECOND;
    peer.limits.write_timeout = 10 * SECOND;
    peer.feed(b"0123456789abcdef\npart");
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), Instant::ORIGIN + 10 * SECOND);
}

/// A peer with a rate of 10 bytes a second.
fn rated<C: Codec>(codec: C) -> TestPeer<C> {
    let mut peer = TestPeer::new(codec);
    peer.limits.min_rate = std::num::NonZero::new(10);
    peer
}

#[test]
fn each_byte_of_a_frame_adds_the_time_that_it_may_take() {
    let mut peer = rated(Lines::new());
    peer.limits.frame_timeout = 12 * SECOND;
    peer.feed(b"xxxxx");
    let half = Duration::from_millis(500);
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), Instant::ORIGIN + 10 * SECOND + half);
    peer.now = peer.now + 10 * SECOND;
    peer.feed(b"xxxxx");
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), Instant::ORIGIN + 11 * SECOND);
    peer.feed(&[b'x'; 90]);
    let frame_at = Instant::ORIGIN + 12 * SECOND;
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), frame_at, "the timeout of a frame stays");
    peer.release();

    let mut slow = rated(Lines::new());
    slow.feed(b"x");
    assert_eq!(slow.deadline_at(Instant::ORIGIN + 10 * SECOND + half), None);
    assert!(slow.connection.wants_finish(), "it is finished, and its replies are sent");
    assert_eq!(slow.connection.halves().reason(), Some(CloseReason::TooSlow));
    slow.release();
}

#[test]
fn a_peer_that_takes_its_output_too_slowly_uses_up_its_credit() {
    for has_rate in [false, true] {
        let mut peer = if has_rate { rated(Raw) } else { TestPeer::new(Raw) };
        peer.limits.write_timeout = 3 * SECOND;
        peer.feed(&[b'x'; 100]);
        let mut closed = None;
        for _ in 0..10 {
            let next = peer.now + SECOND;
            closed = closed.or(peer.deadline_at(next));
            if closed.is_none() {
                // A tenth of the rate: without one, each byte begins the timeout again.
                peer.take(1);
            }
        }
        assert_eq!(closed, has_rate.then_some(CloseReason::TooSlow));
        assert_eq!(peer.connection.wants_reset(), has_rate);
        peer.release();
    }
}

#[test]
fn a_peer_at_the_rate_and_a_silent_peer_are_not_too_slow() {
    let mut peer = rated(Raw);
    peer.limits.write_timeout = 3 * SECOND;
    peer.feed(&[b'x'; 100]);
    for _ in 0..9 {
        let next = peer.now + SECOND;
        assert_eq!(peer.deadline_at(next), None);
        peer.take(10);
    }
    // The rest restores the full credit, and an empty queue needs none.
    peer.take(10);
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), peer.now + peer.limits.idle_timeout);
    peer.now = peer.now + 200 * SECOND;
    peer.feed(b"later");
    assert_eq!(peer.connection.poll_deadline(&peer.codec, &peer.limits), peer.now + 3 * SECOND);
    peer.release();
}

#[test]
fn a_queue_that_is_empty_for_a_moment_restores_no_credit() {
    let mut peer = rated(Raw);
    peer.limits.write_timeout = 10 * SECOND;
    let mut closed_after = None;
    for second in 0..100 {
        // The stream takes 20 bytes at once every 4 seconds, half of the rate, and the queue is empty each time.
        peer.feed(&[b'x'; 20]);
        let next = peer.now + 4 * SECOND;
        if peer.deadline_at(next).is_some() {
            closed_after = Some(second);
            break;
        }
        peer.take_all();
    }
    assert_eq!(closed_after, Some(4));
    assert_eq!(peer.connection.closed(), Some(CloseReason::TooSlow));
    peer.release();

    let mut patient = rated(Raw);
    patient.limits.write_timeout = 10 * SECOND;
    for _ in 0..100 {
        patient.feed(&[b'x'; 20]);
        let next = patient.now + 4 * SECOND;
        assert_eq!(patient.deadline_at(next), None, "silence restores the credit");
        patient.take_all();
        patient.now = patient.now + 3 * SECOND;
    }
    patient.release();
}

#[test]
fn at_the_end_of_its_lifetime_a_peer_completes_its_frame() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"half");
    assert!(peer.with(|connection, resources| connection.handle_lifetime(resources)), "a second call is due");
    peer.with(|connection, resources| connection.handle_not_readable(resources));
    assert_eq!(peer.connection.halves().reason(), None);
    peer.feed(b" a line\n");
    peer.with(|connection, resources| connection.handle_not_readable(resources));
    assert_eq!(peer.connection.halves().reason(), Some(CloseReason::MaxLifetime));
    assert_eq!(peer.take_all(), b"half a line\n");
    peer.release();

    let mut endless = TestPeer::new(Lines::new());
    endless.feed(b"half");
    endless.with(|connection, resources| connection.handle_lifetime(resources));
    assert!(!endless.with(|connection, resources| connection.handle_lifetime(resources)));
    assert_eq!(endless.connection.halves().reason(), Some(CloseReason::MaxLifetime));
    endless.release();
}
