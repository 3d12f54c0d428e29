//! `Timers`: when to check each key for a passed deadline.
//!
//! A check may be early, never late. Each slot has at most one entry.
//!
//! # Deadlines are checked lazily
//! Most deadlines move later with every byte, and the entry here does not follow. When it is due, the
//! owner sees that the deadline has moved and arms the key again. So a busy peer costs one check for
//! each of its timeouts, not one change for each frame. Only a deadline that moves earlier must be
//! armed at once.
//!
//! # Why an indexed heap and not a timer wheel
//! A wheel knows the next deadline only to the width of a bucket, so it must wake up to cascade. Here
//! the first entry is the exact next deadline, and a server of idle peers sleeps until then. Every
//! slot knows its position in the heap, so a closed peer's entry is removed at once and no stale
//! entries accumulate. Arming costs O(log n), and lazy checks make it rare. Four children for each
//! entry halve the depth and share a cache line.

use crate::instant::Instant;
use crate::slab::Key;

/// The number of children of an entry in the heap; four entries fill one cache line.
const CHILDREN: usize = 4;

/// The position of a slot without an entry.
const NO_POSITION: u32 = u32::MAX;

/// Keys by the instant at which to check them, earliest first; 20 bytes for each key.
#[derive(Debug, Default)]
pub struct Timers {
    /// No entry is earlier than its parent, which is at `(position - 1) / CHILDREN`.
    heap: Vec<(Instant, Key)>,
    /// The position in the heap by slot, or [`NO_POSITION`].
    positions: Vec<u32>,
}

impl Timers {
    /// No entries. It allocates when the first key is armed.
    pub const fn new() -> Self {
        Self { heap: Vec::new(), positions: Vec::new() }
    }

    /// Arms `key` for `at`, or moves its entry there.
    ///
    /// An entry of another generation in the same slot is replaced. [`Instant::NEVER`] removes the entry.
    pub fn arm(&mut self, key: Key, at: Instant) {
        let position = self.position(key.slot());
        match position {
            Some(position) if at == Instant::NEVER => self.remove_at(position),
            Some(position) => {
                self.heap[position] = (at, key);
                self.restore_order(position);
            }
            None if at == Instant::NEVER => {}
            None => {
                self.positions.resize(self.positions.len().max(key.slot() + 1), NO_POSITION);
                self.heap.push((at, key));
                self.sift_up(self.heap.len() - 1);
            }
        }
    }

    /// Removes the entry of `key`, if it has one.
    pub fn disarm(&mut self, key: Key) {
        if let Some(position) = self.position_of(key) {
            self.remove_at(position);
        }
    }

