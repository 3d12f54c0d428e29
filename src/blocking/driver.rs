//! The driver of one peer: what the turn is to a reactor, for a thread that has nobody else.
//!
//! Same connection, same service, same pump; only the waiting is another. The thread waits in one
//! place, inside the step, when there is nothing left to do but to read.

use std::convert::Infallible;
use std::sync::Arc;

use log::debug;

use crate::buffer::Reserve;
use crate::codec::Codec;
use crate::connection::{CloseReason, Connection, KIB, Limits};
use crate::host::{CloseMode, Host};
use crate::instant::Instant;
use crate::net::blocking::{BlockingStream, NAP, Patience};
use crate::net::{Link, PeerAddress, Stream};
use crate::service::Service;
use crate::slab::Key;

use super::ground::{Ground, Stage};

/// What one read takes in at most. Every thread has its own, so it must be small; and small
/// messages touch only its first page. 16 KiB is a TLS record, and a stream costs no more CPU per
/// byte by larger reads, since each one waits for the next bytes anyway.
///
/// It is an ordinary piece of the heap: a mapping for each thread costs a short connection a seventh
/// of its CPU.
const SCRATCH_BYTES: usize = 16 * KIB;

/// What a thread owns, from one peer to the next.
pub(super) struct Tools {
    scratch: Box<[u8]>,
    reserve: Reserve,
    /// How many of the reserve's blocks are in the common count.
    blocks: usize,
}

impl Tools {
    /// The memory for queues is bounded for each thread: one that all shared would cost every
    /// read a lock.
    pub(super) fn new(ground: &Ground) -> Self {
        let reserve = Reserve::new(ground.limits.queue_total_max);
        Self { scratch: vec![0; SCRATCH_BYTES].into(), reserve, blocks: 0 }
    }

    #[inline]
    fn recount_blocks(&mut self, ground: &Ground) {
        let blocks = self.reserve.blocks();
        if blocks != self.blocks {
            ground.recount_mappings(self.blocks, blocks);
            self.blocks = blocks;
        }
    }

    /// Gives all memory back.
    pub(super) fn put_away(self, ground: &Ground) {
        ground.recount_mappings(self.blocks, 0);
    }
}

/// A peer that was accepted and admitted and has no thread yet. Dropped without one, it is reset:
/// nobody shall take that for an answer.
pub(super) struct Newcomer {
    who: PeerAddress,
    link: Option<Link<BlockingStream>>,
}

impl Newcomer {
    pub(super) fn new(stream: BlockingStream, who: PeerAddress) -> Self {
        Self { who, link: Some(Link::new(stream, who.group())) }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if let Some(link) = self.link.take()
            && let Err(error) = link.into_stream().reset_on_drop()
        {
            debug!("{} was gone before it was refused: {error}", self.who);
        }
    }
}

/// One peer and its thread's means, from its first byte to its last.
struct Driver<'a, S: Service, C: Codec> {
    host: Host<S, C, Link<BlockingStream>>,
    key: Key,
    who: PeerAddress,
    ground: &'a Ground,
    tools: &'a mut Tools,
    now: Instant,
    /// What the peer was told of the end.
    stage: Stage,
    /// The last step found nothing to do.
    is_quiet: bool,
}

/// Serves one peer to its end; returns when it is gone and counted.
pub(super) fn serve<S: Service, C: Codec>(
    mut host: Host<S, C, Link<BlockingStream>>,
    mut newcomer: Newcomer,
    ground: &Ground,
    tools: &mut Tools,
) {
    let who = newcomer.who;
    let Some(link) = newcomer.link.take() else { return };
    let now = ground.clock.now();
    let Ok(key) = host.open(&who, &mut tools.reserve, now, |_| Ok::<_, Infallible>(link));
    debug!("peer from {who}");
    let mut driver = Driver { host, key, who, ground, tools, now, stage: Stage::Serving, is_quiet: false };
    while !driver.host.is_empty() {
        driver.turn();
    }
    ground.part(who.group(), driver.host.counters());
}

