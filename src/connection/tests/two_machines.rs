//! Two machines talk to each other over buffers of a few bytes: a source with an echo.

use std::collections::VecDeque;

use super::*;

/// The bytes that the source sends.
const SENT_LEN: usize = 2_000;

/// One end: a machine, and the bytes on their way to it.
struct End {
    peer: TestPeer<Raw>,
    arriving: VecDeque<u8>,
}

impl End {
    fn new(role: Role) -> Self {
        let mut peer = TestPeer::new(Raw);
        peer.connection = Connection::new(role, Instant::ORIGIN);
        Self { peer, arriving: VecDeque::new() }
    }

    /// Writes at most `capacity` bytes to the other end. Returns how many.
    fn write_to(&mut self, other: &mut Self, capacity: usize) -> usize {
        let len = self.peer.connection.output_len().min(capacity.saturating_sub(other.arriving.len()));
        if len > 0 {
            other.arriving.extend(self.peer.take(len));
        }
        len
    }

    /// Takes at most `len` arrived bytes, if the machine reads.
    fn read(&mut self, len: usize) -> Vec<u8> {
        let len = if self.peer.connection.wants_read() { len.min(self.arriving.len()) } else { 0 };
        self.arriving.drain(..len).collect()
    }
}

/// Sends from a source of this role to an echo. Returns the bytes that came back until no byte moves.
fn bytes_returned(role: Role, capacity: usize, read_len: usize) -> usize {
    let (mut source, mut echo) = (End::new(role), End::new(Role::Accepted));
    let (mut to_send, mut returned) = (SENT_LEN, 0);
    loop {
        let mut moved = 0;
        source.peer.callback(|reply| {
            while to_send > 0 && reply.writable_bytes() > 0 {
                let len = to_send.min(7);
                reply.send(&[&[b'x'; 7][..len]]);
                to_send -= len;
            }
        });
        source.peer.with(|connection, resources| connection.apply_watermarks(resources));
        moved += source.write_to(&mut echo, capacity);
        let request = echo.read(read_len);
        if !request.is_empty() {
            echo.peer.feed(&request);
        }
        moved += request.len() + echo.write_to(&mut source, capacity);
        let reply = source.read(read_len);
        if !reply.is_empty() {
            source.peer.with(|connection, resources| {
                connection.handle_input(&reply, resources, |_, _| Ok(ControlFlow::Continue(())));
            });
        }
        moved += reply.len();
        returned += reply.len();
        if moved == 0 {
            return returned;
        }
    }
}

#[test]
fn a_source_that_fills_its_queue_still_reads_until_all_is_delivered() {
    for capacity in 1..40 {
        for read_len in [1, 3, 8, 100] {
            let returned = bytes_returned(Role::Connected, capacity, read_len);
            assert_eq!(returned, SENT_LEN, "capacity {capacity}, reads of {read_len}");
        }
    }
}

#[test]
fn two_machines_that_both_stop_reading_wait_for_each_other() {
    assert!(bytes_returned(Role::Accepted, 5, 8) < SENT_LEN);
}

#[test]
fn replies_of_a_connected_side_pause_reading_and_never_overfill_the_queue() {
    let mut peer = TestPeer::new(Raw);
    peer.connection = Connection::new(Role::Connected, Instant::ORIGIN);
    peer.reserve = Reserve::new(1 << 24);
    let mut reads = 0;
    while peer.connection.wants_read() {
        peer.feed(&[7; READ_LEN_MAX]);
        reads += 1;
    }
    assert!(reads > 1, "the queue was above its high watermark after the first read");
    assert_eq!(peer.connection.closed(), None);
    peer.take_all();
    assert!(peer.connection.wants_read());
    peer.release();
}
