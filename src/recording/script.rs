//! [`Script`]: the entries of a recording, in the order in which a replayed loop asks for them.
//!
//! A call that differs from the recorded one is remembered, and all later calls fail.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::{Call, CallResult, Entry};
use super::format::{BlockHash, Header, prefix, read_block};
use super::output::old_path;
use super::replay_error::ReplayError;
use crate::instant::Instant;

/// The error of a call once the replay differs or is over. The loop waits for an event.
const OVER: io::ErrorKind = io::ErrorKind::WouldBlock;

/// A handle to the script. All of them are used on the thread of the loop.
#[derive(Clone)]
pub(super) struct Script(Arc<Mutex<ScriptState>>);

pub(super) struct ScriptState {
    file: Box<dyn Read + Send>,
    pub(super) header: Header,
    /// The number of the turn and its entries.
    block: Vec<u8>,
    /// How much of the block was returned.
    position: usize,
    /// The number of the turn in progress.
    turn: u64,
    hash: BlockHash,
    now: Instant,
    notes: VecDeque<String>,
    failure: Option<ReplayError>,
    /// Whether the last turn is in progress or over.
    is_last: bool,
    pub(super) streams: u64,
    pub(super) listeners: u64,
    pub(super) sockets: u64,
}

impl Script {
    /// Opens a file. If it continues an old one that is whole, both are read.
    pub(super) fn open(path: &Path) -> Result<Self, ReplayError> {
        let open = |path: &Path| File::open(path).map(BufReader::new);
        let mut file = open(path).map_err(|error| ReplayError::Read(error.to_string()))?;
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
        let mut state = ScriptState {
            file,
            header,
            block: Vec::new(),
            position: 0,
            turn: 0,
            hash: BlockHash::default(),
            now: Instant::ORIGIN,
            notes: VecDeque::new(),
            failure: None,
            is_last: false,
            streams: 0,
            listeners: 0,
            sockets: 0,
        };
        if !state.load_block(0)? {
            return Err(ReplayError::Empty);
        }
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ScriptState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recorded result of a call, passed to `accept`, which returns `None` for a result of another call.
    ///
    /// # Errors
    /// The recorded error, or `WouldBlock` once the replay differs or is over.
    pub(super) fn answer<R>(
        &self,
        call: &Call,
        accept: impl FnOnce(&mut ScriptState, CallResult<'_>) -> Option<R>,
    ) -> io::Result<R> {
        self.lock().answer(call, accept)
    }
}

impl ScriptState {
    fn answer<R>(&mut self, call: &Call, accept: impl FnOnce(&mut Self, CallResult<'_>) -> Option<R>) -> io::Result<R> {
        if self.failure.is_some() {
            return Err(OVER.into());
        }
        let block = std::mem::take(&mut self.block);
        let next = self.next_call(&block);
        let result = match next {
            Ok(Some((recorded, result))) if recorded == *call => self.accept_result(result, accept),
            Ok(Some((recorded, _))) => Err(self.differ(call, &recorded.to_string())),
            Ok(None) if self.is_last => Err(OVER.into()),
            Ok(None) => Err(self.differ(call, "the end of the turn")),
            Err(error) => Err(self.fail(error)),
        };
        self.block = block;
        result
    }

    fn accept_result<R>(
        &mut self,
        result: CallResult<'_>,
        accept: impl FnOnce(&mut Self, CallResult<'_>) -> Option<R>,
    ) -> io::Result<R> {
        if let CallResult::Failed(error) = result {
            return Err(error.to_io());
        }
        let turn = self.turn;
        accept(self, result).ok_or_else(|| self.fail(ReplayError::Damaged { turn }))
    }

    /// Decodes the next call. Readings of the clock and notes before it are remembered.
    fn next_call<'a>(&mut self, block: &'a [u8]) -> Result<Option<(Call, CallResult<'a>)>, ReplayError> {
        while let Some((entry, position)) = self.decode(block)? {
            self.position = position;
            match entry {
                Entry::Clock(nanos) => self.now = Instant::from_nanos(nanos),
                Entry::Note(text) => self.notes.push_back(text.to_owned()),
                Entry::Call(call, result) => return Ok(Some((call, result))),
            }
        }
        Ok(None)
    }

    /// The next entry of the block, and the position after it.
    fn decode<'a>(&self, block: &'a [u8]) -> Result<Option<(Entry<'a>, usize)>, ReplayError> {
        let rest = &block[self.position..];
        if rest.is_empty() {
            return Ok(None);
        }
        let (entry, after) = postcard::take_from_bytes(rest).map_err(|_| ReplayError::Damaged { turn: self.turn })?;
        Ok(Some((entry, block.len() - after.len())))
    }

    /// Goes on to the next turn. `false` if the recording is over.
    ///
    /// The loop may have left readings of the clock and notes at the end of the turn, and nothing else.
    pub(super) fn begin_turn(&mut self) -> Result<bool, ReplayError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.is_last {
            return Ok(false);
        }
        let begun = self.try_begin_turn();
        if let Err(error) = &begun {
            self.failure = Some(error.clone());
        }
        begun
    }

    fn try_begin_turn(&mut self) -> Result<bool, ReplayError> {
        let block = std::mem::take(&mut self.block);
        let Some((recorded, _)) = self.next_call(&block)? else {
            self.hash.add(prefix(&block));
            self.is_last = !self.load_block(self.turn + 1)?;
            return Ok(!self.is_last);
        };
        // At the end of the program, the loop closes what is open, without a turn.
        if matches!(recorded, Call::Drop { .. }) && !read_block(&mut self.file, &mut Vec::new(), self.turn + 1)? {
            self.is_last = true;
            return Ok(false);
        }
        let (asked, recorded) = (Call::Poll.to_string(), recorded.to_string());
        Err(ReplayError::Differs { turn: self.turn, asked, recorded })
    }

    fn load_block(&mut self, turn: u64) -> Result<bool, ReplayError> {
        if !read_block(&mut self.file, &mut self.block, turn)? {
            self.block.clear();
            self.position = 0;
            return Ok(false);
        }
        let damaged = ReplayError::Damaged { turn };
        let (number, rest) = postcard::take_from_bytes::<u64>(&self.block).map_err(|_| damaged.clone())?;
        if number != turn {
            return Err(damaged);
        }
        self.position = self.block.len() - rest.len();
        self.turn = turn;
        Ok(true)
    }

    /// The time of the next reading of the clock. Where the recorded loop read no clock, the last time.
    pub(super) fn read_clock(&mut self) -> Instant {
        let block = std::mem::take(&mut self.block);
        if let Ok(Some((Entry::Clock(nanos), position))) = self.decode(&block) {
            (self.now, self.position) = (Instant::from_nanos(nanos), position);
        }
        self.block = block;
        self.now
    }

    /// Whether this call is the next one. Readings of the clock before it do not count.
    pub(super) fn is_next(&mut self, call: &Call) -> bool {
        let block = std::mem::take(&mut self.block);
        let mut position = self.position;
        let mut next = None;
        while let Ok((entry, after)) = postcard::take_from_bytes::<Entry<'_>>(&block[position..]) {
            position = block.len() - after.len();
            if let Entry::Call(call, _) = entry {
                next = Some(call);
                break;
            }
        }
        self.block = block;
        next.as_ref() == Some(call)
    }

