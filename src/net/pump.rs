//! The pump: moves bytes between a stream and its connection, in both directions.
//!
//! Nothing else reads or writes a stream. `WouldBlock` and `Interrupted` end here: the first
//! becomes a cleared readiness bit, the second another try.

use std::io::{self, ErrorKind, IoSlice};

use crate::buffer::Reserve;
use crate::codec::Codec;
use crate::connection::{CloseReason, InputRange, NO_INPUT_RANGE};
use crate::host::{Host, Peer, PeerGuard};
use crate::instant::Instant;
use crate::service::Service;
use crate::slab::Key;

use super::{Budget, Layer, Link, Stream};

/// The part of the spare memory that one read may ask to be stored: when memory is short, reads
/// become shorter long before any of them can fail.
const SPARE_PART: usize = 8;

/// The shortest read worth its system call: one page.
pub(super) const READ_LEN_MIN: usize = 4096;

/// What came out of trying to read.
enum Filled {
    Bytes(usize),
    /// Nothing now.
    Dry,
    /// The peer's direction has ended.
    Ended,
    /// It has ended where no end was said.
    Truncated,
    Lost(CloseReason),
}

/// What came out of trying to write.
enum Flushed {
    Bytes(usize),
    /// Nothing goes now.
    Full,
    Lost(CloseReason),
}

/// What came out of trying to open a stream.
pub(crate) enum Opened {
    Yes,
    /// Not before another fact.
    NotYet,
    Lost(CloseReason, io::Error),
}

/// Serves one peer: steps while bytes move and its share of the budget lasts.
#[inline]
pub(crate) fn serve<S: Service, C: Codec, T: Stream>(
    host: &mut Host<S, C, Link<T>>,
    key: Key,
    budget: &mut Budget,
    scratch: &mut [u8],
    reserve: &mut Reserve,
    now: Instant,
) {
    let mut moved = 0;
    // A queue that grows takes memory, one that was emptied gives it back; the system takes its time for both.
    let paging_before = reserve.paging_bytes();
    let spent = |moved: usize, reserve: &Reserve| moved + reserve.paging_bytes().wrapping_sub(paging_before);
    while let Some(mut visit) = host.peer_guard(key, reserve, now) {
        // At the first step: what later ones find has not been looked at since.
        let was_between_messages = moved == 0 && visit.is_between_messages();
        let done = step(&mut visit, scratch, budget.each());
        moved += done;
        // As nearly always: a message came and its answer has left. Nothing is due for such a peer but
        // the end of its idle time, and that has only moved away.
        if was_between_messages && visit.is_between_messages() && visit.is_armed() && !visit.peer.link.readable {
            budget.spend(spent(moved, reserve));
            return;
        }
        let has_more = has_more(&visit);
        host.carry_out_orders(reserve, now);
        if done == 0 || !has_more {
            break;
        }
        if moved >= budget.each() {
            host.mark_again(key);
            break;
        }
    }
    budget.spend(spent(moved, reserve));
    host.after(key);
}

/// Whether another step can do anything before a fact comes. What was ordered for this peer
/// meanwhile has marked it, so that it is not forgotten.
#[inline]
fn has_more<S: Service, C: Codec, T: Stream>(visit: &PeerGuard<'_, S, C, Link<T>>) -> bool {
    let PeerGuard { peer: Peer { link, connection, .. }, resources, .. } = visit;
    link.readable && connection.wants_read()
        || link.writable && (!connection.unsent().is_empty() || connection.wants_finish())
        || connection.wants_held(resources)
        || connection.is_room_due(resources.limits)
}

/// One step of serving a peer: fill, give frames to the service, flush; each moves at most `budget`.
///
/// Returns how much was done, in bytes or callbacks: 0 when there is nothing to do until a fact comes.
// Once it is compiled, all that a message takes is one function but for what may panic: with one around
// each system call, a message of the only peer at work cost some 1 % more.
#[inline(always)]
pub(crate) fn step<S: Service, C: Codec, T: Stream>(
    visit: &mut PeerGuard<'_, S, C, Link<T>>,
    scratch: &mut [u8],
    budget: usize,
) -> usize {
    let mut done = 0;
    let mut input_range = NO_INPUT_RANGE;
    let mut reads = true;
    if !visit.is_between_messages() {
        done = flush_waiting(visit, budget);
        if visit.peer.connection.closed().is_some() || is_cut_short(visit) {
            return done;
        }
        if visit.peer.connection.wants_held(&visit.resources) {
            visit.handle_held();
            done += 1;
            reads = false;
        } else {
            if visit.peer.connection.poll_room(visit.resources.limits) {
                visit.handle_room();
                done += 1;
            }
            reads = visit.peer.connection.wants_read();
        }
    }
    // Also then: a service that always has more to send must not keep us from seeing the peer's end.
    if reads && visit.peer.link.readable {
        let (read, replied) = fill(visit, scratch, budget);
        input_range = replied;
        done += read;
    }
    if visit.peer.connection.poll_end() {
        visit.handle_end();
        done += 1;
    }
    done += flush(visit, &scratch[input_range], budget);
    if visit.is_between_messages() { done } else { done + finish(visit) }
}

