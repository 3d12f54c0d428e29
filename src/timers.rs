//! `Timers`: when to look at a key again.
//!
//! It knows no deadline, only when somebody must look next: it may make us look early, never
//! late, and holds at most one entry for each slot of the table.
//!
//! # Looking lazily
//! Most deadlines move later with every byte. Whoever owns one leaves the entry here as it is,
//! looks when it is due, finds that the deadline has moved, and arms again. So a peer that is
//! busy costs one look for each of its timeouts, not one change here for each of its frames. Only
//! a deadline that moves nearer must be told at once.
//!
//! # Why an indexed heap and not a wheel
//! A wheel knows the next deadline only up to the width of its buckets, so it must wake to
//! cascade; here the first entry is the exact next deadline, and a server of idle peers sleeps
//! until then. And since every slot knows its place in the heap, closing a peer takes its entry
//! out at once: nothing stale piles up, however short connections live. The price is a logarithm
//! for arming, which lazy looking makes rare; four children for each entry halve the depth and
//! share a cache line.

use crate::instant::Instant;
use crate::slab::Key;

/// How many children an entry has in the heap; four of them are one cache line.
const CHILDREN: usize = 4;

/// The place of a slot that has no entry.
const NO_PLACE: u32 = u32::MAX;

/// When to look at which key, earliest first; 20 bytes for each.
#[derive(Debug, Default)]
pub struct Timers {
    /// No entry is earlier than its parent: that of `place` is at `(place - 1) / CHILDREN`.
    heap: Vec<(Instant, Key)>,
    /// Where in the heap the entry of each slot is, or [`NO_PLACE`].
    places: Vec<u32>,
}

impl Timers {
    /// No entries; takes memory when the first is armed.
    pub const fn new() -> Self {
        Self { heap: Vec::new(), places: Vec::new() }
    }

    /// Arms `key` for `at`, or moves it there from an earlier or a later instant.
    ///
    /// A former tenant of the same slot is forgotten. [`Instant::NEVER`] forgets `key` as well.
    pub fn look_at(&mut self, key: Key, at: Instant) {
        let place = self.place(key.slot());
        match place {
            Some(place) if at == Instant::NEVER => self.take_out(place),
            Some(place) => {
                self.heap[place] = (at, key);
                self.settle(place);
            }
            None if at == Instant::NEVER => {}
            None => {
                self.places.resize(self.places.len().max(key.slot() + 1), NO_PLACE);
                self.heap.push((at, key));
                self.sift_up(self.heap.len() - 1);
            }
        }
    }

    /// Takes out the entry of `key`, if it has one.
    pub fn forget(&mut self, key: Key) {
        if let Some(place) = self.place_of(key) {
            self.take_out(place);
        }
    }