    /// The texts that were recorded before the next turn.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        let block = std::mem::take(&mut self.block);
        while let Ok(Some((Entry::Note(text), position))) = self.decode(&block) {
            self.notes.push_back(text.to_owned());
            self.position = position;
        }
        self.block = block;
        self.notes.drain(..).collect()
    }

    /// The number of complete turns, and the hash of all of them.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.turn, self.hash.value())
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_last
    }

    pub(super) fn failure(&self) -> Option<&ReplayError> {
        self.failure.as_ref()
    }

    /// The message of this turn cannot be replayed.
    pub(super) fn miss_message(&mut self) {
        self.fail(ReplayError::NoMessage { turn: self.turn });
    }

    /// The bytes that were written are not the recorded ones.
    pub(super) fn differ_in_content(&mut self, call: &Call) {
        self.differ(call, "other bytes");
    }

    fn differ(&mut self, asked: &Call, recorded: &str) -> io::Error {
        let (asked, recorded) = (asked.to_string(), recorded.to_owned());
        self.fail(ReplayError::Differs { turn: self.turn, asked, recorded })
    }

    /// Remembers the first error, and returns what the call reports.
    fn fail(&mut self, error: ReplayError) -> io::Error {
        self.failure.get_or_insert(error);
        OVER.into()
    }
}

/// Accepts the result of a call that returns nothing.
pub(super) fn done(_script: &mut ScriptState, result: CallResult<'_>) -> Option<()> {
    (result == CallResult::Done).then_some(())
}