/// Reads once, at most half the budget: the other half is for the reply. Gives what came to the
/// connection and its frames to the service. Returns how much was done, and what of the replies
/// lies in `scratch`.
#[inline(always)]
fn fill<S: Service, C: Codec, T: Stream>(
    visit: &mut PeerGuard<'_, S, C, Link<T>>,
    scratch: &mut [u8],
    budget: usize,
) -> (usize, InputRange) {
    let spare_part = visit.resources.reserve.spare_bytes() / SPARE_PART;
    let len = scratch.len().min(budget / 2).min(spare_part.max(READ_LEN_MIN));
    let filled = visit.peer.link.fill(&mut scratch[..len]);
    keep_time(visit);
    match filled {
        Filled::Bytes(count) => (count, visit.handle_input(&scratch[..count])),
        Filled::Dry => (0, NO_INPUT_RANGE),
        Filled::Ended => {
            visit.peer.connection.handle_end(&mut visit.resources);
            (1, NO_INPUT_RANGE)
        }
        Filled::Truncated => {
            visit.peer.connection.handle_truncated(&mut visit.resources);
            (1, NO_INPUT_RANGE)
        }
        Filled::Lost(reason) => {
            visit.peer.connection.handle_error(reason);
            (0, NO_INPUT_RANGE)
        }
    }
}

/// Writes what waits since an earlier step, within the budget; mostly nothing does.
#[inline]
fn flush_waiting<S: Service, C: Codec, T: Stream>(visit: &mut PeerGuard<'_, S, C, Link<T>>, budget: usize) -> usize {
    // Apart, so that a step for which nothing waits does not hold the code of a second write.
    #[inline(never)]
    fn write_waiting<S: Service, C: Codec, T: Stream>(
        visit: &mut PeerGuard<'_, S, C, Link<T>>,
        budget: usize,
    ) -> usize {
        write(visit, &[], budget)
    }
    flush_kept(visit);
    if visit.peer.connection.unsent().is_empty() { 0 } else { write_waiting(visit, budget) }
}

/// Writes what waits, and behind it `quoted`, within the budget; what does not go is stored.
#[inline(always)]
fn flush<S: Service, C: Codec, T: Stream>(
    visit: &mut PeerGuard<'_, S, C, Link<T>>,
    quoted: &[u8],
    budget: usize,
) -> usize {
    flush_kept(visit);
    if visit.peer.connection.unsent().is_empty() && quoted.is_empty() { 0 } else { write(visit, quoted, budget) }
}

/// Writes what the stream keeps of its own.
#[inline]
fn flush_kept<S: Service, C: Codec, T: Stream>(visit: &mut PeerGuard<'_, S, C, Link<T>>) {
    if let Some(reason) = visit.peer.link.flush_kept() {
        visit.peer.connection.handle_error(reason);
    }
}

#[inline(always)]
fn write<S: Service, C: Codec, T: Stream>(
    visit: &mut PeerGuard<'_, S, C, Link<T>>,
    mut quoted: &[u8],
    budget: usize,
) -> usize {
    let mut done = 0;
    while visit.peer.link.writable && visit.peer.connection.closed().is_none() {
        let Peer { link, connection, .. } = &mut *visit.peer;
        let unsent = connection.unsent();
        let unsent_len = unsent.len();
        let flushed = match unsent.get(..budget) {
            Some(part) => link.flush(part, &[]),
            None => link.flush(unsent, quoted),
        };
        keep_time(visit);
        let PeerGuard { peer, resources, .. } = visit;
        match flushed {
            Flushed::Bytes(count) => {
                let from_queue = count.min(unsent_len);
                quoted = &quoted[count - from_queue..];
                peer.connection.handle_written(from_queue, count - from_queue, resources);
                done += count;
                if done >= budget || quoted.is_empty() && peer.connection.unsent().is_empty() {
                    break;
                }
            }
            Flushed::Full => break,
            Flushed::Lost(reason) => peer.connection.handle_error(reason),
        }
    }
    visit.peer.connection.store(quoted, &mut visit.resources);
    if !is_cut_short(visit) {
        visit.peer.connection.settle(&visit.resources);
    }
    done
}

