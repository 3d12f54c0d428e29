//! Tests of the connection alone, without a socket and without a clock.

mod between_messages;
mod deadlines;
mod end;
mod half_close;
mod output_limits;
mod pause;
mod two_machines;

use std::ops::ControlFlow;
use std::time::Duration;

use super::*;
use crate::codec::{Length, Lines, Raw};
use crate::watermark::Watermarks;

const SECOND: Duration = Duration::from_secs(1);

/// A connection with its resources and an echo service.
struct TestPeer<C: Codec> {
    connection: Connection<C>,
    codec: C,
    limits: Limits,
    reserve: Reserve,
    ledger: Ledger,
    now: Instant,
    frames: Vec<Vec<u8>>,
    /// The number of `on_end` callbacks.
    ends: usize,
    /// What the echo puts before each frame.
    prefix: &'static [u8],
}

impl<C: Codec> TestPeer<C> {
    fn new(codec: C) -> Self {
        Self {
            connection: Connection::new(Role::Accepted, Instant::ORIGIN),
            codec,
            limits: Limits { queue: Watermarks::new(4, 16), ..Limits::default() },
            reserve: Reserve::new(1 << 20),
            ledger: Ledger::default(),
            now: Instant::ORIGIN,
            frames: Vec::new(),
            ends: 0,
            prefix: b"",
        }
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut Connection<C>, &mut Resources<'_, C>) -> R) -> R {
        let mut resources = Resources {
            codec: &self.codec,
            limits: &self.limits,
            reserve: &mut self.reserve,
            ledger: &mut self.ledger,
            now: self.now,
        };
        call(&mut self.connection, &mut resources)
    }

    fn callback(&mut self, request: impl FnOnce(&mut Reply<'_, C>)) {
        self.with(|connection, resources| connection.handle_callback(resources, request));
    }

    /// Passes input to the echo and stores all replies.
    fn feed(&mut self, input: &[u8]) {
        let prefix = self.prefix;
        let mut frames = Vec::new();
        self.with(|connection, resources| {
            let input_range = connection.handle_input(input, resources, |frame, reply| {
                frames.push(frame.to_vec());
                reply.send(&[prefix, frame]);
                Ok(ControlFlow::Continue(()))
            });
            connection.store(&input[input_range], resources);
            connection.apply_watermarks(resources);
        });
        self.frames.append(&mut frames);
    }

    fn serve_held(&mut self) {
        let prefix = self.prefix;
        let mut frames = Vec::new();
        self.with(|connection, resources| {
            connection.handle_held(resources, |frame, reply| {
                frames.push(frame.to_vec());
                reply.send(&[prefix, frame]);
                Ok(ControlFlow::Continue(()))
            });
        });
        self.frames.append(&mut frames);
        self.report_end(|_| {});
    }

    /// Calls `on_end` if it is due.
    fn report_end(&mut self, on_end: impl FnOnce(&mut Reply<'_, C>)) {
        if self.connection.poll_end() {
            self.ends += 1;
            self.callback(on_end);
        }
    }

    /// The stream takes `count` bytes of the output.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.connection.unsent()[..count].to_vec();
        self.with(|connection, resources| {
            connection.handle_written(count, 0, resources);
            connection.apply_watermarks(resources);
        });
        taken
    }

    fn take_all(&mut self) -> Vec<u8> {
        self.take(self.connection.output_len())
    }

    fn end(&mut self) {
        self.with(|connection, resources| connection.handle_end(resources));
        self.report_end(|_| {});
    }

    fn deadline_at(&mut self, now: Instant) -> Option<CloseReason> {
        self.now = now;
        self.with(|connection, resources| connection.handle_deadline(resources));
        self.connection.closed()
    }

    /// Releases the connection, and checks that every byte is accounted for and all storage is back.
    #[track_caller]
    fn release(&mut self) {
        let Self { connection, reserve, ledger, .. } = self;
        connection.release(reserve, ledger);
        assert!(ledger.reconciles(0, 0), "{ledger:?}");
        assert_eq!(reserve.lent_bytes(), 0);
    }
}

#[test]
fn an_echo_of_a_whole_frame_is_not_copied() {
    let mut peer = TestPeer::new(Raw);
    let input = *b"hello";
    let input_range = peer.with(|connection, resources| {
        connection.handle_input(&input, resources, |frame, reply| {
            reply.send(&[frame]);
            Ok(ControlFlow::Continue(()))
        })
    });
    assert_eq!(input_range, 0..5);
    assert_eq!(peer.reserve.lent_bytes(), 0);
    peer.with(|connection, resources| connection.handle_written(0, 5, resources));
    peer.end();
    assert!(peer.connection.wants_finish());
    peer.release();
}

#[test]
fn replies_made_of_input_and_other_bytes_keep_their_order() {
    let mut peer = TestPeer::new(Lines::new());
    peer.limits.queue = Watermarks::new(100, 1000);
    peer.prefix = b"> ";
    peer.feed(b"one\r\ntwo\nthr");
    peer.feed(b"ee\n");
    assert_eq!(peer.take_all(), b"> one\n> two\n> three\n");
    peer.release();
}

#[test]
fn a_frame_in_pieces_is_stored_until_it_is_complete() {
    let mut peer = TestPeer::new(Length::default());
    for byte in b"\0\0\0\x02hi\0\0\0\x01!" {
        peer.feed(&[*byte]);
    }
    assert_eq!(peer.frames, [b"hi".to_vec(), b"!".to_vec()]);
    assert_eq!(peer.connection.input_len(), 0);
    peer.take_all();
    assert_eq!(peer.reserve.lent_bytes(), 0);
}

#[test]
fn above_the_high_watermark_reading_stops_and_frames_are_held() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"0123456789abcdef\nsecond\nthird\n");
    assert_eq!(peer.frames.len(), 1);
    assert!(!peer.connection.wants_read());
    assert!(!peer.with(|connection, resources| connection.wants_held(resources)));
    peer.take(13);
    assert!(peer.with(|connection, resources| connection.wants_held(resources)));
    peer.serve_held();
    assert_eq!(peer.frames.len(), 3);
    assert_eq!(peer.take_all(), b"def\nsecond\nthird\n"[..].to_vec());
    assert!(peer.connection.wants_read());
}

