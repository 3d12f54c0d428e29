//! Writes to standard output on a thread of its own.
//!
//! A slow reader of standard output pauses reading from the peer, but not sending to it.

use std::io::{self, stdout};
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use readyloop::net::Wake;

use crate::stream;

/// The most batches that wait for the thread.
const BATCHES_MAX: usize = 4;

/// The size at which a batch is full: as many bytes as one turn reads from the peer.
const BATCH_BYTES: usize = 256 * 1024;

/// Standard output, written in batches.
pub(super) struct Output {
    /// The bytes that are not with the thread yet.
    pub(super) batch: Vec<u8>,
    batches: SyncSender<Vec<u8>>,
    /// The result of the thread, sent once.
    ended: Receiver<io::Result<()>>,
}

impl Output {
    /// Starts the thread. It wakes the event loop after each batch and when it fails.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(wake: Arc<dyn Wake>) -> io::Result<Self> {
        let (batches, receiver) = sync_channel(BATCHES_MAX);
        let (end, ended) = sync_channel(1);
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            // Fails if the session has ended and needs no result.
            let _ = end.send(write_batches(&receiver, &*wake));
            wake.wake();
        })?;
        Ok(Self { batch: Vec::new(), batches, ended })
    }

    /// Whether the batch is full, because the thread has not written the batches before it.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_BYTES
    }

    /// Passes the batch to the thread, if it takes one now.
    ///
    /// # Errors
    /// Standard output cannot be written. This is returned once.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Ok(result) = self.ended.try_recv() {
            return result;
        }
        if !self.batch.is_empty()
            && let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
                self.batches.try_send(mem::take(&mut self.batch))
        {
            self.batch = batch;
        }
        Ok(())
    }

    /// Writes the last batch and waits until everything is written.
    ///
    /// # Errors
    /// Standard output cannot be written, and no flush has returned the error.
    pub(super) fn finish(self) -> io::Result<()> {
        let Self { batch, batches, ended } = self;
        // Fails if writing has failed, which the result below reports.
        let _ = batches.send(batch);
        drop(batches);
        ended.recv().unwrap_or(Ok(()))
    }
}

fn write_batches(batches: &Receiver<Vec<u8>>, wake: &dyn Wake) -> io::Result<()> {
    for batch in batches {
        stream::write_all(stdout(), &batch, None)?;
        wake.wake();
    }
    Ok(())
}
