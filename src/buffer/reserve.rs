//! `Reserve`: the shared buffer pool, which lends blocks of memory to queues up to a bound.
//!
//! It does not record its borrowers: a block must return to the reserve that lent it.
//!
//! Each block is a memory mapping of its own, so the process shrinks again after a burst of queues. A
//! heap would stay large: `malloc` returns memory to the system only from its top, and glibc raises its
//! threshold for separate mappings, up to 32 MiB, whenever a large block is freed.
//!
//! Linux merges adjacent mappings and allows a process 65,530 merged ones (`vm.max_map_count`). At
//! that limit it refuses new mappings, and it cannot release a block inside a merged one. So with more
//! than [`SCATTERED_BLOCKS_MAX`] blocks, only blocks above all others are unmapped. The rest wait in
//! [`Overflow`], and can be lent again.

mod block;
mod overflow;

use thiserror::Error;

use block::{CLASSES, KEPT_BYTES_MAX, capacity_for, class};
use overflow::Overflow;

pub(super) use block::Block;

/// The most bytes of returned blocks that are kept for reuse.
///
/// This covers the blocks that all peers borrow and return within a few turns. More would save few
/// system calls and make an idle server look larger.
pub const IDLE_BYTES_MAX: usize = 4 << 20;

/// With at most this many blocks, any of them can be unmapped.
///
/// Their mappings stay below the system's limit even for four reserves in one process.
const SCATTERED_BLOCKS_MAX: usize = 16 * 1024;

/// Lends memory to the [`ByteQueue`](super::ByteQueue)s of one owner.
#[derive(Debug)]
pub struct Reserve {
    lent_bytes: usize,
    lent_bytes_max: usize,
    /// The bound that `lent_bytes_max` falls to while blocks return.
    lent_bytes_goal: usize,
    idle_bytes: usize,
    paged_bytes: usize,
    /// Lent and idle blocks.
    blocks: usize,
    lent_blocks: usize,
    /// Returned blocks by size class. The last one returned is lent first, because it is still in the cache.
    #[expect(clippy::vec_box, reason = "the box moves with its block, so that lending it again allocates nothing")]
    idle: [Vec<Box<Block>>; CLASSES],
    /// Returned blocks that cannot be unmapped yet.
    overflow: Overflow,
}

/// The reserve cannot lend enough memory: its bound is reached, or the system has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no memory left to lend to a queue")]
pub struct Exhausted;

impl Reserve {
    /// A reserve that lends at most `lent_bytes_max` at a time. It takes no memory until it lends some.
    pub const fn new(lent_bytes_max: usize) -> Self {
        let idle = [const { Vec::new() }; CLASSES];
        Self {
            lent_bytes: 0,
            lent_bytes_max,
            lent_bytes_goal: lent_bytes_max,
            idle_bytes: 0,
            paged_bytes: 0,
            blocks: 0,
            lent_blocks: 0,
            idle,
            overflow: Overflow::new(),
        }
    }

    /// Changes the bound.
    ///
    /// A lower bound leaves at least half of it spare at once, so that queues that are in use can go on. Where that
    /// needs more than the bound, the rest goes as blocks return.
    pub fn change_lent_bytes_max(&mut self, lent_bytes_max: usize) {
        let lowest = self.lent_bytes.saturating_add(lent_bytes_max / 2).min(self.lent_bytes_max);
        self.lent_bytes_goal = lent_bytes_max;
        self.lent_bytes_max = lent_bytes_max.max(lowest);
    }

    /// The capacity of all lent blocks, in bytes.
    #[inline]
    pub const fn lent_bytes(&self) -> usize {
        self.lent_bytes
    }

    /// The bound on lent bytes.
    #[inline]
    pub const fn lent_bytes_max(&self) -> usize {
        self.lent_bytes_max
    }

    /// The number of bytes that can still be lent.
    #[inline]
    pub const fn spare_bytes(&self) -> usize {
        self.lent_bytes_max - self.lent_bytes
    }

    /// The capacity of the returned blocks that are kept, in bytes.
    ///
    /// At most [`IDLE_BYTES_MAX`], plus the blocks that cannot be unmapped yet.
    #[inline]
    pub const fn idle_bytes(&self) -> usize {
        self.idle_bytes
    }

    /// The number of bytes written to fresh memory or returned to the system so far; wraps.
    ///
    /// The kernel needs time for both: it clears each fresh page, and unmaps each returned one.
    #[inline]
    pub const fn paged_bytes(&self) -> usize {
        self.paged_bytes
    }

