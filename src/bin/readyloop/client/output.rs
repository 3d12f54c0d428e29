//! Standard output of a pipe, written by a thread of its own: whoever reads it slowly holds up
//! what comes from the peer, and not what goes there.

use std::io::{self, Write, stdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use readyloop::net::Wake;

/// How many batches may wait for the thread.
const BATCHES_MAX: usize = 4;

/// Where what is printed goes.
pub(super) struct Output {
    batches: SyncSender<Vec<u8>>,
    /// How writing ended: told once, at its failure or at its end.
    ended: Receiver<io::Result<()>>,
}

impl Output {
    /// Starts the thread; it wakes the loop behind `wake` whenever it can take more, and when it fails.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub(super) fn start(wake: Arc<dyn Wake>) -> io::Result<Self> {
        let (batches, receiver) = sync_channel(BATCHES_MAX);
        let (end, ended) = sync_channel(1);
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            // When the loop has ended, nobody asks how this did.
            let _ = end.send(write_batches(&receiver, &*wake));
            wake.wake();
        })?;
        Ok(Self { batches, ended })
    }

    /// Passes a batch on, without waiting; when there is no room it comes back.
    pub(super) fn try_send(&self, batch: Vec<u8>) -> Result<(), Vec<u8>> {
        self.batches.try_send(batch).map_err(|error| match error {
            TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
        })
    }

    /// Why writing has failed, once it has; told once.
    pub(super) fn poll_failure(&self) -> Option<io::Error> {
        self.ended.try_recv().ok()?.err()
    }

    /// Writes the last batch and waits until all is written.
    ///
    /// # Errors
    /// Why writing failed.
    pub(super) fn finish(self, last: Vec<u8>) -> io::Result<()> {
        let Self { batches, ended } = self;
        // When it cannot be sent, writing has failed, which is told below.
        let _ = batches.send(last);
        drop(batches);
        ended.recv().unwrap_or_else(|_| Err(io::Error::other("the output thread died")))
    }
}

fn write_batches(batches: &Receiver<Vec<u8>>, wake: &dyn Wake) -> io::Result<()> {
    let mut output = stdout().lock();
    for batch in batches {
        output.write_all(&batch)?;
        output.flush()?;
        wake.wake();
    }
    Ok(())
}
