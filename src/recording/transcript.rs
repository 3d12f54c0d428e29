//! [`Transcript`]: the calls of a recording, without the loop that made them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::block_cursor::BlockCursor;
use super::entry::Entry;
use super::format::{Header, read_block};
use super::replay_error::ReplayError;
use super::trace_adapter::TraceAdapter;
use crate::instant::Instant;
use crate::trace::TraceLog;

/// Adds the calls of a recording to a log, one turn after the other.
///
/// No loop and no service runs. So it also reads recordings without bytes, or without their first turns, and those of
/// any program. It does not know what the loop decided.
pub struct Transcript {
    file: BufReader<File>,
    adapter: TraceAdapter,
    next_turn: u64,
    now: Instant,
}

impl Transcript {
    /// Opens a recording. A file before it, `FILE.old`, is a recording of its own.
    ///
    /// # Errors
    /// The file cannot be read, or is no recording.
    pub fn open(path: impl AsRef<Path>, log: TraceLog) -> Result<Self, ReplayError> {
        let file = File::open(path).map_err(|error| ReplayError::read(&error))?;
        let mut file = BufReader::new(file);
        let header = Header::read(&mut file)?;
        Ok(Self { file, adapter: TraceAdapter::new(log), next_turn: header.first_turn, now: Instant::ORIGIN })
    }

    /// Adds the calls of the next turn. Returns its number and its time, or `None` at the end. Number 0 is before the
    /// first turn.
    ///
    /// # Errors
    /// The turn is damaged.
    pub fn read_turn(&mut self) -> Result<Option<(u64, Instant)>, ReplayError> {
        let (turn, mut block) = (self.next_turn, Vec::new());
        if !read_block(&mut self.file, &mut block, turn)? {
            return Ok(None);
        }
        let damaged = |_| ReplayError::Damaged { turn };
        let mut cursor = BlockCursor::new(block, turn).map_err(damaged)?;
        let Self { now, adapter, .. } = self;
        let skip = |now: &mut Instant, entry: Entry<'_>| {
            if let Entry::Clock(nanos) = entry {
                *now = Instant::from_nanos(nanos);
            }
        };
        while let Some((call, result)) = cursor.next_call(|entry| skip(now, entry)).map_err(damaged)? {
            adapter.add(&call, &result, *now);
        }
        self.next_turn += 1;
        Ok(Some((turn, self.now)))
    }
}
