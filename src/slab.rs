//! `Slab`: a slab with generational keys.
//!
//! A slot is reused as soon as it is free, and an old key to it finds nothing. Generations come from
//! one counter for the whole slab, so a free slot stores nothing. Two values could have the same key
//! only after 2³² insertions, and only in the same slot.

use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroU32;

use slab::Slab as Slots;

/// The most values in a [`Slab`]: a slot fits 24 bits, see [`Key::to_bits`].
pub const SLOTS_MAX: usize = 1 << 24;

/// Identifies a value in a [`Slab`] by slot and generation; prints as `slot.generation`, such as `3.1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// The index in the slab, which may hold another value by the time it is used.
    #[inline]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    /// The generation, which differs between the values of one slot; never zero in a key from a slab.
    #[inline]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// The key as a number: the slot in bits 32 to 55, the generation below.
    ///
    /// Bits 56 to 63 are zero and free for other uses.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        ((self.slot as u64) << 32) | self.generation as u64
    }

    /// The key from the result of [`Key::to_bits`]. Bits 56 to 63 are ignored.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        const SLOT_MASK: u32 = (SLOTS_MAX - 1) as u32;
        Self { slot: (bits >> 32) as u32 & SLOT_MASK, generation: bits as u32 }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A collection of values, each with a [`Key`].
#[derive(Debug)]
pub struct Slab<T> {
    slots: Slots<Versioned<T>>,
    next_generation: NonZeroU32,
}

/// A value and its generation.
///
/// The generation is not zero, so a free slot needs no separate tag.
#[derive(Debug)]
struct Versioned<T> {
    generation: NonZeroU32,
    value: T,
}

impl<T> Slab<T> {
    /// An empty slab. It allocates at the first insertion.
    pub const fn new() -> Self {
        Self { slots: Slots::new(), next_generation: NonZeroU32::MIN }
    }

    /// An empty slab with generations from `first`, or from one if that is zero.
    ///
    /// Tests use it to let generations wrap.
    pub fn with_first_generation(first: u32) -> Self {
        Self { slots: Slots::new(), next_generation: NonZeroU32::new(first).unwrap_or(NonZeroU32::MIN) }
    }

    /// Inserts `value` and returns its key.
    ///
    /// # Panics
    /// When the slab holds [`SLOTS_MAX`] values.
    pub fn insert(&mut self, value: T) -> Key {
        self.try_insert_with(|_| Ok::<T, Infallible>(value)).unwrap_or_else(|never| match never {})
    }

    /// Inserts the value that `make` builds from its own key, unless `make` fails.
    ///
    /// # Errors
    /// The error of `make`. The slab is unchanged.
    ///
    /// # Panics
    /// When the slab holds [`SLOTS_MAX`] values.
    pub fn try_insert_with<E>(&mut self, make: impl FnOnce(Key) -> Result<T, E>) -> Result<Key, E> {
        let generation = self.next_generation;
        let entry = self.slots.vacant_entry();
        assert!(entry.key() < SLOTS_MAX, "the slab is full: a slot must fit 24 bits");
        let key = key(entry.key(), generation);
        entry.insert(Versioned { generation, value: make(key)? });
        self.next_generation = generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        Ok(key)
    }

