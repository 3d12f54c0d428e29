//! [`BlockWriter`]: writes blocks on a thread of its own, so that a slow disk never delays a turn.
//!
//! The blocks that wait are bounded. If the disk is too slow, or fails, the recording ends.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::output::Output;

/// Most bytes that wait to be written, unless one block is longer.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Blocks on their way to the output.
pub(super) struct BlockWriter {
    shared: Arc<SharedBlocks>,
    thread: Option<JoinHandle<()>>,
}

struct SharedBlocks {
    waiting: Mutex<WaitingBlocks>,
    changed: Condvar,
}

#[derive(Default)]
struct WaitingBlocks {
    /// The blocks that wait, each of them whole.
    bytes: Vec<u8>,
    /// The length and the turn of each of them.
    blocks: VecDeque<(usize, u64)>,
    /// Whether no more blocks follow.
    is_closed: bool,
    /// Why nothing more is written.
    failure: Option<io::Error>,
}

impl SharedBlocks {
    fn lock(&self) -> MutexGuard<'_, WaitingBlocks> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start(output: Output) -> io::Result<Self> {
        let shared = Arc::new(SharedBlocks { waiting: Mutex::default(), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        let thread = Builder::new().name("recording".to_owned()).spawn(move || write_blocks(output, &of_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues one block. Never waits for the disk.
    ///
    /// # Errors
    /// The output has failed, and nothing more is written. Or it does not keep up: the blocks that wait are still
    /// written, and this one is not.
    pub(super) fn queue(&self, prefix: &[u8], block: &[u8], turn: u64) -> io::Result<()> {
        let mut waiting = self.shared.lock();
        if let Some(failure) = waiting.failure.take() {
            return Err(failure);
        }
        let len = prefix.len() + block.len();
        if !waiting.bytes.is_empty() && waiting.bytes.len() + len > WAITING_BYTES_MAX {
            return Err(io::Error::other("the disk is too slow"));
        }
        waiting.bytes.extend_from_slice(prefix);
        waiting.bytes.extend_from_slice(block);
        waiting.blocks.push_back((len, turn));
        drop(waiting);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Leaves the blocks that wait to the thread, without waiting for it. If it fails, nothing is logged.
    pub(super) fn detach(mut self) {
        self.thread = None;
    }
}

impl Drop for BlockWriter {
    /// Waits until all blocks are written, unless the thread is detached.
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_one();
        let Some(thread) = self.thread.take() else { return };
        if thread.join().is_err() {
            log::error!("the thread that writes the recording has panicked");
        }
        if let Some(failure) = self.shared.lock().failure.take() {
            log::error!("the end of the recording is missing: {failure}");
        }
    }
}

fn write_blocks(mut output: Output, shared: &SharedBlocks) {
    let (mut bytes, mut blocks) = (Vec::new(), VecDeque::new());
    loop {
        let mut waiting = shared.lock();
        while waiting.bytes.is_empty() && !waiting.is_closed {
            waiting = shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.bytes.is_empty() {
            return;
        }
        std::mem::swap(&mut waiting.bytes, &mut bytes);
        std::mem::swap(&mut waiting.blocks, &mut blocks);
        drop(waiting);
        let mut rest = &bytes[..];
        let written = blocks.drain(..).try_for_each(|(len, turn)| {
            let (block, others) = rest.split_at(len);
            rest = others;
            output.write_block(block, turn)
        });
        if let Err(failure) = written.and_then(|()| output.flush()) {
            shared.lock().failure = Some(failure);
            return;
        }
        bytes.clear();
    }
}
