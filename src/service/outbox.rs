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
    /// Only if the peer reads fast enough.
    Offer,
    /// It is the deferred reply.
    Answer,
}

/// What an order does to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sends these frames of the batch.
    Send(Range<usize>),
    /// Sends this frame of the batch if it fits below the watermark at which reading pauses.
    Offer(usize),
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
            (FrameAction::Offer, _) => Action::Offer(index),
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

#[cfg(test)]
mod tests {
    use super::*;

    type TestOutbox = Outbox<(), ()>;

    fn key(slot: u64) -> Key {
        Key::from_bits(slot << 32 | 1)
    }

    fn send(outbox: &mut TestOutbox, target: Target, frame: &[u8]) -> Result<(), OutboxFull> {
        outbox.send(target, FrameAction::Send, &[frame])
    }

    #[test]
    fn frames_in_a_row_for_the_same_target_are_one_order() {
        let mut outbox = TestOutbox::default();
        let others = Target::AllExcept(key(1));
        send(&mut outbox, others.clone(), b"one").unwrap();
        send(&mut outbox, others.clone(), b"two").unwrap();
        outbox.act(Target::One(key(1)), Action::Finish);
        send(&mut outbox, others.clone(), b"three").unwrap();
        let batch = outbox.take(Batch::default());
        let order = |target, action| Order { target, action };
        let expected = [
            order(others.clone(), Action::Send(0..2)),
            order(Target::One(key(1)), Action::Finish),
            order(others, Action::Send(2..3)),
        ];
        assert_eq!(batch.orders, expected);
        assert_eq!([0, 1, 2].map(|index| batch.frame(index)), [&b"one"[..], b"two", b"three"]);
    }

    #[test]
    fn frames_beyond_the_bound_of_a_callback_are_refused() {
        let mut outbox = TestOutbox::default();
        let frame = vec![0; 1 << 20];
        let sent = (0..100).take_while(|_| send(&mut outbox, Target::All, &frame).is_ok()).count();
        assert_eq!(sent * frame.len(), BYTES_MAX);
        assert_eq!(send(&mut outbox, Target::All, b"x"), Err(OutboxFull));
        let empty = (0..).take_while(|_| send(&mut outbox, Target::All, b"").is_ok()).count();
        assert_eq!(empty + sent, ORDERS_MAX, "frames without bytes are counted too");
    }

    #[test]
    fn keys_beyond_the_bound_of_a_callback_are_refused() {
        let mut outbox = TestOutbox::default();
        assert_eq!(outbox.target_each(std::iter::repeat(key(1))), Err(OutboxFull));
        assert_eq!(outbox.target_each([key(1), key(2)]), Ok(Target::Each(0..2)));
    }

    #[test]
    #[should_panic(expected = "more than 1048576 orders")]
    fn a_callback_that_gives_orders_without_end_panics() {
        let mut outbox = TestOutbox::default();
        loop {
            outbox.act(Target::All, Action::Close);
        }
    }

    #[test]
    fn an_outbox_is_full_with_the_bytes_of_one_read_or_1_024_orders_or_keys() {
        let full = |fill: fn(&mut TestOutbox)| {
            let mut outbox = TestOutbox::default();
            assert!(!outbox.is_full());
            fill(&mut outbox);
            outbox.is_full()
        };
        assert!(full(|outbox| send(outbox, Target::All, &[0; READ_LEN_MAX]).unwrap()));
        assert!(full(|outbox| (0..1024).for_each(|slot| outbox.act(Target::One(key(slot)), Action::Close))));
        assert!(full(|outbox| assert!(outbox.target_each((0..1024).map(key)).is_ok())));
        assert!(!full(|outbox| send(outbox, Target::All, b"x").unwrap()));
    }
}