    /// The value of `key`, if it is still in the slab.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        let entry = self.slots.get(key.slot())?;
        (entry.generation.get() == key.generation).then_some(&entry.value)
    }

    /// The value of `key`, if it is still in the slab.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.slots.get_mut(key.slot())?;
        (entry.generation.get() == key.generation).then_some(&mut entry.value)
    }

    /// Removes the value of `key`, if it is still in the slab, and frees its slot.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        if !self.contains(key) {
            return None;
        }
        Some(self.slots.remove(key.slot()).value)
    }

    /// Whether the value of `key` is still in the slab.
    #[inline]
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// The number of values.
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the slab has no values.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slots in use are below this number.
    #[inline]
    pub fn slots(&self) -> usize {
        self.slots.capacity()
    }

    /// The key of the value in a slot, if there is one.
    #[inline]
    pub fn key_at(&self, slot: usize) -> Option<Key> {
        self.slots.get(slot).map(|entry| key(slot, entry.generation))
    }

    /// All values with their keys, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().map(|(slot, entry)| (key(slot, entry.generation), &entry.value))
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn key(slot: usize, generation: NonZeroU32) -> Key {
    let slot = u32::try_from(slot).expect("an insertion checked that the slot fits 24 bits");
    Key { slot, generation: generation.get() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16),
        /// Any key ever returned, including stale ones.
        Remove(prop::sample::Index),
        Change(prop::sample::Index, u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            any::<u16>().prop_map(Step::Insert),
            any::<prop::sample::Index>().prop_map(Step::Remove),
            any::<(prop::sample::Index, u16)>().prop_map(|(which, value)| Step::Change(which, value)),
        ];
        prop::collection::vec(step, 1..200)
    }

    #[test]
    fn a_stale_key_finds_nothing_in_a_reused_slot() {
        let mut slab = Slab::new();
        let old = slab.insert('a');
        assert_eq!(slab.remove(old), Some('a'));
        let new = slab.insert('b');
        assert_eq!(new.slot(), old.slot());
        assert!(!slab.contains(old));
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&'b'));
    }

    #[test]
    fn a_failed_insertion_takes_no_slot() {
        let mut slab = Slab::new();
        assert_eq!(slab.try_insert_with(|_| Err::<char, _>("no")), Err("no"));
        assert!(slab.is_empty());
        assert_eq!(slab.insert('a').slot(), 0);
    }

    #[test]
    fn generations_wrap_past_zero() {
        let mut slab = Slab::with_first_generation(u32::MAX);
        let generations = [(); 3].map(|()| slab.insert(()).generation());
        assert_eq!(generations, [u32::MAX, 1, 2]);
    }

    #[test]
    fn an_entry_costs_eight_bytes_beside_its_value() {
        // The layout of a slot in the slab crate: the next free slot, or the entry.
        #[expect(dead_code, reason = "only its size counts")]
        enum SlotLayout<T> {
            Vacant(usize),
            Occupied(T),
        }
        assert_eq!(size_of::<SlotLayout<Versioned<[u64; 12]>>>(), 8 + size_of::<[u64; 12]>());
    }

    #[test]
    fn a_key_prints_as_slot_and_generation() {
        let key = Key { slot: 3, generation: 1 };
        assert_eq!((key.to_string(), format!("{key:?}")), ("3.1".to_owned(), "3.1".to_owned()));
    }

    #[test]
    fn the_upper_byte_of_the_bits_is_ignored() {
        let key = Key { slot: 0x00ab_cdef, generation: 0x0123_4567 };
        assert_eq!(key.to_bits(), 0x00ab_cdef_0123_4567);
        assert_eq!(Key::from_bits(key.to_bits() | 0xff << 56), key);
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(first in prop_oneof![Just(1), u32::MAX - 100..], steps in steps()) {
            let mut slab = Slab::with_first_generation(first);
            let mut model = HashMap::new();
            let mut keys = vec![Key { slot: 0, generation: 0 }];
            for step in steps {
                match step {
                    Step::Insert(value) => {
                        let key = slab.insert(value);
                        prop_assert_eq!(model.insert(key, value), None);
                        keys.push(key);
                    }
                    Step::Remove(which) => {
                        let key = *which.get(&keys);
                        prop_assert_eq!(slab.remove(key), model.remove(&key));
                    }
                    Step::Change(which, value) => {
                        let key = *which.get(&keys);
                        if let Some(slot) = slab.get_mut(key) {
                            *slot = value;
                        }
                        model.entry(key).and_modify(|slot| *slot = value);
                    }
                }
                prop_assert_eq!((slab.len(), slab.is_empty()), (model.len(), model.is_empty()));
                for &key in &keys {
                    prop_assert_eq!(slab.get(key), model.get(&key));
                }
            }
            prop_assert!(slab.iter().all(|(key, _)| Key::from_bits(key.to_bits()) == key));
            let listed: HashMap<Key, u16> = slab.iter().map(|(key, value)| (key, *value)).collect();
            prop_assert_eq!(listed, model);
        }
    }
}
