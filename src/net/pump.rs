//! The pump: moves bytes between a stream and its connection, in both directions.
//!
//! Nothing else reads or writes a stream. `WouldBlock` and `Interrupted` end here: the first clears
//! a readiness bit, the second repeats the call.

use std::io::{self, ErrorKind, IoSlice};

use crate::buffer::Reserve;
use crate::connection::{CloseReason, InputRange, NO_INPUT_RANGE, READ_LEN_MAX};
use crate::host::{Host, Peer, PeerGuard};
use crate::instant::Instant;
use crate::service::Service;
use crate::slab::Key;

use super::budget::{Budget, READ_LEN_MIN};
use super::layer::Layer;
use super::link::Link;
use super::stream::Stream;

/// One read takes at most the spare memory divided by this, since all of it may have to be stored.
/// Reads get shorter as memory runs out, long before any of them fails.
const SPARE_DIVISOR: usize = 8;

/// The outcome of a read.
enum ReadOutcome {
    Bytes(usize),
    WouldBlock,
    /// The peer has ended its direction.
    Ended,
    /// The peer's direction broke off without the end that its protocol requires.
    Truncated,
    Failed(CloseReason),
}

/// The outcome of a write.
enum WriteOutcome {
    Bytes(usize),
    WouldBlock,
    Failed(CloseReason),
}

/// The outcome of one step of a handshake.
pub(crate) enum OpenOutcome {
    Open,
    WouldBlock,
    Failed(CloseReason, io::Error),
}

/// Serves one peer: takes steps while bytes move, until its share of the budget is spent.
#[inline]
pub(crate) fn serve<S: Service, T: Stream>(
    host: &mut Host<S, Link<T>>,
    key: Key,
    budget: &mut Budget,
    scratch: &mut [u8],
    reserve: &mut Reserve,
    now: Instant,
) {
    let mut moved = 0;
    while let Some(mut peer_guard) = host.peer_guard(key, reserve, now) {
        let must_wait = peer_guard.is_outbox_full();
        let done = peer_guard.step(scratch, budget.peer_bytes());
        moved += done;
        let has_more = peer_guard.has_more();
        host.apply_orders(reserve, now, &mut budget.orders, write_queued);
        if must_wait {
            // No callback was called. The peer is served again when the orders are applied.
            host.mark_again(key);
            break;
        }
        if done == 0 || !has_more {
            break;
        }
        if moved >= budget.peer_bytes() {
            host.mark_again(key);
            break;
        }
    }
    budget.spend(moved);
    host.reschedule(key);
}

/// Writes what is queued for a peer, as far as its stream takes it. Returns the number of bytes.
pub(crate) fn write_queued<S: Service, T: Stream>(peer_guard: &mut PeerGuard<'_, S, Link<T>>) -> usize {
    peer_guard.flush(&[], READ_LEN_MAX)
}

