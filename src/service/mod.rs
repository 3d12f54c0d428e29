//! Services: the applications that run on the event loop.
//!
//! One [`Service`] value serves all peers of its endpoint on one thread, so state that peers share
//! needs no lock. A service does no I/O on streams and never blocks. Long work belongs on another
//! thread, which sends its result back as a message.

mod chargen;
mod chat;
mod context;
mod discard;
mod echo;
mod orders;
mod outbox;
mod peer_info;
mod proxy;
mod timers;
mod topics;

use std::io;

use crate::codec::Codec;
use crate::connection::CloseReason;
use crate::destination::Destination;
use crate::slab::Key;

pub use crate::connection::Role;
pub use chargen::Chargen;
pub(crate) use chargen::chargen_line;
pub use chat::Chat;
pub use context::Context;
pub use discard::Discard;
pub use echo::Echo;
pub use orders::{Orders, ReplyToken};
pub use outbox::OutboxFull;
pub(crate) use outbox::{Action, Batch, Order, Outbox, Target};
pub use peer_info::{Identity, PeerInfo, TlsInfo, TlsVersion};
pub use proxy::{PROXY_QUEUE, Proxy, Relay};
pub use timers::TimerKey;
pub(crate) use timers::TimerTarget;
pub use topics::{TooManyTopics, Topics};

/// An application that receives whole frames and sends whole frames.
///
/// Every callback runs on the thread of the event loop, which serves no other peer meanwhile. A
/// callback that panics closes its own peer only ([`CloseReason::Panicked`]).
pub trait Service: Sized {
    /// The framing of the protocol.
    type Codec: Codec;
    /// State that the service keeps for each peer. `()` takes no memory.
    type Peer: Default;
    /// Messages that other threads and timers send to the service, or `()`.
    type Message: Send + 'static;

    /// Called when a peer has connected, or when a connection that was ordered by [`Orders::connect`] is
    /// established. [`PeerInfo::role`] distinguishes them.
    fn on_open(&mut self, peer: &mut Self::Peer, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        let _ = (peer, info, cx);
    }

    /// Called when a connection that was ordered by [`Orders::connect`] has failed or was not permitted.
    ///
    /// A service that orders the same connection again at once keeps the event loop busy.
    fn on_connect_failed(&mut self, failure: ConnectFailure<Self::Peer>, orders: &mut Orders<'_, Self>) {
        let _ = (failure, orders);
    }

    /// Called for each whole frame of a peer. The frame is valid until the callback returns.
    fn on_frame(&mut self, peer: &mut Self::Peer, frame: <Self::Codec as Codec>::Frame<'_>, cx: &mut Context<'_, Self>);

    /// Called once after [`Context::notify_writable`], as soon as the peer's queue is at its low
    /// watermark or below.
    fn on_writable(&mut self, peer: &mut Self::Peer, cx: &mut Context<'_, Self>) {
        let _ = (peer, cx);
    }

    /// Called when a peer has ended its direction and all its frames have been served.
    ///
    /// The peer sends no more, but still reads. When this returns, the peer is finished, unless a reply
    /// was deferred by [`Context::defer_reply`] or the peer is kept open by [`Context::keep_open`].
    ///
    /// It is called at most once, and only for an end between two frames. It is not called after
    /// [`Context::finish`], for an end inside a frame, or for a truncated stream
    /// ([`CloseReason::Truncated`]).
    fn on_end(&mut self, peer: &mut Self::Peer, cx: &mut Context<'_, Self>) {
        let _ = (peer, cx);
    }

    /// Called when the timer of a peer is due, which [`Context::start_timer`] has set.
    fn on_timer(&mut self, peer: &mut Self::Peer, cx: &mut Context<'_, Self>) {
        let _ = (peer, cx);
    }

    /// Called for each message that another thread has sent through a [`Sender`](crate::net::Sender), and
    /// for each message of [`Orders::send_later`] when it is due.
    fn on_message(&mut self, message: Self::Message, orders: &mut Orders<'_, Self>) {
        let _ = (message, orders);
    }

    /// The content of a message, for a recording of the loop. `None` leaves the content out, and then the
    /// recording cannot be replayed beyond this message.
    fn encode_message(message: &Self::Message) -> Option<Vec<u8>> {
        let _ = message;
        None
    }

    /// The message with this content, which [`Self::encode_message`] has made. `None` if there is none.
    fn decode_message(content: &[u8]) -> Option<Self::Message> {
        let _ = content;
        None
    }

    /// Called once when the event loop begins to drain, before any peer is finished.
    fn on_drain(&mut self, orders: &mut Orders<'_, Self>) {
        let _ = orders;
    }

    /// Called just before [`Self::on_close`] if the peer was closed because its layer, such as TLS, failed.
    fn on_layer_error(&mut self, key: Key, error: io::Error) {
        let _ = (key, error);
    }

    /// Called exactly once for each peer for which [`Self::on_open`] was called, when it is closed.
    fn on_close(&mut self, peer: Self::Peer, key: Key, reason: CloseReason, orders: &mut Orders<'_, Self>) {
        let _ = (peer, key, reason, orders);
    }
}

/// An outbound connection that failed.
#[derive(Debug)]
pub struct ConnectFailure<P> {
    /// The state that was passed in with the order.
    pub peer: P,
    /// The destination of the connection.
    pub to: Destination,
    /// The error. `TimedOut` without an OS error number means that `connect_timeout` has passed.
    pub error: io::Error,
}
