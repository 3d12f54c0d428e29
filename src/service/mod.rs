//! Services: the applications that run on the event loop.
//!
//! One [`Service`] value serves all peers of its endpoint on one thread, so state that peers share
//! needs no lock. A service does no I/O on streams and never blocks. Long work belongs on another
//! thread, which sends its result back as a message.

mod chargen;
mod chat;
mod discard;
mod echo;
mod outbox;
mod proxy;

use std::error::Error;
use std::fmt::Display;

use crate::connection::{CloseReason, Reply};
use crate::instant::Instant;
use crate::slab::Key;

pub use chargen::Chargen;
pub use chat::Chat;
pub use discard::Discard;
pub use echo::Echo;
pub use outbox::Orders;
pub(crate) use outbox::{Order, OrderAction, Outbox, Target};
pub use proxy::Proxy;

/// An application that receives whole frames and sends whole frames.
///
/// Every callback runs on the thread of the event loop, which serves no other peer meanwhile. A
/// callback that panics closes its own peer only ([`CloseReason::Panicked`]).
pub trait Service {
    /// State that the service keeps for each peer. `()` takes no memory.
    type Peer: Default;
    /// Messages that other threads may send to the service, or `()`.
    type Message: Send + 'static;

    /// Called when a peer has connected. `address` is its address, for a log or a greeting.
    fn on_open(&mut self, peer: &mut Self::Peer, address: &dyn Display, cx: &mut Context<'_, '_>) {
        let _ = (peer, address, cx);
    }

    /// Called in place of [`Self::on_open`] for a connection that was ordered by [`Orders::connect`].
    ///
    /// `ticket` is the number given in the order.
    fn on_connect(&mut self, peer: &mut Self::Peer, ticket: u64, cx: &mut Context<'_, '_>) {
        let _ = (peer, ticket, cx);
    }

    /// Called when a connection ordered by [`Orders::connect`] has failed or was not permitted.
    ///
    /// Errors of the system are [`std::io::Error`]s. A service that orders the same connection again
    /// at once keeps the event loop busy.
    fn on_connect_failed(&mut self, ticket: u64, error: &(dyn Error + 'static), orders: &mut Orders<'_>) {
        let _ = (ticket, error, orders);
    }

    /// Called for each whole frame of a peer. The frame is valid until the callback returns.
    fn on_frame(&mut self, peer: &mut Self::Peer, frame: &[u8], cx: &mut Context<'_, '_>);

    /// Called once after [`Context::notify_writable`], as soon as the peer's queue is at its low
    /// watermark or below.
    fn on_writable(&mut self, peer: &mut Self::Peer, cx: &mut Context<'_, '_>) {
        let _ = (peer, cx);
    }

    /// Called when a peer has ended its direction and all its frames have been served.
    ///
    /// The peer sends no more, but still reads. When this returns, the peer is finished, unless a reply
    /// was deferred by [`Context::defer_reply`].
    ///
    /// It is called at most once, and only for an end between two frames. It is not called after
    /// [`Context::finish`], for an end inside a frame, or for a truncated stream
    /// ([`CloseReason::Truncated`]).
    fn on_end(&mut self, peer: &mut Self::Peer, cx: &mut Context<'_, '_>) {
        let _ = (peer, cx);
    }

    /// Called exactly once for each peer that was opened or connected, when it is closed.
    fn on_close(&mut self, peer: Self::Peer, key: Key, reason: CloseReason, orders: &mut Orders<'_>) {
        let _ = (peer, key, reason, orders);
    }

    /// Called for each message that another thread has sent through a [`Sender`](crate::net::Sender).
    fn on_message(&mut self, message: Self::Message, orders: &mut Orders<'_>) {
        let _ = (message, orders);
    }
}

/// The peer that a callback serves, with access to all other peers through [`Self::orders`].
pub struct Context<'c, 'r> {
    pub(crate) key: Key,
    pub(crate) now: Instant,
    pub(crate) reply: &'c mut Reply<'r>,
    pub(crate) outbox: &'c mut Outbox,
}

impl Context<'_, '_> {
    /// The key of this peer, for use in orders and messages.
    ///
    /// It stays unique after the peer is closed: an order for a closed peer does nothing.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Queues one frame for this peer.
    ///
    /// If the queue has no space for it, the peer is closed with [`CloseReason::QueueFull`] or
    /// [`CloseReason::BudgetSpent`]. If the codec cannot carry it, the peer is finished with
    /// [`CloseReason::BadReply`].
    #[inline]
    pub fn send(&mut self, frame: &[u8]) {
        self.reply.send(&[frame]);
    }

    /// Queues one frame that consists of these parts in a row; see [`Self::send`].
    pub fn send_parts(&mut self, parts: &[&[u8]]) {
        self.reply.send(parts);
    }

    /// The number of bytes that can be queued before reading from this peer pauses.
    pub fn writable_bytes(&self) -> usize {
        self.reply.writable_bytes()
    }

    /// Requests one call of [`Service::on_writable`].
    pub fn notify_writable(&mut self) {
        self.reply.notify_writable();
    }

    /// Announces a reply that is sent later, by [`Orders::answer`].
    ///
    /// A peer that has ended its direction is not finished until all deferred replies are sent. More
    /// than 65,535 deferred replies close the peer with [`CloseReason::QueueFull`].
    pub fn defer_reply(&mut self) {
        self.reply.defer_reply();
    }

    /// Stops reading this peer and delivering its frames, until [`Self::resume`] or
    /// [`Orders::resume`].
    ///
    /// The peer is not notified: its data fills our receive buffer in the kernel, then its own send
    /// buffer. The end of its direction is not detected meanwhile, and the idle timeout keeps running.
    pub fn pause(&mut self) {
        self.reply.pause();
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&mut self) {
        self.reply.resume();
    }

    /// Sends queued bytes, then ends our direction. Frames of the peer are still delivered.
    ///
    /// Frames sent after this call are dropped.
    pub fn half_close(&mut self) {
        self.reply.half_close();
    }

    /// Sends queued bytes, then ends our direction. Further input from the peer is discarded.
    pub fn finish(&mut self) {
        self.reply.finish();
    }

    /// Ends both directions now. If queued bytes are dropped by this, the peer gets a reset.
    pub fn close(&mut self) {
        self.reply.close();
    }

    /// Orders for other peers.
    pub fn orders(&mut self) -> Orders<'_> {
        Orders::new(self.outbox, self.reply.encode(), Some(self.key))
    }
}
