//! `Overflow`: returned blocks that cannot be unmapped yet, ordered by address.
//!
//! It is empty except in a server with very many queues. Unlike the reserve's lists it allocates.

use std::collections::BTreeMap;

use super::Block;
use super::block::{CLASSES, class};

/// Returned blocks by class and address.
#[derive(Debug)]
pub(super) struct Overflow {
    blocks: [BTreeMap<usize, Box<Block>>; CLASSES],
    len: usize,
}

impl Overflow {
    pub(super) const fn new() -> Self {
        Self { blocks: [const { BTreeMap::new() }; CLASSES], len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn insert(&mut self, block: Box<Block>) {
        self.len += 1;
        self.blocks[class(block.capacity())].insert(block.address(), block);
    }

    /// Removes a block of that capacity.
    pub(super) fn take(&mut self, capacity: usize) -> Option<Box<Block>> {
        let (_, block) = self.blocks[class(capacity)].pop_first()?;
        self.len -= 1;
        Some(block)
    }

    /// Removes the block with the highest address.
    pub(super) fn pop_highest(&mut self) -> Option<Box<Block>> {
        let highest = self.blocks.iter_mut().max_by_key(|blocks| blocks.last_key_value().map(|(address, _)| *address));
        let (_, block) = highest?.pop_last()?;
        self.len -= 1;
        Some(block)
    }
}