    /// The earliest instant at which there is something to look at.
    #[inline]
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Takes out the earliest entry that is due at `now`.
    ///
    /// Entries of the same instant come in any order.
    pub fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let &(at, key) = self.heap.first()?;
        if now < at {
            return None;
        }
        self.take_out(0);
        Some(key)
    }

    /// When `key` is to be looked at.
    pub fn armed(&self, key: Key) -> Option<Instant> {
        self.place_of(key).map(|place| self.heap[place].0)
    }

    /// How many keys are armed.
    #[inline]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no key is armed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Where the entry of `slot` is, of whatever generation.
    fn place(&self, slot: usize) -> Option<usize> {
        self.places.get(slot).filter(|&&place| place != NO_PLACE).map(|&place| place as usize)
    }

    /// Where the entry of `key` is, and of no other generation.
    fn place_of(&self, key: Key) -> Option<usize> {
        self.place(key.slot()).filter(|&place| self.heap[place].1 == key)
    }

    fn take_out(&mut self, place: usize) {
        let (_, key) = self.heap.swap_remove(place);
        self.places[key.slot()] = NO_PLACE;
        if place < self.heap.len() {
            self.settle(place);
        }
    }

    /// Brings an entry that may be wrong in either direction to where it belongs.
    fn settle(&mut self, place: usize) {
        let place = self.sift_up(place);
        self.sift_down(place);
    }

    /// Brings the entry at `place` up past every parent that is later; says where it ended.
    fn sift_up(&mut self, mut place: usize) -> usize {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.heap[parent].0 <= entry.0 {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
        place
    }

    /// Brings the entry at `place` down past every child that is earlier.
    fn sift_down(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while let Some(child) = self.earliest_child(place) {
            if entry.0 <= self.heap[child].0 {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }

    fn earliest_child(&self, place: usize) -> Option<usize> {
        let first = place * CHILDREN + 1;
        let end = (first + CHILDREN).min(self.heap.len());
        (first..end).min_by_key(|&child| self.heap[child].0)
    }

    fn put(&mut self, place: usize, entry: (Instant, Key)) {
        self.heap[place] = entry;
        self.places[entry.1.slot()] = u32::try_from(place).expect("no more entries than slots, which fit 24 bits");
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
    fn comes_out_earliest_first_and_never_early() {
        let mut timers = Timers::new();
        for (slot, due) in [(0, 30), (1, 10), (2, 20), (3, 40)] {
            timers.look_at(key(slot, 1), at(due));
        }
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        let due: Vec<Key> = std::iter::from_fn(|| timers.pop_due(at(30))).collect();
        assert_eq!(due, [key(1, 1), key(2, 1), key(0, 1)]);
        assert_eq!(timers.next(), Some(at(40)));
    }

    #[test]
    fn an_entry_moves_either_way() {
        let mut timers = Timers::new();
        timers.look_at(key(0, 1), at(10));
        timers.look_at(key(1, 1), at(20));
        timers.look_at(key(0, 1), at(30));
        assert_eq!(timers.next(), Some(at(20)));
        timers.look_at(key(0, 1), at(5));
        assert_eq!((timers.next(), timers.len()), (Some(at(5)), 2));
    }

    #[test]
    fn a_new_tenant_takes_the_entry_of_the_former() {
        let mut timers = Timers::new();
        timers.look_at(key(0, 1), at(10));
        timers.look_at(key(0, 2), at(20));
        timers.forget(key(0, 1));
        assert_eq!((timers.armed(key(0, 1)), timers.armed(key(0, 2))), (None, Some(at(20))));
    }

    #[test]
    fn never_is_never_looked_at() {
        let mut timers = Timers::new();
        timers.look_at(key(0, 1), at(10));
        timers.look_at(key(0, 1), Instant::NEVER);
        timers.look_at(key(7, 1), Instant::NEVER);
        assert!(timers.is_empty());
        assert_eq!(timers.pop_due(Instant::NEVER), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        LookAt(Key, Instant),
        Forget(Key),
        PopDue(Instant),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let any_key = || (0_u64..40, 0_u32..3).prop_map(|(slot, generation)| key(slot, generation));
        let any_instant = || prop_oneof![20 => (0_u64..60).prop_map(at), 1 => Just(Instant::NEVER)];
        let step = prop_oneof![
            4 => (any_key(), any_instant()).prop_map(|(key, at)| Step::LookAt(key, at)),
            1 => any_key().prop_map(Step::Forget),
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
                    Step::LookAt(key, Instant::NEVER) => {
                        timers.look_at(key, Instant::NEVER);
                        model.remove(&key.slot());
                    }
                    Step::LookAt(key, at) => {
                        timers.look_at(key, at);
                        model.insert(key.slot(), (at, key));
                    }
                    Step::Forget(key) => {
                        timers.forget(key);
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
                prop_assert_eq!((timers.len(), timers.is_empty()), (model.len(), model.is_empty()));
                for slot in 0..40 {
                    for generation in 0..3 {
                        let key = key(slot, generation);
                        let armed = model.get(&key.slot()).filter(|entry| entry.1 == key).map(|entry| entry.0);
                        prop_assert_eq!(timers.armed(key), armed);
                    }
                }
            }
        }
    }
}