    /// The earliest instant at which a key is due.
    #[inline]
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Removes the earliest entry that is due at `now`, and returns its key.
    ///
    /// Entries of the same instant are in no order.
    pub fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let &(at, key) = self.heap.first()?;
        if now < at {
            return None;
        }
        self.remove_at(0);
        Some(key)
    }

    /// The position of the entry of `slot`, of any generation.
    fn position(&self, slot: usize) -> Option<usize> {
        self.positions.get(slot).filter(|&&position| position != NO_POSITION).map(|&position| position as usize)
    }

    /// The position of the entry of `key`.
    fn position_of(&self, key: Key) -> Option<usize> {
        self.position(key.slot()).filter(|&position| self.heap[position].1 == key)
    }

    fn remove_at(&mut self, position: usize) {
        let (_, key) = self.heap.swap_remove(position);
        self.positions[key.slot()] = NO_POSITION;
        if position < self.heap.len() {
            self.restore_order(position);
        }
    }

    /// Moves an entry that may be out of order in either direction.
    fn restore_order(&mut self, position: usize) {
        let position = self.sift_up(position);
        self.sift_down(position);
    }

    /// Moves an entry up past every later parent, and returns its new position.
    fn sift_up(&mut self, mut position: usize) -> usize {
        let entry = self.heap[position];
        while position > 0 {
            let parent = (position - 1) / CHILDREN;
            if self.heap[parent].0 <= entry.0 {
                break;
            }
            self.put(position, self.heap[parent]);
            position = parent;
        }
        self.put(position, entry);
        position
    }

    /// Moves an entry down past every earlier child.
    fn sift_down(&mut self, mut position: usize) {
        let entry = self.heap[position];
        while let Some(child) = self.earliest_child(position) {
            if entry.0 <= self.heap[child].0 {
                break;
            }
            self.put(position, self.heap[child]);
            position = child;
        }
        self.put(position, entry);
    }

    fn earliest_child(&self, position: usize) -> Option<usize> {
        let first = position * CHILDREN + 1;
        let end = (first + CHILDREN).min(self.heap.len());
        (first..end).min_by_key(|&child| self.heap[child].0)
    }

    fn put(&mut self, position: usize, entry: (Instant, Key)) {
        self.heap[position] = entry;
        self.positions[entry.1.slot()] =
            u32::try_from(position).expect("there are no more entries than slots, which fit 24 bits");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(slot: u64, generation: u32) -> Key {
        Key::from_bits(slot << 32 | u64::from(generation))
    }

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn keys_are_due_in_order_and_never_early() {
        let mut timers = Timers::new();
        for (slot, due) in [(0, 30), (1, 10), (2, 20), (3, 40)] {
            timers.arm(key(slot, 1), at(due));
        }
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        let due: Vec<Key> = std::iter::from_fn(|| timers.pop_due(at(30))).collect();
        assert_eq!(due, [key(1, 1), key(2, 1), key(0, 1)]);
        assert_eq!(timers.next(), Some(at(40)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(Key, Instant),
        Disarm(Key),
        PopDue(Instant),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let any_key = || (0_u64..40, 0_u32..3).prop_map(|(slot, generation)| key(slot, generation));
        let any_instant = || prop_oneof![20 => (0_u64..60).prop_map(at), 1 => Just(Instant::NEVER)];
        let step = prop_oneof![
            4 => (any_key(), any_instant()).prop_map(|(key, at)| Step::Arm(key, at)),
            1 => any_key().prop_map(Step::Disarm),
            1 => any_instant().prop_map(Step::PopDue),
        ];
        prop::collection::vec(step, 1..300)
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(steps in steps()) {
            let mut timers = Timers::new();
            let mut model: BTreeMap<usize, (Instant, Key)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Arm(key, Instant::NEVER) => {
                        timers.arm(key, Instant::NEVER);
                        model.remove(&key.slot());
                    }
                    Step::Arm(key, at) => {
                        timers.arm(key, at);
                        model.insert(key.slot(), (at, key));
                    }
                    Step::Disarm(key) => {
                        timers.disarm(key);
                        if model.get(&key.slot()).is_some_and(|entry| entry.1 == key) {
                            model.remove(&key.slot());
                        }
                    }
                    Step::PopDue(now) => {
                        let earliest = model.values().map(|entry| entry.0).min().filter(|&at| at <= now);
                        let popped = timers.pop_due(now);
                        prop_assert_eq!(popped.is_some(), earliest.is_some());
                        if let Some(key) = popped {
                            prop_assert_eq!(model.remove(&key.slot()), Some((earliest.unwrap(), key)));
                        }
                    }
                }
                prop_assert_eq!(timers.next(), model.values().map(|entry| entry.0).min());
                prop_assert_eq!(timers.heap.len(), model.len());
                for slot in 0..40 {
                    for generation in 0..3 {
                        let key = key(slot, generation);
                        let armed = model.get(&key.slot()).filter(|entry| entry.1 == key).map(|entry| entry.0);
                        prop_assert_eq!(timers.position_of(key).map(|position| timers.heap[position].0), armed);
                    }
                }
            }
        }
    }
}
