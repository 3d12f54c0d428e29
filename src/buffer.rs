//! `ByteQueue`: bytes in at the back, out at the front, always in one piece.
//!
//! It never waits and never takes a byte it cannot keep. Its storage is lent by a [`Reserve`],
//! which whoever owns both passes into every call; an empty queue holds none of it.

mod reserve;

use std::mem;

use reserve::Block;
pub use reserve::{Exhausted, IDLE_BYTES_MAX, Reserve};

/// Bytes that wait, in order.
///
/// A queue that is dropped with bytes in it returns its memory to the system, but its reserve
/// counts it as lent for ever: [`clear`](Self::clear) it first.
#[derive(Debug, Default)]
pub struct ByteQueue {
    block: Option<Box<Block>>,
}

// Every peer has two of these and most are empty.
const _: () = assert!(size_of::<ByteQueue>() == 8);

impl ByteQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { block: None }
    }

    /// How many bytes wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.len())
    }

    /// Whether no byte waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are lent to this queue.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.capacity())
    }

    /// All bytes that wait.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |block| block.as_slice())
    }

    /// Appends all `bytes`, or none.
    ///
    /// # Errors
    /// The reserve cannot lend what that takes; the queue is as it was.
    pub fn push(&mut self, bytes: &[u8], reserve: &mut Reserve) -> Result<(), Exhausted> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.make_room(bytes.len(), reserve)?.append(bytes);
        Ok(())
    }

    /// Takes away the first `count` bytes.
    ///
    /// # Panics
    /// When fewer bytes wait.
    pub fn consume(&mut self, count: usize, reserve: &mut Reserve) {
        assert!(count <= self.len(), "consumed {count} bytes of {}", self.len());
        let Some(block) = &mut self.block else { return };
        block.consume(count);
        if block.len() == 0 {
            self.clear(reserve);
        }
    }

    /// Throws away all bytes; says how many.
    pub fn clear(&mut self, reserve: &mut Reserve) -> usize {
        let Some(block) = self.block.take() else { return 0 };
        let len = block.len();
        reserve.give_back(block);
        len
    }

    /// The block, with at least `room` bytes free at its back.
    fn make_room(&mut self, room: usize, reserve: &mut Reserve) -> Result<&mut Block, Exhausted> {
        match &mut self.block {
            Some(block) => {
                make_room_in(block, room, reserve)?;
                Ok(block)
            }
            empty @ None => Ok(empty.insert(reserve.lend(room)?)),
        }
    }
}

/// Sees to it that `room` bytes are free at the back of `block`, if need be by putting a larger
/// one in its place.
fn make_room_in(block: &mut Box<Block>, room: usize, reserve: &mut Reserve) -> Result<(), Exhausted> {
    if room <= block.room() {
        return Ok(());
    }
    let fits = room <= block.capacity() - block.len();
    // With half of the block free in front, no more bytes are moved than have left since the
    // last move, so each byte is moved once on average.
    if fits && block.capacity() / 2 <= block.start() {
        block.compact();
        return Ok(());
    }
    match reserve.lend((block.len() + room).max(block.capacity() + 1)) {
        Ok(mut larger) => {
            larger.append(block.as_slice());
            reserve.give_back(mem::replace(block, larger));
        }
        // Moving bytes for little room is slow, but it loses nobody.
        Err(Exhausted) if fits => block.compact(),
        Err(Exhausted) => return Err(Exhausted),
    }
    Ok(())
}
