//! `ByteQueue`: a queue of bytes that is always one contiguous slice.
//!
//! It never blocks and never stores part of a push. Its storage is lent by a [`Reserve`], which the
//! caller passes into every call; an empty queue holds none.

mod reserve;
mod scratch;

use std::mem;

use reserve::Block;
pub use reserve::{Exhausted, IDLE_BYTES_MAX, Reserve};
pub(crate) use scratch::Scratch;

/// Bytes waiting in order.
///
/// Call [`clear`](Self::clear) before you drop a queue. A queue that is dropped with bytes in it
/// returns its memory to the system, but its reserve counts that memory as lent forever.
#[derive(Debug, Default)]
pub struct ByteQueue {
    block: Option<Box<Block>>,
}

// Every peer has two queues, and most are empty.
const _: () = assert!(size_of::<ByteQueue>() == 8);

impl ByteQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { block: None }
    }

    /// The number of bytes in the queue.
    #[inline]
    pub fn len(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.len())
    }

    /// Whether the queue has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.block.is_none()
    }

    /// The number of bytes of storage lent to this queue.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.capacity())
    }

    /// All bytes in the queue.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |block| block.as_slice())
    }

    /// Appends all of `bytes`, or none of them.
    ///
    /// # Errors
    /// The reserve cannot lend enough memory. The queue is unchanged.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], reserve: &mut Reserve) -> Result<(), Exhausted> {
        if bytes.is_empty() {
            return Ok(());
        }
        let fresh = self.ensure_free(bytes.len(), reserve)?.append(bytes);
        reserve.count_fresh(fresh);
        Ok(())
    }

    /// Removes the first `count` bytes.
    ///
    /// # Panics
    /// When the queue has fewer than `count` bytes.
    #[inline]
    pub fn consume(&mut self, count: usize, reserve: &mut Reserve) {
        assert!(count <= self.len(), "consumed {count} bytes of {}", self.len());
        let Some(block) = &mut self.block else { return };
        block.consume(count);
        if block.len() == 0 {
            self.clear(reserve);
        }
    }

    /// Removes all bytes and returns their number.
    pub fn clear(&mut self, reserve: &mut Reserve) -> usize {
        let Some(block) = self.block.take() else { return 0 };
        let len = block.len();
        reserve.give_back(block);
        len
    }

    /// The block, with at least `len` bytes free at its back.
    fn ensure_free(&mut self, len: usize, reserve: &mut Reserve) -> Result<&mut Block, Exhausted> {
        match &mut self.block {
            Some(block) => {
                make_free(block, len, reserve)?;
                Ok(block)
            }
            empty @ None => Ok(empty.insert(reserve.lend(len)?)),
        }
    }
}