impl<S: Service, T: Stream> PeerGuard<'_, S, Link<T>> {
    /// Whether another step can do anything before the next event. Orders for this peer need no check:
    /// applying them marks the peer.
    fn has_more(&self) -> bool {
        let PeerGuard { peer: Peer { link, connection, .. }, resources, .. } = self;
        link.readable && connection.wants_read()
            || link.writable && (!connection.unsent().is_empty() || connection.wants_finish())
            || connection.wants_held(resources)
            || connection.is_writable_due(resources.limits)
    }

    /// One step of serving a peer: flush the queue, read, serve the frames, flush the replies. Each
    /// part moves at most `budget` bytes.
    ///
    /// Returns the work done, in bytes and callbacks. 0 means: nothing to do until the next event.
    pub(crate) fn step(&mut self, scratch: &mut [u8], budget: usize) -> usize {
        let mut done = self.flush(&[], budget);
        if self.peer.connection.closed().is_some() || self.is_limited_by_budget() || self.is_outbox_full() {
            return done;
        }
        let mut input_range = NO_INPUT_RANGE;
        if self.peer.connection.wants_held(&self.resources) {
            self.handle_held();
            done += 1;
        } else {
            if self.peer.connection.poll_writable(self.resources.limits) {
                self.handle_writable();
                done += 1;
            }
            // Read even right after a callback. Otherwise a service that always has more to send would
            // never see the end of the peer's input.
            if self.peer.link.readable && self.peer.connection.wants_read() {
                let (read, replied) = self.read_once(scratch, budget);
                input_range = replied;
                done += read;
            }
        }
        if self.peer.connection.poll_end() {
            self.handle_end();
            done += 1;
        }
        done += self.flush(&scratch[input_range], budget);
        done + self.finish()
    }

    /// Reads once, at most half the budget, since the other half is for the replies. Gives the input
    /// to the connection and its frames to the service.
    ///
    /// Returns the work done, and the range of `scratch` that is part of the replies.
    fn read_once(&mut self, scratch: &mut [u8], budget: usize) -> (usize, InputRange) {
        let memory_share = self.resources.reserve.spare_bytes() / SPARE_DIVISOR;
        let len = scratch.len().min(budget / 2).min(memory_share.max(READ_LEN_MIN));
        let outcome = self.peer.link.read(&mut scratch[..len]);
        self.update_time();
        match outcome {
            ReadOutcome::Bytes(count) => return (count, self.handle_input(&scratch[..count])),
            ReadOutcome::WouldBlock => return (0, NO_INPUT_RANGE),
            ReadOutcome::Ended => self.peer.connection.handle_end(&mut self.resources),
            ReadOutcome::Truncated => self.peer.connection.handle_truncated(&mut self.resources),
            // An alert may be buffered, and more input may follow the bad record.
            ReadOutcome::Failed(reason @ CloseReason::BadTls) => {
                self.peer.connection.handle_layer_error(reason, &mut self.resources);
                return (0, NO_INPUT_RANGE);
            }
            ReadOutcome::Failed(reason) => {
                self.peer.connection.handle_error(reason);
                return (0, NO_INPUT_RANGE);
            }
        }
        (1, NO_INPUT_RANGE)
    }

    /// Writes the queue and then `reply`, at most `budget` bytes. The unwritten part of `reply` is
    /// stored in the queue.
    fn flush(&mut self, reply: &[u8], budget: usize) -> usize {
        if let Some(reason) = self.peer.link.flush() {
            self.peer.connection.handle_error(reason);
        }
        if self.peer.connection.unsent().is_empty() && reply.is_empty() { 0 } else { self.write(reply, budget) }
    }

    fn write(&mut self, mut reply: &[u8], budget: usize) -> usize {
        let mut done = 0;
        while self.peer.link.writable && self.peer.connection.closed().is_none() {
            let Peer { link, connection, .. } = &mut *self.peer;
            let unsent = connection.unsent();
            let unsent_len = unsent.len();
            let outcome = match unsent.get(..budget) {
                Some(part) => link.write(part, &[]),
                None => link.write(unsent, reply),
            };
            self.update_time();
            let PeerGuard { peer, resources, .. } = self;
            match outcome {
                WriteOutcome::Bytes(count) => {
                    let from_queue = count.min(unsent_len);
                    reply = &reply[count - from_queue..];
                    peer.connection.handle_written(from_queue, count - from_queue, resources);
                    done += count;
                    if done >= budget || reply.is_empty() && peer.connection.unsent().is_empty() {
                        break;
                    }
                }
                WriteOutcome::WouldBlock => break,
                WriteOutcome::Failed(reason) => peer.connection.handle_error(reason),
            }
        }
        self.peer.connection.store(reply, &mut self.resources);
        if !self.is_limited_by_budget() {
            self.peer.connection.apply_watermarks(&self.resources);
        }
        done
    }

    /// Whether only the budget keeps queued bytes from being written. Then reading is not paused, and
    /// no more is read in this step.
    fn is_limited_by_budget(&self) -> bool {
        self.peer.link.writable && !self.peer.connection.unsent().is_empty()
    }

    /// Advances the time of this turn, if the last call may have blocked.
    fn update_time(&mut self) {
        if let Some(now) = self.peer.link.stream.woke_at() {
            self.pass_time(now);
        }
    }

    /// Ends our direction when it is due. If the peer's direction has ended too, the drop of the
    /// stream ends ours, which saves a system call; only the layer's announcement is sent.
    fn finish(&mut self) -> usize {
        let PeerGuard { peer, resources, .. } = self;
        if !peer.link.readable {
            peer.connection.handle_not_readable(resources);
        }
        if !peer.connection.wants_finish() {
            return 0;
        }
        let is_read_over = peer.connection.halves().read().is_over();
        let ended = if is_read_over { peer.link.stream.send_close_notify() } else { peer.link.stream.shutdown_write() };
        match ended {
            Ok(()) => peer.connection.handle_finished(resources.now),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                peer.link.writable = false;
                return 0;
            }
            Err(error) => peer.connection.handle_error(close_reason(&error)),
        }
        1
    }
}