/// Whether only the budget keeps what is left from leaving: no reason to pause, and none to read on.
#[inline]
fn is_cut_short<S: Service, C: Codec, T: Stream>(visit: &PeerGuard<'_, S, C, Link<T>>) -> bool {
    visit.peer.link.writable && !visit.peer.connection.unsent().is_empty()
}

/// Where a call waited, the time of this turn has passed meanwhile; else it stands still.
#[inline]
fn keep_time<S: Service, C: Codec, T: Stream>(visit: &mut PeerGuard<'_, S, C, Link<T>>) {
    if let Some(now) = visit.peer.link.stream.woke_at() {
        visit.pass_time(now);
    }
}

/// Ends our direction when its time has come. Where the peer's has ended too, a farewell is
/// enough and the drop of the stream does the rest: one system call less.
#[inline]
fn finish<S: Service, C: Codec, T: Stream>(visit: &mut PeerGuard<'_, S, C, Link<T>>) -> usize {
    let PeerGuard { peer, resources, .. } = visit;
    if !peer.link.readable {
        peer.connection.handle_dry(resources);
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
        Err(error) => peer.connection.handle_error(reason_of(&error)),
    }
    1
}

impl<T: Stream> Link<T> {
    /// Goes on with opening the stream.
    pub(crate) fn open<B: Stream>(&mut self, layer: &impl Layer<B, Stream = T>) -> Opened {
        loop {
            match layer.open(&mut self.stream) {
                Ok(()) => {
                    // It may have read on into what comes behind the agreement, and before any
                    // fact was told: of that, none will tell.
                    self.readable = true;
                    self.writable = true;
                    return Opened::Yes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Opened::NotYet,
                Err(error) => return Opened::Lost(reason_of(&error), error),
            }
        }
    }

    /// Writes what the stream keeps of its own; why it is lost, if it is.
    #[inline]
    fn flush_kept(&mut self) -> Option<CloseReason> {
        if !self.writable {
            return None;
        }
        match self.stream.flush() {
            Ok(()) => None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.writable = false;
                None
            }
            Err(error) => Some(reason_of(&error)),
        }
    }

    #[inline(always)]
    fn fill(&mut self, buf: &mut [u8]) -> Filled {
        loop {
            match self.stream.read(buf) {
                Ok(0) => {
                    self.readable = false;
                    return Filled::Ended;
                }
                Ok(count) => {
                    // What comes after a short read brings a fact of its own.
                    if count < buf.len() && !self.reads_on && self.stream.short_read_means_empty() {
                        self.readable = false;
                    }
                    return Filled::Bytes(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Filled::Dry;
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.readable = false;
                    return Filled::Truncated;
                }
                Err(error) => return Filled::Lost(reason_of(&error)),
            }
        }
    }

    #[inline(always)]
    fn flush(&mut self, unsent: &[u8], quoted: &[u8]) -> Flushed {
        loop {
            let written = match (unsent, quoted) {
                (unsent, []) => self.stream.write(unsent),
                ([], quoted) => self.stream.write(quoted),
                (unsent, quoted) => self.stream.write_vectored(&[IoSlice::new(unsent), IoSlice::new(quoted)]),
            };
            match written {
                Ok(count) => {
                    // A short write is a full stream: the kernel tells when there is room again.
                    if count < unsent.len() + quoted.len() {
                        self.writable = false;
                    }
                    return Flushed::Bytes(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    return Flushed::Full;
                }
                Err(error) => return Flushed::Lost(reason_of(&error)),
            }
        }
    }
}

/// The peer's doing, its path's, or that of what lies over the stream; or something else.
fn reason_of(error: &io::Error) -> CloseReason {
    use ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, InvalidData, NetworkUnreachable, NotConnected,
        TimedOut, UnexpectedEof,
    };
    let kind = error.kind();
    let is_peer_gone = matches!(
        kind,
        BrokenPipe
            | ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | NetworkUnreachable
            | NotConnected
            | TimedOut
    );
    if is_peer_gone {
        CloseReason::Reset
    } else if kind == InvalidData {
        CloseReason::BadTls
    } else if kind == UnexpectedEof {
        CloseReason::Truncated
    } else {
        CloseReason::Failed
    }
}
