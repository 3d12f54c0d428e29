//! `Context`: the peer that a callback serves.

use crate::codec::Codec;
use crate::connection::Reply;
use crate::instant::Instant;
use crate::slab::Key;

use super::Service;
use super::orders::{Orders, ReplyToken};
use super::outbox::Outbox;

/// The peer that a callback serves, with access to all other peers through [`Self::orders`].
pub struct Context<'a, S: Service> {
    pub(crate) key: Key,
    pub(crate) now: Instant,
    pub(crate) reply: Reply<'a, S::Codec>,
    pub(crate) outbox: &'a mut Outbox<S::Peer, S::Message>,
}

impl<S: Service> Context<'_, S> {
    /// The same context for another service with the same types, for a service that wraps another one.
    pub fn for_service<T>(&mut self) -> Context<'_, T>
    where
        T: Service<Codec = S::Codec, Peer = S::Peer, Message = S::Message>,
    {
        Context { key: self.key, now: self.now, reply: self.reply.reborrow(), outbox: self.outbox }
    }

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

    /// The state of the codec for this peer.
    ///
    /// A change applies to the frames that follow, in both directions. So a service switches the
    /// protocol between two frames, or sets the first stage in [`Service::on_open`].
    pub fn codec_state(&mut self) -> &mut <S::Codec as Codec>::State {
        self.reply.codec_state()
    }

    /// Queues one frame for this peer.
    ///
    /// If the queue has no space for it, the peer is closed with
    /// [`CloseReason::QueueFull`](crate::CloseReason::QueueFull) or
    /// [`CloseReason::BudgetSpent`](crate::CloseReason::BudgetSpent). If the codec cannot carry it, the
    /// peer is finished with [`CloseReason::BadReply`](crate::CloseReason::BadReply).
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

    /// Announces a reply that is sent later, by [`Orders::answer`] with the token.
    ///
    /// Until then no further frame of this peer is served, so replies keep the order of their requests.
    /// The peer stays open even if it ends its direction meanwhile. Frames that are sent before the
    /// answer, in any callback, go out before it.
    pub fn defer_reply(&mut self) -> ReplyToken {
        self.reply.defer_reply();
        ReplyToken(self.key)
    }

    /// Keeps this peer open after it has ended its direction, until it is finished or closed.
    ///
    /// For a service that relays the replies of another peer, and does not know when the last one comes.
    pub fn keep_open(&mut self) {
        self.reply.keep_open();
    }

    /// Sets the timer of this peer: [`Service::on_timer`] is called at `at` or soon after it, never before.
    ///
    /// A peer has one timer. Setting it again moves it. It ends with the peer.
    pub fn start_timer(&mut self, at: Instant) {
        self.outbox.timers.start(self.key, at);
    }

    /// Cancels the timer of this peer.
    pub fn stop_timer(&mut self) {
        self.outbox.timers.stop(self.key);
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
    pub fn orders(&mut self) -> Orders<'_, S> {
        Orders { outbox: self.outbox, served: Some(self.key), now: self.now }
    }
}
