//! [`RecordedCalls`]: the calls of a recording, in the order in which a replayed loop makes them.
//!
//! A call that differs from the recorded one is remembered, and all later calls fail.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::block_cursor::BlockCursor;
use super::entry::{Call, CallResult, Entry};
use super::format::{BlockHash, Header, prefix, read_block};
use super::output::old_path;
use super::replay_error::ReplayError;
use super::trace_adapter::TraceAdapter;
use crate::instant::Instant;

/// The error of a call once the replay differs or is over. The loop waits for an event.
const OVER: io::ErrorKind = io::ErrorKind::WouldBlock;

/// A handle to the calls. All of them are used on the thread of the loop.
#[derive(Clone)]
pub(super) struct RecordedCalls(Arc<Mutex<CallsState>>);

pub(super) struct CallsState {
    file: Box<dyn Read + Send>,
    cursor: BlockCursor,
    /// The block of the next turn; `None` after the last turn.
    next: Result<Option<Vec<u8>>, ReplayError>,
    hash: BlockHash,
    /// Whether the loop has polled after the last turn.
    is_over: bool,
    pub(super) run: ReplayedRun,
    /// `None` if no log is kept.
    pub(super) trace: Option<TraceAdapter>,
}

/// The progress of a replay.
pub(super) struct ReplayedRun {
    pub(super) header: Header,
    /// The number of the turn in progress.
    pub(super) turn: u64,
    now: Instant,
    pub(super) notes: Vec<String>,
    pub(super) failure: Option<ReplayError>,
}

impl RecordedCalls {
    /// Opens a file. If the old file has its first turns, that one is read first.
    pub(super) fn open(path: &Path) -> Result<Self, ReplayError> {
        let open = |path: &Path| File::open(path).map(BufReader::new);
        let mut file = open(path).map_err(|error| ReplayError::read(&error))?;
        let header = Header::read(&mut file)?;
        if header.first_turn == 0 {
            return Self::new(Box::new(file), header);
        }
        let lost = ReplayError::NoBeginning { turn: header.first_turn };
        let mut old = open(&old_path(path)).map_err(|_| lost.clone())?;
        let old_header = Header::read(&mut old)?;
        if old_header.run != header.run || old_header.first_turn != 0 {
            return Err(lost);
        }
        Self::new(Box::new(old.chain(file)), old_header)
    }

    pub(super) fn read(mut file: impl Read + Send + 'static) -> Result<Self, ReplayError> {
        let header = Header::read(&mut file)?;
        if header.first_turn > 0 {
            return Err(ReplayError::NoBeginning { turn: header.first_turn });
        }
        Self::new(Box::new(file), header)
    }