#[test]
fn an_end_inside_a_frame_closes_with_partial_frame() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"whole\npart");
    peer.end();
    assert_eq!(peer.take_all(), b"whole\n");
    peer.with(|connection, resources| connection.handle_finished(resources.now));
    assert_eq!(peer.connection.closed(), Some(CloseReason::PartialFrame));
    assert_eq!(peer.ledger.bytes_discarded, 4);
    peer.release();
}

#[test]
fn an_oversized_frame_finishes_the_peer_and_discards_the_rest() {
    let mut peer = TestPeer::new(Lines::new());
    peer.limits.frame_len_max = 8;
    peer.feed(b"short\nfar too long");
    peer.feed(b" and longer still");
    assert_eq!(peer.take_all(), b"short\n");
    assert!(peer.connection.wants_finish());
    peer.with(|connection, resources| connection.handle_finished(resources.now));
    assert!(peer.connection.wants_read(), "discards until the peer's end");
    peer.feed(b"x");
    peer.end();
    assert_eq!(peer.connection.closed(), Some(CloseReason::FrameTooLong));
    peer.release();
}

#[test]
fn no_frame_is_served_after_a_finish_in_the_same_read() {
    let mut peer = TestPeer::new(Lines::new());
    let mut calls = 0;
    peer.with(|connection, resources| {
        let input = b"bye\nmore\nand more\n";
        let input_range = connection.handle_input(input, resources, |_, reply| {
            calls += 1;
            reply.send(&[b"goodbye"]);
            reply.finish();
            Ok(ControlFlow::Continue(()))
        });
        connection.store(&input[input_range], resources);
        connection.apply_watermarks(resources);
    });
    assert_eq!(calls, 1);
    assert_eq!(peer.take_all(), b"goodbye\n");
    assert!(peer.connection.wants_finish());
    peer.release();
}

#[test]
fn no_frame_is_served_after_a_finish_in_stored_input() {
    let mut peer = TestPeer::new(Lines::new());
    peer.feed(b"b");
    peer.with(|connection, resources| {
        connection.handle_input(b"ye\nmore\n", resources, |frame, reply| {
            assert_eq!(frame, b"bye");
            reply.finish();
            Ok(ControlFlow::Continue(()))
        });
    });
    assert!(peer.connection.wants_finish());
    peer.release();
}

#[test]
fn the_exit_line_finishes_the_peer() {
    let mut peer = TestPeer::new(Lines::new().with_exit());
    peer.feed(b"hi\nexit\r\nlate\n");
    assert_eq!(peer.take_all(), b"hi\n");
    assert!(peer.connection.wants_finish());
    peer.release();
}

#[test]
fn a_draining_peer_is_finished_once_its_input_is_served() {
    let mut peer = TestPeer::new(Lines::new());
    peer.connection.handle_drain();
    peer.feed(b"0123456789abcdef\nsecond\n");
    peer.with(|connection, resources| connection.handle_not_readable(resources));
    assert!(!peer.connection.wants_finish());
    peer.take_all();
    peer.serve_held();
    peer.with(|connection, resources| connection.handle_not_readable(resources));
    assert_eq!(peer.take_all(), b"second\n");
    assert!(peer.connection.wants_finish());
    peer.release();
}

#[test]
fn a_break_holds_the_remaining_frames() {
    let mut peer = TestPeer::new(Lines::new());
    peer.with(|connection, resources| {
        connection.handle_input(b"one\ntwo\n", resources, |_, _| Ok(ControlFlow::Break(())));
        assert!(connection.wants_held(resources));
    });
    peer.serve_held();
    assert_eq!(peer.frames, [b"two".to_vec()]);
}
