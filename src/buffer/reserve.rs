//! `Reserve`: lends blocks of memory to queues, up to a bound, and lets go of what is not needed.
//!
//! It does not know who borrowed what: a block must come back to the reserve that lent it.
//!
//! Each block is a memory mapping of its own. A heap would keep it: `malloc` returns memory to
//! the system only from its top, and every large block that is freed raises the size from which
//! it maps instead (glibc, up to 32 MiB). After a burst of queues the process would stay as large
//! as it ever was. A mapping is gone when it is dropped.
//!
//! Linux joins neighbouring mappings, and lets a process have 65,530 of what is left
//! (`vm.max_map_count`): beyond that it refuses new ones, and one that goes from between two others
//! stays resident for good. So beyond [`SCATTERED_MAX`] blocks no more go than leave the rest in one
//! piece; the others wait, ready to be lent again, in the [`Overflow`].

mod overflow;

use memmap2::MmapMut;
use thiserror::Error;

use overflow::Overflow;

/// The unit of a block: the page of most machines. With larger pages a small block takes a whole
/// one of them, so that more is resident than is counted here.
const PAGE_BYTES: usize = 4096;

/// The most that is kept of returned blocks.
///
/// What all peers together borrow and return within a few turns: 16 of the longest reads. More would
/// save few system calls and show as memory that an idle server does not need.
pub const IDLE_BYTES_MAX: usize = 4 << 20;

/// The largest block that is kept: beyond it the cost of touching the pages hides that of mapping
/// them, and one peer's longest frame would push out everybody's everyday blocks.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// How many sizes of block there are up to [`KEPT_BYTES_MAX`].
const CLASSES: usize = class(KEPT_BYTES_MAX) + 1;

/// With at most so many blocks any may go at any time: what is left is never in more pieces. Four
/// reserves with so many each have room in one process.
const SCATTERED_MAX: usize = 16 * 1024;

/// A page is given when it is first written to, and cleared: that takes as long as to move so many.
///
/// Two on a machine of one's own. In a virtual one whose host gives the page only then it takes 40 µs
/// and more, as long as to move thirty-two.
const FRESH_COST: usize = 32;

/// Lends memory to every [`ByteQueue`](super::ByteQueue) of one owner.
#[derive(Debug)]
pub struct Reserve {
    lent_bytes: usize,
    lent_bytes_max: usize,
    idle_bytes: usize,
    paging_bytes: usize,
    /// Lent and idle ones.
    blocks: usize,
    lent_blocks: usize,
    /// Returned blocks by class; the last to come is the first to go, and still in the cache.
    #[expect(clippy::vec_box, reason = "the box travels with its block, so that lending it again allocates nothing")]
    idle: [Vec<Box<Block>>; CLASSES],
    /// Idle ones that cannot go yet.
    overflow: Overflow,
}

/// The reserve cannot lend that much: its bound is reached, or the system has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no memory left to lend to a queue")]
pub struct Exhausted;

impl Reserve {
    /// Lends at most `lent_bytes_max` at a time; takes memory only when asked to lend.
    pub const fn new(lent_bytes_max: usize) -> Self {
        let idle = [const { Vec::new() }; CLASSES];
        Self {
            lent_bytes: 0,
            lent_bytes_max,
            idle_bytes: 0,
            paging_bytes: 0,
            blocks: 0,
            lent_blocks: 0,
            idle,
            overflow: Overflow::new(),
        }
    }

    /// The capacity of all blocks that are lent.
    #[inline]
    pub const fn lent_bytes(&self) -> usize {
        self.lent_bytes
    }

    /// The most that is ever lent.
    #[inline]
    pub const fn lent_bytes_max(&self) -> usize {
        self.lent_bytes_max
    }

    /// What may still be lent.
    #[inline]
    pub const fn spare_bytes(&self) -> usize {
        self.lent_bytes_max - self.lent_bytes
    }

    /// The capacity of the returned blocks that are kept: at most [`IDLE_BYTES_MAX`], and those that
    /// cannot go yet, since there are very many.
    #[inline]
    pub const fn idle_bytes(&self) -> usize {
        self.idle_bytes
    }

