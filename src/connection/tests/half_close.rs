//! We end our direction first and still listen, as a client does.

use super::*;

#[test]
fn after_a_half_close_replies_are_still_served_and_nothing_is_sent() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| {
        connection.handle_callback(resources, |reply| {
            reply.send(&[b"last words"]);
            reply.half_close();
            reply.send(&[b"nobody hears this"]);
        });
    });
    assert!(!bench.connection.wants_finish(), "what is queued leaves first");
    assert_eq!(bench.take_all(), b"last words\n");
    assert!(bench.connection.wants_finish());
    bench.connection.handle_finished(Instant::ORIGIN);

    bench.feed(b"one\ntw");
    assert_eq!(bench.frames, [b"one"]);
    assert_eq!(bench.connection.output_len(), 0, "a reply has nowhere to go");
    let frame_at = Instant::ORIGIN + bench.limits.frame_timeout;
    assert_eq!(bench.connection.poll_deadline(&bench.limits), frame_at, "it does not linger yet");
    bench.feed(b"o\n");
    bench.end();
    assert_eq!(bench.frames, [b"one", b"two"]);
    assert_eq!(bench.connection.closed(), Some(CloseReason::Finished));
    bench.release();
}

#[test]
fn a_stream_that_breaks_off_after_a_half_close_says_so() {
    for (input, reason) in [(&b""[..], CloseReason::Finished), (b"half a li", CloseReason::PartialFrame)] {
        let mut bench = Bench::new(Lines::new());
        bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.half_close()));
        bench.connection.handle_finished(Instant::ORIGIN);
        if !input.is_empty() {
            bench.feed(input);
        }
        bench.end();
        assert_eq!(bench.connection.closed(), Some(reason));
        bench.release();
    }
}

#[test]
fn the_end_of_both_in_either_order_closes_a_half_closed_peer() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| {
        connection.handle_callback(resources, |reply| {
            reply.send(&[b"bye"]);
            reply.defer_reply();
            reply.half_close();
        });
    });
    bench.end();
    assert_eq!(bench.connection.closed(), None, "what is queued leaves first");
    bench.take_all();
    bench.connection.handle_finished(Instant::ORIGIN);
    assert_eq!(bench.connection.closed(), Some(CloseReason::Finished), "the promise is void");
    bench.release();
}

#[test]
fn an_idle_peer_lingers_from_its_deadline_and_not_from_the_half_close() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.half_close()));
    bench.connection.handle_finished(Instant::ORIGIN);
    let (idle_timeout, linger_timeout) = (bench.limits.idle_timeout, bench.limits.linger_timeout);
    let idle_at = Instant::ORIGIN + idle_timeout;
    assert_eq!(bench.connection.poll_deadline(&bench.limits), idle_at);
    assert_eq!(bench.deadline_at(idle_at), None);
    assert_eq!(bench.connection.poll_deadline(&bench.limits), idle_at + linger_timeout);
    assert_eq!(bench.deadline_at(idle_at + linger_timeout), Some(CloseReason::IdleTimeout));
    bench.release();
}
