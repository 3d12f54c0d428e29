//! Handles: how any thread reaches the loop.
//!
//! They carry wishes and posts, never sockets; the loop takes them at its next turn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use thiserror::Error;

use super::ControlEvent;

/// How many posts may wait for one service: a thread that posts faster than the loop takes is told.
pub(crate) const MESSAGES_WAITING_MAX: usize = 1024;

/// Ends the sleep of a loop; may be called from any thread, any number of times.
pub trait Wake: Send + Sync {
    /// The loop's current sleep, or its next, ends with [`ControlEvent::Wake`].
    fn wake(&self);
}

const DRAIN: u8 = 1;
const STOP: u8 = 2;
const TOTALS: u8 = 4;
const RELOAD: u8 = 8;

/// Asks things of a whole server, from any thread.
#[derive(Clone)]
pub struct Handle {
    requests: Arc<AtomicU8>,
    wake: Arc<dyn Wake>,
}

impl Handle {
    pub(crate) fn new(wake: Arc<dyn Wake>) -> Self {
        Self { requests: Arc::default(), wake }
    }

    /// Finish every peer, then end; see [`ControlEvent::Drain`].
    pub fn drain(&self) {
        self.ask(DRAIN);
    }

    /// End at once.
    pub fn stop(&self) {
        self.ask(STOP);
    }

    /// Log the totals.
    pub fn log_totals(&self) {
        self.ask(TOTALS);
    }

    /// Read certificates and keys again, for newcomers.
    pub fn reload(&self) {
        self.ask(RELOAD);
    }

    /// Make the loop turn once.
    pub fn wake(&self) {
        self.wake.wake();
    }

    /// What posts to one service travel through: the thread's end and the loop's.
    pub(crate) fn channel<P>(&self) -> (Sender<P>, Receiver<P>) {
        let (sender, receiver) = sync_channel(MESSAGES_WAITING_MAX);
        (Sender { sender, wake: Arc::clone(&self.wake) }, receiver)
    }

    /// What was asked since the last time.
    pub(crate) fn take_requests(&self) -> impl Iterator<Item = ControlEvent> + use<> {
        let requests = self.requests.swap(0, Ordering::AcqRel);
        [
            (TOTALS, ControlEvent::Totals),
            (RELOAD, ControlEvent::Reload),
            (DRAIN, ControlEvent::Drain),
            (STOP, ControlEvent::Stop),
        ]
        .into_iter()
        .filter_map(move |(bit, control_event)| (requests & bit != 0).then_some(control_event))
    }

    fn ask(&self, wish: u8) {
        self.requests.fetch_or(wish, Ordering::AcqRel);
        self.wake.wake();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Posts to the service of one endpoint, from any thread.
pub struct Sender<P> {
    sender: SyncSender<P>,
    wake: Arc<dyn Wake>,
}

/// Why a post was not taken; the post comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError<P> {
    /// The loop is behind: 1,024 posts wait already.
    #[error("the service has 1024 posts waiting")]
    Full(P),
    /// The server has ended.
    #[error("the server has ended")]
    Gone(P),
}

impl<P> Sender<P> {
    /// Gives a post to the service, at its next turn.
    ///
    /// # Errors
    /// The post comes back when too many wait or the server has ended. Never waits.
    pub fn send(&self, post: P) -> Result<(), SendError<P>> {
        self.sender.try_send(post).map_err(|error| match error {
            TrySendError::Full(post) => SendError::Full(post),
            TrySendError::Disconnected(post) => SendError::Gone(post),
        })?;
        self.wake.wake();
        Ok(())
    }
}

impl<P> Clone for Sender<P> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), wake: Arc::clone(&self.wake) }
    }
}

impl<P> fmt::Debug for Sender<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").finish_non_exhaustive()
    }
}
