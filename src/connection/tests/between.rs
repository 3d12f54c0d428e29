//! Between two messages there is nothing to do; in any other state there may be.

use super::*;

/// A connection that has echoed something.
fn echoed() -> Bench<Lines> {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"one\n");
    bench.take_all();
    assert!(bench.connection.is_between_messages());
    bench
}

#[track_caller]
fn is_no_longer(change: impl FnOnce(&mut Bench<Lines>)) {
    let mut bench = echoed();
    change(&mut bench);
    assert!(!bench.connection.is_between_messages());
}

fn requests(bench: &mut Bench<Lines>, request: impl FnOnce(&mut Reply<'_>)) {
    bench.with(|connection, resources| connection.handle_callback(resources, request));
}

#[test]
fn a_new_connection_is_between_messages() {
    assert!(Bench::new(Raw).connection.is_between_messages());
}

#[test]
fn what_is_stored_or_queued_ends_that() {
    is_no_longer(|bench| bench.feed(b"tw"));
    is_no_longer(|bench| bench.feed(b"two\n"));
}

#[test]
fn what_the_service_wishes_ends_that() {
    is_no_longer(|bench| requests(bench, |reply| reply.notify_writable()));
    is_no_longer(|bench| requests(bench, |reply| reply.pause()));
    is_no_longer(|bench| requests(bench, |reply| reply.half_close()));
    is_no_longer(|bench| requests(bench, |reply| reply.finish()));
    is_no_longer(|bench| requests(bench, |reply| reply.close()));
}

#[test]
fn an_end_of_either_side_ends_that() {
    is_no_longer(|bench| bench.with(|connection, resources| connection.handle_end(resources)));
    is_no_longer(|bench| bench.connection.handle_drain());
    is_no_longer(|bench| bench.connection.handle_error(CloseReason::Reset));
}

#[test]
fn it_is_between_messages_again_once_that_has_passed() {
    let mut bench = echoed();
    bench.feed(b"tw");
    bench.feed(b"o\n");
    bench.take_all();
    requests(&mut bench, |reply| reply.pause());
    requests(&mut bench, |reply| reply.resume());
    bench.serve_held();
    assert!(bench.connection.is_between_messages());
}