impl<S: Service, C: Codec> Driver<'_, S, C> {
    fn turn(&mut self) {
        self.hear_of_the_end();
        // It is served in every turn, marked or not.
        while self.host.pop_marked().is_some() {}
        self.step();
        self.host.apply_orders(&mut self.tools.reserve, self.now);
        self.host.reschedule(self.key);
        // After serving: a peer that has sent something in time is not idle, however late we are.
        self.host.handle_deadlines(&mut self.tools.reserve, self.now);
        self.reap();
        self.host.refuse_connects(&mut self.tools.reserve, self.now);
        self.tools.recount_blocks(self.ground);
    }

    #[inline]
    fn hear_of_the_end(&mut self) {
        let stage = self.ground.stage(self.now);
        if stage != self.stage {
            self.stage = stage;
            self.is_quiet = false;
            self.tell_of_the_end();
        }
    }

    fn tell_of_the_end(&mut self) {
        let (stage, bell) = (self.stage, self.ground.bell(self.stage));
        self.host.for_each_peer(&mut self.tools.reserve, self.now, |peer, resources| {
            peer.link.listen_to(Arc::clone(bell));
            match stage {
                Stage::Serving => {}
                Stage::Draining => {
                    peer.connection.handle_drain();
                    // What was sent before may still be on its way behind a window.
                    peer.link.read_on();
                }
                Stage::Finishing => peer.connection.handle_drain_timeout(resources),
                Stage::Stopping => peer.connection.handle_error(CloseReason::Stopped),
            }
        });
    }

    /// One step of the pump and, as long as messages come and are answered in one, the next: between
    /// them the rest of a turn has nothing to do. Or where the pump has nothing to wait for, one wait.
    // Apart: all of the stack that a message touches lies together then, and among a thousand threads
    // each line of it comes from far away.
    #[inline(never)]
    fn step(&mut self) {
        let stage_end = self.ground.stage_end(self.stage);
        let until = self.host.next_deadline().unwrap_or(Instant::NEVER).min(stage_end);
        let Tools { scratch, reserve, .. } = &mut *self.tools;
        let Some(mut peer_guard) = self.host.peer_guard(self.key, reserve, self.now) else { return };
        let glances = self.stage == Stage::Draining && !self.is_quiet;
        let patience = if glances || has_work(&peer_guard.peer.connection, peer_guard.resources.limits) {
            Patience::Watch(Instant::ORIGIN)
        } else if self.is_quiet || self.stage != Stage::Serving || until.since(self.now) < NAP {
            Patience::Watch(until)
        } else {
            Patience::Nap
        };
        loop {
            peer_guard.peer.link.try_both(patience);
            let done = peer_guard.step(scratch, usize::MAX);
            self.now = peer_guard.resources.now;
            self.is_quiet = done == 0;
            let goes_on =
                !self.is_quiet && patience == Patience::Nap && peer_guard.peer.connection.is_between_messages();
            if !goes_on || self.ground.stage(self.now) != self.stage {
                break;
            }
        }
        if self.is_quiet && waits_for_neither(&peer_guard.peer.connection) {
            if let Err(error) = peer_guard.peer.link.wait_for_the_bell(until) {
                debug!("cannot wait beside {}: {error}", self.who);
                peer_guard.peer.connection.handle_error(CloseReason::Failed);
            }
            self.now = self.ground.clock.now();
        }
    }

    fn reap(&mut self) {
        let who = self.who;
        self.host.reap_closed(&mut self.tools.reserve, self.now, |_, link, reason, close_mode| {
            debug!("peer {who} closed: {reason}");
            if close_mode == CloseMode::Reset
                && let Err(error) = link.into_stream().reset_on_drop()
            {
                debug!("peer {who} was gone before its reset: {error}");
            }
        });
    }
}

/// Whether there is more to do than to read: bytes to write, a callback to make, our end to send.
#[inline]
fn has_work<C: Codec>(connection: &Connection<C>, limits: &Limits) -> bool {
    !connection.unsent().is_empty() || connection.is_writable_due(limits) || connection.wants_finish()
}

/// Whether the stream can neither be read nor written: the peer is paused, or owed an answer.
fn waits_for_neither<C: Codec>(connection: &Connection<C>) -> bool {
    connection.closed().is_none() && !connection.wants_read() && connection.unsent().is_empty()
}