    fn new(file: Box<dyn Read + Send>, header: Header) -> Result<Self, ReplayError> {
        let run = ReplayedRun { header, turn: 0, now: Instant::ORIGIN, notes: Vec::new(), failure: None };
        let (cursor, hash) = (BlockCursor::default(), BlockHash::default());
        let mut state = CallsState { file, cursor, next: Ok(None), hash, is_over: false, run, trace: None };
        state.next = state.read_block(0);
        if state.load_next()? { Ok(Self(Arc::new(Mutex::new(state)))) } else { Err(ReplayError::Empty) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, CallsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recorded result of a call, passed to `accept`, which returns `None` for a result of another call.
    ///
    /// # Errors
    /// The recorded error, or `WouldBlock` once the replay differs or is over.
    pub(super) fn answer<R>(
        &self,
        call: &Call,
        accept: impl FnOnce(&mut ReplayedRun, CallResult<'_>) -> Option<R>,
    ) -> io::Result<R> {
        self.lock().answer(call, accept)
    }
}

impl CallsState {
    fn answer<R>(
        &mut self,
        call: &Call,
        accept: impl FnOnce(&mut ReplayedRun, CallResult<'_>) -> Option<R>,
    ) -> io::Result<R> {
        let Self { cursor, run, trace, .. } = self;
        if self.is_over || run.failure.is_some() {
            return Err(OVER.into());
        }
        let next = cursor.next_call(|entry| run.skip(entry));
        if let (Some(trace), Ok(Some((recorded, result)))) = (trace, &next)
            && recorded == call
        {
            trace.add(call, result, run.now);
        }
        match next {
            Ok(Some((recorded, CallResult::Failed(error)))) if recorded == *call => Err(error.to_io()),
            Ok(Some((recorded, result))) if recorded == *call => accept(run, result).ok_or_else(|| run.damaged()),
            Ok(Some((recorded, _))) => Err(run.differ(call, &recorded.to_string())),
            Ok(None) => Err(run.differ(call, "the end of the turn")),
            Err(_) => Err(run.damaged()),
        }
    }

    /// Goes on to the next turn. `false` if the recording is over.
    ///
    /// The loop may have left readings of the clock and notes at the end of the turn, and nothing else.
    ///
    /// # Errors
    /// The replay differs from the recording, or the next turn is damaged.
    pub(super) fn begin_turn(&mut self) -> Result<bool, ReplayError> {
        if let Some(failure) = &self.run.failure {
            return Err(failure.clone());
        }
        if !self.is_over {
            self.is_over = !self.try_begin_turn().inspect_err(|error| self.run.failure = Some(error.clone()))?;
        }
        Ok(!self.is_over)
    }

    fn try_begin_turn(&mut self) -> Result<bool, ReplayError> {
        let Self { cursor, run, .. } = self;
        let damaged = ReplayError::Damaged { turn: run.turn };
        match cursor.next_call(|entry| run.skip(entry)).map_err(|_| damaged)? {
            None => {}
            // At the end of the program, the loop closes what is open, without a turn.
            Some((Call::Drop { .. }, _)) if self.next == Ok(None) => return Ok(false),
            Some((recorded, _)) => {
                let (asked, recorded) = (Call::PollEvents.to_string(), recorded.to_string());
                return Err(ReplayError::Differs { turn: run.turn, asked, recorded });
            }
        }
        let finished = prefix(self.cursor.block());
        let is_loaded = self.load_next()?;
        if is_loaded {
            self.hash.add(finished);
        }
        Ok(is_loaded)
    }

    /// Goes on to the next block, and reads the one after it. `false` if there is none.
    fn load_next(&mut self) -> Result<bool, ReplayError> {
        let Some(block) = std::mem::replace(&mut self.next, Ok(None))? else { return Ok(false) };
        let turn = if self.cursor.block().is_empty() { 0 } else { self.run.turn + 1 };
        self.cursor = BlockCursor::new(block, turn).map_err(|_| ReplayError::Damaged { turn })?;
        self.run.turn = turn;
        self.next = self.read_block(turn + 1);
        Ok(true)
    }

    fn read_block(&mut self, turn: u64) -> Result<Option<Vec<u8>>, ReplayError> {
        let mut block = Vec::new();
        Ok(read_block(&mut self.file, &mut block, turn)?.then_some(block))
    }

    /// The time of the next reading of the clock. Where the recorded loop read no clock, the last time.
    pub(super) fn read_clock(&mut self) -> Instant {
        if let Ok(Some(entry)) = self.cursor.next_if(|entry| matches!(entry, Entry::Clock(_))) {
            self.run.skip(entry);
        }
        self.run.now
    }

    /// The texts that were recorded before the next call.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        while let Ok(Some(entry)) = self.cursor.next_if(|entry| !matches!(entry, Entry::Call(..))) {
            self.run.skip(entry);
        }
        std::mem::take(&mut self.run.notes)
    }

    /// Whether this call is the next one.
    pub(super) fn is_next(&self, call: &Call) -> bool {
        self.cursor.is_next(call)
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.hash.value()
    }

    /// Whether the turn in progress is the last one.
    pub(super) fn is_last(&self) -> bool {
        self.next == Ok(None)
    }
}

impl ReplayedRun {
    /// Handles an entry that is not a call.
    fn skip(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Clock(nanos) => self.now = Instant::from_nanos(nanos),
            Entry::Note(text) => self.notes.push(text.to_owned()),
            Entry::Call(..) => {}
        }
    }

    fn damaged(&mut self) -> io::Error {
        self.fail(ReplayError::Damaged { turn: self.turn })
    }

    /// The loop asked for a call, and the recording has something else.
    pub(super) fn differ(&mut self, asked: &Call, recorded: &str) -> io::Error {
        let (asked, recorded) = (asked.to_string(), recorded.to_owned());
        self.fail(ReplayError::Differs { turn: self.turn, asked, recorded })
    }

    /// Remembers the first error, and returns what the call reports.
    pub(super) fn fail(&mut self, error: ReplayError) -> io::Error {
        self.failure.get_or_insert(error);
        OVER.into()
    }
}

/// Accepts the result of a call that returns nothing.
pub(super) fn done(_run: &mut ReplayedRun, result: CallResult<'_>) -> Option<()> {
    (result == CallResult::Done).then_some(())
}
