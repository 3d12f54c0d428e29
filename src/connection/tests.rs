//! The machine alone: no socket, no clock, every hard case by hand.

mod between;
mod end;
mod half_close;
mod pause;

use std::ops::ControlFlow;
use std::time::Duration;

use super::*;
use crate::codec::{Length, Lines, Raw};
use crate::watermark::Watermarks;

const SECOND: Duration = Duration::from_secs(1);

/// One connection with all it is lent, and an echo for a service.
struct Bench<C: Codec> {
    connection: Connection<C>,
    codec: C,
    limits: Limits,
    reserve: Reserve,
    ledger: Ledger,
    now: Instant,
    frames: Vec<Vec<u8>>,
    /// How often its service was told of the peer's end.
    ends: usize,
    prefix: &'static [u8],
}

impl<C: Codec> Bench<C> {
    fn new(codec: C) -> Self {
        Self {
            connection: Connection::new(Instant::ORIGIN),
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

    /// Feeds bytes to an echo that writes nothing; what was quoted is stored.
    fn feed(&mut self, input: &[u8]) {
        let prefix = self.prefix;
        let mut frames = Vec::new();
        self.with(|connection, resources| {
            let input_range = connection.handle_input(input, resources, |frame, reply| {
                frames.push(frame.to_vec());
                reply.send(&[prefix, frame]);
                ControlFlow::Continue(())
            });
            connection.store(&input[input_range], resources);
            connection.settle(resources);
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
                ControlFlow::Continue(())
            });
        });
        self.frames.append(&mut frames);
        self.tell_end(|_| {});
    }

    /// Tells the service of the peer's end, if that is due.
    fn tell_end(&mut self, on_end: impl FnOnce(&mut Reply<'_>)) {
        if self.connection.poll_end() {
            self.ends += 1;
            self.with(|connection, resources| connection.handle_callback(resources, on_end));
        }
    }

    /// Lets the stream take `count` bytes.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.connection.unsent()[..count].to_vec();
        self.with(|connection, resources| {
            connection.handle_written(count, 0, resources);
            connection.settle(resources);
        });
        taken
    }

    fn take_all(&mut self) -> Vec<u8> {
        self.take(self.connection.output_len())
    }

    fn end(&mut self) {
        self.with(|connection, resources| connection.handle_end(resources));
        self.tell_end(|_| {});
    }

    fn deadline_at(&mut self, now: Instant) -> Option<CloseReason> {
        self.now = now;
        self.with(|connection, resources| connection.handle_deadline(resources));
        self.connection.closed()
    }

    /// Buries the connection and checks that the books balance and all storage came back.
    #[track_caller]
    fn release(&mut self) {
        let Self { connection, reserve, ledger, .. } = self;
        connection.release(reserve, ledger);
        assert!(ledger.reconciles(0, 0), "{ledger:?}");
        assert_eq!(reserve.lent_bytes(), 0);
    }
}

#[test]
fn a_whole_frame_is_quoted_and_nothing_is_stored() {
    let mut bench = Bench::new(Raw);
    let input = *b"hello";
    let input_range = bench.with(|connection, resources| {
        connection.handle_input(&input, resources, |frame, reply| {
            reply.send(&[frame]);
            ControlFlow::Continue(())
        })
    });
    assert_eq!(input_range, 0..5);
    assert_eq!(bench.reserve.lent_bytes(), 0);
    bench.with(|connection, resources| connection.handle_written(0, 5, resources));
    bench.end();
    assert!(bench.connection.wants_finish());
    bench.release();
}

#[test]
fn a_quote_between_other_bytes_keeps_its_place() {
    let mut bench = Bench::new(Lines::new());
    bench.limits.queue = Watermarks::new(100, 1000);
    bench.prefix = b"> ";
    bench.feed(b"one\r\ntwo\nthr");
    bench.feed(b"ee\n");
    assert_eq!(bench.take_all(), b"> one\n> two\n> three\n");
    bench.release();
}

#[test]
fn a_frame_in_pieces_is_stored_and_its_storage_goes_back() {
    let mut bench = Bench::new(Length::default());
    for byte in b"\0\0\0\x02hi\0\0\0\x01!" {
        bench.feed(&[*byte]);
    }
    assert_eq!(bench.frames, [b"hi".to_vec(), b"!".to_vec()]);
    assert_eq!(bench.connection.input_len(), 0);
    bench.take_all();
    assert_eq!(bench.reserve.lent_bytes(), 0);
}

