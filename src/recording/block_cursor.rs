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

    /// The next entry and the position after it, without going on.
    fn peek(&self) -> Result<Option<(Entry<'_>, usize)>, BadEntry> {
        let rest = &self.block[self.position..];
        if rest.is_empty() {
            return Ok(None);
        }
        let (entry, after) = postcard::take_from_bytes(rest).map_err(|_| BadEntry)?;
        Ok(Some((entry, self.block.len() - after.len())))
    }

    /// Returns the next call. Readings of the clock and notes before it go to `skipped`.
    pub(super) fn next_call(
        &mut self,
        mut skipped: impl FnMut(Entry<'_>),
    ) -> Result<Option<(Call, CallResult<'_>)>, BadEntry> {
        while let Some(entry) = self.next_if(|entry| !matches!(entry, Entry::Call(..)))? {
            skipped(entry);
        }
        Ok(self.next_if(|_| true)?.and_then(|entry| match entry {
            Entry::Call(call, result) => Some((call, result)),
            Entry::Clock(_) | Entry::Note(_) => None,
        }))
    }

    /// Returns the next entry and goes on, if it fulfills the condition.
    pub(super) fn next_if(
        &mut self,
        condition: impl FnOnce(&Entry<'_>) -> bool,
    ) -> Result<Option<Entry<'_>>, BadEntry> {
        let position = match self.peek()? {
            Some((entry, after)) if condition(&entry) => std::mem::replace(&mut self.position, after),
            Some(_) | None => return Ok(None),
        };
        let (entry, _) = postcard::take_from_bytes(&self.block[position..]).map_err(|_| BadEntry)?;
        Ok(Some(entry))
    }

    /// Whether this call is the next one, after readings of the clock.
    pub(super) fn is_next(&self, call: &Call) -> bool {
        let mut rest = &self.block[self.position..];
        while let Ok((entry, after)) = postcard::take_from_bytes::<Entry<'_>>(rest) {
            match entry {
                Entry::Clock(_) | Entry::Note(_) => rest = after,
                Entry::Call(next, _) => return next == *call,
            }
        }
        false
    }
}
