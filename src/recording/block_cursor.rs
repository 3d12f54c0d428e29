//! [`BlockCursor`]: the entries of one block, in order.

use super::entry::{Call, CallResult, Entry};

/// A block, and how much of it is read.
#[derive(Default)]
pub(super) struct BlockCursor {
    block: Vec<u8>,
    position: usize,
}

/// The entry cannot be decoded.
pub(super) struct BadEntry;

impl BlockCursor {
    /// A cursor at the first entry of a block that has this turn.
    pub(super) fn new(block: Vec<u8>, turn: u64) -> Result<Self, BadEntry> {
        let (number, rest) = postcard::take_from_bytes::<u64>(&block).map_err(|_| BadEntry)?;
        let position = block.len() - rest.len();
        if number == turn { Ok(Self { block, position }) } else { Err(BadEntry) }
    }

    pub(super) fn block(&self) -> &[u8] {
        &self.block
    }

    /// Returns the next call. Readings of the clock and notes before it go to `skipped`.
    pub(super) fn next_call(
        &mut self,
        mut skipped: impl FnMut(Entry<'_>),
    ) -> Result<Option<(Call, CallResult<'_>)>, BadEntry> {
        let Self { block, position } = self;
        while let Some((entry, after)) = entry_at(block, *position)? {
            *position = after;
            match entry {
                Entry::Call(call, result) => return Ok(Some((call, result))),
                Entry::Clock(_) | Entry::Note(_) => skipped(entry),
            }
        }
        Ok(None)
    }

    /// Returns the next entry and goes on, if it fulfills the condition.
    pub(super) fn next_if(
        &mut self,
        condition: impl FnOnce(&Entry<'_>) -> bool,
    ) -> Result<Option<Entry<'_>>, BadEntry> {
        let Self { block, position } = self;
        let next = entry_at(block, *position)?.filter(|(entry, _)| condition(entry));
        Ok(next.map(|(entry, after)| {
            *position = after;
            entry
        }))
    }

    /// Whether this call is the next one, after readings of the clock.
    pub(super) fn is_next(&self, call: &Call) -> bool {
        let mut position = self.position;
        while let Ok(Some((entry, after))) = entry_at(&self.block, position) {
            match entry {
                Entry::Clock(_) | Entry::Note(_) => position = after,
                Entry::Call(next, _) => return next == *call,
            }
        }
        false
    }
}

/// The entry at a position of a block, and the position after it. `None` at the end of the block.
fn entry_at(block: &[u8], position: usize) -> Result<Option<(Entry<'_>, usize)>, BadEntry> {
    let rest = &block[position..];
    if rest.is_empty() {
        return Ok(None);
    }
    let (entry, after) = postcard::take_from_bytes(rest).map_err(|_| BadEntry)?;
    Ok(Some((entry, block.len() - after.len())))
}
