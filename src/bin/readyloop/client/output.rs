//! Writes to standard output on a thread of its own.
//!
//! A slow reader of standard output pauses reading from the peer, but not sending to it.

use std::io::{self, stdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use readyloop::net::Wake;

use crate::stream;

/// The most batches that wait for the thread.
const BATCHES_MAX: usize = 4;

/// The sender of batches to the thread.
pub(super) struct Output {
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
        Ok(Self { batches, ended })
    }

    /// Sends a batch without blocking. If the queue is full, the batch is returned.
    pub(super) fn try_send(&self, batch: Vec<u8>) -> Result<(), Vec<u8>> {
        self.batches.try_send(batch).map_err(|error| match error {
            TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
        })
    }

    /// Returns the write error once, if writing failed.
    pub(super) fn poll_failure(&self) -> Option<io::Error> {
        self.ended.try_recv().ok()?.err()
    }

    /// Writes the last batch and waits until everything is written.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(super) fn finish(self, last: Vec<u8>) -> io::Result<()> {
        let Self { batches, ended } = self;
        // Fails if writing has failed, which the result below reports.
        let _ = batches.send(last);
        drop(batches);
        ended.recv().unwrap_or_else(|_| Err(io::Error::other("the output thread ended early")))
    }
}

fn write_batches(batches: &Receiver<Vec<u8>>, wake: &dyn Wake) -> io::Result<()> {
    for batch in batches {
        stream::write_all(stdout(), &batch, None)?;
        wake.wake();
    }
    Ok(())
}