#[test]
fn over_its_watermark_a_peer_is_not_read_and_its_frames_wait() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"0123456789abcdef\nsecond\nthird\n");
    assert_eq!(bench.frames.len(), 1);
    assert!(!bench.connection.wants_read());
    assert!(!bench.with(|connection, resources| connection.wants_held(resources)));
    bench.take(13);
    assert!(bench.with(|connection, resources| connection.wants_held(resources)));
    bench.serve_held();
    assert_eq!(bench.frames.len(), 3);
    assert_eq!(bench.take_all(), b"def\nsecond\nthird\n"[..].to_vec());
    assert!(bench.connection.wants_read());
}

#[test]
fn an_end_behind_held_frames_serves_them_first() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"0123456789abcdef\nsecond\n");
    bench.end();
    assert!(!bench.connection.wants_finish());
    bench.take_all();
    bench.serve_held();
    assert_eq!(bench.take_all(), b"second\n");
    assert!(bench.connection.wants_finish());
    bench.with(|connection, resources| connection.handle_finished(resources.now));
    assert_eq!(bench.connection.closed(), Some(CloseReason::Finished));
    bench.release();
}

#[test]
fn an_end_inside_a_frame_is_an_outcome_of_its_own() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"whole\npart");
    bench.end();
    assert_eq!(bench.take_all(), b"whole\n");
    bench.with(|connection, resources| connection.handle_finished(resources.now));
    assert_eq!(bench.connection.closed(), Some(CloseReason::PartialFrame));
    assert_eq!(bench.ledger.bytes_discarded, 4);
    bench.release();
}

#[test]
fn a_frame_too_long_is_finished_politely_and_the_rest_is_discarded() {
    let mut bench = Bench::new(Lines::new());
    bench.limits.frame_len_max = 8;
    bench.feed(b"short\nfar too long");
    bench.feed(b" and longer still");
    assert_eq!(bench.take_all(), b"short\n");
    assert!(bench.connection.wants_finish());
    bench.with(|connection, resources| connection.handle_finished(resources.now));
    assert!(bench.connection.wants_read(), "discards until the peer's end");
    bench.feed(b"x");
    bench.end();
    assert_eq!(bench.connection.closed(), Some(CloseReason::FrameTooLong));
    bench.release();
}

#[test]
fn lingering_ends_by_bytes_or_by_time() {
    for by_time in [false, true] {
        let mut bench = Bench::new(Raw);
        bench.limits.linger_bytes_max = 10;
        assert_eq!(bench.deadline_at(Instant::ORIGIN + bench.limits.idle_timeout), None);
        assert!(bench.connection.wants_finish());
        bench.with(|connection, resources| connection.handle_finished(resources.now));
        if by_time {
            let linger_at = bench.now + bench.limits.linger_timeout;
            assert_eq!(bench.connection.poll_deadline(&bench.limits), linger_at);
            bench.deadline_at(linger_at);
        } else {
            bench.feed(b"01234567890");
        }
        assert_eq!(bench.connection.closed(), Some(CloseReason::IdleTimeout));
        bench.release();
    }
}

#[test]
fn who_floods_us_and_does_not_read_is_ended_for_not_reading() {
    for reads_after_all in [false, true] {
        let mut bench = Bench::new(Raw);
        bench.limits.linger_bytes_max = 10;
        bench.feed(b"unread");
        bench.with(|connection, resources| connection.handle_drain_late(resources));
        bench.feed(b"01234567890");
        assert_eq!((bench.connection.wants_read(), bench.connection.closed()), (false, None));
        if reads_after_all {
            assert_eq!(bench.take_all(), b"unread");
            bench.with(|connection, resources| connection.handle_finished(resources.now));
            assert!(bench.connection.wants_read(), "its end is waited for");
            bench.feed(b"x");
            assert_eq!(bench.connection.closed(), Some(CloseReason::Drained));
        } else {
            let late = bench.now + bench.limits.write_timeout;
            assert_eq!(bench.deadline_at(late), Some(CloseReason::WriteTimeout));
        }
        assert_eq!(bench.connection.wants_reset(), !reads_after_all);
        bench.release();
    }
}