/// Makes `len` bytes free at the back of `block`, by compaction or by a larger block in its place.
fn make_free(block: &mut Box<Block>, len: usize, reserve: &mut Reserve) -> Result<(), Exhausted> {
    if len <= block.free_at_back() {
        return Ok(());
    }
    let fits = len <= block.capacity() - block.len();
    // With half of the block free in front, compaction moves no more bytes than were consumed
    // since the last one. So a byte is moved at most once on average.
    if fits && block.capacity() / 2 <= block.free_in_front() {
        block.compact();
        return Ok(());
    }
    match reserve.lend((block.len() + len).max(block.capacity() + 1)) {
        Ok(mut larger) => {
            reserve.count_fresh(larger.append(block.as_slice()));
            reserve.give_back(mem::replace(block, larger));
        }
        // Compacting for little space is slow, but it keeps the peer open.
        Err(Exhausted) if fits => block.compact(),
        Err(Exhausted) => return Err(Exhausted),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 4096;

    #[track_caller]
    fn push(queue: &mut ByteQueue, len: usize, reserve: &mut Reserve) {
        queue.push(&vec![7; len], reserve).unwrap();
    }

    #[test]
    fn memory_is_counted_when_it_is_first_used_and_when_it_is_returned() {
        let mut reserve = Reserve::new(1024 * PAGE);
        let mut queue = ByteQueue::new();
        let taken = |queue: &mut ByteQueue, len: usize, reserve: &mut Reserve| {
            let before = reserve.paged_bytes();
            push(queue, len, reserve);
            reserve.paged_bytes() - before
        };
        assert_eq!(taken(&mut queue, 5 * PAGE, &mut reserve), 5 * PAGE);
        // The last page of the block, which has six, was never used.
        assert_eq!(taken(&mut queue, PAGE / 3, &mut reserve), PAGE / 3);
        queue.clear(&mut reserve);
        assert_eq!(taken(&mut queue, 5 * PAGE, &mut reserve), 0, "the block has been used before");
        queue.clear(&mut reserve);

        // So large a block is not kept.
        push(&mut queue, 512 * PAGE, &mut reserve);
        let before = reserve.paged_bytes();
        queue.clear(&mut reserve);
        assert_eq!(reserve.paged_bytes() - before, 512 * PAGE);
    }

    #[test]
    #[should_panic(expected = "consumed 3 bytes of 2")]
    fn consuming_more_than_the_queue_has_panics() {
        let mut reserve = Reserve::new(PAGE);
        let mut queue = ByteQueue::new();
        push(&mut queue, 2, &mut reserve);
        queue.consume(3, &mut reserve);
    }

    #[test]
    fn a_block_with_half_of_it_free_in_front_is_compacted() {
        let mut reserve = Reserve::new(usize::MAX);
        let mut queue = ByteQueue::new();
        push(&mut queue, PAGE, &mut reserve);
        queue.consume(PAGE / 2, &mut reserve);
        push(&mut queue, 1, &mut reserve);
        assert_eq!((queue.capacity(), queue.len()), (PAGE, PAGE / 2 + 1));
    }

    #[test]
    fn a_block_with_less_than_half_free_in_front_grows() {
        let mut reserve = Reserve::new(usize::MAX);
        let mut queue = ByteQueue::new();
        push(&mut queue, PAGE, &mut reserve);
        queue.consume(PAGE / 2 - 1, &mut reserve);
        push(&mut queue, 1, &mut reserve);
        assert_eq!((queue.capacity(), queue.len()), (2 * PAGE, PAGE / 2 + 2));
        assert_eq!((reserve.lent_bytes(), reserve.idle_bytes()), (2 * PAGE, PAGE));
    }

    #[test]
    fn without_memory_to_grow_the_whole_block_is_used() {
        let mut reserve = Reserve::new(PAGE);
        let mut queue = ByteQueue::new();
        push(&mut queue, PAGE, &mut reserve);
        queue.consume(1, &mut reserve);
        assert_eq!(queue.push(b"ab", &mut reserve), Err(Exhausted));
        queue.push(b"a", &mut reserve).unwrap();
        assert_eq!((queue.len(), queue.as_slice().last()), (PAGE, Some(&b'a')));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Consume(usize),
        Clear,
    }

    /// Steps for three queues: mostly small, some larger than any block in the budget.
    fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
        let len = || prop_oneof![0_usize..100, 0_usize..2 * PAGE, 0_usize..16 * PAGE];
        let step = prop_oneof![
            5 => len().prop_map(Step::Push),
            4 => len().prop_map(Step::Consume),
            1 => Just(Step::Clear),
        ];
        prop::collection::vec((0_usize..3, step), 1..100)
    }

    proptest! {
        #[test]
        fn behaves_like_a_deque_within_a_budget(budget_pages in 0_usize..48, steps in steps()) {
            let mut reserve = Reserve::new(budget_pages * PAGE);
            let mut queues = [const { ByteQueue::new() }; 3];
            let mut models = [const { VecDeque::new() }; 3];
            let mut len_max = [0; 3];
            let mut next_bytes = (0..=u8::MAX).cycle();
            for (which, step) in steps {
                let (queue, model) = (&mut queues[which], &mut models[which]);
                match step {
                    Step::Push(len) => {
                        let bytes: Vec<u8> = next_bytes.by_ref().take(len).collect();
                        let before = queue.capacity();
                        match queue.push(&bytes, &mut reserve) {
                            Ok(()) => model.extend(bytes),
                            Err(Exhausted) => {
                                prop_assert_eq!(queue.capacity(), before);
                                // A push may fail only if it needs more memory than is spare.
                                prop_assert!(before < model.len() + len);
                                prop_assert!(reserve.spare_bytes() < 2 * (model.len() + len).max(PAGE));
                            }
                        }
                    }
                    Step::Consume(count) => {
                        let count = count.min(model.len());
                        queue.consume(count, &mut reserve);
                        model.drain(..count);
                    }
                    Step::Clear => {
                        prop_assert_eq!(queue.clear(&mut reserve), model.len());
                        model.clear();
                    }
                }
                len_max[which] = len_max[which].max(model.len());
                prop_assert_eq!(queue.as_slice(), &*model.make_contiguous());
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(!queue.is_empty() || queue.capacity() == 0);
                prop_assert!(queue.capacity() <= (3 * len_max[which]).max(2 * PAGE));
                prop_assert_eq!(reserve.lent_bytes(), queues.iter().map(ByteQueue::capacity).sum::<usize>());
                prop_assert!(reserve.lent_bytes() <= reserve.lent_bytes_max());
            }
        }
    }
}
