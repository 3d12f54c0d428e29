//! The timers of a service: one for each of its peers that asks for one, and any number of its own.

use std::collections::HashMap;

use crate::instant::Instant;
use crate::slab::{Key, Slab};
use crate::timers::Timers;

/// Identifies a message that [`Orders::send_later`](super::Orders::send_later) will deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerKey(Key);

/// What a timer is for.
#[derive(Debug)]
pub(crate) enum TimerTarget<M> {
    /// [`Service::on_timer`](super::Service::on_timer) of this peer.
    Peer(Key),
    /// [`Service::on_message`](super::Service::on_message) with this message.
    Message(M),
}

/// The timers of one service. Setting, moving and cancelling one takes O(log n).
#[derive(Debug)]
pub(crate) struct ServiceTimers<M> {
    targets: Slab<TimerTarget<M>>,
    heap: Timers,
    /// The timer of each peer that has one.
    of_peers: HashMap<Key, Key>,
}

impl<M> Default for ServiceTimers<M> {
    fn default() -> Self {
        Self { targets: Slab::new(), heap: Timers::new(), of_peers: HashMap::new() }
    }
}

impl<M> ServiceTimers<M> {
    pub(crate) fn send_later(&mut self, at: Instant, message: M) -> TimerKey {
        let timer = self.targets.insert(TimerTarget::Message(message));
        self.heap.arm(timer, at);
        TimerKey(timer)
    }

    /// Moves a timer, unless its message was delivered or cancelled.
    pub(crate) fn move_to(&mut self, TimerKey(timer): TimerKey, at: Instant) -> bool {
        let is_set = self.targets.contains(timer);
        if is_set {
            self.heap.arm(timer, at);
        }
        is_set
    }

    pub(crate) fn cancel(&mut self, TimerKey(timer): TimerKey) -> Option<M> {
        match self.remove(timer)? {
            TimerTarget::Message(message) => Some(message),
            TimerTarget::Peer(_) => None,
        }
    }

    /// Sets the timer of a peer, or moves it.
    pub(crate) fn start(&mut self, peer: Key, at: Instant) {
        let targets = &mut self.targets;
        let timer = *self.of_peers.entry(peer).or_insert_with(|| targets.insert(TimerTarget::Peer(peer)));
        self.heap.arm(timer, at);
    }

    /// Removes the timer of a peer, if it has one.
    pub(crate) fn stop(&mut self, peer: Key) {
        if !self.of_peers.is_empty()
            && let Some(timer) = self.of_peers.remove(&peer)
        {
            self.remove(timer);
        }
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.next()
    }

    /// Removes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<TimerTarget<M>> {
        let timer = self.heap.pop_due(now)?;
        let target = self.targets.remove(timer)?;
        if let TimerTarget::Peer(peer) = target {
            self.of_peers.remove(&peer);
        }
        Some(target)
    }

    fn remove(&mut self, timer: Key) -> Option<TimerTarget<M>> {
        self.heap.disarm(timer);
        self.targets.remove(timer)
    }
}
