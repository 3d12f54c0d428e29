//! Output beyond the bounds of one peer or of the shared memory.

use super::*;

#[test]
fn a_full_output_queue_closes_the_peer() {
    let mut peer = TestPeer::new(Raw);
    peer.reserve = Reserve::new(1 << 24);
    let len_max = peer.limits.queue_len_max(Role::Accepted);
    peer.with(|connection, resources| {
        connection.handle_order(&vec![0; len_max], resources);
        assert_eq!(connection.closed(), None);
        connection.handle_order(b"x", resources);
    });
    assert_eq!(peer.connection.closed(), Some(CloseReason::QueueFull));
    assert_eq!(peer.connection.output_len(), len_max);
    peer.release();
}

#[test]
fn an_exhausted_reserve_closes_the_peer() {
    let mut peer = TestPeer::new(Raw);
    peer.reserve = Reserve::new(4096);
    peer.feed(&[7; 4096]);
    assert_eq!(peer.connection.closed(), None);
    peer.feed(b"x");
    assert_eq!(peer.connection.closed(), Some(CloseReason::BudgetSpent));
    peer.release();
}

#[test]
fn lost_output_needs_a_reset_even_with_an_empty_queue() {
    let mut peer = TestPeer::new(Raw);
    peer.reserve = Reserve::new(0);
    peer.feed(b"x");
    assert_eq!(peer.connection.closed(), Some(CloseReason::BudgetSpent));
    assert_eq!(peer.connection.output_len(), 0);
    assert!(peer.connection.wants_reset(), "after a FIN the output would look complete");

    let mut peer = TestPeer::new(Raw);
    let oversized = vec![0; peer.limits.queue_len_max(Role::Accepted) + 1];
    peer.with(|connection, resources| connection.handle_order(&oversized, resources));
    assert_eq!(peer.connection.closed(), Some(CloseReason::QueueFull));
    assert!(peer.connection.wants_reset());
}

#[test]
fn a_reply_lost_after_a_close_needs_a_reset() {
    for (close, reason) in [
        ((|reply| reply.close()) as fn(&mut Reply<'_, Raw>), CloseReason::Service),
        (|_| panic!("in the service"), CloseReason::Panicked),
    ] {
        let mut peer = TestPeer::new(Raw);
        peer.reserve = Reserve::new(0);
        peer.with(|connection, resources| {
            let input_range = connection.handle_input(b"x", resources, |frame, reply| {
                reply.send(&[frame]);
                close(reply);
                Ok(ControlFlow::Break(()))
            });
            assert_eq!((input_range.clone(), connection.closed()), (0..1, Some(reason)));
            connection.store(&b"x"[input_range], resources);
            connection.apply_watermarks(resources);
        });
        assert_eq!(peer.connection.output_len(), 0);
        assert!(peer.connection.wants_reset(), "after a FIN the output would look complete");
    }
}

#[test]
fn a_peer_that_queues_more_than_the_spare_memory_is_paused() {
    let mut peer = TestPeer::new(Raw);
    peer.limits.queue = Watermarks::new(4 * KIB, 64 * KIB);
    peer.reserve = Reserve::new(32 * KIB);
    peer.feed(&[7; 8 * KIB]);
    assert!(peer.connection.wants_read());
    peer.feed(&[7; 8 * KIB]);
    assert!(!peer.connection.wants_read(), "16 KiB queued, 16 KiB spare");
    peer.take_all();
    assert!(peer.connection.wants_read());
}
