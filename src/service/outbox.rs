//! `Outbox`: the orders of callbacks, as data. The host applies them in turns.
//!
//! Orders are collected in one batch while those of the batch before are applied. So memory is bounded
//! by two batches, although an order for all peers takes many turns.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use thiserror::Error;

use crate::connection::READ_LEN_MAX;
use crate::destination::Destination;
use crate::slab::Key;

use super::timers::ServiceTimers;

/// No callback is called while this many orders wait, or the bytes of one read.
///
/// Applying so few does not noticeably delay other peers.
const WAITING_MAX: usize = 1024;

/// Most orders, frames and keys of one batch, each.
pub(super) const ORDERS_MAX: usize = 1 << 20;

/// Most bytes of the frames of one batch: what an endpoint moves in a turn.
const BYTES_MAX: usize = 16 << 20;

/// Most bytes of memory that an empty batch keeps.
const IDLE_BYTES_MAX: usize = 2 * READ_LEN_MAX;

/// The orders of one callback exceed the bound; see [`Orders`](super::Orders).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many orders in one callback")]
pub struct OutboxFull;

/// The peers that an order concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    One(Key),
    /// These keys of the batch.
    Each(Range<usize>),
    AllExcept(Key),
    All,
}

/// What a frame is to the peer that it is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameAction {
    Send,
    /// It is the deferred reply.
    Answer,
}

/// What an order does to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sends these frames of the batch.
    Send(Range<usize>),
    /// Sends this frame of the batch as the deferred reply.
    Answer(usize),
    NotifyWritable,
    Resume,
    HalfClose,
    Finish,
    Close,
    Reset,
}

/// An action on open peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) target: Target,
    pub(crate) action: Action,
}

/// Orders with their frames and keys.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) orders: Vec<Order>,
    /// Where each frame lies in `bytes`.
    frames: Vec<Range<usize>>,
    bytes: Vec<u8>,
    pub(crate) keys: Vec<Key>,
}

impl Batch {
    /// The bytes of a frame, without an envelope.
    pub(crate) fn frame(&self, index: usize) -> &[u8] {
        &self.bytes[self.frames[index].clone()]
    }

    /// Removes all orders, and keeps memory for a few.
    pub(crate) fn clear(&mut self) {
        self.orders.clear();
        self.orders.shrink_to(WAITING_MAX);
        self.frames.clear();
        self.frames.shrink_to(WAITING_MAX);
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_BYTES_MAX);
        self.keys.clear();
        self.keys.shrink_to(WAITING_MAX);
    }
}

/// What callbacks have ordered and the host has not yet done.
pub(crate) struct Outbox<P, M> {
    collected: Batch,
    pub(crate) connects: VecDeque<(Destination, P)>,
    pub(crate) timers: ServiceTimers<M>,
}

impl<P, M> Default for Outbox<P, M> {
    fn default() -> Self {
        Self { collected: Batch::default(), connects: VecDeque::new(), timers: ServiceTimers::default() }
    }
}

impl<P, M> Outbox<P, M> {
    pub(crate) fn is_empty(&self) -> bool {
        self.collected.orders.is_empty()
    }

    /// Whether the orders must be applied before more are collected.
    pub(crate) fn is_full(&self) -> bool {
        let Batch { orders, bytes, keys, .. } = &self.collected;
        bytes.len() >= READ_LEN_MAX || orders.len() >= WAITING_MAX || keys.len() >= WAITING_MAX
    }

    /// Exchanges the collected batch for an empty one.
    pub(crate) fn take(&mut self, empty: Batch) -> Batch {
        mem::replace(&mut self.collected, empty)
    }

    /// Adds a frame, and an order to send it. Frames in a row for the same target become one order, so
    /// that the host goes through all peers once for them.
    pub(super) fn send(&mut self, target: Target, action: FrameAction, parts: &[&[u8]]) -> Result<(), OutboxFull> {
        let Batch { orders, frames, bytes, .. } = &mut self.collected;
        let len = parts.iter().map(|part| part.len()).fold(0, usize::saturating_add);
        if len > BYTES_MAX - bytes.len() || frames.len() == ORDERS_MAX || orders.len() == ORDERS_MAX {
            return Err(OutboxFull);
        }
        let (index, start) = (frames.len(), bytes.len());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        frames.push(start..bytes.len());
        let action = match (action, orders.last_mut()) {
            (FrameAction::Send, Some(Order { target: last, action: Action::Send(frames) }))
                if *last == target && frames.end == index =>
            {
                frames.end += 1;
                return Ok(());
            }
            (FrameAction::Send, _) => Action::Send(index..index + 1),
            (FrameAction::Answer, _) => Action::Answer(index),
        };
        orders.push(Order { target, action });
        Ok(())
    }

    /// Stores the keys of an order. If there are too many, stores none of them.
    pub(super) fn target_each(&mut self, keys: impl IntoIterator<Item = Key>) -> Result<Target, OutboxFull> {
        let stored = &mut self.collected.keys;
        let start = stored.len();
        // One key more than permitted shows that there are too many, even if the iterator never ends.
        stored.extend(keys.into_iter().take(ORDERS_MAX - start + 1));
        if stored.len() > ORDERS_MAX {
            stored.truncate(start);
            return Err(OutboxFull);
        }
        Ok(Target::Each(start..stored.len()))
    }

    /// Adds an order without a frame.
    ///
    /// # Panics
    /// The batch has as many orders as one callback may give.
    pub(super) fn act(&mut self, target: Target, action: Action) {
        let orders = &mut self.collected.orders;
        assert!(orders.len() < ORDERS_MAX, "a callback gave more than {ORDERS_MAX} orders");
        orders.push(Order { target, action });
    }
}
