//! Between two messages there is nothing to do; in any other state there may be.

use super::*;

/// A connection that has echoed something.
fn echoed() -> TestPeer<Lines> {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"one\n");
    peer.take_all();
    assert!(peer.connection.is_between_messages());
    peer
}

#[track_caller]
fn is_no_longer(change: impl FnOnce(&mut TestPeer<Lines>)) {
    let mut peer = echoed();
    change(&mut peer);
    assert!(!peer.connection.is_between_messages());
}

fn requests(peer: &mut TestPeer<Lines>, request: impl FnOnce(&mut Reply<'_>)) {
    peer.with(|connection, resources| connection.handle_callback(resources, request));
}

#[test]
fn a_new_connection_is_between_messages() {
    assert!(TestPeer::new(Raw).connection.is_between_messages());
}

#[test]
fn what_is_stored_or_queued_ends_that() {
    is_no_longer(|peer| peer.feed(b"tw"));
    is_no_longer(|peer| peer.feed(b"two\n"));
}

#[test]
fn what_the_service_wishes_ends_that() {
    is_no_longer(|peer| requests(peer, |reply| reply.notify_writable()));
    is_no_longer(|peer| requests(peer, |reply| reply.pause()));
    is_no_longer(|peer| requests(peer, |reply| reply.half_close()));
    is_no_longer(|peer| requests(peer, |reply| reply.finish()));
    is_no_longer(|peer| requests(peer, |reply| reply.close()));
}

#[test]
fn an_end_of_either_side_ends_that() {
    is_no_longer(|peer| peer.with(|connection, resources| connection.handle_end(resources)));
    is_no_longer(|peer| peer.connection.handle_drain());
    is_no_longer(|peer| peer.connection.handle_error(CloseReason::Reset));
}

#[test]
fn it_is_between_messages_again_once_that_has_passed() {
    let mut peer = echoed();
    peer.feed(b"tw");
    peer.feed(b"o\n");
    peer.take_all();
    requests(&mut peer, |reply| reply.pause());
    requests(&mut peer, |reply| reply.resume());
    peer.serve_held();
    assert!(peer.connection.is_between_messages());
}
