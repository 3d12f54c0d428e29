//! `Block`: one memory mapping, and the sizes in which blocks are made.
//!
//! It does no accounting: the reserve counts its blocks.

use memmap2::MmapMut;

use super::Exhausted;

/// The unit of a block: the page of most machines.
///
/// With larger pages a small block takes a whole page, so more memory is resident than is counted.
pub(super) const PAGE_BYTES: usize = 4096;

/// The largest block that is kept for reuse.
///
/// Touching the pages of a larger block costs more than mapping it, and the longest frame of one
/// peer would evict the common sizes of all others.
pub(super) const KEPT_BYTES_MAX: usize = 1 << 20;

/// The number of block sizes up to [`KEPT_BYTES_MAX`].
pub(super) const CLASSES: usize = class(KEPT_BYTES_MAX) + 1;

/// The capacity of the block that is lent for `len` bytes.
///
/// It is a power of two or, from 12 KiB on, three quarters of one. So at most a third of a block is
/// excess, or one page.
pub(super) const fn capacity_for(len: usize) -> usize {
    let pages = if len == 0 { 1 } else { len.div_ceil(PAGE_BYTES) };
    let power = pages.next_power_of_two();
    let three_quarters = power / 4 * 3;
    let pages = if pages <= three_quarters { three_quarters } else { power };
    pages.saturating_mul(PAGE_BYTES)
}

/// The index of a capacity among all, smallest first: 1, 2, 3, 4, 6, 8, 12, … pages.
pub(super) const fn class(capacity: usize) -> usize {
    let pages = capacity / PAGE_BYTES;
    let twice_log = 2 * pages.ilog2() as usize;
    if pages.is_power_of_two() { twice_log.saturating_sub(1) } else { twice_log }
}

/// The memory of one queue. The bytes in the queue are `map[start..end]`.
///
/// The rest of the map holds bytes of earlier queues, which are never read.
#[derive(Debug)]
pub(in crate::buffer) struct Block {
    map: MmapMut,
    start: usize,
    end: usize,
    /// The end of the bytes that were ever written.
    used: usize,
}

impl Block {
    pub(super) fn map(capacity: usize) -> Result<Self, Exhausted> {
        let map = MmapMut::map_anon(capacity).map_err(|_| Exhausted)?;
        Ok(Self { map, start: 0, end: 0, used: 0 })
    }

    pub(super) fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// The address of the map in memory.
    pub(super) fn address(&self) -> usize {
        self.map.as_ptr().addr()
    }

    #[inline]
    pub(in crate::buffer) fn capacity(&self) -> usize {
        self.map.len()
    }

    #[inline]
    pub(in crate::buffer) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The number of free bytes in front of the queue.
    pub(in crate::buffer) fn free_in_front(&self) -> usize {
        self.start
    }

    /// The number of free bytes behind the queue.
    pub(in crate::buffer) fn free_at_back(&self) -> usize {
        self.capacity() - self.end
    }

    #[inline]
    pub(in crate::buffer) fn as_slice(&self) -> &[u8] {
        &self.map[self.start..self.end]
    }

    /// Appends `bytes`, which must fit at the back. Returns how many of them lie in memory that was
    /// never written before.
    pub(in crate::buffer) fn append(&mut self, bytes: &[u8]) -> usize {
        let end = self.end + bytes.len();
        self.map[self.end..end].copy_from_slice(bytes);
        self.end = end;
        let fresh = end.saturating_sub(self.used);
        self.used += fresh;
        fresh
    }

    /// Removes the first `count` bytes, which must exist.
    pub(in crate::buffer) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Moves the bytes to the front, so that all free space is at the back.
    pub(in crate::buffer) fn compact(&mut self) {
        self.map.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: usize = 1024;

    #[track_caller]
    fn check(len: usize, capacity: usize) {
        assert_eq!(capacity_for(len), capacity, "for {len} bytes");
    }

    #[test]
    fn capacities_are_powers_of_two_or_three_quarters_of_one() {
        check(0, 4 * KIB);
        check(1, 4 * KIB);
        check(4 * KIB, 4 * KIB);
        check(4 * KIB + 1, 8 * KIB);
        check(8 * KIB + 1, 12 * KIB);
        check(12 * KIB + 1, 16 * KIB);
        check(16 * KIB + 1, 24 * KIB);
        check(64 * KIB, 64 * KIB);
        check(64 * KIB + 1, 96 * KIB);
        check(96 * KIB + 1, 128 * KIB);
        check(1024 * KIB + 1, 1536 * KIB);
    }

    #[test]
    fn classes_have_consecutive_numbers() {
        let mut capacity = 0;
        for number in 0..CLASSES {
            capacity = capacity_for(capacity + 1);
            assert_eq!(class(capacity), number, "{capacity} bytes");
        }
        assert_eq!(capacity, KEPT_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn excess_is_at_most_a_third_of_a_block_or_a_page(len in 0_usize..8 << 20) {
            let excess = capacity_for(len) - len;
            prop_assert!(excess <= PAGE_BYTES || 3 * excess <= capacity_for(len));
        }
    }
}
