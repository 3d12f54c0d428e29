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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    const COUNT: u64 = 1_000_000;

    /// The next number of a linear congruential generator (Knuth's MMIX).
    fn next(random: &mut u64) -> u64 {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *random >> 33
    }

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn a_million_timers_are_set_moved_and_cancelled_as_in_a_model() {
        let (mut timers, mut model) = (ServiceTimers::default(), BTreeMap::new());
        let (mut keys, mut random) = (Vec::new(), 1);
        for number in 0..COUNT {
            let due = next(&mut random) % 1_000_000;
            keys.push((timers.send_later(at(due), number), due));
            model.insert((due, number), ());
        }
        for number in (0..COUNT).step_by(3) {
            let (key, due) = &mut keys[number as usize];
            model.remove(&(*due, number));
            if number % 2 == 0 {
                assert_eq!(timers.cancel(*key), Some(number));
                assert_eq!(timers.cancel(*key), None);
            } else {
                *due = next(&mut random) % 1_000_000;
                assert!(timers.move_to(*key, at(*due)));
                model.insert((*due, number), ());
            }
        }
        let mut fired = 0;
        for now in (0..=1_000_000).step_by(1_000) {
            assert_eq!(timers.next(), model.first_key_value().map(|(&(due, _), ())| at(due)));
            while let Some(target) = timers.pop_due(at(now)) {
                let TimerTarget::Message(number) = target else { panic!("no peer has a timer") };
                let due = keys[number as usize].1;
                assert!(due <= now && model.remove(&(due, number)).is_some(), "timer {number} is early or fired twice");
                fired += 1;
            }
            assert!(model.first_key_value().is_none_or(|(&(due, _), ())| due > now), "a timer is late");
        }
        assert_eq!((fired, model.len()), (COUNT - COUNT.div_ceil(6), 0));
    }

    #[test]
    fn a_peer_has_one_timer_which_ends_with_it() {
        let mut timers = ServiceTimers::<()>::default();
        let [stays, leaves] = [Key::from_bits(1), Key::from_bits(2)];
        timers.start(leaves, at(1));
        timers.start(stays, at(5));
        timers.start(stays, at(2));
        timers.stop(leaves);
        assert_eq!(timers.next(), Some(at(2)));
        assert!(matches!(timers.pop_due(at(9)), Some(TimerTarget::Peer(key)) if key == stays));
        assert!(timers.pop_due(at(9)).is_none());
    }
}