    /// The number of blocks, lent or kept. There are at most this many mappings.
    #[inline]
    pub const fn blocks(&self) -> usize {
        self.blocks
    }

    /// An empty block of at least `len` bytes.
    pub(super) fn lend(&mut self, len: usize) -> Result<Box<Block>, Exhausted> {
        let capacity = capacity_for(len);
        if self.spare_bytes() < capacity {
            return Err(Exhausted);
        }
        let block = match self.take_kept(capacity) {
            Some(block) => {
                self.idle_bytes -= capacity;
                block
            }
            None => {
                let block = Box::new(Block::map(capacity)?);
                self.blocks += 1;
                block
            }
        };
        self.lent_bytes += capacity;
        self.lent_blocks += 1;
        Ok(block)
    }

    #[inline]
    fn take_kept(&mut self, capacity: usize) -> Option<Box<Block>> {
        if capacity > KEPT_BYTES_MAX {
            return None;
        }
        self.idle[class(capacity)].pop().or_else(|| self.overflow.take(capacity))
    }

    /// Takes back a block from [`lend`](Self::lend), with any content.
    pub(super) fn give_back(&mut self, mut block: Box<Block>) {
        let capacity = block.capacity();
        self.lent_bytes -= capacity;
        self.lent_blocks -= 1;
        if self.lent_bytes_max > self.lent_bytes_goal {
            self.lent_bytes_max = self.lent_bytes_goal.max(self.lent_bytes_max.saturating_sub(capacity));
        }
        if capacity > KEPT_BYTES_MAX {
            self.unmap(&block);
            return;
        }
        block.reset();
        self.idle_bytes += capacity;
        if self.idle_bytes > IDLE_BYTES_MAX && (self.blocks > SCATTERED_BLOCKS_MAX || !self.overflow.is_empty()) {
            self.overflow.insert(block);
            self.unmap_overflow();
            return;
        }
        while self.idle_bytes > IDLE_BYTES_MAX {
            self.unmap_one();
        }
        self.idle[class(capacity)].push(block);
    }

    /// Unmaps a share of the overflow, such that it is empty when all blocks are returned.
    ///
    /// The highest address goes first. So only lent blocks remain above, and the mapping below stays
    /// in one piece.
    fn unmap_overflow(&mut self) {
        if self.lent_blocks > SCATTERED_BLOCKS_MAX {
            return;
        }
        for _ in 0..self.overflow.len().div_ceil(self.lent_blocks + 1) {
            let Some(block) = self.overflow.pop_highest() else { return };
            self.idle_bytes -= block.capacity();
            self.unmap(&block);
        }
    }

    /// Unmaps one block of the class that keeps most bytes, so unused sizes make space for used ones.
    fn unmap_one(&mut self) {
        let fullest = self.idle.iter_mut().max_by_key(|blocks| kept_bytes(blocks));
        let block = fullest.and_then(Vec::pop).expect("bytes are idle, so a class keeps a block");
        self.idle_bytes -= block.capacity();
        self.unmap(&block);
    }

    /// Counts a block as gone; the caller drops it.
    fn unmap(&mut self, block: &Block) {
        self.blocks -= 1;
        self.paged_bytes = self.paged_bytes.wrapping_add(block.capacity());
    }

    /// Counts bytes that were written to memory that was never used before.
    #[inline]
    pub(super) fn count_fresh(&mut self, bytes: usize) {
        self.paged_bytes = self.paged_bytes.wrapping_add(bytes);
    }
}

