//! [`EntryLog`]: the entries of the turn in progress, shared by a recording network and its streams.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::{Call, CallResult, Entry};
use super::format::{BLOCK_LEN_MAX, BlockHash, PREFIX_LEN, prefix};
use super::writer::BlockWriter;
use crate::instant::Instant;

/// A handle to the entries. All of them are used on the thread of the loop.
#[derive(Clone)]
pub(super) struct EntryLog(Arc<Mutex<LogState>>);

pub(super) struct LogState {
    /// `None` once the recording has ended.
    writer: Option<BlockWriter>,
    has_content: bool,
    /// The number of the turn and its entries.
    block: Vec<u8>,
    turn: u64,
    hash: BlockHash,
    streams: u64,
    listeners: u64,
    sockets: u64,
}

impl EntryLog {
    pub(super) fn new(writer: BlockWriter, has_content: bool) -> Self {
        let mut state = LogState {
            writer: Some(writer),
            has_content,
            block: Vec::new(),
            turn: 0,
            hash: BlockHash::default(),
            streams: 0,
            listeners: 0,
            sockets: 0,
        };
        state.begin_block();
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a call and its result.
    #[inline]
    pub(super) fn append(&self, call: Call, result: CallResult<'_>) {
        self.lock().append(&Entry::Call(call, result));
    }

    pub(super) fn append_time(&self, now: Instant) {
        self.lock().append(&Entry::Clock(now.as_nanos()));
    }
}

impl LogState {
    pub(super) fn append(&mut self, entry: &Entry<'_>) {
        if self.writer.is_none() {
            return;
        }
        match postcard::to_extend(entry, std::mem::take(&mut self.block)) {
            Ok(block) if block.len() <= BLOCK_LEN_MAX => self.block = block,
            Ok(_) => self.end(&io::Error::other("a turn has too many bytes")),
            Err(error) => self.end(&io::Error::other(error)),
        }
    }

    /// The part of `bytes` to record.
    pub(super) fn content<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        if self.has_content { bytes } else { &[] }
    }

    /// The checksum of bytes that were sent.
    pub(super) fn checksum<'a>(&self, slices: impl Iterator<Item = &'a [u8]>, len: usize) -> u32 {
        if self.has_content { checksum(slices, len) } else { 0 }
    }

    /// The number of a new stream.
    pub(super) fn next_stream(&mut self) -> u64 {
        next(&mut self.streams)
    }

    /// The number of a new listener.
    pub(super) fn next_listener(&mut self) -> u64 {
        next(&mut self.listeners)
    }

    /// The number of a new UDP socket.
    pub(super) fn next_socket(&mut self) -> u64 {
        next(&mut self.sockets)
    }

    /// The number of the turn in progress, and the hash of all turns before it.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.turn, self.hash.value())
    }

    /// Completes the turn in progress.
    pub(super) fn end_turn(&mut self) {
        let Some(writer) = &self.writer else { return };
        let prefix: [u8; PREFIX_LEN] = prefix(&self.block);
        match writer.queue(&prefix, &self.block, self.turn) {
            Ok(()) => {
                self.hash.add(prefix);
                self.turn += 1;
                self.begin_block();
            }
            Err(error) => self.end(&error),
        }
    }

    fn begin_block(&mut self) {
        self.block.clear();
        if let Ok(block) = postcard::to_extend(&self.turn, std::mem::take(&mut self.block)) {
            self.block = block;
        }
    }

    fn end(&mut self, reason: &io::Error) {
        log::error!("the recording ends in turn {}: {reason}", self.turn);
        self.block = Vec::new();
        if let Some(writer) = self.writer.take() {
            writer.detach();
        }
    }
}

impl Drop for LogState {
    /// Writes what happened after the last turn. A loop that has never turned leaves no recording.
    fn drop(&mut self) {
        if self.turn > 0 {
            self.end_turn();
        }
    }
}

/// The checksum of the first `len` bytes of the slices together.
pub(super) fn checksum<'a>(slices: impl Iterator<Item = &'a [u8]>, len: usize) -> u32 {
    let (mut hasher, mut left) = (crc32fast::Hasher::new(), len);
    for slice in slices {
        let part = &slice[..slice.len().min(left)];
        left -= part.len();
        hasher.update(part);
    }
    hasher.finalize()
}

fn next(count: &mut u64) -> u64 {
    let number = *count;
    *count += 1;
    number
}
