//! The peer ends its direction, and the service is told: once, when all before it was served.

use super::*;

#[test]
fn an_end_is_told_once_before_the_peer_is_finished() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"one\n");
    bench.with(|connection, resources| connection.handle_end(resources));
    bench.take_all();
    assert!(!bench.connection.wants_finish(), "the service may have something to say");
    bench.tell_end(|reply| reply.send(&[b"so long"]));
    assert_eq!(bench.take_all(), b"so long\n");
    assert!(bench.connection.wants_finish());
    assert!(!bench.connection.poll_end());
    bench.connection.handle_finished(Instant::ORIGIN);
    assert_eq!((bench.ends, bench.connection.closed()), (1, Some(CloseReason::Finished)));
    bench.release();
}

#[test]
fn an_end_behind_held_frames_is_told_behind_them() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"0123456789abcdef\nsecond\n");
    bench.end();
    assert_eq!((bench.frames.len(), bench.ends), (1, 0));
    bench.take_all();
    bench.serve_held();
    assert_eq!((bench.frames.len(), bench.ends), (2, 1));
    bench.take_all();
    assert!(bench.connection.wants_finish());
}

#[test]
fn an_end_is_not_told_to_a_service_that_has_paused_the_peer() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.pause()));
    bench.end();
    assert_eq!(bench.ends, 0);
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    bench.serve_held();
    assert_eq!(bench.ends, 1);
    assert!(bench.connection.wants_finish());
}

#[test]
fn a_promise_or_a_pause_made_at_the_end_keeps_the_peer() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| connection.handle_end(resources));
    bench.tell_end(|reply| {
        reply.defer_reply();
        reply.pause();
    });
    assert!(!bench.connection.wants_finish());
    bench.with(|connection, resources| {
        connection.handle_order(b"answer\n", resources);
        connection.handle_promise_kept(resources);
    });
    assert_eq!(bench.take_all(), b"answer\n");
    assert!(!bench.connection.wants_finish(), "still paused");
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.resume()));
    bench.serve_held();
    assert!(bench.connection.wants_finish());
    assert_eq!(bench.ends, 1);
}

#[test]
fn an_end_is_told_though_an_earlier_promise_is_open() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.defer_reply()));
    bench.end();
    assert_eq!((bench.ends, bench.connection.wants_finish()), (1, false));
    bench.with(|connection, resources| connection.handle_promise_kept(resources));
    assert!(bench.connection.wants_finish());
}

#[test]
fn an_end_after_a_half_close_is_told() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| connection.handle_callback(resources, |reply| reply.half_close()));
    bench.connection.handle_finished(Instant::ORIGIN);
    bench.end();
    assert_eq!((bench.ends, bench.connection.closed()), (1, Some(CloseReason::Finished)));
}

#[test]
fn no_end_is_told_inside_a_frame_nor_of_a_stream_cut_off_nor_when_we_have_finished() {
    let mut partial = Bench::new(Lines::new());
    partial.feed(b"whole\npart");
    partial.end();

    let mut truncated = Bench::new(Lines::new());
    truncated.with(|connection, resources| connection.handle_truncated(resources));
    truncated.tell_end(|_| {});

    let mut finished = Bench::new(Lines::new());
    finished.with(|connection, resources| connection.handle_callback(resources, |reply| reply.finish()));
    finished.end();

    let mut reset = Bench::new(Lines::new());
    reset.connection.handle_error(CloseReason::Reset);
    reset.tell_end(|_| {});
    assert_eq!([partial.ends, truncated.ends, finished.ends, reset.ends], [0; 4]);
}

#[test]
fn a_service_that_fails_at_the_end_loses_the_peer() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| connection.handle_end(resources));
    bench.tell_end(|_| panic!("of the service"));
    assert_eq!(bench.connection.closed(), Some(CloseReason::Panicked));
    bench.release();
}
