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
use crate::table::Key;

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
