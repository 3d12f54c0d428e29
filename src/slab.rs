//! `Slab`: a slab whose keys have a generation.
//!
//! A slot is used again as soon as it is free, and whoever still holds the key of its former
//! tenant finds nothing. The generation is one serial for the whole table, not one per slot, so
//! that an empty slot remembers nothing; a key could be mistaken for another only after 2³²
//! insertions, and then only in the same slot.

use std::convert::Infallible;
use std::num::NonZeroU32;

use slab::Slab as Slots;

/// The most values a [`Slab`] holds: a slot fits 24 bits, see [`Key::to_bits`].
pub const SLOTS_MAX: usize = 1 << 24;

/// Slot and generation: our name for what was once put into a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// The place in the table; whoever lives there may have changed.
    #[inline]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    /// Which tenant of the slot is meant; never zero in a key that a table gave out.
    #[inline]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// The key as a number: the slot in bits 32 to 55, the generation below.
    ///
    /// Bits 56 to 63 are zero, and free for whoever carries the number.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        ((self.slot as u64) << 32) | self.generation as u64
    }

    /// The key that [`Key::to_bits`] turned into `bits`, whatever bits 56 to 63 were used for.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        const SLOT_MASK: u32 = (SLOTS_MAX - 1) as u32;
        Self { slot: (bits >> 32) as u32 & SLOT_MASK, generation: bits as u32 }
    }
}

/// Values under keys; a stale key finds nothing.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Slots<Tenant<T>>,
    /// The generation of the next insertion.
    next: NonZeroU32,
}

/// A value and its generation, which is not zero so that the slab can tell an empty slot by it
/// and needs no tag of its own.
#[derive(Debug)]
struct Tenant<T> {
    generation: NonZeroU32,
    value: T,
}

impl<T> Slab<T> {
    /// A table without values; takes memory at the first insertion.
    pub const fn new() -> Self {
        Self { slots: Slots::new(), next: NonZeroU32::MIN }
    }

    /// A table whose generations start at `first`, so that a test can see them wrap; zero counts
    /// as one.
    pub fn with_first_generation(first: u32) -> Self {
        Self { slots: Slots::new(), next: NonZeroU32::new(first).unwrap_or(NonZeroU32::MIN) }
    }