    /// What it took the system so far to give memory and to take it back, in bytes that could have
    /// been moved meanwhile; wraps.
    #[inline]
    pub const fn paging_bytes(&self) -> usize {
        self.paging_bytes
    }

    /// How many blocks there are, lent or kept: at most so many mappings.
    #[inline]
    pub const fn blocks(&self) -> usize {
        self.blocks
    }

    /// An empty block for at least `len` bytes.
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

    /// Takes back a block that [`lend`](Self::lend) gave, with whatever is in it.
    pub(super) fn give_back(&mut self, mut block: Box<Block>) {
        let capacity = block.capacity();
        self.lent_bytes -= capacity;
        self.lent_blocks -= 1;
        if capacity > KEPT_BYTES_MAX {
            self.unmap(&block);
            return;
        }
        block.reset();
        self.idle_bytes += capacity;
        if self.idle_bytes > IDLE_BYTES_MAX && (self.blocks > SCATTERED_MAX || !self.overflow.is_empty()) {
            self.overflow.keep(block);
            self.unmap_overflow();
            return;
        }
        while self.idle_bytes > IDLE_BYTES_MAX {
            self.unmap_one();
        }
        self.idle[class(capacity)].push(block);
    }

    /// Lets go of a share of the blocks that wait for it, so that none waits when all are back.
    ///
    /// From the highest address down: above the last that went only the lent are left, and below it
    /// nothing new is in pieces.
    fn unmap_overflow(&mut self) {
        if self.lent_blocks > SCATTERED_MAX {
            return;
        }
        for _ in 0..self.overflow.len().div_ceil(self.lent_blocks + 1) {
            let Some(block) = self.overflow.pop_highest() else { return };
            self.idle_bytes -= block.capacity();
            self.unmap(&block);
        }
    }

    /// Lets go of one block of the class that keeps most: sizes that nobody asks for any more
    /// make way for those that come back now.
    fn unmap_one(&mut self) {
        let fullest = self.idle.iter_mut().max_by_key(|blocks| kept_bytes(blocks));
        let block = fullest.and_then(Vec::pop).expect("bytes are idle, so a class keeps some");
        self.idle_bytes -= block.capacity();
        self.unmap(&block);
    }

    /// Counts out a block that goes with the caller.
    fn unmap(&mut self, block: &Block) {
        self.blocks -= 1;
        self.paging_bytes = self.paging_bytes.wrapping_add(block.capacity());
    }

    /// So many bytes were put where nothing had been before.
    #[inline]
    pub(super) fn count_fresh(&mut self, bytes: usize) {
        self.paging_bytes = self.paging_bytes.wrapping_add(FRESH_COST * bytes);
    }
}

fn kept_bytes(blocks: &[Box<Block>]) -> usize {
    blocks.first().map_or(0, |block| block.capacity() * blocks.len())
}

/// The size of the block that is lent for `len` bytes: a power of two, or three quarters of one
/// from 16 KiB on, so that at most a third of it is more than was asked for, or one page.
const fn capacity_for(len: usize) -> usize {
    let pages = if len == 0 { 1 } else { len.div_ceil(PAGE_BYTES) };
    let power = pages.next_power_of_two();
    let three_quarters = power / 4 * 3;
    let pages = if pages <= three_quarters { three_quarters } else { power };
    pages.saturating_mul(PAGE_BYTES)
}

/// The place of a capacity among all, smallest first: 1, 2, 3, 4, 6, 8, 12, … pages.
const fn class(capacity: usize) -> usize {
    let pages = capacity / PAGE_BYTES;
    let twice_log = 2 * pages.ilog2() as usize;
    if pages.is_power_of_two() { twice_log.saturating_sub(1) } else { twice_log }
}

/// Memory of one queue: the bytes that wait are `map[start..end]`.
///
/// Outside of these it holds what former borrowers left, which nobody is shown.
#[derive(Debug)]
pub(super) struct Block {
    map: MmapMut,
    start: usize,
    end: usize,
    /// Up to where something has ever been.
    used: usize,
}

impl Block {
    fn map(capacity: usize) -> Result<Self, Exhausted> {
        let map = MmapMut::map_anon(capacity).map_err(|_| Exhausted)?;
        Ok(Self { map, start: 0, end: 0, used: 0 })
    }

    fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Where it lies in memory.
    fn address(&self) -> usize {
        self.map.as_ptr().addr()
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.map.len()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// How many bytes are free in front.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// How many bytes are free at the back.
    pub(super) fn room(&self) -> usize {
        self.capacity() - self.end
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.map[self.start..self.end]
    }

    /// Appends `bytes`, for which there is room at the back; says how many lie where nothing had been.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        let end = self.end + bytes.len();
        self.map[self.end..end].copy_from_slice(bytes);
        self.end = end;
        let fresh = end.saturating_sub(self.used);
        self.used += fresh;
        fresh
    }

    /// Takes away the first `count` bytes of at least as many.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Moves the bytes to the front, so that all free room is at the back.
    pub(super) fn compact(&mut self) {
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
    fn blocks_are_powers_of_two_and_three_quarters_of_them() {
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
    fn classes_are_numbered_without_gaps() {
        let mut capacity = 0;
        for number in 0..CLASSES {
            capacity = capacity_for(capacity + 1);
            assert_eq!(class(capacity), number, "{capacity} bytes");
        }
        assert_eq!(capacity, KEPT_BYTES_MAX);
    }

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
    fn an_absurd_length_is_refused_and_nothing_is_lent() {
        let mut reserve = Reserve::new(usize::MAX);
        assert_eq!(reserve.lend(usize::MAX).unwrap_err(), Exhausted);
        assert_eq!(reserve.lend(usize::MAX / 4).unwrap_err(), Exhausted);
        assert_eq!(reserve.lent_bytes(), 0);
    }

    #[test]
    fn a_large_block_is_not_kept() {
        let mut reserve = Reserve::new(usize::MAX);
        let block = reserve.lend(KEPT_BYTES_MAX + 1).unwrap();
        reserve.give_back(block);
        assert_eq!(reserve.idle_bytes(), 0);
    }

    #[test]
    fn sizes_that_nobody_asks_for_make_way() {
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
    fn very_many_blocks_wait_until_few_are_lent_and_are_lent_again_meanwhile() {
        const MANY: usize = 3 * SCATTERED_MAX;
        let mut reserve = Reserve::new(usize::MAX);
        let mut lent: Vec<_> = (0..MANY).map(|_| reserve.lend(1).unwrap()).collect();
        lent.sort_unstable_by_key(|block| block.address());
        let (mut kept, mut back) = (Vec::new(), Vec::new());
        lent.into_iter()
            .enumerate()
            .for_each(|(place, block)| if place % 2 == 0 { &mut kept } else { &mut back }.push(block));
        back.into_iter().for_each(|block| reserve.give_back(block));
        assert_eq!((reserve.blocks(), reserve.idle_bytes()), (MANY, MANY / 2 * PAGE_BYTES));

        let again: Vec<_> = (0..MANY / 2).map(|_| reserve.lend(1).unwrap()).collect();
        assert_eq!((reserve.blocks(), reserve.idle_bytes()), (MANY, 0), "nothing new was mapped");
        again.into_iter().chain(kept).for_each(|block| reserve.give_back(block));
        assert_eq!((reserve.blocks(), reserve.idle_bytes()), (IDLE_BYTES_MAX / PAGE_BYTES, IDLE_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn little_of_a_block_is_unasked_for(len in 0_usize..8 << 20) {
            let unasked = capacity_for(len) - len;
            prop_assert!(unasked <= PAGE_BYTES || 3 * unasked <= capacity_for(len));
        }

        #[test]
        fn every_byte_is_lent_or_idle_or_gone(steps in prop::collection::vec((0_usize..3 << 20, any::<bool>()), 1..60)) {
            const LENT_BYTES_MAX: usize = 12 << 20;
            let mut reserve = Reserve::new(LENT_BYTES_MAX);
            let mut lent = Vec::new();
            for (len, lend) in steps {
                if lend {
                    let fits = capacity_for(len) <= reserve.spare_bytes();
                    let block = reserve.lend(len).ok();
                    prop_assert_eq!(block.is_some(), fits);
                    prop_assert!(block.iter().all(|block| block.len() == 0 && block.room() >= len));
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
