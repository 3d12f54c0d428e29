//! [`Handle`] and [`Sender`]: requests and messages to an event loop, from any thread.
//!
//! The loop receives them in its next turn. They carry no sockets.

use std::fmt;
use std::mem::discriminant;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

use super::event::ControlEvent;

/// How many messages may wait for one service. Sending more fails until the loop has taken some.
pub(crate) const MESSAGES_WAITING_MAX: usize = 1024;

/// Wakes an event loop. May be called from any thread, any number of times.
pub trait Wake: Send + Sync {
    /// Ends the loop's current or next sleep with [`ControlEvent::Wake`].
    fn wake(&self);
}

/// Sends requests to an event loop, from any thread.
///
/// Every method returns at once. Equal requests that arrive before the loop's next turn count as one.
#[derive(Clone)]
pub struct Handle {
    /// The requests that the loop has not taken, at most one of each kind.
    requests: Arc<Mutex<Vec<ControlEvent>>>,
    wake: Arc<dyn Wake>,
}

impl Handle {
    pub(crate) fn new(wake: Arc<dyn Wake>) -> Self {
        Self { requests: Arc::default(), wake }
    }

    /// Shuts down with all stages that the limits of the server give a time; see [`ControlEvent::ShutDown`].
    pub fn shut_down(&self) {
        self.request(ControlEvent::ShutDown);
    }

    /// Stops accepting and serves the peers until they leave. After `timeout`, a drain begins.
    ///
    /// A repeated request moves the deadline. During a drain it has no effect.
    pub fn lame_duck(&self, timeout: Duration) {
        self.request(ControlEvent::LameDuck(timeout));
    }

    /// Finishes every peer, then ends the loop; see [`ControlEvent::Drain`].
    pub fn drain(&self) {
        self.request(ControlEvent::Drain);
    }

    /// Ends the loop at once.
    pub fn stop(&self) {
        self.request(ControlEvent::Stop);
    }

    /// Logs the totals.
    pub fn log_totals(&self) {
        self.request(ControlEvent::Totals);
    }

    /// Reads certificates and keys again, for new connections.
    pub fn reload(&self) {
        self.request(ControlEvent::Reload);
    }

    /// Starts a successor of this process; see [`ControlEvent::Restart`].
    pub fn restart(&self) {
        self.request(ControlEvent::Restart);
    }

    /// Leaves the sockets to a successor that serves, and ends; see [`ControlEvent::HandOver`].
    pub fn hand_over(&self) {
        self.request(ControlEvent::HandOver);
    }

    /// Makes the loop turn once.
    pub fn wake(&self) {
        self.wake.wake();
    }

    /// A channel for messages to one service: the sender for other threads, the receiver for the loop.
    pub(crate) fn channel<M>(&self) -> (Sender<M>, Receiver<M>) {
        let (sender, receiver) = sync_channel(MESSAGES_WAITING_MAX);
        (Sender { sender, wake: Arc::clone(&self.wake) }, receiver)
    }

    /// The requests since the last call.
    pub(crate) fn take_requests(&self) -> Vec<ControlEvent> {
        std::mem::take(&mut *self.pending_requests())
    }

    fn request(&self, request: ControlEvent) {
        let mut requests = self.pending_requests();
        requests.retain(|pending| discriminant(pending) != discriminant(&request));
        requests.push(request);
        drop(requests);
        self.wake.wake();
    }

    fn pending_requests(&self) -> MutexGuard<'_, Vec<ControlEvent>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Sends messages to the service of one endpoint, from any thread.
pub struct Sender<M> {
    sender: SyncSender<M>,
    wake: Arc<dyn Wake>,
}

/// Why a message was not accepted. The message is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError<M> {
    /// 1,024 messages are waiting already: the loop is behind.
    #[error("1024 messages are waiting for the service already")]
    Full(M),
    /// The server has ended.
    #[error("the server has ended")]
    Gone(M),
}

impl<M> Sender<M> {
    /// Queues a message for the service, which receives it in the loop's next turn. Never blocks.
    ///
    /// # Errors
    /// Too many messages are waiting, or the server has ended.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) => SendError::Full(message),
            TrySendError::Disconnected(message) => SendError::Gone(message),
        })?;
        self.wake.wake();
        Ok(())
    }

    /// Queues a message for the service, and waits while too many messages are waiting for it.
    ///
    /// The thread of the event loop must not call it: it would wait for itself.
    pub(crate) fn send_blocking(&self, message: M) -> Result<(), SendError<M>> {
        self.sender.send(message).map_err(|mpsc::SendError(message)| SendError::Gone(message))?;
        self.wake.wake();
        Ok(())
    }
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), wake: Arc::clone(&self.wake) }
    }
}

impl<M> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