    /// Puts `value` into a free slot.
    ///
    /// # Panics
    /// When the table holds [`SLOTS_MAX`] values.
    pub fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// Puts into a free slot what `make` builds from its own key.
    ///
    /// # Panics
    /// When the table holds [`SLOTS_MAX`] values.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        self.try_insert_with(|key| Ok::<T, Infallible>(make(key))).unwrap_or_else(|never| match never {})
    }

    /// Puts into a free slot what `make` builds from its own key, unless that fails.
    ///
    /// # Errors
    /// What `make` failed with; the table is as it was.
    ///
    /// # Panics
    /// When the table holds [`SLOTS_MAX`] values.
    pub fn try_insert_with<E>(&mut self, make: impl FnOnce(Key) -> Result<T, E>) -> Result<Key, E> {
        let generation = self.next;
        let entry = self.slots.vacant_entry();
        assert!(entry.key() < SLOTS_MAX, "a slot must fit 24 bits");
        let key = key(entry.key(), generation);
        entry.insert(Tenant { generation, value: make(key)? });
        self.next = generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        Ok(key)
    }

    /// The value under `key`, if it is still there.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        let tenant = self.slots.get(key.slot())?;
        (tenant.generation.get() == key.generation).then_some(&tenant.value)
    }

    /// The value under `key`, if it is still there.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let tenant = self.slots.get_mut(key.slot())?;
        (tenant.generation.get() == key.generation).then_some(&mut tenant.value)
    }

    /// Takes out the value under `key`, if it is still there; its slot is free from here on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        if !self.contains(key) {
            return None;
        }
        Some(self.slots.remove(key.slot()).value)
    }

    /// Whether the value under `key` is still there.
    #[inline]
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// How many values there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no value.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The keys of all values, by slot.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.slots.iter().map(|(slot, tenant)| key(slot, tenant.generation))
    }

    /// All values with their keys, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().map(|(slot, tenant)| (key(slot, tenant.generation), &tenant.value))
    }

    /// All values with their keys, by slot.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots.iter_mut().map(|(slot, tenant)| (key(slot, tenant.generation), &mut tenant.value))
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
        /// Of any key ever given out, stale ones too.
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
    fn a_stale_key_finds_nothing_in_its_slot_taken_again() {
        let mut table = Slab::new();
        let old = table.insert('a');
        assert_eq!(table.remove(old), Some('a'));
        let new = table.insert('b');
        assert_eq!(new.slot(), old.slot());
        assert!(!table.contains(old));
        assert_eq!(table.get(old), None);
        assert_eq!(table.get_mut(old), None);
        assert_eq!(table.remove(old), None);
        assert_eq!(table.get(new), Some(&'b'));
    }

    #[test]
    fn a_value_may_know_its_own_key() {
        let mut table = Slab::new();
        let key = table.insert_with(|key| key);
        assert_eq!(table.get(key), Some(&key));
    }

    #[test]
    fn a_value_that_could_not_be_made_takes_no_slot() {
        let mut table = Slab::new();
        assert_eq!(table.try_insert_with(|_| Err::<char, _>("no")), Err("no"));
        assert!(table.is_empty());
        assert_eq!(table.insert('a').slot(), 0);
    }

    #[test]
    fn generations_wrap_past_zero() {
        let mut table = Slab::with_first_generation(u32::MAX);
        let generations = [(); 3].map(|()| table.insert(()).generation());
        assert_eq!(generations, [u32::MAX, 1, 2]);
    }

    #[test]
    fn an_entry_costs_eight_bytes_beside_its_value() {
        // What the slab keeps for each slot: the next free one, or its tenant.
        #[expect(dead_code, reason = "only its size counts")]
        enum Entry<T> {
            Vacant(usize),
            Occupied(T),
        }
        assert_eq!(size_of::<Entry<Tenant<[u64; 12]>>>(), 8 + size_of::<[u64; 12]>());
    }

    #[test]
    fn the_upper_byte_of_the_bits_is_free_for_others() {
        let key = Key { slot: 0x00ab_cdef, generation: 0x0123_4567 };
        assert_eq!(key.to_bits(), 0x00ab_cdef_0123_4567);
        assert_eq!(Key::from_bits(key.to_bits() | 0xff << 56), key);
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(first in prop_oneof![Just(1), u32::MAX - 100..], steps in steps()) {
            let mut table = Slab::with_first_generation(first);
            let mut model = HashMap::new();
            let mut given = vec![Key { slot: 0, generation: 0 }];
            for step in steps {
                match step {
                    Step::Insert(value) => {
                        let key = table.insert(value);
                        prop_assert_eq!(model.insert(key, value), None);
                        given.push(key);
                    }
                    Step::Remove(which) => {
                        let key = *which.get(&given);
                        prop_assert_eq!(table.remove(key), model.remove(&key));
                    }
                    Step::Change(which, value) => {
                        let key = *which.get(&given);
                        if let Some(place) = table.get_mut(key) {
                            *place = value;
                        }
                        model.entry(key).and_modify(|place| *place = value);
                    }
                }
                prop_assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
                for &key in &given {
                    prop_assert_eq!(table.get(key), model.get(&key));
                }
            }
            prop_assert!(table.keys().eq(table.iter().map(|(key, _)| key)));
            prop_assert!(table.keys().all(|key| Key::from_bits(key.to_bits()) == key));
            let listed: HashMap<Key, u16> = table.iter_mut().map(|(key, value)| (key, *value)).collect();
            prop_assert_eq!(listed, model);
        }
    }
}
