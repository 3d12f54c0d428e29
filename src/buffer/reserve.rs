//! `Reserve`: lends blocks of memory to queues, up to a bound, and lets go of what is not needed.
//!
//! It does not know who borrowed what: a block must come back to the reserve that lent it.
//!
//! Each block is a memory mapping of its own. A heap would keep it: `malloc` returns memory to
//! the system only from its top, and every large block that is freed raises the size from which
//! it maps instead (glibc, up to 32 MiB). After a burst of queues the process would stay as large
//! as it ever was. A mapping is gone when it is dropped.

use memmap2::MmapMut;
use thiserror::Error;

/// The unit of a block: the page of most machines. With larger pages a small block takes a whole
/// one of them, so that more is resident than is counted here.
const PAGE_BYTES: usize = 4096;

/// The most that is kept of returned blocks.
///
/// What all peers together borrow and return within a few turns: 64 reads of 64 KiB. More would
/// save few system calls and show as memory that an idle server does not need.
pub const IDLE_BYTES_MAX: usize = 4 << 20;

/// The largest block that is kept: beyond it the cost of touching the pages hides that of mapping
/// them, and one peer's longest frame would push out everybody's everyday blocks.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// How many sizes of block there are up to [`KEPT_BYTES_MAX`].
const CLASSES: usize = class(KEPT_BYTES_MAX) + 1;

/// Lends memory to every [`ByteQueue`](super::ByteQueue) of one owner.
#[derive(Debug)]
pub struct Reserve {
    lent_bytes: usize,
    lent_bytes_max: usize,
    idle_bytes: usize,
    /// Returned blocks by class; the last to come is the first to go, and still in the cache.
    #[expect(clippy::vec_box, reason = "the box travels with its block, so that lending it again allocates nothing")]
    idle: [Vec<Box<Block>>; CLASSES],
}

/// The reserve cannot lend that much: its bound is reached, or the system has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no memory left to lend to a queue")]
pub struct Exhausted;

impl Reserve {
    /// Lends at most `lent_bytes_max` at a time; takes memory only when asked to lend.
    pub const fn new(lent_bytes_max: usize) -> Self {
        Self { lent_bytes: 0, lent_bytes_max, idle_bytes: 0, idle: [const { Vec::new() }; CLASSES] }
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

    /// The capacity of the returned blocks that are kept: at most [`IDLE_BYTES_MAX`].
    #[inline]
    pub const fn idle_bytes(&self) -> usize {
        self.idle_bytes
    }

    /// An empty block for at least `len` bytes.
    pub(super) fn lend(&mut self, len: usize) -> Result<Box<Block>, Exhausted> {
        let capacity = capacity_for(len);
        if self.spare_bytes() < capacity {
            return Err(Exhausted);
        }
        let kept = if capacity <= KEPT_BYTES_MAX { self.idle[class(capacity)].pop() } else { None };
        let block = match kept {
            Some(block) => {
                self.idle_bytes -= capacity;
                block
            }
            None => Box::new(Block::map(capacity)?),
        };
        self.lent_bytes += capacity;
        Ok(block)
    }

    /// Takes back a block that [`lend`](Self::lend) gave, with whatever is in it.
    pub(super) fn give_back(&mut self, mut block: Box<Block>) {
        let capacity = block.capacity();
        self.lent_bytes -= capacity;
        if capacity > KEPT_BYTES_MAX {
            return;
        }
        while self.idle_bytes + capacity > IDLE_BYTES_MAX {
            self.unmap_one();
        }
        block.reset();
        self.idle_bytes += capacity;
        self.idle[class(capacity)].push(block);
    }

    /// Lets go of one block of the class that keeps most: sizes that nobody asks for any more
    /// make way for those that come back now.
    fn unmap_one(&mut self) {
        let fullest = self.idle.iter_mut().max_by_key(|blocks| kept_bytes(blocks));
        let block = fullest.and_then(Vec::pop).expect("bytes are idle, so a class keeps some");
        self.idle_bytes -= block.capacity();
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
}

impl Block {
    fn map(capacity: usize) -> Result<Self, Exhausted> {
        let map = MmapMut::map_anon(capacity).map_err(|_| Exhausted)?;
        Ok(Self { map, start: 0, end: 0 })
    }

    fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
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

    /// Appends `bytes`, for which there is room at the back.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        self.map[self.end..end].copy_from_slice(bytes);
        self.end = end;
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
