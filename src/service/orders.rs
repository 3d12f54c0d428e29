//! `Orders`: what a callback may order for peers other than the one it serves.

use crate::destination::Destination;
use crate::instant::Instant;
use crate::slab::Key;

use super::outbox::{Action, FrameAction, ORDERS_MAX, Outbox, OutboxFull, Target};
use super::{Service, TimerKey};

/// Keeps the place of a reply that [`Context::defer_reply`](super::Context::defer_reply) has announced.
///
/// It may be sent to another thread and back in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the peer is not served until its reply is sent by `Orders::answer`"]
pub struct ReplyToken(pub(crate) Key);

impl ReplyToken {
    /// The peer that waits for the reply.
    pub fn key(self) -> Key {
        self.0
    }
}

/// Collects orders of a service for peers other than the one it serves, and sets its timers.
///
/// The orders are applied in sequence after the callback, a bounded number in each turn. An order for
/// all peers continues in the next turn where it stopped, and reaches the peers that are open then.
/// While many orders wait, no callback is called. An order for a peer that is closed does nothing.
///
/// If a peer's queue has no space for a frame, that peer is closed with
/// [`CloseReason::QueueFull`](crate::CloseReason::QueueFull). If the codec cannot carry it, that peer is
/// finished with [`CloseReason::BadReply`](crate::CloseReason::BadReply).
///
/// # Bounds
/// One callback may order frames of 16 MiB, and 1,048,576 frames, actions and keys each. A method that
/// sends a frame returns [`OutboxFull`] beyond it. Any other order panics, which closes the peer that
/// the callback serves.
pub struct Orders<'a, S: Service> {
    pub(crate) outbox: &'a mut Outbox<S::Peer, S::Message>,
    pub(crate) served: Option<Key>,
    pub(crate) now: Instant,
}

impl<S: Service> Orders<'_, S> {
    /// The same orders for another service with the same types, for a service that wraps another one.
    pub fn for_service<T: Service<Peer = S::Peer, Message = S::Message>>(&mut self) -> Orders<'_, T> {
        Orders { outbox: self.outbox, served: self.served, now: self.now }
    }

    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Sends one peer a frame that consists of these parts in a row.
    ///
    /// # Errors
    /// The orders of this callback exceed the bound.
    pub fn send_to(&mut self, key: Key, parts: &[&[u8]]) -> Result<(), OutboxFull> {
        self.outbox.send(Target::One(key), FrameAction::Send, parts)
    }

    /// Sends a frame that consists of these parts in a row to all peers except the one being served.
    /// In a callback that serves no peer, it is sent to all.
    ///
    /// # Errors
    /// The orders of this callback exceed the bound.
    pub fn send_to_others(&mut self, parts: &[&[u8]]) -> Result<(), OutboxFull> {
        self.outbox.send(self.served.map_or(Target::All, Target::AllExcept), FrameAction::Send, parts)
    }

    /// Sends a frame that consists of these parts in a row to each of these peers. It is stored once.
    ///
    /// # Errors
    /// The orders of this callback exceed the bound. The frame is then sent to none of them.
    pub fn send_to_each(&mut self, keys: impl IntoIterator<Item = Key>, parts: &[&[u8]]) -> Result<(), OutboxFull> {
        let target = self.outbox.target_each(keys)?;
        self.outbox.send(target, FrameAction::Send, parts)
    }

    /// Sends a frame as [`Self::send_to_each`] does, but skips each peer that reads slowly: its queue has no
    /// space for the frame below the high watermark ([`Context::writable_bytes`](super::Context::writable_bytes)).
    ///
    /// A broker that sends news in this way closes no subscriber because it is slow.
    ///
    /// # Errors
    /// The orders of this callback exceed the bound. The frame is then sent to none of them.
    pub fn offer_to_each(&mut self, keys: impl IntoIterator<Item = Key>, parts: &[&[u8]]) -> Result<(), OutboxFull> {
        let target = self.outbox.target_each(keys)?;
        self.outbox.send(target, FrameAction::Offer, parts)
    }

    /// Sends a frame that consists of these parts in a row as the reply that the token announced.
    ///
    /// A second answer with the same token is sent as an ordinary frame.
    ///
    /// # Errors
    /// The orders of this callback exceed the bound. The reply is still expected.
    pub fn answer(&mut self, token: ReplyToken, parts: &[&[u8]]) -> Result<(), OutboxFull> {
        self.outbox.send(Target::One(token.0), FrameAction::Answer, parts)
    }

    /// Opens an outbound connection, which becomes a peer of this endpoint with the state `peer`.
    ///
    /// The result is reported once, to [`Service::on_open`] or to [`Service::on_connect_failed`], unless
    /// the event loop ends first.
    pub fn connect(&mut self, to: impl Into<Destination>, peer: S::Peer) {
        assert!(self.outbox.connects.len() < ORDERS_MAX, "a callback ordered more than {ORDERS_MAX} connections");
        self.outbox.connects.push_back((to.into(), peer));
    }

    /// Delivers `message` to [`Service::on_message`] at `at` or soon after it, never before.
    ///
    /// # Panics
    /// The service has 16,777,216 timers.
    pub fn send_later(&mut self, at: Instant, message: S::Message) -> TimerKey {
        self.outbox.timers.send_later(at, message)
    }

    /// Moves a message that is to be delivered later. Returns `false` if it was delivered or cancelled.
    pub fn move_timer(&mut self, timer: TimerKey, at: Instant) -> bool {
        self.outbox.timers.move_to(timer, at)
    }

    /// Cancels a message that is to be delivered later. Returns it, unless it was delivered.
    pub fn cancel_timer(&mut self, timer: TimerKey) -> Option<S::Message> {
        self.outbox.timers.cancel(timer)
    }

    /// Requests one call of [`Service::on_writable`] for a peer.
    pub fn notify_writable(&mut self, key: Key) {
        self.outbox.act(Target::One(key), Action::NotifyWritable);
    }

    /// Undoes the pause of a peer; see [`Context::pause`](super::Context::pause).
    pub fn resume(&mut self, key: Key) {
        self.outbox.act(Target::One(key), Action::Resume);
    }

    /// Sends the queued bytes of a peer, then ends our direction. Its frames are still delivered.
    pub fn half_close(&mut self, key: Key) {
        self.outbox.act(Target::One(key), Action::HalfClose);
    }

    /// Sends the queued bytes of a peer, then ends our direction. Its further input is discarded.
    pub fn finish(&mut self, key: Key) {
        self.outbox.act(Target::One(key), Action::Finish);
    }

    /// Sends the queued bytes of every peer, then ends our direction. Their further input is discarded.
    pub fn finish_all(&mut self) {
        self.outbox.act(Target::All, Action::Finish);
    }

    /// Ends both directions of a peer now.
    pub fn close(&mut self, key: Key) {
        self.outbox.act(Target::One(key), Action::Close);
    }

    /// Ends both directions of every peer now.
    pub fn close_all(&mut self) {
        self.outbox.act(Target::All, Action::Close);
    }

    /// Resets the connection of a peer now, even if all queued bytes are written.
    ///
    /// A reset shows the peer that the data it received is incomplete.
    pub fn reset(&mut self, key: Key) {
        self.outbox.act(Target::One(key), Action::Reset);
    }
}