#[test]
fn the_frame_deadline_is_not_restarted_by_bytes() {
    let mut bench = Bench::new(Lines::new());
    bench.limits.frame_timeout = 3 * SECOND;
    for _ in 0..3 {
        bench.feed(b"x");
        assert_eq!(bench.connection.poll_deadline(&bench.limits), Instant::ORIGIN + 3 * SECOND);
        bench.now = bench.now + SECOND;
    }
    assert_eq!(bench.deadline_at(Instant::ORIGIN + 3 * SECOND), None);
    assert!(bench.connection.wants_finish());
    bench.release();
}

#[test]
fn the_write_deadline_is_restarted_by_progress_and_ends_in_a_reset() {
    let mut bench = Bench::new(Raw);
    bench.limits.write_timeout = 3 * SECOND;
    bench.feed(b"0123456789");
    bench.now = Instant::ORIGIN + 2 * SECOND;
    bench.take(1);
    assert_eq!(bench.deadline_at(Instant::ORIGIN + 3 * SECOND), None);
    assert_eq!(bench.deadline_at(Instant::ORIGIN + 5 * SECOND), Some(CloseReason::WriteTimeout));
    assert!(bench.connection.wants_reset());
    bench.release();
    assert_eq!(bench.ledger.bytes_unsent, 9);
}

#[test]
fn a_paused_peer_is_neither_idle_nor_late_with_its_frame() {
    let mut bench = Bench::new(Lines::new());
    bench.limits.frame_timeout = SECOND;
    bench.limits.idle_timeout = SECOND;
    bench.limits.write_timeout = 10 * SECOND;
    bench.feed(b"0123456789abcdef\npart");
    assert_eq!(bench.connection.poll_deadline(&bench.limits), Instant::ORIGIN + 10 * SECOND);
}

#[test]
fn a_service_that_finishes_inside_a_batch_is_asked_no_more() {
    let mut bench = Bench::new(Lines::new());
    let mut calls = 0;
    bench.with(|connection, resources| {
        let input = b"bye\nmore\nand more\n";
        let input_range = connection.handle_input(input, resources, |_, reply| {
            calls += 1;
            reply.send(&[b"so long"]);
            reply.finish();
            ControlFlow::Continue(())
        });
        connection.store(&input[input_range], resources);
        connection.settle(resources);
    });
    assert_eq!(calls, 1);
    assert_eq!(bench.take_all(), b"so long\n");
    assert!(bench.connection.wants_finish());
    bench.release();
}

#[test]
fn a_service_that_finishes_inside_stored_input_is_asked_no_more() {
    let mut bench = Bench::new(Lines::new());
    bench.feed(b"b");
    bench.with(|connection, resources| {
        connection.handle_input(b"ye\nmore\n", resources, |frame, reply| {
            assert_eq!(frame, b"bye");
            reply.finish();
            ControlFlow::Continue(())
        });
    });
    assert!(bench.connection.wants_finish());
    bench.release();
}

#[test]
fn goodbye_ends_the_peer_from_our_side() {
    let mut bench = Bench::new(Lines::new().with_exit());
    bench.feed(b"hi\nexit\r\nlate\n");
    assert_eq!(bench.take_all(), b"hi\n");
    assert!(bench.connection.wants_finish());
    bench.release();
}

#[test]
fn more_than_may_wait_for_one_peer_closes_it() {
    let mut bench = Bench::new(Raw);
    bench.reserve = Reserve::new(1 << 24);
    let len_max = bench.limits.queue_len_max();
    bench.with(|connection, resources| {
        connection.handle_order(&vec![0; len_max], resources);
        assert_eq!(connection.closed(), None);
        connection.handle_order(b"x", resources);
    });
    assert_eq!(bench.connection.closed(), Some(CloseReason::QueueFull));
    assert_eq!(bench.connection.output_len(), len_max);
    bench.release();
}

#[test]
fn with_no_memory_left_the_peer_that_needs_it_is_closed() {
    let mut bench = Bench::new(Raw);
    bench.reserve = Reserve::new(4096);
    bench.feed(&[7; 4096]);
    assert_eq!(bench.connection.closed(), None);
    bench.feed(b"x");
    assert_eq!(bench.connection.closed(), Some(CloseReason::BudgetSpent));
    bench.release();
}

