//! `is_between_messages` is true only when no work is due.

use super::*;

/// A connection that has echoed one line.
fn after_an_echo() -> TestPeer<Lines> {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"one\n");
    peer.take_all();
    assert!(peer.connection.is_between_messages());
    peer
}

#[track_caller]
fn check_ends_it(change: impl FnOnce(&mut TestPeer<Lines>)) {
    let mut peer = after_an_echo();
    change(&mut peer);
    assert!(!peer.connection.is_between_messages());
}

#[test]
fn a_new_connection_is_between_messages() {
    assert!(TestPeer::new(Raw).connection.is_between_messages());
}

#[test]
fn stored_input_or_queued_output_ends_it() {
    check_ends_it(|peer| peer.feed(b"tw"));
    check_ends_it(|peer| peer.feed(b"two\n"));
}

#[test]
fn a_request_of_the_service_ends_it() {
    check_ends_it(|peer| peer.callback(|reply| reply.notify_writable()));
    check_ends_it(|peer| peer.callback(|reply| reply.pause()));
    check_ends_it(|peer| peer.callback(|reply| reply.half_close()));
    check_ends_it(|peer| peer.callback(|reply| reply.finish()));
    check_ends_it(|peer| peer.callback(|reply| reply.close()));
}

#[test]
fn an_end_of_the_connection_ends_it() {
    check_ends_it(|peer| peer.with(|connection, resources| connection.handle_end(resources)));
    check_ends_it(|peer| peer.connection.handle_drain());
    check_ends_it(|peer| peer.connection.handle_error(CloseReason::Reset));
}

#[test]
fn a_connection_is_between_messages_again_once_its_work_is_done() {
    let mut peer = after_an_echo();
    peer.feed(b"tw");
    peer.feed(b"o\n");
    peer.take_all();
    peer.callback(|reply| reply.pause());
    peer.callback(|reply| reply.resume());
    peer.serve_held();
    assert!(peer.connection.is_between_messages());
}