impl<T: Stream> Link<T> {
    /// Continues the handshake of the stream's layer.
    pub(crate) fn open<B: Stream>(&mut self, layer: &impl Layer<B, Stream = T>) -> OpenOutcome {
        loop {
            match layer.open(&mut self.stream) {
                Ok(()) => {
                    // The handshake may have read application bytes, which no event will announce.
                    self.readable = true;
                    self.writable = true;
                    return OpenOutcome::Open;
                }
                Err(error) if is_bad_proxy_header(&error) => {
                    return OpenOutcome::Failed(CloseReason::BadProxyHeader, error);
                }
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    // An alert may have to be written, and input may be unread.
                    self.readable = true;
                    self.writable = true;
                    return OpenOutcome::Failed(CloseReason::BadTls, error);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return OpenOutcome::WouldBlock,
                // An end or a reset before the first byte.
                Err(error) if is_end(&error) && !layer.has_received(&mut self.stream) => {
                    return OpenOutcome::Failed(CloseReason::Probed, error);
                }
                Err(error) => return OpenOutcome::Failed(close_reason(&error), error),
            }
        }
    }

    /// Writes the bytes that the stream itself has buffered. Returns the reason if the stream failed.
    fn flush(&mut self) -> Option<CloseReason> {
        if !self.writable {
            return None;
        }
        match self.stream.flush() {
            Ok(()) => None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.writable = false;
                None
            }
            Err(error) => Some(close_reason(&error)),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> ReadOutcome {
        loop {
            match self.stream.read(buf) {
                Ok(0) => {
                    self.readable = false;
                    return ReadOutcome::Ended;
                }
                Ok(count) => {
                    // Input that arrives after a short read causes a new event.
                    if count < buf.len() && !self.reads_on && self.stream.short_read_means_empty() {
                        self.readable = false;
                    }
                    return ReadOutcome::Bytes(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return ReadOutcome::WouldBlock;
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.readable = false;
                    return ReadOutcome::Truncated;
                }
                Err(error) => return ReadOutcome::Failed(close_reason(&error)),
            }
        }
    }

    fn write(&mut self, unsent: &[u8], reply: &[u8]) -> WriteOutcome {
        loop {
            let written = match (unsent, reply) {
                (unsent, []) => self.stream.write(unsent),
                ([], reply) => self.stream.write(reply),
                (unsent, reply) => self.stream.write_vectored(&[IoSlice::new(unsent), IoSlice::new(reply)]),
            };
            match written {
                Ok(count) => {
                    // After a short write the stream is full. An event follows when it has space.
                    if count < unsent.len() + reply.len() {
                        self.writable = false;
                    }
                    return WriteOutcome::Bytes(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    return WriteOutcome::WouldBlock;
                }
                Err(error) => return WriteOutcome::Failed(close_reason(&error)),
            }
        }
    }
}

/// Whether the peer has ended or reset the stream.
fn is_end(error: &io::Error) -> bool {
    matches!(close_reason(error), CloseReason::Reset | CloseReason::Truncated)
}

#[cfg(feature = "proxy-protocol")]
fn is_bad_proxy_header(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<super::ProxyHeaderError>())
}

#[cfg(not(feature = "proxy-protocol"))]
fn is_bad_proxy_header(_error: &io::Error) -> bool {
    false
}

/// The close reason for an error of a stream.
#[expect(clippy::wildcard_enum_match_arm, reason = "`io::ErrorKind` is non-exhaustive")]
fn close_reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NotConnected
        | ErrorKind::TimedOut => CloseReason::Reset,
        ErrorKind::InvalidData => CloseReason::BadTls,
        ErrorKind::UnexpectedEof => CloseReason::Truncated,
        _ => CloseReason::Failed,
    }
}