#[test]
fn what_found_no_room_is_missed_by_a_reset_even_behind_an_empty_queue() {
    let mut bench = Bench::new(Raw);
    bench.reserve = Reserve::new(0);
    bench.feed(b"x");
    assert_eq!(bench.connection.closed(), Some(CloseReason::BudgetSpent));
    assert_eq!(bench.connection.output_len(), 0);
    assert!(bench.connection.wants_reset(), "a clean end would say that this was all");

    let mut bench = Bench::new(Raw);
    let too_much = vec![0; bench.limits.queue_len_max() + 1];
    bench.with(|connection, resources| connection.handle_order(&too_much, resources));
    assert_eq!(bench.connection.closed(), Some(CloseReason::QueueFull));
    assert!(bench.connection.wants_reset());
}

#[test]
fn a_reply_lost_after_the_service_closed_the_peer_is_missed_by_a_reset_too() {
    for (close, reason) in [
        ((|reply| reply.close()) as fn(&mut Reply<'_>), CloseReason::Service),
        (|_| panic!("of the service"), CloseReason::Panicked),
    ] {
        let mut bench = Bench::new(Raw);
        bench.reserve = Reserve::new(0);
        bench.with(|connection, resources| {
            let input_range = connection.handle_input(b"x", resources, |frame, reply| {
                reply.send(&[frame]);
                close(reply);
                ControlFlow::Break(())
            });
            assert_eq!((input_range.clone(), connection.closed()), (0..1, Some(reason)));
            connection.store(&b"x"[input_range], resources);
            connection.settle(resources);
        });
        assert_eq!(bench.connection.output_len(), 0);
        assert!(bench.connection.wants_reset(), "a clean end would say that this was all");
    }
}

#[test]
fn under_pressure_who_holds_more_than_is_spare_is_paused() {
    let mut bench = Bench::new(Raw);
    bench.limits.queue = Watermarks::new(4 * KIB, 64 * KIB);
    bench.reserve = Reserve::new(32 * KIB);
    bench.feed(&[7; 8 * KIB]);
    assert!(bench.connection.wants_read());
    bench.feed(&[7; 8 * KIB]);
    assert!(!bench.connection.wants_read(), "16 KiB held, 16 KiB spare");
    bench.take_all();
    assert!(bench.connection.wants_read());
}

#[test]
fn a_promise_keeps_a_peer_that_has_ended() {
    let mut bench = Bench::new(Raw);
    bench.with(|connection, resources| {
        connection.handle_input(b"slow", resources, |_, reply| {
            reply.defer_reply();
            ControlFlow::Continue(())
        });
    });
    bench.end();
    assert!(!bench.connection.wants_finish());
    bench.with(|connection, resources| {
        connection.handle_order(b"done", resources);
        connection.handle_promise_kept(resources);
    });
    assert_eq!(bench.take_all(), b"done");
    assert!(bench.connection.wants_finish());
    bench.release();
}

#[test]
fn a_draining_peer_is_finished_once_it_is_dry() {
    let mut bench = Bench::new(Lines::new());
    bench.connection.handle_drain();
    bench.feed(b"0123456789abcdef\nsecond\n");
    bench.with(|connection, resources| connection.handle_dry(resources));
    assert!(!bench.connection.wants_finish());
    bench.take_all();
    bench.serve_held();
    bench.with(|connection, resources| connection.handle_dry(resources));
    assert_eq!(bench.take_all(), b"second\n");
    assert!(bench.connection.wants_finish());
    bench.release();
}

#[test]
fn a_break_keeps_the_rest_for_the_next_step() {
    let mut bench = Bench::new(Lines::new());
    bench.with(|connection, resources| {
        connection.handle_input(b"one\ntwo\n", resources, |_, _| ControlFlow::Break(()));
        assert!(connection.wants_held(resources));
    });
    bench.serve_held();
    assert_eq!(bench.frames, [b"two".to_vec()]);
}

#[test]
fn a_reset_between_the_halves_is_counted_once() {
    let mut bench = Bench::new(Raw);
    bench.feed(b"x");
    bench.connection.handle_error(CloseReason::Reset);
    bench.connection.handle_error(CloseReason::Failed);
    assert_eq!(bench.connection.closed(), Some(CloseReason::Reset));
    assert_eq!(bench.connection.poll_deadline(&bench.limits), Instant::NEVER);
    bench.release();
}