fn kept_bytes(blocks: &[Box<Block>]) -> usize {
    blocks.first().map_or(0, |block| block.capacity() * blocks.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::block::PAGE_BYTES;
    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn the_bound_is_exact() {
        let mut reserve = Reserve::new(12 * KIB);
        let block = reserve.lend(8 * KIB).unwrap();
        assert_eq!(reserve.spare_bytes(), 4 * KIB);
        assert_eq!(reserve.lend(4 * KIB + 1).unwrap_err(), Exhausted);
        let other = reserve.lend(1).unwrap();
        assert_eq!(reserve.lend(1).unwrap_err(), Exhausted);
        reserve.give_back(block);
        reserve.give_back(other);
        assert_eq!((reserve.lent_bytes(), reserve.idle_bytes()), (0, 12 * KIB));
    }

    #[test]
    fn a_lower_bound_leaves_some_bytes_spare_and_is_reached_as_blocks_return() {
        let mut reserve = Reserve::new(64 * KIB);
        let mut lent: Vec<_> = (0..4).map(|_| reserve.lend(8 * KIB).unwrap()).collect();
        reserve.change_lent_bytes_max(16 * KIB);
        assert_eq!((reserve.lent_bytes(), reserve.spare_bytes()), (32 * KIB, 8 * KIB));
        reserve.change_lent_bytes_max(16 * KIB);
        assert_eq!(reserve.spare_bytes(), 8 * KIB, "the same change has no further effect");
        let mut spare = Vec::new();
        while let Some(block) = lent.pop() {
            reserve.give_back(block);
            spare.push(reserve.spare_bytes() / KIB);
        }
        assert_eq!(spare, [8, 8, 8, 16]);
        assert_eq!(reserve.lent_bytes_max(), 16 * KIB);
        reserve.change_lent_bytes_max(64 * KIB);
        assert_eq!(reserve.spare_bytes(), 64 * KIB, "a higher bound counts at once");
    }

    #[test]
    fn a_length_beyond_memory_is_refused() {
        let mut reserve = Reserve::new(usize::MAX);
        assert_eq!(reserve.lend(usize::MAX).unwrap_err(), Exhausted);
        assert_eq!(reserve.lend(usize::MAX / 4).unwrap_err(), Exhausted);
        assert_eq!(reserve.lent_bytes(), 0);
    }

    #[test]
    fn unused_sizes_are_unmapped_for_used_ones() {
        let mut reserve = Reserve::new(usize::MAX);
        let small: Vec<_> = (0..IDLE_BYTES_MAX / PAGE_BYTES).map(|_| reserve.lend(1).unwrap()).collect();
        small.into_iter().for_each(|block| reserve.give_back(block));
        assert_eq!(reserve.idle_bytes(), IDLE_BYTES_MAX);
        let large = reserve.lend(KEPT_BYTES_MAX).unwrap();
        let address = large.address();
        reserve.give_back(large);
        assert_eq!(reserve.idle_bytes(), IDLE_BYTES_MAX);
        assert_eq!(reserve.lend(KEPT_BYTES_MAX).unwrap().address(), address);
    }

    #[test]
    fn many_returned_blocks_are_kept_until_few_are_lent() {
        const MANY: usize = 3 * SCATTERED_BLOCKS_MAX;
        let mut reserve = Reserve::new(usize::MAX);
        let mut lent: Vec<_> = (0..MANY).map(|_| reserve.lend(1).unwrap()).collect();
        lent.sort_unstable_by_key(|block| block.address());
        let (mut kept, mut back) = (Vec::new(), Vec::new());
        lent.into_iter()
            .enumerate()
            .for_each(|(index, block)| if index % 2 == 0 { &mut kept } else { &mut back }.push(block));
        back.into_iter().for_each(|block| reserve.give_back(block));
        assert_eq!((reserve.blocks(), reserve.idle_bytes()), (MANY, MANY / 2 * PAGE_BYTES));

        let again: Vec<_> = (0..MANY / 2).map(|_| reserve.lend(1).unwrap()).collect();
        assert_eq!((reserve.blocks(), reserve.idle_bytes()), (MANY, 0), "no new block is mapped");
        again.into_iter().chain(kept).for_each(|block| reserve.give_back(block));
        assert_eq!((reserve.blocks(), reserve.idle_bytes()), (IDLE_BYTES_MAX / PAGE_BYTES, IDLE_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn lent_and_idle_bytes_match_the_blocks(steps in prop::collection::vec((0_usize..3 << 20, any::<bool>()), 1..60)) {
            const LENT_BYTES_MAX: usize = 12 << 20;
            let mut reserve = Reserve::new(LENT_BYTES_MAX);
            let mut lent = Vec::new();
            for (len, lend) in steps {
                if lend {
                    let fits = capacity_for(len) <= reserve.spare_bytes();
                    let block = reserve.lend(len).ok();
                    prop_assert_eq!(block.is_some(), fits);
                    prop_assert!(block.iter().all(|block| block.len() == 0 && block.free_at_back() >= len));
                    lent.extend(block);
                } else if !lent.is_empty() {
                    reserve.give_back(lent.swap_remove(len % lent.len()));
                }
                prop_assert_eq!(reserve.lent_bytes(), lent.iter().map(|block| block.capacity()).sum::<usize>());
                prop_assert_eq!(reserve.spare_bytes(), LENT_BYTES_MAX - reserve.lent_bytes());
                let idle: usize = reserve.idle.iter().flatten().map(|block| block.capacity()).sum();
                prop_assert_eq!(reserve.idle_bytes(), idle);
                prop_assert_eq!(reserve.blocks(), lent.len() + reserve.idle.iter().flatten().count());
                prop_assert!(idle <= IDLE_BYTES_MAX);
            }
        }
    }
}
