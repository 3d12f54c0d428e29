//! A service: what is said to peers, once somebody else has taken care of how.
//!
//! One value serves all peers of its endpoint, so what peers share needs no lock. It reads and
//! writes no stream and never waits; work that takes long belongs on another thread, and its
//! result comes back as a post.

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
pub(crate) use outbox::{Order, Outbox, Target, Verb};
pub use proxy::Proxy;

/// An application: gets whole frames, sends whole frames.
///
/// Every callback runs on the loop's one thread: while it runs, nobody else is served. A callback
/// that panics loses its own peer only ([`CloseReason::Panicked`]).
pub trait Service {
    /// What the service keeps for each peer; `()` costs nothing.
    type Peer: Default;
    /// What other threads may post to the service; `()` where none do.
    type Message: Send + 'static;

    /// A peer connected. `who` is its address, for a log or a greeting.
    fn on_open(&mut self, peer: &mut Self::Peer, who: &dyn Display, cx: &mut Context<'_, '_>) {
        let _ = (peer, who, cx);
    }

    /// A connection that [`Orders::connect`] ordered has come about: this peer is its other end.
    /// Stands in the place of [`Self::on_open`].
    fn on_connect(&mut self, peer: &mut Self::Peer, ticket: u64, cx: &mut Context<'_, '_>) {
        let _ = (peer, ticket, cx);
    }

    /// A connection that [`Orders::connect`] ordered does not come about: nobody answers there, or
    /// there is no room for it. The system's errors are [`std::io::Error`]s. Who orders the same at
    /// once again keeps the loop busy with it.
    fn on_connect_failed(&mut self, ticket: u64, error: &(dyn Error + 'static), orders: &mut Orders<'_>) {
        let _ = (ticket, error, orders);
    }

    /// A whole frame came. It is gone when the callback returns.
    fn on_frame(&mut self, peer: &mut Self::Peer, frame: &[u8], cx: &mut Context<'_, '_>);

    /// The queue of a peer for which [`Context::notify_writable`] was called has fallen to its low watermark.
    fn on_writable(&mut self, peer: &mut Self::Peer, cx: &mut Context<'_, '_>) {
        let _ = (peer, cx);
    }

    /// A peer has ended its direction, and every frame of it was served: it says no more, and
    /// still listens. Once this returns it is finished, unless something was promised to it.
    ///
    /// Comes once at most, and only for an end between two frames: one inside a frame, one that
    /// is not the peer's own ([`CloseReason::Truncated`]) and one that comes after we have finished
    /// the peer are told by its close alone.
    fn on_end(&mut self, peer: &mut Self::Peer, cx: &mut Context<'_, '_>) {
        let _ = (peer, cx);
    }

    /// A peer is gone. Follows every [`Self::on_open`] and every [`Self::on_connect`] exactly once.
    fn on_close(&mut self, peer: Self::Peer, key: Key, reason: CloseReason, orders: &mut Orders<'_>) {
        let _ = (peer, key, reason, orders);
    }

    /// Another thread posted something.
    fn on_message(&mut self, post: Self::Message, orders: &mut Orders<'_>) {
        let _ = (post, orders);
    }
}

/// One callback's view of the peer it serves, and its way to the others.
pub struct Context<'c, 'r> {
    pub(crate) key: Key,
    pub(crate) now: Instant,
    pub(crate) reply: &'c mut Reply<'r>,
    pub(crate) outbox: &'c mut Outbox,
}

impl Context<'_, '_> {
    /// The name of this peer: good for orders and posts, also after it has gone.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Sends one frame. What does not fit any more closes the peer, see [`CloseReason`].
    #[inline]
    pub fn send(&mut self, frame: &[u8]) {
        self.reply.send(&[frame]);
    }

    /// Sends one frame made of these parts in a row.
    pub fn send_parts(&mut self, parts: &[&[u8]]) {
        self.reply.send(parts);
    }

    /// How many bytes may be sent until this peer counts as slow; sending more is possible and
    /// pauses the reading from it.
    pub fn writable_bytes(&self) -> usize {
        self.reply.writable_bytes()
    }

    /// Asks for one call of [`Service::on_writable`].
    pub fn notify_writable(&mut self) {
        self.reply.notify_writable();
    }

    /// Says that an answer comes later, by [`Orders::answer`]: a peer that ended
    /// its direction is not finished before that.
    pub fn defer_reply(&mut self) {
        self.reply.defer_reply();
    }

    /// Stops giving frames of this peer and reading it, until [`Self::resume`] or [`Orders::resume`]:
    /// so a service that passes bytes on is never flooded.
    ///
    /// The peer is told nothing; what it sends waits in its own kernel once ours is full. Its end,
    /// too, is only seen after that, and the idle deadline does not rest.
    pub fn pause(&mut self) {
        self.reply.pause();
    }

    /// Takes back [`Self::pause`].
    pub fn resume(&mut self) {
        self.reply.resume();
    }

    /// Sends what is queued, then ends our direction; frames of the peer still come. What is sent
    /// after this goes nowhere.
    pub fn half_close(&mut self) {
        self.reply.half_close();
    }

    /// Sends what is queued, then ends our direction; what the peer still sends is thrown away.
    pub fn finish(&mut self) {
        self.reply.finish();
    }

    /// Ends both directions now. Where queued bytes are thrown away by that, the peer sees a reset.
    pub fn close(&mut self) {
        self.reply.close();
    }

    /// Orders for other peers.
    pub fn orders(&mut self) -> Orders<'_> {
        Orders::new(self.outbox, self.reply.encode(), Some(self.key))
    }
}
